"""Families of tests, against statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_outcomes import RANDOM

from tl_sweep.comparison import multiplicity
from tl_sweep.comparison.proportions import LEVEL


def test_holm_by_hand() -> None:
    assert multiplicity.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert multiplicity.holm([0.6, 0.9, 0.5]) == [1, 1, 1]
    assert multiplicity.holm([0.03]) == [0.03]
    assert multiplicity.holm([]) == []


@RANDOM
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(seed)
    p_values = rng.random(int(rng.integers(1, 12))) ** 3
    p_values[rng.random(len(p_values)) < 0.3] = 0.02  # ties
    assert multiplicity.holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="not probabilities"):
        multiplicity.holm([0.01, p])


def test_discoveries_by_hand() -> None:
    assert multiplicity.discoveries([0.01, 0.04, 0.03, 0.005], LEVEL) == [True, True, True, True]
    assert multiplicity.discoveries([0.02, 0.04, 0.06, 0.9], LEVEL) == [False] * 4
    assert multiplicity.discoveries([0.02, 0.9], LEVEL) == [True, False]
    assert multiplicity.discoveries([], LEVEL) == []


@RANDOM
def test_discoveries_are_those_of_statsmodels(seed: int) -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(seed)
    p_values = rng.random(int(rng.integers(1, 40))) ** 4
    p_values[rng.random(len(p_values)) < 0.3] = 0.02  # ties
    assert multiplicity.discoveries(list(p_values), LEVEL) == list(multipletests(p_values, LEVEL, "fdr_bh")[0])


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_discoveries_refuse_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="not probabilities"):
        multiplicity.discoveries([0.01, p], LEVEL)
