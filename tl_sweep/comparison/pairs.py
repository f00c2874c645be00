"""Two cells on the seeds and test images that they share, as numbers: before they are moderated, adjusted and worded.

Accuracies and differences are those at the settings that the other half of the seeds chose; how much they vary is seen
at the setting that all chose. Seeds that collapsed are left out on both sides. S seeds, N test images, K settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tl_sweep.comparison.effects import Effects, Member, mean_squares, moderated, of_one_seed
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.history import arrivals_of, looks_at, planned_in
from tl_sweep.comparison.looked import Looked, Reference
from tl_sweep.comparison.model_selection import Cell, Values, seed_of
from tl_sweep.comparison.proportions import wilson
from tl_sweep.comparison.study import UNKNOWN, Interval


@dataclass(frozen=True, eq=False)
class Pair:
    """How much more accurate ``ours`` is than ``other``.

    num_seeds: that both have, without those that collapsed on either side, of which there are num_collapsed. member:
    None where there are fewer than two. mean, and accuracy of ours: at held-out settings. disagreement: see
    ``HeldOut``. looks: at how many seeds this was looked at, the last time now. planned: how many seeds, before the
    first ran. correct_2N: of the one seed, where there is but one.
    """

    ours: Looked
    other: Looked
    num_seeds: int
    num_collapsed: int
    member: Member | None = None
    mean: float = math.nan
    accuracy: float = math.nan
    disagreement: float = 0.0
    looks: tuple[int, ...] = ()
    planned: int | None = None
    correct_2N: np.ndarray | None = None


def pair_of(ours: Looked, other: Looked, evidence: Evidence, reference: Reference | None = None) -> Pair:
    """reference: what stands for the other, where that was chosen for being the best.

    Raises:
        UserError: predictions are missing, or were made on other images.
    """
    theirs = reference or other
    both = {seed_of(run) for run in ours.cell.runs} & {seed_of(run) for run in other.cell.runs}
    arrivals = arrivals_of(ours.cell, other.cell, both)
    planned = planned_in(arrivals)
    counted = list(arrivals)[:planned]  # what came beyond a plan has no part in its verdict
    seeds = [seed for seed in counted if seed in ours.chosen and seed in other.chosen and seed in theirs.held_out]
    num_collapsed = sum(seed not in ours.chosen or seed not in other.chosen for seed in counted)
    if not seeds:
        return Pair(ours, other, 0, num_collapsed)
    runs = [run for seed in seeds for run in (ours.chosen[seed], other.chosen[seed])]
    correct_S2N = evidence.table(runs, "test").reshape(len(seeds), 2, -1)
    if _are_one(ours, evidence):
        return Pair(ours, other, len(seeds), num_collapsed)
    if len(seeds) == 1:
        return Pair(ours, other, 1, num_collapsed, correct_2N=correct_S2N[0])
    squares = mean_squares(correct_S2N[:, 0].astype(float) - correct_S2N[:, 1], evidence.groups(runs[0]))
    variances = sibling_variances(ours.cell, other.cell, evidence)
    accuracy = held_out_mean(ours, seeds, evidence)
    return Pair(
        ours,
        other,
        len(seeds),
        num_collapsed,
        Member(squares, tuple(squares.num_groups * variance for variance in variances)),
        mean=accuracy - held_out_mean(theirs, seeds, evidence),
        accuracy=accuracy,
        disagreement=max(ours.disagreement, theirs.disagreement),
        looks=looks_at(arrivals, seeds),
        planned=planned,
    )


def effects_in(family: Sequence[Pair]) -> Iterator[Effects | None]:
    """Of each pair, with what the whole family says of seeds; None for those with fewer than two."""
    found = moderated([pair.member for pair in family if pair.member is not None])
    for pair in family:
        if pair.member is None:
            yield None
        else:
            effects = next(found).held_out(pair.mean, pair.disagreement)
            yield effects.beyond_these_labels(pair.ours.shared_labels)


def accuracies(family: Iterable[Looked], evidence: Evidence) -> dict[Cell, Effects]:
    """Of the cells with two seeds or more of one family: all that are compared with one baseline."""
    whole = [looked for looked in family if len(looked.chosen) > 1 and not _are_one(looked, evidence)]
    effects = moderated([_member_of(looked, evidence) for looked in whole])
    return {
        looked.cell: one.held_out(
            held_out_mean(looked, list(looked.chosen), evidence), looked.disagreement
        ).beyond_these_labels(looked.shared_labels)
        for looked, one in zip(whole, effects, strict=True)
    }


def accuracy_of(looked: Looked, effects: Effects | None, evidence: Evidence) -> tuple[Interval, Interval]:
    """Of the method, and of one more network; of one seed: of that network, on such images."""
    if effects is not None:
        return effects.proportion_interval(), effects.of_one_network.proportion_interval()
    runs = list(looked.chosen.values())
    correct_SN, groups = evidence.table(runs, "test"), evidence.groups(runs[0])
    if _are_one(looked, evidence):
        return Interval(float(correct_SN.mean()), math.nan, math.nan), UNKNOWN
    if groups is None:
        return wilson(int(correct_SN[0].sum()), correct_SN.shape[1]), UNKNOWN
    return of_one_seed(correct_SN[0].astype(float), groups).proportion_interval(), UNKNOWN


def _are_one(looked: Looked, evidence: Evidence) -> bool:
    """All test images are one group, which says nothing of others."""
    groups = evidence.groups(looked.cell.runs[0])
    return groups is not None and len(groups.share_G) < 2


def _member_of(looked: Looked, evidence: Evidence) -> Member:
    runs = list(looked.chosen.values())
    squares = mean_squares(evidence.table(runs, "test").astype(float), evidence.groups(runs[0]))
    variances = sibling_variances(looked.cell, None, evidence)
    return Member(squares, tuple(squares.num_groups * variance for variance in variances))


def held_out_mean(looked: Looked | Reference, seeds: Sequence[Values], evidence: Evidence) -> float:
    return float(np.mean([evidence.accuracy(looked.held_out[seed]) for seed in seeds]))


def sibling_variances(ours: Cell, other: Cell | None, evidence: Evidence) -> list[float]:
    """Between seeds, of the difference at other settings than the chosen ones, on both sides; of the accuracy, where
    there is no other. Settings with a seed that lies far below the others say nothing of how much those differ."""
    seeds = [seed_of(run) for run in ours.chosen.runs]
    if other is not None:
        theirs = {seed_of(run) for run in other.chosen.runs}
        seeds = [seed for seed in seeds if seed in theirs]
    if len(seeds) < 2:
        return []
    acc_KS = _at_other_settings(ours, seeds, evidence)
    other_KS = np.zeros((1, len(seeds))) if other is None else _at_other_settings(other, seeds, evidence)
    return (acc_KS[:, None] - other_KS).var(axis=2, ddof=1).ravel().tolist() if acc_KS.size and other_KS.size else []


def _at_other_settings(cell: Cell, seeds: Sequence[Values], evidence: Evidence) -> np.ndarray:
    """acc_KS of the settings that were not chosen."""
    others = [candidate for candidate in cell.candidates if candidate is not cell.chosen]
    by_seed = [{seed_of(run): run for run in candidate.runs} for candidate in others]
    return np.array([[evidence.accuracy(runs[seed]) for seed in seeds] for runs in by_seed])
