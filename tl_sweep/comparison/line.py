"""What charts draw as one line, and sentences name: a strategy, with whatever else tells it from others."""

from __future__ import annotations

from dataclasses import dataclass

from tl_sweep.comparison.model_selection import WEIGHTS
from tl_sweep.comparison.study import BASELINE, NO_SOURCE, Gain, Row


@dataclass(frozen=True)
class Line:
    """strategy: as it is typed. label: with what the field calls it. kind: see ``Row``. further: its source, image size
    and the like, where these vary."""

    strategy: str
    label: str
    kind: str = ""
    further: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``all (linear probe), letters_clean``"""
        return ", ".join([self.label, *self.further])

    @property
    def is_baseline(self) -> bool:
        return self.kind == BASELINE


def weights_of(row: Row) -> str:
    """Its weights, where sources vary and it has one; else empty."""
    source = dict(row.axes).get(WEIGHTS, NO_SOURCE)
    return "" if source == NO_SOURCE else source


def line_of(row: Row) -> Line:
    return Line(row.strategy, row.strategy_label, row.kind, tuple(filter(None, [weights_of(row)])))


def line_by_labels(gain: Gain) -> Line:
    further = (gain.source, *(value for _, value in gain.task))
    return Line(gain.strategy, gain.strategy_label, gain.kind, tuple(filter(None, further)))
