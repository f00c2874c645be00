"""What a chart of the page is, and how rows are spread over its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from tl_sweep.comparison.line import line_of
from tl_sweep.comparison.study import Row
from tl_sweep.report.drawing import Figure, Palette
from tl_sweep.report.menus import Menus

MOST_WRITTEN = 12  # classes, so that counts fit into the cells; points, so that their labels do not overlap


@dataclass(frozen=True)
class Chart:
    """A chart that shows one figure at a time.

    by: what selects it, of dataset, task, backbone and row. figures: by the places of what is selected, with ``|``
    between. choices: per axis (x, y, z), the columns of ``meta`` it may show and their titles.
    """

    name: str
    title: str
    caption: str
    by: tuple[str, ...]
    figures: Mapping[str, Figure]
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def panels(rows: Iterable[Any], menus: Menus, by: Sequence[str]) -> dict[str, list[Any]]:
    """The rows of each figure, by its key."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[menus.key(row, by)].append(row)
    return found


def ordered(rows: Iterable[Row], palette: Palette) -> list[Row]:
    """As legends list them: by strategy, the baseline last, then by backbone."""
    return sorted(sorted(rows, key=attrgetter("backbone")), key=lambda row: palette.order(line_of(row)))
