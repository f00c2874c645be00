"""Which row of a task is best on validation: rows are ranked on seeds that they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tl_sweep.comparison.model_selection import Cell, Values, common_seeds, merit_of, seed_of
from tl_sweep.tracking.record import RunRecord


@dataclass(frozen=True)
class Ranking:
    """The cells of one task, the best on validation first; those that lack a seed stand last, whatever their accuracy.

    counted: the runs by which each is ranked, on the seeds that are compared; all of a cell that lacks some. lacks:
    the seeds that a cell lacks, of those that do.
    """

    cells: tuple[Cell, ...]
    counted: Mapping[Cell, Sequence[RunRecord]]
    lacks: Mapping[Cell, frozenset[Values]]

    @property
    def best(self) -> Cell:
        return self.cells[0]

    @property
    def whole(self) -> tuple[Cell, ...]:
        """Those that have every seed, on which alone a choice may fall."""
        return tuple(cell for cell in self.cells if cell not in self.lacks)


def ranking_of(task: Iterable[Cell]) -> Ranking:
    """By mean validation accuracy; ties go to the smaller mean validation loss."""
    seeds_of = {cell: frozenset(map(seed_of, cell.runs)) for cell in task}
    seeds = common_seeds(list(seeds_of.values()))
    lacks = {cell: seeds - own for cell, own in seeds_of.items() if not seeds <= own}
    counted = {
        cell: cell.runs if cell in lacks else [run for run in cell.runs if seed_of(run) in seeds] for cell in seeds_of
    }
    ranked = sorted(counted, key=lambda cell: (cell not in lacks, merit_of(counted[cell])), reverse=True)
    return Ranking(tuple(ranked), counted, lacks)
