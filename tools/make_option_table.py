"""Write docs/options.md from the configuration's own types, defaults and rules:  python tools/make_option_table.py"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from tl_sweep.config.keys import default_of, field_paths
from tl_sweep.config.loading import conf_dir

PATH = Path(__file__).parents[1] / "docs" / "options.md"
GROUPS = ("model", "freeze", "optim", "objective", "data", "augment", "sweep")


def default_text(item: dataclasses.Field[Any]) -> str:
    value = default_of(item)
    return value if isinstance(value, str) else json.dumps(value)


def rules_of(item: dataclasses.Field[Any]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [f"{signs[name]} {bound}" for name, bound in item.metadata.items() if name in signs]
    return ", ".join([*bounds, *item.metadata.get("choices", ())])


def header_of(path: Path) -> str:
    """The first comment of an option's file: its one-line description."""
    comments = [line.removeprefix("# ") for line in path.read_text().splitlines() if line.startswith("# ")]
    return next((line for line in comments if not line.startswith("@package")), "")


def render() -> str:
    lines = ["# Options", "", "Made by `tools/make_option_table.py`; a test holds it up to date.", ""]
    for group in GROUPS:
        lines += [f"## {group}=…", "", "| option | what it is |", "|---|---|"]
        lines += [f"| `{path.stem}` | {header_of(path)} |" for path in sorted((conf_dir() / group).glob("*.yaml"))]
        lines.append("")
    lines += [
        "## Keys",
        "",
        "`???`: the option's file says it; an option's file may set another default, too.",
        "†: says where and how a run is computed, not what it is: with another value it is still the same run.",
        "",
        "| key | default | allowed | meaning |",
    ]
    lines.append("|---|---|---|---|")
    for path, item in field_paths():
        mark = " †" if item.metadata["role"] == "execution" else ""
        lines.append(f"| `{path}`{mark} | `{default_text(item)}` | {rules_of(item)} | {item.metadata['doc']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(render())
