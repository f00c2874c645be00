"""Documents that are made, and commands that documents name."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "findings/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
PARENTS = {  # of what a document names by its path: the repository, or the package
    ROOT: ("tl_sweep", "hydra_plugins", "conf", "tests", "tools", "benchmarks", "scripts", "findings"),
    ROOT / "tl_sweep": tuple(path.parent.name for path in (ROOT / "tl_sweep").glob("*/__init__.py")),
}
MOST_LINES_OF_A_DECISION = 10


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_option_table_is_up_to_date() -> None:
    assert (ROOT / "docs" / "options.md").read_text() == script("make_option_table").render()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_only_what_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets
    for module in re.findall(r"python -m tl_sweep\.(\w+)", text):
        file = ROOT / "tl_sweep" / module
        assert file.with_suffix(".py").exists() or (file / "__main__.py").exists()
    for link in re.findall(r"\]\(([\w/.-]+)\)", text):
        assert ((ROOT / document).parent / link).exists()
    for parent, folders in PARENTS.items():
        for path in re.findall(rf"`((?:{'|'.join(folders)})/[\w/.-]+)`", text):
            assert (parent / path).exists(), path


def test_decisions_are_numbered_dated_and_short() -> None:
    _, *decisions = (ROOT / "docs" / "decisions.md").read_text().split("\n## ")
    for number, decision in enumerate(decisions, 1):
        heading, date, blank, *lines = decision.rstrip().split("\n")
        assert re.fullmatch(rf"D{number} .*\S", heading), f"{heading}: it is D{number}"
        assert re.fullmatch(r"20\d\d-\d\d-\d\d(, superseded by D\d+)?", date), heading
        assert blank == "", heading
        assert len(lines) <= MOST_LINES_OF_A_DECISION, heading
