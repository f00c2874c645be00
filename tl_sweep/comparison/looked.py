"""A cell as it is looked at: what was chosen, what the other half of the seeds would have chosen, what collapsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tl_sweep.comparison.collapse import Collapses, collapsed
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.held_out import held_out
from tl_sweep.comparison.model_selection import Candidate, Cell, Values, merit_of, seed_of
from tl_sweep.comparison.ranking import Ranking
from tl_sweep.tracking.names import Metric
from tl_sweep.tracking.record import RunRecord

BySeed = Mapping[Values, RunRecord]


@dataclass(frozen=True, eq=False)
class Looked:
    """A cell as it is looked at, without the seeds that collapsed.

    chosen: its runs. held_out: those at the setting that the other half of the seeds chooses; beside seeds on which
    settings were compared, all others, which had no part in the choice. disagreement: see ``HeldOut``. chance: accuracy
    of the constant answer. shared_labels: the share of labels that two seeds have in common, where the claim is to hold
    for other labels, too; else 0.
    """

    cell: Cell
    chosen: BySeed
    held_out: BySeed
    disagreement: float
    collapses: Collapses
    chance: float
    shared_labels: float = 0.0


def looked_at(cell: Cell, evidence: Evidence, any_labels: bool = False) -> Looked:
    """any_labels: what is asked is not about training with these labels alone."""
    compared = cell.candidates
    choice = held_out(
        len(cell.chosen.runs),
        lambda seeds: max(range(len(compared)), key=lambda k: merit_of([compared[k].runs[place] for place in seeds])),
    )
    chosen = {seed_of(run): run for run in cell.runs}
    others = (compared[k].runs[place] for place, k in enumerate(choice.by_seed))
    looked = chosen | {seed_of(run): run for run in others}
    chance = evidence.chance(cell.runs[0])
    fallen = {*_collapsed(chosen, evidence, chance)}
    more = fallen | {*_collapsed(looked, evidence, chance)}
    fallen = more if len(more) < len(chosen) else fallen  # of what was chosen, the best seed is always left
    return Looked(
        cell,
        {seed: run for seed, run in chosen.items() if seed not in fallen},
        {seed: run for seed, run in looked.items() if seed not in fallen},
        choice.disagreement,
        Collapses(len(fallen), len(chosen)),
        chance,
        evidence.shared_labels(cell.runs) if any_labels else 0.0,
    )


def _collapsed(runs: BySeed, evidence: Evidence, chance: float) -> Iterator[Values]:
    val_acc_S = np.array([run.metrics[Metric.BEST_VAL_ACC] for run in runs.values()])
    num_val_images = min(len(evidence.outcomes(run, "val").correct_N) for run in runs.values())
    flags_S = collapsed(val_acc_S, num_val_images, chance)
    return (seed for seed, flag in zip(runs, flags_S, strict=True) if flag)


@dataclass(frozen=True, eq=False)
class Reference:
    """What stands for the best row: of each seed the run that the other half of the seeds chooses among all rows and
    their settings. disagreement: see ``HeldOut``."""

    held_out: BySeed
    disagreement: float


def best_reference(ranking: Ranking) -> Reference:
    """A row that is chosen for being the best looks better than it is, on the seeds that chose it."""
    seeds = [seed_of(run) for run in ranking.counted[ranking.best]]
    options = [
        (cell, candidate, runs)
        for cell in ranking.whole
        for candidate in cell.candidates
        if seeds_of(candidate) >= {*seeds}
        for runs in [{seed_of(run): run for run in (*candidate.runs, *candidate.further)}]
    ]
    if not options:
        return Reference({seed_of(run): run for run in ranking.best.runs}, 0.0)
    choice = held_out(
        len(seeds),
        lambda places: max(range(len(options)), key=lambda k: merit_of([options[k][2][seeds[p]] for p in places])),
    )
    return Reference(
        {seed: options[k][2][seed] for seed, k in zip(seeds, choice.by_seed, strict=True)},
        sum(options[k][:2] != (ranking.best, ranking.best.chosen) for k in choice.by_seed) / len(seeds),
    )


def seeds_of(candidate: Candidate) -> set[Values]:
    return {seed_of(run) for run in (*candidate.runs, *candidate.further)}
