"""The engine behind every interval: against published and hand-computed values, against scipy and statsmodels on random
input, and in simulated worlds whose truth is known."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from tl_sweep.comparison import statistics
from tl_sweep.comparison.statistics import LEVEL, NORMAL, Effects
from tl_sweep.comparison.study import Interval, SampleSize

RANDOM = pytest.mark.parametrize("seed", range(8))


def outcomes(seed: int, S: int = 4, N: int = 60, accuracy: float = 0.8) -> np.ndarray:
    """correct_SN with effects of seeds and of images."""
    rng = np.random.default_rng(seed)
    latent_SN = rng.normal(size=(S, N)) + rng.normal(size=(1, N)) + 0.3 * rng.normal(size=(S, 1))
    return latent_SN + 1.5 * stats.norm.ppf(accuracy) > 0


def differences(seed: int, S: int = 4, N: int = 60) -> np.ndarray:
    return outcomes(seed, S, N).astype(float) - outcomes(seed + 100, S, N)


def effects_of(mean: float, variance: float, df: float) -> Effects:
    return Effects(mean, 0.0, 0.0, 0.0, variance, df, 3, 300)


def bounds(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


# --- analysis of variance

# Yield of 4 treatments of 5 blends; Box, Hunter and Hunter, Statistics for Experimenters, 1978, chapter 7.
PENICILLIN = np.array(
    [[89, 84, 81, 87, 79], [88, 77, 87, 92, 81], [97, 92, 87, 89, 80], [94, 79, 85, 84, 88]], dtype=float
)


def test_mean_squares_of_the_penicillin_example() -> None:
    assert statistics.mean_squares(PENICILLIN) == pytest.approx((70 / 3, 264 / 4, 226 / 12))


def test_variances_of_the_penicillin_example() -> None:
    effects = statistics.two_way(PENICILLIN)
    assert effects.mean == 86
    assert effects.seed_variance == pytest.approx((70 / 3 - 226 / 12) / 5)
    assert effects.image_variance == pytest.approx((264 / 4 - 226 / 12) / 4)
    assert effects.rest_variance == pytest.approx(226 / 12)
    assert effects.variance == pytest.approx((70 / 3 + 264 / 4 - 226 / 12) / 20)
    assert effects.df == pytest.approx((70 / 3 + 264 / 4 - 226 / 12) / (70 / 9 + 264 / 16))


@RANDOM
def test_mean_squares_are_those_of_statsmodels(seed: int) -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    x_SN = differences(seed, S=3 + seed % 3, N=25)
    seeds, images = np.indices(x_SN.shape)
    frame = pd.DataFrame({"x": x_SN.ravel(), "seed": seeds.ravel(), "image": images.ravel()})
    table = anova_lm(ols("x ~ C(seed) + C(image)", frame).fit())
    expected = (table["sum_sq"] / table["df"]).loc[["C(seed)", "C(image)", "Residual"]]
    assert statistics.mean_squares(x_SN) == pytest.approx(tuple(expected))


@RANDOM
def test_with_seeds_alone_it_is_the_t_test_over_seeds(seed: int) -> None:
    x_SN = np.repeat(np.random.default_rng(seed).normal(0.1, 0.2, (3 + seed, 1)), 1000, axis=1)
    expected = stats.ttest_1samp(x_SN[:, 0], 0)
    effects = statistics.two_way(x_SN)
    assert effects.df == pytest.approx(expected.df)
    assert effects.p_value() == pytest.approx(expected.pvalue)
    assert bounds(effects.interval()) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))


@RANDOM
def test_with_images_alone_it_is_the_t_test_over_images(seed: int) -> None:
    x_N = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], 50 + seed, p=[0.1, 0.7, 0.2])
    expected = stats.ttest_1samp(x_N, 0)
    effects = statistics.two_way(np.stack([x_N] * 4))
    assert effects.df == pytest.approx(expected.df)
    assert effects.p_value() == pytest.approx(expected.pvalue)
    assert bounds(effects.interval()) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))


@RANDOM
def test_the_order_of_seeds_and_of_images_does_not_matter(seed: int) -> None:
    x_SN, rng = differences(seed), np.random.default_rng(seed)
    shuffled = statistics.two_way(rng.permutation(rng.permutation(x_SN, axis=0), axis=1))
    effects = statistics.two_way(x_SN)
    assert (shuffled.mean, shuffled.variance, shuffled.df) == pytest.approx(
        (effects.mean, effects.variance, effects.df)
    )


@RANDOM
def test_degrees_of_freedom_are_no_more_than_satterthwaites(seed: int) -> None:
    x_SN = differences(seed, S=3, N=300)
    effects = statistics.two_way(x_SN)
    assert 0.99 * (len(x_SN) - 1) <= effects.df <= SIMULATION.satterthwaite(x_SN, effects.variance)


def test_the_variance_is_right_on_average() -> None:
    rng, S, N = np.random.default_rng(0), 4, 30
    tables = [rng.normal(size=(S, N)) + rng.normal(size=(1, N)) + 0.5 * rng.normal(size=(S, 1)) for _ in range(2000)]
    # 8 %: the variance is the larger of two estimates
    variance = np.mean([statistics.two_way(x_SN).variance for x_SN in tables])
    assert variance == pytest.approx(0.25 / S + 1 / N + 1 / (S * N), rel=0.08)


def test_values_of_students_table() -> None:
    assert effects_of(0.0, 1.0, 2).interval().high == pytest.approx(4.303, abs=5e-4)
    assert effects_of(0.0, 1.0, 9).interval().high == pytest.approx(2.262, abs=5e-4)
    assert effects_of(2.262, 1.0, 9).p_value() == pytest.approx(0.05, abs=5e-5)
    assert effects_of(1.0, 1.0, 9).p_value(null=1.0) == 1
    assert effects_of(0.002, 0.004**2, 9).p_not_equivalent(0.01) == pytest.approx(0.0383, abs=5e-5)  # t = 2


@RANDOM
@pytest.mark.parametrize("margin", [0.01, 0.1, 0.3])
def test_equivalence_is_the_two_one_sided_tests_of_statsmodels(seed: int, margin: float) -> None:
    from statsmodels.stats.weightstats import ttost_paired

    x_S = np.random.default_rng(seed).normal(0.02, 0.1, 5)
    expected, *_ = ttost_paired(x_S, np.zeros(5), -margin, margin)
    p = statistics.two_way(np.repeat(x_S[:, None], 1000, axis=1)).p_not_equivalent(margin)
    assert p == pytest.approx(expected, abs=1e-6)


def test_equivalent_means_that_the_90_percent_interval_lies_within_the_margin() -> None:
    half = float(stats.t.ppf(0.95, 7)) * 0.003
    assert effects_of(0.002, 0.003**2, 7).p_not_equivalent(0.002 + half + 1e-9) < LEVEL
    assert effects_of(-0.002, 0.003**2, 7).p_not_equivalent(0.002 + half - 1e-9) > LEVEL


# --- where there is little to go by


@pytest.mark.parametrize("N", [50, 100, 200, 290, 300, 330, 1000])
def test_networks_that_never_differ_are_equivalent_only_if_so_many_images_can_say_so(N: int) -> None:
    effects = statistics.two_way(np.zeros((3, N)))
    assert effects.interval().high == pytest.approx(statistics.wilson(0, N).high)
    assert effects.p_value() == 1
    if effects.p_not_equivalent(0.01) < LEVEL:
        assert 0.99**N < LEVEL  # the exact chance of no difference in N images where one in a hundred differs


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("S", [1, 2, 5])
@pytest.mark.parametrize("N", [2, 10, 300])
def test_all_right_or_all_wrong_is_wilsons_interval_of_that_many_images(right: bool, S: int, N: int) -> None:
    interval = statistics.accuracy(np.full((S, N), right))
    assert bounds(interval) == pytest.approx(bounds(statistics.wilson(N * right, N)))
    assert interval.estimate == (interval.high if right else interval.low) == right


def test_one_difference_makes_the_interval_no_shorter_than_none() -> None:
    none_SN = np.zeros((3, 300))
    one_SN = none_SN.copy()
    one_SN[1, 7] = 1
    lengths = [np.ptp(bounds(statistics.two_way(x_SN).interval())) for x_SN in (none_SN, one_SN)]
    assert lengths[1] >= lengths[0] > 0


@RANDOM
@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.99])
def test_an_accuracy_lies_in_its_interval_and_both_between_0_and_1(seed: int, accuracy: float) -> None:
    for S in (1, 2, 3, 10):
        interval = statistics.accuracy(outcomes(seed, S, 100, accuracy))
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


@RANDOM
def test_accuracy_is_wilsons_for_one_seed_and_for_copies_of_it(seed: int) -> None:
    correct_SN = outcomes(seed, S=1, N=400)
    one = statistics.accuracy(correct_SN)
    assert bounds(one) == bounds(statistics.wilson(int(correct_SN.sum()), 400))
    assert bounds(statistics.accuracy(np.repeat(correct_SN, 3, axis=0))) == pytest.approx(bounds(one), abs=2e-3)


def test_two_seeds_say_little() -> None:
    effects = statistics.two_way(differences(3, S=2, N=300))
    assert effects.df < 30
    assert all(map(math.isfinite, bounds(effects.interval())))


@pytest.mark.parametrize("shape", [(1, 10), (10, 1), (0, 5), (3, 0)])
def test_too_small_a_table_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two of each"):
        statistics.two_way(np.zeros(shape))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    x_SN = np.zeros((3, 10))
    x_SN[1, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        statistics.two_way(x_SN)


# --- proportions


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits: int, count: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert bounds(statistics.wilson(hits, count)) == pytest.approx((low, high), abs=5e-5)


@RANDOM
def test_wilson_is_that_of_statsmodels_and_of_scipy(seed: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 2000))
    for hits in (0, count, int(rng.integers(0, count + 1))):
        interval = statistics.wilson(hits, count)
        assert bounds(interval) == pytest.approx(proportion_confint(hits, count, LEVEL, "wilson"), abs=1e-12)
        by_scipy = stats.binomtest(hits, count).proportion_ci(1 - LEVEL, method="wilson")
        assert bounds(interval) == pytest.approx((by_scipy.low, by_scipy.high), abs=1e-12)


# --- two networks


def two_networks(both: int, only: int, only_other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only, only_other, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_mcnemar_by_hand() -> None:
    assert statistics.mcnemar(*two_networks(50, 1, 9, 3)) == pytest.approx(2 * (1 + 10) / 2**10)
    assert statistics.mcnemar(*two_networks(0, 6, 0, 0)) == pytest.approx(2 / 2**6)
    assert statistics.mcnemar(*two_networks(5, 4, 4, 5)) == 1
    assert statistics.mcnemar(*two_networks(5, 0, 0, 5)) == 1


@RANDOM
def test_mcnemar_is_that_of_statsmodels(seed: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    counts = np.random.default_rng(seed).integers(0, 40, 4)
    expected = mcnemar(counts.reshape(2, 2), exact=True).pvalue
    assert statistics.mcnemar(*two_networks(*counts)) == pytest.approx(expected)


def test_paired_interval_of_the_approval_ratings() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: 55 % after 59 %, with the Wald interval (-0.06, -0.02); the half
    images that Agresti and Min 2005 add do not show with 1600."""
    ratings = np.flip(two_networks(794, 150, 86, 570), 0)
    interval = statistics.paired(*ratings)
    assert interval.estimate == pytest.approx(-0.04)
    assert bounds(interval) == pytest.approx((-0.0587, -0.0213), abs=1e-4)


