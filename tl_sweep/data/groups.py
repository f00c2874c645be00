"""Which images belong together (one patient, one site) and must stay in one split."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.paths import expanded
from tl_sweep.data.decode import listing


def read_groups(group: str, ids: Sequence[str], root: str | None) -> np.ndarray:
    """A group name per image: from a regular expression with one capture group, else a column of metadata.csv.

    Raises:
        UserError: an image gets no group.
    """
    groups = _by_pattern(group, ids) if "(" in group else _by_column(group, ids, root)
    missing = [name for name, value in zip(ids, groups, strict=True) if not value]
    if missing:
        raise UserError(f"data.group={group}: no group for {len(missing)} image(s): {listing(missing)}")
    return np.asarray(groups)


def _by_pattern(pattern: str, ids: Sequence[str]) -> list[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"data.group={pattern}: not a regular expression: {error}") from error
    if expression.groups != 1:
        raise UserError(f"data.group={pattern}: one pair of capturing parentheses is needed, not {expression.groups}")
    matches = [expression.search(name) for name in ids]
    return [(match[1] or "") if match else "" for match in matches]


def _by_column(column: str, ids: Sequence[str], root: str | None) -> list[str]:
    table = expanded(root or ".") / "metadata.csv"
    if root is None or not table.is_file():
        raise UserError(f"data.group={column}: a column needs {table}; or give a regular expression with (parentheses)")
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        absent = [name for name in ("file", column) if name not in columns]
        if absent:
            near = did_you_mean(absent[0], columns)
            raise UserError(f"data.group={column}: {table} has no column {absent[0]!r}, only {listing(columns)}.{near}")
        group_of = {row["file"]: row[column] or "" for row in reader}
    return [group_of.get(name, "") for name in ids]
