"""Runs that collapsed: that ended near chance, as others of the same setting did not. S seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tl_sweep.comparison.effects import Effects
from tl_sweep.comparison.proportions import LEVEL

LEAST_LEAD = 0.35  # of the best seed over chance: weaker learners cannot be told from collapsed ones
LOWEST_PART = 1 / 3  # of the way from chance to the best seed
ERRORS = 5  # standard errors below the best seed


def collapsed(val_acc_S: np.ndarray, num_val_images: int, chance: float) -> np.ndarray:
    """Of each seed of one setting, whether it collapsed: its validation accuracy is in the lowest third between
    ``chance`` (the largest class's share) and the best seed's, and far below that."""
    best = float(val_acc_S.max())
    if best < chance + LEAST_LEAD:
        return np.zeros(len(val_acc_S), dtype=bool)
    error = math.sqrt(max(best * (1 - best), 0.25 / num_val_images) / num_val_images)
    return (val_acc_S < chance + (best - chance) * LOWEST_PART) & (val_acc_S < best - ERRORS * error)


@dataclass(frozen=True)
class Collapses:
    """Of the runs of one setting."""

    count: int
    runs: int

    def most(self, level: float = LEVEL) -> float:
        """The share that may collapse at most (Clopper and Pearson 1934, one-sided)."""
        return (
            1.0 if self.count == self.runs else float(stats.beta.ppf(1 - level, self.count + 1, self.runs - self.count))
        )


def break_even(effects: Effects, accuracy: float, chance: float) -> float:
    """Up to which share of collapsing seeds a lead of the others still makes their method the better one.

    accuracy: of its seeds that do not collapse. 0 where the lead is not significant; 1 where a seed that collapses
    loses less than the lead.
    """
    lead, loss = effects.mean - effects.half_width(), accuracy - chance
    if lead <= 0:
        return 0.0
    return 1.0 if lead >= loss else lead / loss


def is_better_all_counted(effects: Effects, accuracy: float, chance: float, collapses: Collapses) -> bool:
    """Whether it is better even if as many seeds collapse as may; the chance of error is halved between the two."""
    return break_even(effects, accuracy, chance) > collapses.most(LEVEL / 2)