def test_paired_interval_by_hand() -> None:
    half = NORMAL * math.sqrt((4.5 + 1.5) - (4.5 - 1.5) ** 2 / 12) / 12
    interval = statistics.paired(*two_networks(3, 4, 1, 2))
    assert interval.estimate == pytest.approx(0.3)
    assert bounds(interval) == pytest.approx((0.25 - half, 0.25 + half))


@RANDOM
def test_paired_interval_is_walds_on_the_augmented_table(seed: int) -> None:
    """With two images more (one of each kind of half images is a whole one): a normal interval of weighted values."""
    counts = np.random.default_rng(seed).integers(0, 30, 4)
    weights, values = counts + 0.5, np.array([0.0, 1.0, -1.0, 0.0])
    mean = np.average(values, weights=weights)
    half = NORMAL * math.sqrt(np.average((values - mean) ** 2, weights=weights) / weights.sum())
    assert bounds(statistics.paired(*two_networks(*counts))) == pytest.approx((mean - half, mean + half))


# --- a family of tests


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.9, 0.5]) == [1, 1, 1]
    assert statistics.holm([0.03]) == [0.03]
    assert statistics.holm([]) == []


@RANDOM
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(seed)
    p_values = rng.random(int(rng.integers(1, 12))) ** 3
    p_values[rng.random(len(p_values)) < 0.3] = 0.02  # ties
    assert statistics.holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="not probabilities"):
        statistics.holm([0.01, p])


