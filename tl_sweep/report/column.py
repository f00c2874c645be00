"""What a column of a comparison is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tl_sweep.comparison.study import Row
from tl_sweep.report import formats
from tl_sweep.report.drawing import number

Plain = str | bool | int | float | None

TABLES = {  # of the terminal and of Markdown, with what stands above them
    "results": "Each row at the setting that validation chose. Accuracies and differences with 95 % intervals.",
    "cost": "Pareto front: no other row is as good or better in accuracy, training time, inference speed and "
    "parameters alike.",
}


@dataclass(frozen=True)
class Column:
    """One figure of a row: its name, its value, how it is written, where it is shown.

    key: its name in csv and json. heading, unit: of the value as it is written; the same wherever people read it. help:
    one sentence. value: the plain value for csv and json, in base units (shares of 1, seconds, bytes); None or nan
    where there is none. write: the text of a value that is there, times ``scale``. beside: what stands beside the text
    wherever it is shown, such as its interval. note: small print, on the page alone. table: of the terminal and of
    Markdown (a key of ``TABLES``), or none. group: the heading above it in the page's table; None: not there. axes: of
    the page's charts that offer it: x and y of accuracy against cost, z of the heat map. kind: text, a number, prose
    (long), or the name that the row goes by.
    """

    key: str
    heading: str
    unit: str
    help: str
    value: Callable[[Row], Plain]
    write: Callable[[Any], str] = str
    scale: float = 1
    beside: Callable[[Row], str] | None = None
    note: Callable[[Row], str] | None = None
    table: str = ""
    group: str | None = None
    axes: str = ""
    kind: Literal["number", "text", "prose", "name"] = "number"

    def __post_init__(self) -> None:
        if self.table not in ("", *TABLES):
            raise ValueError(f"column {self.key}: table={self.table!r}, allowed: {', '.join(TABLES)}")

    @property
    def title(self) -> str:
        """``test accuracy, %``"""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    @property
    def is_number(self) -> bool:
        return self.kind == "number"

    def plain(self, row: Row) -> Plain:
        """For csv and json: None where there is no value, or no finite one."""
        value = self.value(row)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def scaled(self, row: Row) -> Any:
        """In the heading's unit."""
        value = self.value(row)
        return value if value is None or isinstance(value, (str, bool)) else value * self.scale

    def text(self, row: Row) -> str:
        value = self.scaled(row)
        return formats.MISSING if value is None or value != value else self.write(value)  # nan differs from itself

    def plotted(self, row: Row) -> float | None:
        """For the page's charts, in the heading's unit; whole, or to four digits; None where there is none."""
        value = self.scaled(row)
        return value if isinstance(value, int) else number(value) if isinstance(value, float) else None

    def small(self, row: Row) -> str:
        """What stands small beside the text on the page."""
        return " ".join(filter(None, (part(row) for part in (self.beside, self.note) if part)))

    def cell(self, row: Row) -> str:
        """For the terminal and Markdown: the text, and what stands beside it."""
        return f"{self.text(row)} {self.beside(row) if self.beside else ''}".rstrip()


def value_at(path: str) -> Callable[[Row], Any]:
    """What a row has at a dotted path of fields, such as ``vs_best.p``; None where a field on the way is None."""

    def value(row: Row) -> Any:
        found: Any = row
        for field in path.split("."):
            found = None if found is None else getattr(found, field)
        return found

    return value


def of_row(field: str, heading: str, unit: str, help: str, write: Callable[[Any], str] = str, **how: Any) -> Column:
    """A column for a field of ``Row``, which has the field's name as its key."""
    return Column(field, heading, unit, help, value_at(field), write, **how)


def share_of_row(field: str, heading: str, help: str, **how: Any) -> Column:
    """The same for a share of 1 that is written in percent."""
    return of_row(field, heading, "%", help, formats.one_digit, scale=100, **how)


def recorded(metric: str, heading: str, unit: str, help: str, **how: Any) -> Column:
    """A column for a metric that runs record, which has its name as its key: the mean over the chosen runs' seeds."""
    return Column(
        metric, heading, unit, help, lambda row: row.metrics.get(metric), **{"write": formats.three_digits, **how}
    )


def bounds_of(key: str, heading: str, path: str) -> list[Column]:
    """The two bounds of the interval at ``path``."""
    return [
        Column(
            f"{key}_{side}",
            f"{heading}, {name} bound",
            "share of 1",
            "of its 95 % interval",
            value_at(f"{path}.{side}"),
        )
        for side, name in (("low", "lower"), ("high", "upper"))
    ]


def compared(field: str, heading: str, other: str, group: str, table: str = "", axes: str = "") -> list[Column]:
    """The comparison in a field of ``Row``: difference, verdict, bounds, p. other: what the row is compared with."""
    return [
        Column(
            f"{field}_estimate",
            heading,
            "points",
            f"difference of test accuracy to {other}, with its 95 % interval",
            value_at(f"{field}.difference.estimate"),
            formats.signed,
            scale=100,
            beside=lambda row: formats.bounds(value_at(f"{field}.difference")(row), formats.signed),
            table=table,
            group=group,
            axes=axes,
        ),
        Column(
            f"{field}_verdict",
            f"verdict {heading}",
            "",
            "better, worse or equivalent at the 5 % level, adjusted for all comparisons of a family; or inconclusive",
            lambda row: value_at(f"{field}.verdict")(row) or None,
            formats.verdict_with_symbol,
            note=lambda row: value_at(f"{field}.wording")(row) or "",
            table=table,
            group=group,
            kind="text",
        ),
        *bounds_of(field, heading, f"{field}.difference"),
        Column(f"{field}_p", f"p {heading}", "", "adjusted for the family (Holm)", value_at(f"{field}.p")),
    ]
