"""What is left of the level at a look, against simulated paths and special cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tl_sweep.comparison.effects import effects_of
from tl_sweep.comparison.looks import KEPT, last_level, level_at
from tl_sweep.comparison.proportions import LEVEL


def test_the_first_look_keeps_a_part_for_later_ones() -> None:
    effects = effects_of(np.random.default_rng(0).normal(size=(3, 50)))
    assert level_at(effects, [3]) == pytest.approx(LEVEL * (1 - KEPT))
    assert level_at(effects, [3, 5]) < level_at(effects, [3])


@pytest.mark.parametrize("seeds", [(3, 5), (3, 5, 8, 14), (3, 4, 5, 6), (3, 30)])
def test_all_looks_together_are_false_in_five_percent_of_studies(seeds: tuple[int, ...]) -> None:
    """200,000 means of normal values, each looked at so often."""
    worlds = 200_000
    rng, found = np.random.default_rng(0), np.zeros(worlds, dtype=bool)
    sums_B, before = np.zeros(worlds), 0
    for place, S in enumerate(seeds):
        sums_B += rng.normal(size=worlds) * math.sqrt(S - before)
        before = S
        variances = tuple(S / other for other in seeds[: place + 1])
        level = last_level(variances) if place else LEVEL * (1 - KEPT)
        found |= 2 * stats.norm.sf(np.abs(sums_B) / math.sqrt(S)) < level
        share = LEVEL * (1 - KEPT ** (place + 1))
        assert found.mean() == pytest.approx(share, abs=4 * math.sqrt(share / worlds))


def test_a_look_that_brings_nothing_is_the_same_study_again() -> None:
    assert last_level((1.0, 1.0)) == pytest.approx(LEVEL * (1 - KEPT**2), rel=0.02)


def test_where_nothing_varies_the_level_is_that_of_the_first_look() -> None:
    assert level_at(effects_of(np.zeros((5, 50))), [3, 5]) == LEVEL * (1 - KEPT)
