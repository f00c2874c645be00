"""Made-up outcomes of S seeds on N images, for tests of statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tl_sweep.comparison.study import Interval

RANDOM = pytest.mark.parametrize("seed", range(8))


def outcomes(seed: int, S: int = 4, N: int = 60, accuracy: float = 0.8) -> np.ndarray:
    """correct_SN with effects of seeds and of images."""
    rng = np.random.default_rng(seed)
    latent_SN = rng.normal(size=(S, N)) + rng.normal(size=(1, N)) + 0.3 * rng.normal(size=(S, 1))
    return latent_SN + 1.5 * stats.norm.ppf(accuracy) > 0


def differences(seed: int, S: int = 4, N: int = 60) -> np.ndarray:
    return outcomes(seed, S, N).astype(float) - outcomes(seed + 100, S, N)


def bounds(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def two_networks(both: int, only: int, only_other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of two networks is right, on so many images each."""
    counts = [both, only, only_other, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)
