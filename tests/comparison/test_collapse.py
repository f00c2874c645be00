"""Which seeds collapsed, how many may, and when a method is better all the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tl_sweep.comparison.collapse import Collapses, break_even, collapsed, is_better_all_counted
from tl_sweep.comparison.effects import effects_of


def flags(*val_acc: float, images: int = 100, chance: float = 1 / 6) -> list[bool]:
    return collapsed(np.array(val_acc), images, chance).tolist()


def test_a_seed_near_chance_beside_good_ones_collapsed() -> None:
    assert flags(0.85, 0.83, 0.18) == [False, False, True]
    assert flags(0.85, 0.18, 0.15) == [False, True, True]  # even where most did
    assert flags(0.85, 0.60, 0.70) == [False, False, False]


def test_weak_learners_are_not_told_from_collapsed_ones() -> None:
    assert flags(0.50, 0.17, 0.16) == [False] * 3
    assert flags(0.18, 0.17, 0.16) == [False] * 3


def test_few_images_do_not_tell() -> None:
    assert flags(0.6, 0.2, images=20, chance=0.1) == [False, False]
    assert flags(0.6, 0.2, images=100, chance=0.1) == [False, True]


def test_the_bound_is_that_of_scipy_and_by_hand_for_none() -> None:
    assert Collapses(0, 5).most() == pytest.approx(1 - 0.05**0.2)
    assert Collapses(0, 14).most() == pytest.approx(0.193, abs=5e-4)
    expected = stats.binomtest(2, 10, alternative="less").proportion_ci(0.95).high
    assert Collapses(2, 10).most() == pytest.approx(expected)
    assert Collapses(3, 3).most() == 1


def test_break_even_by_hand() -> None:
    effects = effects_of(np.repeat([[0.2], [0.2], [0.2]], 500, axis=1))
    expected = (0.2 - effects.half_width()) / (0.9 - 0.1)
    assert break_even(effects, 0.9, 0.1) == pytest.approx(expected)
    assert 0.2 < expected < 0.25


@pytest.mark.parametrize("accuracy", [0.7, 0.75, 0.8])
def test_what_is_no_better_than_the_constant_answer_loses_nothing_by_collapsing(accuracy: float) -> None:
    effects = effects_of(np.repeat([[0.2], [0.2], [0.2]], 500, axis=1))
    assert break_even(effects, accuracy, chance=0.75) == 1
    assert is_better_all_counted(effects, accuracy, 0.75, Collapses(0, 3))


@pytest.mark.parametrize("accuracy", [0.5, 0.9])
def test_a_lead_that_is_not_significant_breaks_even_nowhere(accuracy: float) -> None:
    effects = effects_of(np.repeat([[0.2], [0.0], [-0.1]], 500, axis=1))
    assert break_even(effects, accuracy, chance=0.75) == 0
    assert not is_better_all_counted(effects, accuracy, 0.75, Collapses(0, 1000))


@pytest.mark.parametrize(("runs", "told"), [(5, False), (30, True)])
def test_better_with_collapses_counted_takes_many_clean_runs(runs: int, told: bool) -> None:
    effects = effects_of(np.repeat([[0.2], [0.2], [0.2]], 500, axis=1))
    assert is_better_all_counted(effects, 0.9, 0.1, Collapses(0, runs)) is told
