"""How often resamples choose the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_outcomes import outcomes, two_networks
from scipy import stats

from tl_sweep.comparison import resampling


def test_the_share_of_a_clear_winner_is_all() -> None:
    correct = [[np.arange(50) < hits for hits in (20, 45, 30)] for _ in range(3)]
    assert [resampling.share_that_choose(correct, [1.0, 1.0, 1.0], chosen) for chosen in range(3)] == [0, 1, 0]


@pytest.mark.parametrize("N", [7, 100, 997])
def test_between_equals_the_smaller_loss_decides_always(N: int) -> None:
    correct = [[np.random.default_rng(seed).random(N) < 0.8] * 3 for seed in range(3)]
    assert resampling.share_that_choose(correct, [0.5, 0.4, 0.6], 1) == 1


@pytest.mark.parametrize(("first", "second"), [(12, 8), (5, 5), (3, 1)])
def test_share_of_one_seed_is_that_of_the_multinomial(first: int, second: int) -> None:
    """A resample chooses the first setting again if it draws images that only it gets right at least as often as those
    that only the second gets right."""
    N = 100
    correct = [list(two_networks(60, first, second, N - 60 - first - second))]
    ours_N = np.arange(N + 1)
    chance = stats.binom.pmf(ours_N, N, first / N) @ stats.binom.cdf(ours_N, N - ours_N, second / (N - first))
    share = resampling.share_that_choose(correct, [0.1, 0.2], 0, resamples=2000)
    assert share == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 2000))


def test_seeds_with_the_same_images_tell_no_more_than_one() -> None:
    one = list(two_networks(60, 12, 8, 20))
    alone = resampling.share_that_choose([one], [0.1, 0.2], 0)
    assert resampling.share_that_choose([one] * 5, [0.1, 0.2], 0, [0] * 5) == alone
    assert resampling.share_that_choose([one] * 5, [0.1, 0.2], 0) > alone


def test_shares_of_all_settings_sum_to_one_and_are_the_same_when_asked_again() -> None:
    correct = [list(outcomes(seed, S=4, N=40)) for seed in range(3)]
    shares = [resampling.share_that_choose(correct, [0.1, 0.2, 0.3, 0.4], chosen) for chosen in range(4)]
    assert sum(shares) == pytest.approx(1)
    assert shares == [resampling.share_that_choose(correct, [0.1, 0.2, 0.3, 0.4], chosen) for chosen in range(4)]
