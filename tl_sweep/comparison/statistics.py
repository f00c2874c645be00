"""The one engine behind every interval and verdict. S seeds, N test images, 0/1 outcomes or their paired differences.

A method is what a strategy does on average over seeds (initialisation, batch order, labelled subset) and over images
like those of the test split. Both are samples, so an interval has to carry both: a table x_SN is taken as

    x_sn = mean + seed_s + image_n + rest_sn,       seed, image and rest random and independent

(two-way random effects; Searle, Casella, McCulloch 1992, chapter 4). The mean squares give the variance of the mean,
and Satterthwaite's (1946) argument its degrees of freedom for Student's t. How often intervals cover, and what was
changed to that end: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy import stats

from tl_sweep.comparison.study import Interval, SampleSize

LEVEL = 0.05  # of every test; intervals cover 1 - LEVEL
POWER = 0.8  # of the sample sizes that are said to be needed
NORMAL = float(stats.norm.ppf(1 - LEVEL / 2))  # 1.96
MOST_SEEDS = 200
MOST_IMAGES = 1_000_000


@dataclass(frozen=True)
class Effects:
    """What a table of S seeds × N images says about its mean.

    seed_variance, image_variance, rest_variance: of the three random effects, none below 0. variance: of the mean,
    never 0. df: degrees of freedom of that variance.
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
        """Student's t."""
        half = self._quantile() * math.sqrt(self.variance)
        return Interval(self.mean, self.mean - half, self.mean + half)

    def proportion_interval(self) -> Interval:
        """Of a mean of 0s and 1s: Wilson's, of as many independent images as would have this variance, by Student's t
        (as in surveys; Dean and Pagano 2015). Where all or none are 1, of as many images as there are."""
        spread = self.mean * (1 - self.mean)
        return _score_interval(self.mean, spread / self.variance if spread else self.num_images, self._quantile())

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided, of a mean equal to ``null``."""
        return float(2 * stats.t.sf(abs(self.mean - null) / math.sqrt(self.variance), self.df))

    def p_not_equivalent(self, margin: float) -> float:
        """Of a mean outside ± ``margin``: two one-sided tests (Schuirmann 1987), the larger p."""
        return float(stats.t.sf((margin - abs(self.mean)) / math.sqrt(self.variance), self.df))

    def _quantile(self) -> float:
        return float(stats.t.ppf(1 - LEVEL / 2, self.df))


def two_way(x_SN: np.ndarray) -> Effects:
    """Analysis of variance of a table of S ≥ 2 seeds × N ≥ 2 images, one value from -1 to 1 per cell.

    An effect whose mean square is below that of the rest is taken as 0.

    Raises:
        ValueError: fewer seeds or images, or a value that is not finite.
    """
    S, N = x_SN.shape
    seed_ms, image_ms, rest_ms = mean_squares(x_SN)
    seed_variance, image_variance = max(0.0, seed_ms - rest_ms) / N, max(0.0, image_ms - rest_ms) / S
    variance, df = variance_of_mean((seed_ms, image_ms, rest_ms), S, N)
    return Effects(float(x_SN.mean()), seed_variance, image_variance, rest_ms, variance, df, S, N)


def mean_squares(x_SN: np.ndarray) -> tuple[float, float, float]:
    """Of seeds, of images, and of the rest."""
    S, N = x_SN.shape
    if S < 2 or N < 2:
        raise ValueError(f"{S} seeds × {N} images: two of each are the least that say how much they differ")
    if not np.isfinite(x_SN).all():
        raise ValueError("the table has values that are not finite")
    mean, seed_S1, image_1N = x_SN.mean(), x_SN.mean(1, keepdims=True), x_SN.mean(0, keepdims=True)
    seed_ms = N * float(((seed_S1 - mean) ** 2).sum()) / (S - 1)
    image_ms = S * float(((image_1N - mean) ** 2).sum()) / (N - 1)
    rest_ms = float(((x_SN - seed_S1 - image_1N + mean) ** 2).sum()) / ((S - 1) * (N - 1))
    return seed_ms, image_ms, rest_ms


def variance_of_mean(mean_squares: tuple[float, float, float], S: int, N: int) -> tuple[float, float]:
    """The variance of the mean and its degrees of freedom, from the mean squares of seeds, images and the rest.

    The variance is the unbiased one, but never less than seeds alone show, nor than what puts the bound where Wilson
    (1927) has it when none of N images differ. Satterthwaite squares the share of each mean square in the variance.
    With few seeds that share is itself a guess, and low guesses make intervals too short; not squared, they cover.
    """
    seed_ms, image_ms, rest_ms = mean_squares
    total = max(seed_ms + image_ms - rest_ms, seed_ms, S * N * (NORMAL / (N + NORMAL**2)) ** 2)
    doubt = seed_ms / (S - 1) + image_ms / (N - 1)
    return total / (S * N), total / doubt if doubt else math.inf


def accuracy(correct_SN: np.ndarray) -> Interval:
    """Accuracy of a method, from which images which seed got right; of one seed: of that network on such images."""
    if len(correct_SN) == 1:
        return wilson(int(correct_SN.sum()), correct_SN.shape[1])
    return two_way(correct_SN).proportion_interval()


def wilson(hits: int, count: int) -> Interval:
    """Wilson's score interval of a proportion."""
    return _score_interval(hits / count, count, NORMAL)


