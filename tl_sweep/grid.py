"""From overrides with several values to jobs with one each."""

from __future__ import annotations

import hashlib
import itertools
import json

from hydra.core.override_parser.types import Override


def expand(overrides: list[Override]) -> list[list[str]]:
    """The jobs of a grid: the product of its axes, the last key fastest; of a key given twice, the last counts."""
    axes: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        prefix = "+" if override.is_add() else "~" if override.is_delete() else ""
        if override.is_delete():
            axes[key] = [override.input_line or f"{prefix}{key}"]
        elif override.is_sweep_override():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
    return [list(job) for job in itertools.product(*axes.values())]


def sweep_id(jobs: list[list[str]]) -> str:
    """A name for a grid, whatever the order of its keys or values; never one that Hydra would read as a number."""
    canonical = sorted(sorted(job) for job in jobs)
    return "s" + hashlib.sha256(json.dumps(canonical).encode()).hexdigest()[:11]
