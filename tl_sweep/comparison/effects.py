"""How much is known of a mean over S seeds × N images in G groups: mean squares, what they share, interval and p-value.

A method is what a strategy does on average over seeds (initialisation, batch order, labelled subset) and over images
like those of the test split. Both are samples, so an interval has to carry both: a table x_SN is taken as

    x_sn = mean + seed_s + image_n + rest_sn,       seed, image and rest random; images of one group not independent

(two-way random effects; Searle, Casella, McCulloch 1992, chapter 4), with groups of images (patients, places) in the
place of images. How often intervals cover, and what was changed to that end: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np
from scipy import optimize, special

from tl_sweep.comparison.proportions import LEVEL, NORMAL, score_interval
from tl_sweep.comparison.study import Interval

FAMILY_DF = 2  # that the seed mean squares of a whole family are worth, beside each member's own
MOST_SIBLING_DF = 2  # that those at other settings are worth at most
LEAST_P = 1e-15


@dataclass(frozen=True, eq=False)
class Groups:
    """Which images belong together. group_N: 0 to G-1 of each image. share_G: of all images."""

    group_N: np.ndarray
    share_G: np.ndarray

    @staticmethod
    def of(names_N: np.ndarray) -> Groups:
        """From what each image's group is called."""
        _, group_N, sizes_G = np.unique(names_N, return_inverse=True, return_counts=True)
        return Groups(group_N, sizes_G / len(group_N))

    @property
    def effective(self) -> float:
        """As many equal groups would tell as much (Kish 1965)."""
        return float(1 / (self.share_G**2).sum())

    @property
    def are_single(self) -> bool:
        """Each image is its own group."""
        return len(self.share_G) == len(self.group_N)

    def sums_SG(self, x_SN: np.ndarray) -> np.ndarray:
        """Of each group's images."""
        return np.stack([np.bincount(self.group_N, x_N, len(self.share_G)) for x_N in x_SN])


@dataclass(frozen=True)
class Squares:
    """Mean squares of a table. seed, image, rest: of seeds, of (groups of) images, of what is left. num_groups,
    effective_groups: of images; their number where each is its own."""

    mean: float
    seed: float
    image: float
    rest: float
    num_seeds: int
    num_images: int
    num_groups: int
    effective_groups: float


def mean_squares(x_SN: np.ndarray, groups: Groups | None = None) -> Squares:
    """Of a table of S ≥ 2 seeds × N ≥ 2 images in G ≥ 2 groups, one value from -1 to 1 per cell.

    Unequal groups count as in a variance of a mean that is robust to them (CR2; Bell and McCaffrey 2002).

    Raises:
        ValueError: fewer seeds, images or groups, or a value that is not finite.
    """
    S, N = x_SN.shape
    G = N if groups is None else len(groups.share_G)
    if S < 2 or G < 2:
        what = "images" if groups is None else "groups of images"
        raise ValueError(f"{S} seeds × {G} {what}: two of each are the least that say how much they differ")
    if not np.isfinite(x_SN).all():
        raise ValueError("the table has values that are not finite")
    share_G: np.ndarray | float = 1 / N if groups is None else groups.share_G
    mean = float(x_SN.mean())
    from_mean_SN = x_SN - mean
    part_SG = from_mean_SN if groups is None else groups.sums_SG(from_mean_SN) * (G / N)
    seed_S1, image_G = from_mean_SN.mean(1, keepdims=True), part_SG.mean(0)
    rest_SG = part_SG - image_G - seed_S1 * (share_G * G)
    weight_G = 1 / (G * (1 - share_G))
    return Squares(
        mean,
        seed=G * float((seed_S1**2).sum()) / (S - 1),
        image=S * float((image_G**2 * weight_G).sum()),
        rest=float((rest_SG**2 * weight_G).sum()) / (S - 1),
        num_seeds=S,
        num_images=N,
        num_groups=G,
        effective_groups=float(N) if groups is None else groups.effective,
    )


@dataclass(frozen=True)
class Member:
    """Of a family of comparisons. siblings: seed mean squares of the same comparison at other settings of both
    sides, on as many groups."""

    squares: Squares
    siblings: tuple[float, ...] = ()