# --- how many more


def components(*, seed: float = 0.0, image: float = 0.0, rest: float = 0.0, S: int = 5, N: int = 500) -> Effects:
    return Effects(0.0, seed, image, rest, math.nan, math.nan, S, N)


@pytest.mark.parametrize("size", [0.01, 0.02, 0.03])
def test_needed_seeds_are_those_of_the_power_of_the_t_test(size: float) -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().solve_power(effect_size=size / 0.02, alpha=LEVEL, power=statistics.POWER)
    need = statistics.needed_sample_size(components(seed=0.02**2, N=10**6), size)
    assert need.images is None
    assert need.seeds == pytest.approx(math.ceil(expected), abs=1)


@pytest.mark.parametrize("size", [0.01, 0.02, 0.03])
def test_needed_images_are_those_of_the_power_of_the_t_test(size: float) -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().solve_power(effect_size=size / 0.3, alpha=LEVEL, power=statistics.POWER)
    need = statistics.needed_sample_size(components(image=0.3**2), size)
    assert need.seeds is None or expected <= 500
    assert expected <= need.images <= 1.1 * expected + 1  # type: ignore[operator]


def test_more_tests_and_smaller_differences_need_more() -> None:
    effects = components(seed=0.01**2, image=0.03, rest=0.05)
    needs = [
        statistics.needed_sample_size(effects, 0.02, tests=1),
        statistics.needed_sample_size(effects, 0.02, tests=5),
        statistics.needed_sample_size(effects, 0.015, tests=5),
    ]
    assert [need.images for need in needs if need.images] == sorted({need.images for need in needs if need.images})
    alone, of_five = (statistics.needed_sample_size(effects, 0.03, tests=tests).seeds for tests in (1, 5))
    assert alone is not None
    assert of_five is not None
    assert alone < of_five
    assert statistics.needed_sample_size(effects, 0.0) == SampleSize(None, None)


