"""What a careful reader might compute, and this project did until November 2026: the contrast to its engine.

Every image counts as its own; the parts of seeds and of images have one number of degrees of freedom together; settings
are chosen on the seeds that then are compared; each task, and each look, is judged as if it were the only one; a seed
that collapsed is a seed like any other. S seeds, N images, M methods, K settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tl_sweep.comparison.multiplicity import holm
from tl_sweep.comparison.proportions import LEVEL, NORMAL


@dataclass(frozen=True)
class Found:
    """An estimate with its 95 % interval, and the p-value of its being 0."""

    estimate: float
    low: float
    high: float
    p: float = math.nan

    def holds(self, truth: float) -> bool:
        return self.low <= truth <= self.high


def mean_squares(x_SN: np.ndarray) -> tuple[float, float, float]:
    """Of seeds, of images, and of the rest."""
    S, N = x_SN.shape
    mean, seed_S1, image_1N = x_SN.mean(), x_SN.mean(1, keepdims=True), x_SN.mean(0, keepdims=True)
    seed_ms = N * float(((seed_S1 - mean) ** 2).sum()) / (S - 1)
    image_ms = S * float(((image_1N - mean) ** 2).sum()) / (N - 1)
    return seed_ms, image_ms, float(((x_SN - seed_S1 - image_1N + mean) ** 2).sum()) / ((S - 1) * (N - 1))


def variance_of_mean(x_SN: np.ndarray) -> tuple[float, float]:
    """And its degrees of freedom, of which the shares of the mean squares count unsquared."""
    S, N = x_SN.shape
    seed_ms, image_ms, rest_ms = mean_squares(x_SN)
    total = max(seed_ms + image_ms - rest_ms, seed_ms, S * N * (NORMAL / (N + NORMAL**2)) ** 2)
    doubt = seed_ms / (S - 1) + image_ms / (N - 1)
    return total / (S * N), total / doubt if doubt else math.inf


class Plain:
    def differences(
        self, tables: Sequence[np.ndarray], group_N: np.ndarray | None, siblings: object = (), looks: object = ()
    ) -> list[Found]:
        """Of each table x_SN of one family."""
        return [_difference(x_SN) for x_SN in tables]

    def accuracies(self, correct_MSN: np.ndarray, group_N: np.ndarray | None) -> list[Found]:
        return [_accuracy(correct_SN) for correct_SN in correct_MSN]

    networks = accuracies  # as if the method's interval were that of one more network

    def chosen(
        self, correct_KSN: np.ndarray, val_KSV: np.ndarray, other_KSN: np.ndarray, other_val_KSV: np.ndarray
    ) -> tuple[Found, Found]:
        """Accuracy at the chosen setting, and its difference to the other's at its chosen one."""
        ours_SN = correct_KSN[val_KSV.mean((1, 2)).argmax()]
        theirs_SN = other_KSN[other_val_KSV.mean((1, 2)).argmax()]
        return _accuracy(ours_SN), _difference(ours_SN.astype(float) - theirs_SN)

    def worse_than_best(self, correct_MSN: np.ndarray, val_MSV: np.ndarray) -> list[bool]:
        best = int(val_MSV.mean((1, 2)).argmax())
        found = [_difference(x_SN.astype(float) - correct_MSN[best]) for m, x_SN in enumerate(correct_MSN) if m != best]
        return [p < LEVEL and one.estimate < 0 for p, one in zip(holm([one.p for one in found]), found, strict=True)]

    def claims(self, families: Sequence[Sequence[Found]]) -> list[list[bool]]:
        """Which of them are told to differ."""
        return [[p < LEVEL for p in holm([one.p for one in family])] for family in families]

    def better_all_counted(
        self, correct_SN: np.ndarray, val_SV: np.ndarray, other_SN: np.ndarray, other_val_SV: np.ndarray, classes: int
    ) -> bool:
        """Whether ours is told to be better, with the seeds that collapse."""
        found = _difference(correct_SN.astype(float) - other_SN)
        return found.p < LEVEL and found.estimate > 0


def _difference(x_SN: np.ndarray) -> Found:
    variance, df = variance_of_mean(x_SN)
    mean, error = float(x_SN.mean()), math.sqrt(variance)
    half = float(stats.t.ppf(1 - LEVEL / 2, df)) * error
    return Found(mean, mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, df)))


def _accuracy(correct_SN: np.ndarray) -> Found:
    variance, df = variance_of_mean(correct_SN.astype(float))
    share, quantile = float(correct_SN.mean()), float(stats.t.ppf(1 - LEVEL / 2, df))
    count = share * (1 - share) / variance if 0 < share < 1 else correct_SN.shape[1]
    centre = (share + quantile**2 / (2 * count)) / (1 + quantile**2 / count)
    half = quantile / (1 + quantile**2 / count) * math.sqrt(share * (1 - share) / count + (quantile / (2 * count)) ** 2)
    return Found(share, min(share, centre - half), max(share, centre + half))
