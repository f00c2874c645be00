"""What backbones and strategies are compared on: a data set, and how much of it is labelled."""

from __future__ import annotations

from dataclasses import dataclass

from tl_sweep.comparison.label_efficiency import ALL, LABELS
from tl_sweep.comparison.model_selection import WEIGHTS
from tl_sweep.comparison.study import Axes, Row


@dataclass(frozen=True)
class Task:
    """Rows of one task are compared with each other. axes: what of the data varies, with its value: ``data.shots``."""

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
