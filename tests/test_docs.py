"""Documents that are made, and commands that documents name."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_option_table_is_up_to_date() -> None:
    assert (ROOT / "docs" / "options.md").read_text() == script("make_option_table").render()


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/decisions.md",
        "docs/benchmarks.md",
        "docs/statistics.md",
        "docs/mlflow-ui.md",
    ],
)
def test_documents_name_only_what_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets
    for module in re.findall(r"python -m tl_sweep\.(\w+)", text):
        assert (ROOT / "tl_sweep" / f"{module}.py").exists()
    for link in re.findall(r"\]\(([\w/.-]+)\)", text):
        assert ((ROOT / document).parent / link).exists()
