"""Worlds whose truth is known, in which methods are trained with S seeds and tested on N images. M methods.

Whether a network is right about an image is decided by how easy the image is (for all methods, and for this one), how
good this seed was (in part the same for all methods: the labelled subset), and by chance:

    right = [level_m + 1.5 easy_n + 0.7 easy_mn + spread_m (subset_s + luck_ms) / √2 + chance_msn > 0]

with all of them normal unless said otherwise, so that accuracy over all seeds and images is known: a normal
probability. Images of one group (a patient, a place) are in part equally easy. A seed may collapse: it then guesses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

EASY, EASY_FOR_THIS = 1.5, 0.7
WITHIN = 1 + EASY**2 + EASY_FOR_THIS**2  # variance of one network's answers over images

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
LUCK: Mapping[str, Draw] = {  # of a seed: mean 0, variance 1
    "normal": lambda rng, shape: rng.standard_normal(shape, np.float32),
    "heavy": lambda rng, shape: (rng.standard_t(3, shape) / math.sqrt(3)).astype(np.float32),
    "skewed": lambda rng, shape: (1 - rng.exponential(1, shape)).astype(np.float32),
}


@dataclass(frozen=True)
class World:
    """spreads: standard deviation over seeds of a method's accuracy, and of the difference of two like ones; of each
    method, or one for all. num_groups: of the images; 0: each is its own. sizes: of the groups, ``equal`` or
    ``lognormal``. icc: what of an image's ease its group shares. num_val: validation images. collapse: of each method,
    the share of its seeds that guess among ``num_classes``; its accuracy is that of the others."""

    num_seeds: int
    num_images: int
    spreads: float | tuple[float, ...]
    accuracies: tuple[float, ...]
    num_groups: int = 0
    sizes: str = "equal"
    icc: float = 0.5
    num_val: int = 0
    luck: str = "normal"
    collapse: tuple[float, ...] = ()
    num_classes: int = 6

    @property
    def spread(self) -> float:
        return self.spreads if isinstance(self.spreads, float) else max(self.spreads)

    @property
    def truth_M(self) -> np.ndarray:
        """Accuracy of each method over all seeds that do not collapse, and all images."""
        return _truth(self.accuracies, self.spreads, self.luck)

    @property
    def leads(self) -> tuple[float, ...]:
        """Of all methods but the first, over the first."""
        return tuple(float(lead) for lead in (self.truth_M - self.truth_M[0])[1:])

    def draw(self, rng: np.random.Generator) -> Drawn:
        S, N, V = self.num_seeds, self.num_images, self.num_val
        level_M11, scale_M11 = _levels(self.accuracies, self.spreads)
        M, luck = len(level_M11), LUCK[self.luck]
        group_N = self._groups(rng)
        seed_MS1 = scale_M11 * (luck(rng, (1, S + 1, 1)) + luck(rng, (M, S + 1, 1))) + level_M11
        easy_MN = np.concatenate([self._easy(rng, M, group_N), self._easy(rng, M, np.arange(V))], axis=1)
        chance_MSN = rng.standard_normal((M, S, N + V), np.float32)
        right_MSN = chance_MSN + easy_MN[:, None] + seed_MS1[:, :S] > 0
        if self.collapse:
            falls_MS = rng.random((M, S)) < np.asarray(self.collapse)[:, None]
            guesses_MSN = rng.random((M, S, N + V)) < 1 / self.num_classes
            right_MSN = np.where(falls_MS[..., None], guesses_MSN, right_MSN)
        fresh_M = stats.norm.cdf(seed_MS1[:, S, 0] / math.sqrt(WITHIN))
        return Drawn(right_MSN[..., :N], right_MSN[..., N:], group_N if self.num_groups else None, fresh_M)

    def _groups(self, rng: np.random.Generator) -> np.ndarray:
        N, G = self.num_images, self.num_groups
        if not G:
            return np.arange(N)
        if self.sizes == "equal":
            return np.arange(N) % G
        weights_G = rng.lognormal(size=G)
        return rng.choice(G, N, p=weights_G / weights_G.sum())

    def _easy(self, rng: np.random.Generator, M: int, group_N: np.ndarray) -> np.ndarray:
        """(M, N): for all methods, and for each."""
        N, is_grouped = len(group_N), len(group_N) > 0 and group_N.max() + 1 < len(group_N)
        own_MN = EASY * _normal(rng, 1, N) + EASY_FOR_THIS * _normal(rng, M, N)
        if not is_grouped:
            return own_MN
        G = int(group_N.max()) + 1
        of_group_MG = EASY * _normal(rng, 1, G) + EASY_FOR_THIS * _normal(rng, M, G)
        return math.sqrt(self.icc) * of_group_MG[:, group_N] + math.sqrt(1 - self.icc) * own_MN


@dataclass(frozen=True)
class Drawn:
    """correct_MSN, val_MSV: who is right. group_N: of the test images, None: each its own. fresh_M: the accuracy over
    all images of one more network of each method."""

    correct_MSN: np.ndarray
    val_MSV: np.ndarray
    group_N: np.ndarray | None
    fresh_M: np.ndarray


@cache
def _levels(accuracies: tuple[float, ...], spreads: float | tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Level and, over √2, spread of each method."""
    quantile_M = stats.norm.ppf(accuracies)
    # how fast accuracy grows with the level: a density
    spread_M = np.asarray(spreads) / stats.norm.pdf(quantile_M) * math.sqrt(WITHIN)
    level_M = quantile_M * np.sqrt(WITHIN + spread_M**2)
    return tuple(values_M.astype(np.float32).reshape(-1, 1, 1) for values_M in (level_M, spread_M / math.sqrt(2)))


@cache
def _truth(accuracies: tuple[float, ...], spreads: float | tuple[float, ...], luck: str) -> np.ndarray:
    if luck == "normal":
        return np.asarray(accuracies)
    rng, draw = np.random.default_rng(0), LUCK[luck]
    both_B = draw(rng, (1_000_000,)) + draw(rng, (1_000_000,))
    levels = list(zip(*(values.ravel().tolist() for values in _levels(accuracies, spreads)), strict=True))
    found = {
        (level, spread): float(stats.norm.cdf((level + spread * both_B) / math.sqrt(WITHIN)).mean())
        for level, spread in set(levels)
    }
    return np.array([found[pair] for pair in levels])


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)
