"""What a benchmark prints: every row as soon as it is measured, for those who watch, and the whole table in the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

WIDTH = 190  # characters; a table that is read from a file is not folded


def print_measured(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """headings: one per column; rows: made one after the other, each by measuring."""
    table = Table(*headings)
    for row in rows:
        print(" | ".join(row), flush=True)
        table.add_row(*row)
    Console(width=WIDTH).print(table)
