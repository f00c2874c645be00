"""What backbones and strategies were asked, and the names of rows in it."""

from __future__ import annotations

from dataclasses import dataclass

from tl_sweep.comparison.label_efficiency import ALL, LABELS, name_of
from tl_sweep.comparison.model_selection import WEIGHTS
from tl_sweep.comparison.study import Axes, Row


@dataclass(frozen=True)
class Task:
    """What backbones and strategies were asked: a data set and so many labels."""

    dataset: str
    axes: Axes

    @property
    def label(self) -> str:
        return " · ".join([self.dataset, *(f"{short(key)}={shown(key, value)}" for key, value in self.axes)])


def short(key: str) -> str:
    """``shots`` for ``data.shots``."""
    return key.rpartition(".")[2]


def shown(key: str, value: str) -> str:
    """``all`` where labels are not limited."""
    return ALL if key in LABELS and value == "null" else value


def task_of(row: Row) -> Task:
    """All of its axes but the source, which the baseline does not have."""
    return Task(row.dataset, tuple(axis for axis in row.axes if axis[0] != WEIGHTS))


def line_of(row: Row) -> str:
    """The strategy, with its source where sources vary."""
    return name_of(row.strategy, [axis for axis in row.axes if axis[0] == WEIGHTS])