@dataclass(frozen=True)
class Effects:
    """What is known of a mean, and of what.

    seed_part, image_part: of the variance of the mean; each is known as well as its own degrees of freedom say.
    seed_variance: between networks of one method. squares: of the table itself.
    """

    mean: float
    seed_part: float
    seed_df: float
    image_part: float
    seed_variance: float
    squares: Squares

    @property
    def variance(self) -> float:
        """Of the mean; never less than what puts the bound where Wilson (1927) has it when none of N images differ."""
        return max(self.seed_part + self.image_part, floor_of(self.squares.num_images))

    @property
    def image_df(self) -> float:
        return self.squares.effective_groups - 1

    def half_width(self, level: float = LEVEL) -> float:
        """Of the interval that misses in ``level`` of studies: each part with its own quantile, which is on the safe
        side (Banerjee 1960)."""
        seed_t, image_t = (-_quantile(df, level / 2) for df in (self.seed_df, self.image_df))
        by_parts = seed_t**2 * self.seed_part + image_t**2 * self.image_part
        by_floor = special.ndtri(level / 2) ** 2 * floor_of(self.squares.num_images)
        return math.sqrt(max(by_parts, by_floor))

    def interval(self) -> Interval:
        half = self.half_width()
        return Interval(self.mean, self.mean - half, self.mean + half)

    def proportion_interval(self) -> Interval:
        """Of a mean of 0s and 1s: Wilson's, of as many independent images as would have this variance (as in surveys;
        Dean and Pagano 2015). Where all or none are 1, of as many images, or equal groups, as there are."""
        share = min(1.0, max(0.0, self.mean))
        if math.isinf(self.variance):
            return Interval(share, 0.0, 1.0)
        spread = share * (1 - share)
        count = spread / self.variance if spread else self.squares.effective_groups
        return score_interval(share, count, self.half_width() / math.sqrt(self.variance))

    @property
    def of_one_network(self) -> Effects:
        """The same for one more network: a prediction interval."""
        return Effects(
            self.mean,
            self.seed_part + self.seed_variance,
            self.seed_df,
            self.image_part,
            self.seed_variance,
            self.squares,
        )

    def held_out(self, mean: float, disagreement: float) -> Effects:
        """With the mean at the settings that the other half of the seeds chose. disagreement: the share of seeds for
        which that is another setting than the one that all choose."""
        seed_part = self.seed_part * (1 + disagreement / 2)
        return Effects(mean, seed_part, self.seed_df, self.image_part, self.seed_variance, self.squares)

    def beyond_these_labels(self, shared: float) -> Effects:
        """As if seeds had drawn their labels from all that there could be. shared: the share of labels that two seeds
        have in common, by which they are alike (Nadeau and Bengio 2003); 1: nothing can be said."""
        grows = math.inf if shared >= 1 else 1 + self.squares.num_seeds * shared / (1 - shared)
        seed_part = self.seed_part * grows if self.seed_part else math.inf if grows == math.inf else 0.0
        return Effects(self.mean, seed_part, self.seed_df, self.image_part, self.seed_variance, self.squares)

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided, of a mean equal to ``null``: the level at which the interval just reaches it."""
        return self._level_of(abs(self.mean - null))

    def p_not_equivalent(self, margin: float) -> float:
        """Of a mean outside ± ``margin``: two one-sided tests (Schuirmann 1987), the larger p."""
        distance = margin - abs(self.mean)
        half_p = self._level_of(abs(distance)) / 2
        return half_p if distance > 0 else 1 - half_p

    def _level_of(self, distance: float) -> float:
        """At which the interval is as long as ``distance`` to either side."""
        if distance <= 0 or math.isinf(self.variance):
            return 1.0
        if self.half_width(LEAST_P) <= distance:
            return LEAST_P
        found = optimize.brentq(lambda log: self.half_width(math.exp(log)) - distance, math.log(LEAST_P), 0, xtol=1e-9)
        return min(1.0, math.exp(found))


def floor_of(num_images: int) -> float:
    return (NORMAL / (num_images + NORMAL**2)) ** 2


@lru_cache(maxsize=4096)
def _quantile(df: float, level: float) -> float:
    return float(special.stdtrit(df, level))


def effects_of(x_SN: np.ndarray, groups: Groups | None = None) -> Effects:
    """Of one table alone, a family of its own."""
    return next(moderated([Member(mean_squares(x_SN, groups))]))


def of_one_seed(x_N: np.ndarray, groups: Groups) -> Effects:
    """Of one network, or of two on the same images: only images are a sample."""
    G, N = len(groups.share_G), len(x_N)
    part_G = groups.sums_SG((x_N - x_N.mean())[None])[0] * (G / N)
    image = float((part_G**2 / (G * (1 - groups.share_G))).sum())
    squares = Squares(float(x_N.mean()), 0.0, image, 0.0, 1, N, G, groups.effective)
    return Effects(squares.mean, 0.0, 1.0, image / G, 0.0, squares)


def moderated(family: Sequence[Member]) -> Iterator[Effects]:
    """Each member with its seeds' mean square drawn towards those of its siblings and of its family.

    Three seeds alone say little of how much seeds differ; what else was trained says more (Smyth 2004, with a weight
    that is fixed: docs/statistics.md).
    """
    if not family:
        return
    of_family = fmean(fmean((member.squares.seed, *member.siblings)) for member in family)
    family_df = FAMILY_DF if len(family) > 1 else 0
    for member in family:
        squares, own_df = member.squares, member.squares.num_seeds - 1
        sibling_df = min(MOST_SIBLING_DF, own_df / 2 * len(member.siblings))
        of_siblings = fmean(member.siblings) if member.siblings else 0.0
        df = own_df + sibling_df + family_df
        seed = (own_df * squares.seed + sibling_df * of_siblings + family_df * of_family) / df
        S, G = squares.num_seeds, squares.num_groups
        yield Effects(
            squares.mean,
            seed_part=seed / (S * G),
            seed_df=df,
            image_part=max(0.0, squares.image - squares.rest) / (S * G),
            seed_variance=max(0.0, seed - squares.rest) / G,
            squares=squares,
        )