def _score_interval(share: float, count: float, quantile: float) -> Interval:
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


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family of tests (Holm 1979), in the given order.

    Raises:
        ValueError: one of them is not a probability.
    """
    if not all(0 <= p <= 1 for p in p_values):  # nan is none
        raise ValueError(f"not probabilities: {list(p_values)}")
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[int(place)] = largest
    return adjusted


def needed_sample_size(effects: Effects, size: float, tests: int = 1) -> SampleSize:
    """What makes a difference of ``size`` significant in 8 of 10 such studies, going by these variances.

    tests: in the family; the first step of Holm's procedure asks for the level over their number. The degrees of
    freedom are those of the expected mean squares.
    """

    def tells(S: int, N: int) -> bool:
        rest_ms = effects.rest_variance
        squares = (rest_ms + N * effects.seed_variance, rest_ms + S * effects.image_variance, rest_ms)
        variance, df = variance_of_mean(squares, S, N)
        return _quantiles(LEVEL / tests, round(df, 1)) * math.sqrt(variance) <= abs(size)

    seeds = next((S for S in range(2, MOST_SEEDS + 1) if tells(S, effects.num_images)), None)
    images, tried = None, effects.num_images
    while images is None and tried <= MOST_IMAGES:
        images = tried if tells(effects.num_seeds, tried) else None
        tried = math.ceil(tried * 1.1)
    return SampleSize(seeds, images)


@cache
def _quantiles(level: float, df: float) -> float:
    return float(stats.t.ppf(1 - level / 2, df) + stats.t.ppf(POWER, df))


def share_that_choose(
    correct: Sequence[Sequence[np.ndarray]],
    losses: Sequence[float],
    chosen: int,
    image_sets: Sequence[int] | None = None,
    resamples: int = 500,
) -> float:
    """Share of resamples of seeds and validation images in which the setting ``chosen`` is chosen again.

    correct: per seed and setting, which validation images are right; the images of a seed are the same for each
    setting. losses: mean validation loss per setting, which decides between equal accuracies, as it did in the choice.
    image_sets: a number per seed, the same for seeds with the same images, which are drawn once for all of them; None:
    each has its own.
    Seeds are drawn with replacement, images with replacement within each (bootstrap; Efron 1979). It starts from what
    was seen, so between equals it is larger than the chance in a fresh study (docs/statistics.md).
    """
    rng = np.random.default_rng(0)
    accuracy_SBK = np.stack(
        [
            _draws(number, len(settings[0]), resamples) @ np.stack(settings, 1).astype(np.float32) / len(settings[0])
            for number, settings in zip(image_sets or range(len(correct)), correct, strict=True)
        ]
    )
    shares_BS = rng.multinomial(len(correct), np.full(len(correct), 1 / len(correct)), resamples) / len(correct)
    mean_BK = np.einsum("bs,sbk->bk", shares_BS, accuracy_SBK)
    order_K = np.argsort(losses, kind="stable")  # of equal accuracies, the first has the smaller loss
    winners_B = order_K[np.argmax(mean_BK[:, order_K].round(6), axis=1)]
    return float((winners_B == chosen).mean())


@lru_cache(maxsize=16)
def _draws(number: int, count: int, resamples: int) -> np.ndarray:
    """(resamples, count): how often each image is drawn; the same for every cell's seed of this number."""
    drawn = np.random.default_rng([number, count]).multinomial(count, np.full(count, 1 / count), resamples)
    return drawn.astype(np.float32)  # small whole numbers: their sums are exact
