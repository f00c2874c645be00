"""The one place where a learning rate (or any ``optim.*`` setting) is chosen: on validation, averaged over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

from tl_sweep.config import field_paths
from tl_sweep.tracking.record import RunRecord

SEEDS = ("seed", "data.subset_seed")
CHOSEN = "optim."
NEVER_AN_AXIS = (*SEEDS, *(name for name, item in field_paths() if item.metadata["execution"]))


@dataclass(frozen=True)
class Cell:
    """One row of the comparison: a backbone and a strategy at the setting that validation chose.

    axes: what else varies in the sweep (shots, augmentation, …) and this cell's value of it.
    """

    backbone: str
    strategy: str
    axes: tuple[tuple[str, str], ...]
    setting: tuple[tuple[str, str], ...]
    runs: tuple[RunRecord, ...]

    def mean(self, metric: str) -> float:
        return fmean(run.metrics[metric] for run in self.runs)

    def spread(self, metric: str) -> float:
        """Standard deviation over seeds; nan with fewer than two."""
        values = [run.metrics[metric] for run in self.runs]
        return stdev(values) if len(values) > 1 else math.nan


def varied_keys(runs: Iterable[RunRecord]) -> list[str]:
    """Configuration keys that do not have the same value in all runs."""
    values: dict[str, set[str | None]] = defaultdict(set)
    runs = list(runs)
    names = {name for run in runs for name in run.params}
    for run in runs:
        for name in names:
            values[name].add(run.params.get(name))
    return sorted(name for name, seen in values.items() if len(seen) > 1)


def choose(runs: Iterable[RunRecord]) -> list[Cell]:
    """For each backbone, strategy and further axis, the setting with the best mean validation accuracy over its seeds.

    Ties go to the smaller mean validation loss. A setting that lacks a seed that another has finished is considered
    only when no setting has all of them. Test accuracy plays no part.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    axes = _axes(finished)
    settings = [key for key in varied_keys(finished) if key.startswith(CHOSEN)]
    cells: dict[tuple, dict[tuple, dict[tuple, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for run in finished:
        where = (run.tags["backbone"], strategy_of(run), _values(run, axes))
        cells[where][_values(run, settings)][_values(run, SEEDS)] = run
    return [_best_cell(where, candidates) for where, candidates in cells.items()]


def _axes(runs: list[RunRecord]) -> list[str]:
    """Keys that differ between runs of one backbone and strategy, but for seeds, ``optim.*`` and the machine."""
    groups: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[run.tags["backbone"], strategy_of(run)].append(run)
    varied = {key for group in groups.values() for key in varied_keys(group)}
    return sorted(key for key in varied if not key.startswith((CHOSEN, *NEVER_AN_AXIS)))


def _best_cell(where: tuple, candidates: dict[tuple, dict[tuple, RunRecord]]) -> Cell:
    most_seeds = max(len(by_seed) for by_seed in candidates.values())
    complete = [
        Cell(where[0], where[1], where[2], setting, tuple(by_seed.values()))
        for setting, by_seed in candidates.items()
        if len(by_seed) == most_seeds
    ]
    return max(complete, key=lambda cell: (cell.mean("best/val_acc"), -cell.mean("best/val_loss")))


def strategy_of(run: RunRecord) -> str:
    """The strategy's name, with the number of frozen stages for ``depth``, and the control marked as such."""
    frozen = run.params.get("freeze.frozen_stages", "null")
    name = run.tags["strategy"] + ("" if frozen == "null" else f" {frozen}")
    return f"{name} (random features)" if run.tags.get("control") else name


def _values(run: RunRecord, keys: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((key, run.params.get(key, "null")) for key in keys)
