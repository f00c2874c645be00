"""Proportions: Wilson's interval, and two networks on the same images. N test images."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from tl_sweep.comparison.study import Interval

LEVEL = 0.05  # of every test; intervals cover 1 - LEVEL
NORMAL = float(stats.norm.ppf(1 - LEVEL / 2))  # 1.96


def wilson(hits: int, count: int) -> Interval:
    """Wilson's score interval of a proportion."""
    return score_interval(hits / count, count, NORMAL)


def score_interval(share: float, count: float, quantile: float) -> Interval:
    """Wilson's of a share that was seen in ``count`` cases, which need not be whole, with this quantile."""
    centre = (share + quantile**2 / (2 * count)) / (1 + quantile**2 / count)
    half = quantile / (1 + quantile**2 / count) * math.sqrt(share * (1 - share) / count + (quantile / (2 * count)) ** 2)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mcnemar(correct_N: np.ndarray, other_N: np.ndarray) -> float:
    """Exact two-sided p of two networks being right equally often on such images (McNemar 1947)."""
    only, only_other = int((correct_N & ~other_N).sum()), int((other_N & ~correct_N).sum())
    return float(stats.binomtest(only, only + only_other).pvalue) if only + only_other else 1.0


def paired(correct_N: np.ndarray, other_N: np.ndarray) -> Interval:
    """Difference of two networks' accuracies on the same images, with the interval of paired proportions (Agresti and
    Min 2005: half an image is added to each of the four cells)."""
    count = len(correct_N)
    difference = (correct_N.sum(dtype=int) - other_N.sum(dtype=int)) / count
    only, only_other = (correct_N & ~other_N).sum() + 0.5, (other_N & ~correct_N).sum() + 0.5
    total = count + 2
    centre = (only - only_other) / total
    half = NORMAL * math.sqrt(only + only_other - (only - only_other) ** 2 / total) / total
    return Interval(float(difference), float(centre - half), float(centre + half))
