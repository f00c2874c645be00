"""What the page's menus offer: tasks, backbones, and the rows whose mistakes are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tl_sweep.comparison.study import Gain, Row, Study
from tl_sweep.comparison.task import Task, task_of

MOST_CELLS = 25_000  # of all confusion matrices together: the page has to stay small
MOST_CLASSES = 30  # of one confusion matrix


@dataclass(frozen=True)
class Menus:
    """What the page's menus offer. details: rows whose mistakes are shown, the leading ones first."""

    datasets: tuple[str, ...]
    tasks: tuple[Task, ...]
    backbones: tuple[str, ...]
    details: tuple[Row, ...]

    def key(self, row: Row | Gain, by: Sequence[str]) -> str:
        """Under which ``row`` is found in a chart selected ``by``."""
        return "|".join(str(self._place(row, what)) for what in by)

    def _place(self, row: Row | Gain, what: str) -> int:
        if what == "dataset":
            return self.datasets.index(row.dataset)
        if what == "backbone":
            return self.backbones.index(row.backbone)
        assert isinstance(row, Row)
        return self.tasks.index(task_of(row))


def menus_of(study: Study) -> Menus:
    return Menus(
        tuple(dict.fromkeys(row.dataset for row in study.rows)),
        tuple(dict.fromkeys(map(task_of, study.rows))),
        tuple(dict.fromkeys(row.backbone for row in study.rows)),
        tuple(detailed(study.rows)),
    )


def _is_leading(row: Row) -> bool:
    return row.indistinguishable or row.better_than_best


def detailed(rows: Sequence[Row]) -> list[Row]:
    """The rows whose mistakes are shown: as many as fit, the best, what equals them, and the baselines first."""
    chosen, cells = [], 0
    for row in sorted(rows, key=lambda row: (not row.is_best, not _is_leading(row), not row.is_baseline)):
        cells += min(len(row.class_names), MOST_CLASSES) ** 2
        if (row.confusion_KK or row.mistakes) and cells <= MOST_CELLS:
            chosen.append(row)
    return chosen
