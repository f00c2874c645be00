"""Wilson, McNemar and paired proportions, against published values, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_outcomes import RANDOM, bounds, two_networks
from scipy import stats

from tl_sweep.comparison import proportions
from tl_sweep.comparison.proportions import LEVEL, NORMAL


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits: int, count: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert bounds(proportions.wilson(hits, count)) == pytest.approx((low, high), abs=5e-5)


@RANDOM
def test_wilson_is_that_of_statsmodels_and_of_scipy(seed: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 2000))
    for hits in (0, count, int(rng.integers(0, count + 1))):
        interval = proportions.wilson(hits, count)
        assert bounds(interval) == pytest.approx(proportion_confint(hits, count, LEVEL, "wilson"), abs=1e-12)
        by_scipy = stats.binomtest(hits, count).proportion_ci(1 - LEVEL, method="wilson")
        assert bounds(interval) == pytest.approx((by_scipy.low, by_scipy.high), abs=1e-12)


def test_mcnemar_by_hand() -> None:
    assert proportions.mcnemar(*two_networks(50, 1, 9, 3)) == pytest.approx(2 * (1 + 10) / 2**10)
    assert proportions.mcnemar(*two_networks(0, 6, 0, 0)) == pytest.approx(2 / 2**6)
    assert proportions.mcnemar(*two_networks(5, 4, 4, 5)) == 1
    assert proportions.mcnemar(*two_networks(5, 0, 0, 5)) == 1


@RANDOM
def test_mcnemar_is_that_of_statsmodels(seed: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    counts = np.random.default_rng(seed).integers(0, 40, 4)
    expected = mcnemar(counts.reshape(2, 2), exact=True).pvalue
    assert proportions.mcnemar(*two_networks(*counts)) == pytest.approx(expected)


def test_paired_interval_of_the_approval_ratings() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: 55 % after 59 %, with the Wald interval (-0.06, -0.02); the half
    images that Agresti and Min 2005 add do not show with 1600."""
    ratings = np.flip(two_networks(794, 150, 86, 570), 0)
    interval = proportions.paired(*ratings)
    assert interval.estimate == pytest.approx(-0.04)
    assert bounds(interval) == pytest.approx((-0.0587, -0.0213), abs=1e-4)


def test_paired_interval_by_hand() -> None:
    half = NORMAL * math.sqrt((4.5 + 1.5) - (4.5 - 1.5) ** 2 / 12) / 12
    interval = proportions.paired(*two_networks(3, 4, 1, 2))
    assert interval.estimate == pytest.approx(0.3)
    assert bounds(interval) == pytest.approx((0.25 - half, 0.25 + half))


@RANDOM
def test_paired_interval_is_walds_on_the_augmented_table(seed: int) -> None:
    """With two images more (one of each kind of half images is a whole one): a normal interval of weighted values."""
    counts = np.random.default_rng(seed).integers(0, 30, 4)
    weights, values = counts + 0.5, np.array([0.0, 1.0, -1.0, 0.0])
    mean = np.average(values, weights=weights)
    half = NORMAL * math.sqrt(np.average((values - mean) ** 2, weights=weights) / weights.sum())
    assert bounds(proportions.paired(*two_networks(*counts))) == pytest.approx((mean - half, mean + half))
