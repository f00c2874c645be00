"""What fresh seeds confirm: the best row of each task and its baseline, on seeds that had no part in any choice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tl_sweep.comparison.commands import command_of, fresh_seeds
from tl_sweep.comparison.eligibility import datasets_of, sort_out
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.history import PLANNED
from tl_sweep.comparison.model_selection import SEEDS, Cell, Values, choose
from tl_sweep.comparison.ranking import ranking_of
from tl_sweep.comparison.study import named
from tl_sweep.comparison.verdict import baseline_of, by_task
from tl_sweep.tracking.record import RunRecord


@dataclass(frozen=True)
class Confirmation:
    """rows: what is trained again, by name. commands: that train it. picked: the filter that finds it among all."""

    rows: tuple[str, ...]
    commands: tuple[str, ...]
    picked: str


def confirmation_of(
    runs: Sequence[RunRecord], known: Collection[Values], evidence: Evidence, num_seeds: int
) -> Confirmation:
    """Of these runs, on as many seeds, none of those that are known."""
    usable, _ = sort_out(runs, evidence)
    cells = [cell for members in datasets_of(usable).values() for cell in _chosen_in(choose(members))]
    seeds = fresh_seeds(known, num_seeds)
    return Confirmation(
        tuple(named(cell.backbone, cell.label, axes=cell.axes) for cell in cells),
        tuple(f"{command_of(cell.runs, seeds)} {PLANNED}={num_seeds}" for cell in cells),
        _filter(seeds),
    )


def _chosen_in(cells: Sequence[Cell]) -> list[Cell]:
    """Of each task the best on validation, and what it has to beat, where there is something."""
    best = [ranking_of(task).best for task in by_task(cells)]
    return list(
        dict.fromkeys(found for cell in best for found in (cell, baseline_of(cell, cells)) if found is not None)
    )


def _filter(seeds: Sequence[Values]) -> str:
    """By the key that is another one for each of them."""
    key = next(key for key in SEEDS if len({dict(seed)[key] for seed in seeds}) == len(seeds))
    return f"{key}={','.join(dict(seed)[key] for seed in seeds)}"