# --- the choice, made again


def test_the_share_of_a_clear_winner_is_all() -> None:
    correct = [[np.arange(50) < hits for hits in (20, 45, 30)] for _ in range(3)]
    assert [statistics.share_that_choose(correct, [1.0, 1.0, 1.0], chosen) for chosen in range(3)] == [0, 1, 0]


@pytest.mark.parametrize("N", [7, 100, 997])
def test_between_equals_the_smaller_loss_decides_always(N: int) -> None:
    correct = [[np.random.default_rng(seed).random(N) < 0.8] * 3 for seed in range(3)]
    assert statistics.share_that_choose(correct, [0.5, 0.4, 0.6], 1) == 1


@pytest.mark.parametrize(("first", "second"), [(12, 8), (5, 5), (3, 1)])
def test_share_of_one_seed_is_that_of_the_multinomial(first: int, second: int) -> None:
    """A resample chooses the first setting again if it draws images that only it gets right at least as often as those
    that only the second gets right."""
    N = 100
    correct = [list(two_networks(60, first, second, N - 60 - first - second))]
    ours_N = np.arange(N + 1)
    chance = stats.binom.pmf(ours_N, N, first / N) @ stats.binom.cdf(ours_N, N - ours_N, second / (N - first))
    share = statistics.share_that_choose(correct, [0.1, 0.2], 0, resamples=2000)
    assert share == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 2000))


