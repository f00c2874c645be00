"""What a single value must keep: rules as metadata of a field, and every broken one as a line of text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tl_sweep.base.errors import did_you_mean

_BOUNDS = {
    "ge": (lambda value, bound: value >= bound, "at least"),
    "gt": (lambda value, bound: value > bound, "above"),
    "le": (lambda value, bound: value <= bound, "at most"),
    "lt": (lambda value, bound: value < bound, "below"),
}
RULES = ("choices", "length", "suffixes", "folder", *_BOUNDS)


def broken_field(name: str, given: Any, rules: Any) -> Iterator[str]:
    """rules: a mapping with any of ``RULES``; of a list or a dict the bounds hold for each number in it."""
    choices = rules.get("choices")
    if choices and given not in choices:
        yield f"{name}={given}: allowed: {', '.join(choices)};{did_you_mean(str(given), choices)}".rstrip(";")
    suffix = Path(str(given)).suffix.lower()
    if given and suffix not in rules.get("suffixes", (suffix,)):
        yield f"{name}={given}: its name must end in {' or '.join(rules['suffixes'])}"
    if rules.get("folder") and (Path(given).is_file() or (suffix[1:].isalpha() and not Path(given).is_dir())):
        yield f"{name}={given}: files are written into it: a folder is needed, and this is the name of a file"
    if "length" in rules and len(given) != rules["length"]:
        yield f"{name}={given}: {rules['length']} numbers are needed"
    numbers = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
    wanted = [(holds, f"{word} {rules[rule]}", rules[rule]) for rule, (holds, word) in _BOUNDS.items() if rule in rules]
    if not all(holds(number, bound) for holds, _, bound in wanted for number in numbers):
        yield f"{name}={given}: must be {' and '.join(text for _, text, _ in wanted)}"
