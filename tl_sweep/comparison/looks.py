"""Looking again: what is left of the level when seeds are added until a verdict comes out.

Who looks at 3, 5, 8 and 14 seeds, each time at 5 %, finds a difference between equals in 11 to 14 % of studies. So the
level is spent: each look gets a share of what the looks before it left (Lan and DeMets 1983; by looks, since nobody
knows how many there will be), less what they have found already, by the joint normal law of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from tl_sweep.comparison.effects import Effects
from tl_sweep.comparison.proportions import LEVEL

KEPT = 0.2  # of the level that is left, for later looks
POINTS = 201  # of the density between two boundaries
LEAST_STEP = 1e-3  # of a look that brings next to nothing, in standard deviations of the last


def level_at(effects: Effects, seeds: Sequence[int]) -> float:
    """At which the last look is judged. seeds: at each look, rising; of the last one, ``effects``."""
    if len(seeds) < 2:
        return LEVEL * (1 - KEPT)
    now = effects.squares
    by_seeds = effects.seed_variance + now.rest / now.num_groups
    variances = [by_seeds / S + effects.image_part for S in seeds]
    if not variances[-1]:  # no two values differ, now or before
        return LEVEL * (1 - KEPT)
    return last_level(tuple(float(f"{variance / variances[-1]:.3g}") for variance in variances))


@lru_cache(maxsize=4096)
def last_level(variances: tuple[float, ...]) -> float:
    """Of looks with these variances of the mean: two-sided, of the last one.

    The score process (mean over its variance) has independent increments; its density between the boundaries is
    carried from look to look on a grid (Armitage, McPherson and Rowe 1969).
    """
    times = [1 / variance for variance in variances]
    bound = -special.ndtri(LEVEL * (1 - KEPT) / 2) * math.sqrt(times[0])
    points = np.linspace(-bound, bound, POINTS)
    density = np.exp(-(points**2) / (2 * times[0])) / math.sqrt(2 * math.pi * times[0])
    spent, before = LEVEL * (1 - KEPT), times[0]
    for place, time in enumerate(times[1:], 2):
        step = max(math.sqrt(max(0.0, time - before)), LEAST_STEP * math.sqrt(times[-1]))
        spent *= KEPT
        bound = _boundary(points, density, step, spent, math.sqrt(time))
        if place < len(times):
            points, density = _carried(points, density, step, bound)
        before = time
    return float(2 * special.ndtr(-bound / math.sqrt(times[-1])))


def _boundary(points: np.ndarray, density: np.ndarray, step: float, spent: float, sd: float) -> float:
    """Beyond which the next look finds a difference in a share ``spent`` of studies in which none before did."""

    def excess(bound: float) -> float:
        beyond = special.ndtr((points - bound) / step) + special.ndtr((-points - bound) / step)
        return float(np.trapezoid(density * beyond, points)) - spent

    return float(optimize.brentq(excess, 0.0, 20 * sd))


def _carried(points: np.ndarray, density: np.ndarray, step: float, bound: float) -> tuple[np.ndarray, np.ndarray]:
    """The density of the next look, within its boundaries."""
    after = np.linspace(-bound, bound, POINTS)
    kernel = np.exp(-(((after[:, None] - points) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
    return after, np.trapezoid(kernel * density, points, axis=1)