def test_seeds_with_the_same_images_tell_no_more_than_one() -> None:
    one = list(two_networks(60, 12, 8, 20))
    alone = statistics.share_that_choose([one], [0.1, 0.2], 0)
    assert statistics.share_that_choose([one] * 5, [0.1, 0.2], 0, [0] * 5) == alone
    assert statistics.share_that_choose([one] * 5, [0.1, 0.2], 0) > alone


def test_shares_of_all_settings_sum_to_one_and_are_the_same_when_asked_again() -> None:
    correct = [list(outcomes(seed, S=4, N=40)) for seed in range(3)]
    shares = [statistics.share_that_choose(correct, [0.1, 0.2, 0.3, 0.4], chosen) for chosen in range(4)]
    assert sum(shares) == pytest.approx(1)
    assert shares == [statistics.share_that_choose(correct, [0.1, 0.2, 0.3, 0.4], chosen) for chosen in range(4)]


# --- simulated worlds


def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "simulate_statistics", Path(__file__).parents[2] / "tools" / "simulate_statistics.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


SIMULATION = simulation()


def error_of(share: float, worlds: int) -> float:
    """Two standard errors of a share that is counted in that many worlds."""
    return 2 * math.sqrt(share * (1 - share) / worlds)


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_worlds_have_the_accuracy_and_the_spread_that_they_say(spread: float) -> None:
    world = SIMULATION.World(400, 2000, spread, (0.85, 0.88))
    correct_MSN = world.draw(np.random.default_rng(0))
    assert correct_MSN.mean((1, 2)) == pytest.approx([0.85, 0.88], abs=0.015)
    effects = statistics.two_way(correct_MSN[1].astype(float) - correct_MSN[0])
    assert math.sqrt(effects.seed_variance) == pytest.approx(spread, abs=0.003)


@pytest.mark.parametrize("world", [SIMULATION.World(3, 300, 0.02), SIMULATION.World(5, 300, 0.005)])
def test_intervals_cover_and_equals_are_not_called_better(world: object) -> None:
    worlds = 250
    tally = SIMULATION.tally(world, worlds, np.random.default_rng(0))
    assert 0.93 - error_of(0.05, worlds) <= tally.covered <= 0.97 + error_of(0.05, worlds)
    assert 0.93 - error_of(0.05, worlds) <= tally.accuracy <= 0.97 + error_of(0.05, worlds)
    assert tally.better <= LEVEL + error_of(LEVEL, worlds)


@pytest.mark.slow
def test_intervals_cover_in_every_world() -> None:
    """1,000 worlds each. A row may miss 93 to 97 % by two standard errors, 1.4 points; the mean of the 30 may not."""
    worlds = 1000
    rows = list(SIMULATION.held(worlds, seed=1))
    shares = [[t.covered for t in (equal, other)] + [equal.accuracy, other.accuracy] for _, equal, other in rows]
    assert np.min(shares) >= 0.93 - error_of(0.05, worlds)
    assert np.max(shares) <= 0.97 + error_of(0.05, worlds)
    assert (np.mean(shares, 0) >= 0.945).all()
    assert (np.mean(shares, 0) <= 0.965).all()
    for _, equal, other in rows:
        assert equal.better <= LEVEL + error_of(LEVEL, worlds)
        assert other.equivalent <= LEVEL + error_of(LEVEL, worlds)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.005, 0.01])
def test_what_is_said_to_be_needed_tells(spread: float) -> None:
    world = SIMULATION.World(5, 1000, spread, (0.85, 0.87))
    _, by_seeds, by_images = SIMULATION.plan(world, 500, np.random.default_rng(0))
    assert 0.75 <= by_seeds <= 0.9
    assert 0.75 <= by_images <= 0.95
