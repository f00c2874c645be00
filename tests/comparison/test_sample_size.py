"""How many more seeds or images are needed: against statsmodels, and in a simulated world."""

from __future__ import annotations

import math

import numpy as np
import pytest
from simulated_details import plan
from simulated_worlds import World

from tl_sweep.comparison.effects import Effects, Squares
from tl_sweep.comparison.looks import level_at
from tl_sweep.comparison.proportions import LEVEL
from tl_sweep.comparison.sample_size import POWER, needed_sample_size
from tl_sweep.comparison.study import SampleSize


def components(
    *, seed: float = 0.0, image: float = 0.0, rest: float = 0.0, S: int = 5, N: int = 500, G: int | None = None
) -> Effects:
    """seed, image, rest: variances; the last two of an image, or of a group's mean."""
    groups = N if G is None else G
    squares = Squares(0.0, rest + groups * seed, rest + S * image, rest, S, N, groups, groups)
    return Effects(0.0, seed / S + rest / (S * groups), S - 1, image / groups, seed, squares)


@pytest.mark.parametrize("size", [0.01, 0.02, 0.03])
def test_needed_seeds_are_those_of_the_power_of_the_t_test(size: float) -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().solve_power(effect_size=size / 0.02, alpha=LEVEL, power=POWER)
    need = needed_sample_size(components(seed=0.02**2, N=10**6), size)
    assert need.images is None
    assert need.seeds == pytest.approx(math.ceil(expected), abs=1)


@pytest.mark.parametrize("size", [0.01, 0.02, 0.03])
def test_needed_images_are_those_of_the_power_of_the_t_test(size: float) -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().solve_power(effect_size=size / 0.3, alpha=LEVEL, power=POWER)
    need = needed_sample_size(components(image=0.3**2), size)
    assert need.seeds is None or expected <= 500
    assert expected <= need.images <= 1.1 * expected + 1  # type: ignore[operator]


def test_needed_images_come_in_groups_like_these() -> None:
    alone = needed_sample_size(components(image=0.1**2, N=500), 0.01)
    grouped = needed_sample_size(components(image=0.1**2, N=500, G=50), 0.01)
    assert alone.images is not None
    assert grouped.images == pytest.approx(10 * alone.images, rel=0.12)


def test_more_tests_and_smaller_differences_need_more() -> None:
    effects = components(seed=0.01**2, image=0.03, rest=0.05)
    needs = [needed_sample_size(effects, size, tests) for size, tests in ((0.02, 1), (0.02, 5), (0.015, 5))]
    assert [need.images for need in needs if need.images] == sorted({need.images for need in needs if need.images})
    alone, of_five = (needed_sample_size(effects, 0.03, tests=tests).seeds for tests in (1, 5))
    assert alone is not None
    assert of_five is not None
    assert alone < of_five
    assert needed_sample_size(effects, 0.0) == SampleSize(None, None)


def test_a_look_before_makes_the_next_one_need_more_seeds() -> None:
    effects = components(seed=0.02**2, image=0.01)
    declared = needed_sample_size(effects, 0.02)
    again = needed_sample_size(effects, 0.02, 1, lambda then: level_at(then, [5, then.squares.num_seeds]))
    assert declared.seeds is not None
    assert again.seeds is not None
    assert declared.seeds < again.seeds <= 2 * declared.seeds


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.005, 0.01])
def test_what_is_said_to_be_needed_tells(spread: float) -> None:
    _, by_seeds, by_images = plan(World(5, 1000, spread, (0.85, 0.87)), 500, np.random.default_rng(0))
    assert 0.75 <= by_seeds <= 0.92
    assert 0.75 <= by_images <= 0.95
