"""The one engine behind every interval and verdict. S seeds, N test images, 0/1 outcomes or their paired differences.

A method is what a strategy does on average over seeds (initialisation, batch order, labelled subset) and over images like
those of the test split. Both are samples, so an interval has to carry both: a table x_SN is taken as

    x_sn = mean + seed_s + image_n + rest_sn,       seed, image and rest random and independent

(two-way random effects; Searle, Casella, McCulloch 1992, chapter 4). The mean squares give the variance of the mean, and
Satterthwaite (1946) its degrees of freedom for Student's t. How often intervals cover: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

LEVEL = 0.05  # of every test; intervals cover 1 - LEVEL
POWER = 0.8  # with which "more seeds would tell"
MOST_SEEDS = 200
MOST_IMAGES = 1_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; bounds are nan where there is nothing to estimate them from."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Effects:
    """What a table of S seeds × N images says about its mean.

    seed_variance, image_variance, rest_variance: of the three random effects, none below 0. variance: of the mean. df:
    degrees of freedom of that variance.
    """

    mean: float
    seed_variance: float
    image_variance: float
    rest_variance: float
    variance: float
    df: float
    num_seeds: int
    num_images: int

    def interval(self) -> Interval:
        """Student's t; of no width where every image gave the same in every seed."""
        half = stats.t.ppf(1 - LEVEL / 2, self.df) * math.sqrt(self.variance) if self.variance else 0.0
        return Interval(self.mean, self.mean - half, self.mean + half)

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided, of a mean equal to ``null``."""
        if not self.variance:
            return float(self.mean == null)
        return float(2 * stats.t.sf(abs(self.mean - null) / math.sqrt(self.variance), self.df))

    def p_not_equivalent(self, margin: float) -> float:
        """Of a mean outside ± ``margin``: two one-sided tests (Schuirmann 1987), the larger p."""
        if not self.variance:
            return float(abs(self.mean) >= margin)
        return float(stats.t.sf((margin - abs(self.mean)) / math.sqrt(self.variance), self.df))


def two_way(x_SN: np.ndarray) -> Effects:
    """Analysis of variance of a table of S ≥ 2 seeds × N ≥ 2 images, one value per cell.

    A mean square of seeds or images below that of the rest says that its effect is 0; then the variance of the mean is
    made of the other mean squares, never of less than the rest.
    """
    S, N = x_SN.shape
    mean = x_SN.mean()
    seed_S1, image_1N = x_SN.mean(1, keepdims=True), x_SN.mean(0, keepdims=True)
    seed_ms = N * float(((seed_S1 - mean) ** 2).sum()) / (S - 1)
    image_ms = S * float(((image_1N - mean) ** 2).sum()) / (N - 1)
    rest_ms = float(((x_SN - seed_S1 - image_1N + mean) ** 2).sum()) / ((S - 1) * (N - 1))
    seed_variance, image_variance = max(0.0, seed_ms - rest_ms) / N, max(0.0, image_ms - rest_ms) / S
    variance, df = variance_of_mean((seed_ms, image_ms, rest_ms), S, N)
    return Effects(float(mean), seed_variance, image_variance, rest_ms, variance, df, S, N)


def variance_of_mean(mean_squares: tuple[float, float, float], S: int, N: int) -> tuple[float, float]:
    """The variance of the mean and its degrees of freedom, from the mean squares of seeds, images and the rest."""
    seed_ms, image_ms, rest_ms = mean_squares
    seed_ms, image_ms = max(seed_ms, rest_ms), max(image_ms, rest_ms)
    total = seed_ms + image_ms - rest_ms
    if not total:
        return 0.0, math.inf
    doubt = seed_ms**2 / (S - 1) + image_ms**2 / (N - 1) + rest_ms**2 / ((S - 1) * (N - 1))
    return total / (S * N), total**2 / doubt


def accuracy(correct_SN: np.ndarray) -> Interval:
    """Accuracy of a method, from which images which seed got right; by Wilson (1927) for one seed, or if all or none
    is right: then of these networks on such images."""
    effects = two_way(correct_SN) if len(correct_SN) > 1 else None
    if effects is None or not effects.variance:
        return wilson(int(correct_SN[0].sum()), correct_SN.shape[1])
    interval = effects.interval()
    return Interval(interval.estimate, max(0.0, interval.low), min(1.0, interval.high))


def wilson(hits: int, count: int) -> Interval:
    """Wilson's score interval of a proportion."""
    bounds = stats.binomtest(hits, count).proportion_ci(1 - LEVEL, method="wilson")
    return Interval(hits / count, float(bounds.low), float(bounds.high))


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
    half = stats.norm.ppf(1 - LEVEL / 2) * math.sqrt((only + only_other - (only - only_other) ** 2 / total)) / total
    return Interval(float(difference), float(centre - half), float(centre + half))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family of tests (Holm 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[int(place)] = largest
    return adjusted


@dataclass(frozen=True)
class Need:
    """How many seeds (with the same images), or images (with the same seeds), would tell; None: no number would."""

    seeds: int | None
    images: int | None


def needed(effects: Effects, size: float) -> Need:
    """What it takes to tell a difference of ``size`` in 8 of 10 such studies, going by these variances.

    The degrees of freedom are those of the expected mean squares.
    """
    if not size:
        return Need(None, None)
    seeds = next((S for S in range(2, MOST_SEEDS + 1) if _tells(effects, size, S, effects.num_images)), None)
    images, tried = None, effects.num_images
    while images is None and tried <= MOST_IMAGES:
        images = tried if _tells(effects, size, effects.num_seeds, tried) else None
        tried = math.ceil(tried * 1.1)
    return Need(seeds, images)


def _tells(effects: Effects, size: float, S: int, N: int) -> bool:
    rest_ms = effects.rest_variance
    squares = (rest_ms + N * effects.seed_variance, rest_ms + S * effects.image_variance, rest_ms)
    variance, df = variance_of_mean(squares, S, N)
    return _quantiles(round(df, 1)) * math.sqrt(variance) <= abs(size)


@cache
def _quantiles(df: float) -> float:
    return float(stats.t.ppf(1 - LEVEL / 2, df) + stats.t.ppf(POWER, df))


def chosen_share(
    correct: Sequence[Sequence[np.ndarray]], losses: Sequence[float], chosen: int, resamples: int = 500
) -> float:
    """How often the setting ``chosen`` would be chosen again, had other validation images and seeds been drawn.

    correct: per seed and setting, which validation images are right; the images of a seed are the same for each
    setting. losses: mean validation loss per setting, which decides between equal accuracies, as it did in the choice.
    Seeds are drawn with replacement, images with replacement within each (bootstrap; Efron 1979).
    """
    rng = np.random.default_rng(0)
    accuracy_SBK = np.stack(
        [
            _weights(number, len(settings[0]), resamples) @ np.stack(settings, 1).astype(np.float32)
            for number, settings in enumerate(correct)
        ]
    )
    shares_BS = rng.multinomial(len(correct), np.full(len(correct), 1 / len(correct)), resamples) / len(correct)
    mean_BK = np.einsum("bs,sbk->bk", shares_BS, accuracy_SBK)
    better_K = np.argsort(np.argsort(losses, kind="stable"))  # ties: the smaller loss
    winners_B = np.argmax(mean_BK - 1e-7 * better_K, axis=1)
    return float((winners_B == chosen).mean())


@cache
def _weights(number: int, count: int, resamples: int) -> np.ndarray:
    """(resamples, count) shares of ``count`` images in a resample; the same for every cell's seed of this number."""
    drawn = np.random.default_rng([number, count]).multinomial(count, np.full(count, 1 / count), resamples)
    return (drawn / count).astype(np.float32)
