"""Mean squares, intervals and p-values: against published and hand-computed values, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_outcomes import RANDOM, bounds, differences, outcomes
from scipy import special, stats

from tl_sweep.comparison.effects import (
    FAMILY_DF,
    MOST_SIBLING_DF,
    Effects,
    Groups,
    Member,
    Squares,
    effects_of,
    mean_squares,
    moderated,
    of_one_seed,
)
from tl_sweep.comparison.proportions import LEVEL, wilson

# Yield of 4 treatments of 5 blends; Box, Hunter and Hunter, Statistics for Experimenters, 1978, chapter 7.
PENICILLIN = np.array(
    [[89, 84, 81, 87, 79], [88, 77, 87, 92, 81], [97, 92, 87, 89, 80], [94, 79, 85, 84, 88]], dtype=float
)


def known(mean: float, seed_part: float, seed_df: float, image_part: float = 0.0, groups: float = 10**6) -> Effects:
    squares = Squares(mean, 0.0, 0.0, 0.0, 3, 10**6, 10**6, groups)
    return Effects(mean, seed_part, seed_df, image_part, 0.0, squares)


def test_mean_squares_of_the_penicillin_example() -> None:
    found = mean_squares(PENICILLIN)
    assert (found.seed, found.image, found.rest) == pytest.approx((70 / 3, 264 / 4, 226 / 12))
    assert (found.mean, found.num_seeds, found.num_groups, found.effective_groups) == (86, 4, 5, 5)


def test_parts_of_the_penicillin_example() -> None:
    found = effects_of(PENICILLIN)
    assert found.seed_part == pytest.approx(70 / 3 / 20)
    assert found.image_part == pytest.approx((264 / 4 - 226 / 12) / 20)
    assert found.seed_variance == pytest.approx((70 / 3 - 226 / 12) / 5)
    assert (found.seed_df, found.image_df) == (3, 4)
    by_parts = stats.t.ppf(0.975, 3) ** 2 * found.seed_part + stats.t.ppf(0.975, 4) ** 2 * found.image_part
    assert found.half_width() == pytest.approx(math.sqrt(by_parts))


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
    found = mean_squares(x_SN)
    assert (found.seed, found.image, found.rest) == pytest.approx(tuple(expected))


# --- groups of images


@RANDOM
def test_images_of_their_own_are_groups_of_one(seed: int) -> None:
    x_SN = differences(seed)
    alone, grouped = mean_squares(x_SN), mean_squares(x_SN, Groups.of(np.random.default_rng(seed).permutation(60)))
    assert (alone.seed, alone.image, alone.rest) == pytest.approx((grouped.seed, grouped.image, grouped.rest))
    assert grouped.effective_groups == pytest.approx(60)


@RANDOM
def test_equal_groups_are_the_table_of_their_means(seed: int) -> None:
    x_SN = differences(seed)
    names_N = np.repeat(np.arange(12), 5)
    order = np.random.default_rng(seed).permutation(60)
    grouped = mean_squares(x_SN[:, order], Groups.of(names_N[order]))
    means = mean_squares(x_SN.reshape(4, 12, 5).mean(2))
    assert (grouped.seed, grouped.image, grouped.rest) == pytest.approx((means.seed, means.image, means.rest))
    assert (grouped.num_groups, grouped.num_images, grouped.effective_groups) == (12, 60, pytest.approx(12))


def test_copies_of_each_image_tell_nothing_new() -> None:
    x_SN = differences(1, N=40)
    once, copied = effects_of(x_SN), effects_of(np.repeat(x_SN, 7, axis=1), Groups.of(np.repeat(np.arange(40), 7)))
    assert copied.seed_part == pytest.approx(once.seed_part)
    assert copied.image_part == pytest.approx(once.image_part)
    assert effects_of(np.repeat(x_SN, 7, axis=1)).image_part < once.image_part / 3


@RANDOM
def test_the_image_part_is_right_on_average_for_unequal_groups(seed: int) -> None:
    """CR2 is unbiased where groups are random effects of a mean: checked against the variance of that mean."""
    rng = np.random.default_rng(seed)
    names_N = rng.choice(15, 200, p=rng.dirichlet(np.full(15, 3.0)))
    groups, S = Groups.of(names_N), 3
    share_G = groups.share_G
    tables = [np.repeat(rng.normal(size=len(share_G))[groups.group_N][None], S, 0) for _ in range(3000)]
    found = np.mean([mean_squares(x_SN, groups).image for x_SN in tables]) / (S * len(share_G))
    truth = float((share_G**2).sum())
    assert found == pytest.approx(truth, rel=0.12)


def test_effective_groups_of_unequal_ones() -> None:
    assert Groups.of(np.array(["a", "a", "b", "b"])).effective == pytest.approx(2)
    assert Groups.of(np.array([0, 0, 0, 1])).effective == pytest.approx(16 / 10)


def test_one_seed_in_groups_has_the_variance_of_their_means() -> None:
    x_N = differences(2)[0]
    means_G = x_N.reshape(12, 5).mean(1)
    found = of_one_seed(x_N, Groups.of(np.repeat(np.arange(12), 5)))
    expected = stats.ttest_1samp(means_G, 0)
    assert found.p_value() == pytest.approx(expected.pvalue)
    assert bounds(found.interval()) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))


# --- what others say of seeds


def test_one_comparison_alone_has_its_own_seeds() -> None:
    (found,) = moderated([Member(mean_squares(PENICILLIN))])
    assert found.seed_df == 3
    assert list(moderated([])) == []


def test_family_and_siblings_by_hand() -> None:
    first, second = mean_squares(PENICILLIN), mean_squares(2 * PENICILLIN)
    alone, with_siblings = moderated([Member(first), Member(second, (10.0, 20.0, 30.0))])
    of_family = (first.seed + (second.seed + 60) / 4) / 2
    assert alone.seed_df == 3 + FAMILY_DF
    assert alone.seed_part * 20 == pytest.approx((3 * first.seed + 2 * of_family) / 5)
    assert with_siblings.seed_df == 3 + FAMILY_DF + MOST_SIBLING_DF
    assert with_siblings.seed_part * 20 == pytest.approx((3 * second.seed + 2 * 20 + 2 * of_family) / 7)


def test_one_sibling_of_three_seeds_counts_as_half_of_them() -> None:
    (found,) = moderated([Member(mean_squares(PENICILLIN[:3]), (10.0,))])
    assert found.seed_df == 2 + 1


# --- intervals and p-values


@RANDOM
def test_with_seeds_alone_it_is_the_t_test_over_seeds(seed: int) -> None:
    x_SN = np.repeat(np.random.default_rng(seed).normal(0.1, 0.2, (3 + seed, 1)), 1000, axis=1)
    expected = stats.ttest_1samp(x_SN[:, 0], 0)
    effects = effects_of(x_SN)
    assert effects.p_value() == pytest.approx(expected.pvalue)
    assert bounds(effects.interval()) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))


@RANDOM
def test_with_images_alone_it_is_the_t_test_over_images(seed: int) -> None:
    x_N = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], 50 + seed, p=[0.1, 0.7, 0.2])
    expected = stats.ttest_1samp(x_N, 0)
    effects = effects_of(np.stack([x_N] * 4))
    assert effects.p_value() == pytest.approx(expected.pvalue)
    assert bounds(effects.interval()) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))


@RANDOM
def test_p_is_the_level_at_which_the_interval_reaches_nothing(seed: int) -> None:
    effects = effects_of(differences(seed, S=3, N=300))
    assert effects.half_width(effects.p_value()) == pytest.approx(abs(effects.mean))
    assert effects.p_value(null=effects.mean) == 1


@RANDOM
def test_neither_part_alone_gives_a_smaller_p(seed: int) -> None:
    both = known(0.02, 0.004**2, 2, 0.006**2, groups=20)
    by_seeds, by_images = known(0.02, 0.004**2, 2), known(0.02, 0.0, 2, 0.006**2, groups=20)
    assert both.p_value() > max(by_seeds.p_value(), by_images.p_value())


@RANDOM
def test_the_order_of_seeds_and_of_images_does_not_matter(seed: int) -> None:
    x_SN, rng = differences(seed), np.random.default_rng(seed)
    shuffled, effects = effects_of(rng.permutation(rng.permutation(x_SN, axis=0), axis=1)), effects_of(x_SN)
    assert (shuffled.mean, shuffled.half_width()) == pytest.approx((effects.mean, effects.half_width()))


def test_the_variance_is_right_on_average() -> None:
    rng, S, N = np.random.default_rng(0), 4, 30
    tables = [rng.normal(size=(S, N)) + rng.normal(size=(1, N)) + 0.5 * rng.normal(size=(S, 1)) for _ in range(2000)]
    variance = np.mean([effects_of(x_SN).variance for x_SN in tables])
    assert variance == pytest.approx(0.25 / S + 1 / N + 1 / (S * N), rel=0.08)


def test_values_of_students_table() -> None:
    assert known(0.0, 1.0, 2).interval().high == pytest.approx(4.303, abs=5e-4)
    assert known(0.0, 1.0, 9).interval().high == pytest.approx(2.262, abs=5e-4)
    assert known(2.262, 1.0, 9).p_value() == pytest.approx(0.05, abs=5e-5)
    assert known(1.0, 1.0, 9).p_value(null=1.0) == 1
    assert known(0.002, 0.004**2, 9).p_not_equivalent(0.01) == pytest.approx(0.0383, abs=5e-5)  # t = 2


@RANDOM
@pytest.mark.parametrize("margin", [0.01, 0.1, 0.3])
def test_equivalence_is_the_two_one_sided_tests_of_statsmodels(seed: int, margin: float) -> None:
    from statsmodels.stats.weightstats import ttost_paired

    x_S = np.random.default_rng(seed).normal(0.02, 0.1, 5)
    expected, *_ = ttost_paired(x_S, np.zeros(5), -margin, margin)
    p = effects_of(np.repeat(x_S[:, None], 1000, axis=1)).p_not_equivalent(margin)
    assert p == pytest.approx(expected, abs=1e-6)


def test_equivalent_means_that_the_90_percent_interval_lies_within_the_margin() -> None:
    half = float(stats.t.ppf(0.95, 7)) * 0.003
    assert known(0.002, 0.003**2, 7).p_not_equivalent(0.002 + half + 1e-9) < LEVEL
    assert known(-0.002, 0.003**2, 7).p_not_equivalent(0.002 + half - 1e-9) > LEVEL


def test_one_more_network_varies_as_networks_do_and_more_seeds_do_not_help() -> None:
    rng = np.random.default_rng(0)
    x_SN = np.repeat(rng.normal(0.8, 0.02, (200, 1)), 1000, axis=1)
    one, method = effects_of(x_SN).of_one_network, effects_of(x_SN)
    assert one.half_width() == pytest.approx(stats.t.ppf(0.975, 199) * x_SN[:, 0].std(ddof=1), rel=0.01)
    assert method.half_width() < one.half_width() / 9


def test_held_out_settings_move_the_mean_and_widen_the_seeds_part() -> None:
    effects = effects_of(differences(0))
    same, other = effects.held_out(effects.mean, 0.0), effects.held_out(0.01, 0.5)
    assert same == effects
    assert (other.mean, other.seed_part) == (0.01, pytest.approx(1.25 * effects.seed_part))
    assert (other.image_part, other.seed_df) == (effects.image_part, effects.seed_df)


def test_beyond_these_labels_by_hand() -> None:
    effects = effects_of(differences(0))  # 4 seeds
    assert effects.beyond_these_labels(0.0) == effects
    assert effects.beyond_these_labels(0.5).seed_part == pytest.approx(5 * effects.seed_part)
    nothing = effects.beyond_these_labels(1.0)
    assert (nothing.p_value(), nothing.half_width()) == (1, math.inf)
    assert bounds(nothing.proportion_interval()) == (0, 1)


# --- where there is little to go by


@pytest.mark.parametrize("N", [50, 100, 200, 290, 300, 330, 1000])
def test_networks_that_never_differ_are_equivalent_only_if_so_many_images_can_say_so(N: int) -> None:
    effects = effects_of(np.zeros((3, N)))
    assert effects.interval().high == pytest.approx(wilson(0, N).high)
    assert effects.p_value() == 1
    if effects.p_not_equivalent(0.01) < LEVEL:
        assert 0.99**N < LEVEL  # the exact chance of no difference in N images where one in a hundred differs


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("S", [2, 5])
@pytest.mark.parametrize("N", [2, 10, 300])
def test_all_right_or_all_wrong_is_wilsons_interval_of_that_many_images(right: bool, S: int, N: int) -> None:
    interval = effects_of(np.full((S, N), float(right))).proportion_interval()
    assert bounds(interval) == pytest.approx(bounds(wilson(N * right, N)))
    assert interval.estimate == (interval.high if right else interval.low) == right


def test_all_right_in_few_groups_is_wilsons_interval_of_so_many_groups() -> None:
    groups = Groups.of(np.repeat(np.arange(12), 25))
    interval = effects_of(np.ones((3, 300)), groups).proportion_interval()
    assert bounds(interval) == pytest.approx(bounds(wilson(12, 12)))


def test_one_difference_makes_the_interval_no_shorter_than_none() -> None:
    none_SN = np.zeros((3, 300))
    one_SN = none_SN.copy()
    one_SN[1, 7] = 1
    lengths = [np.ptp(bounds(effects_of(x_SN).interval())) for x_SN in (none_SN, one_SN)]
    assert lengths[1] >= lengths[0] > 0


@RANDOM
@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.99])
def test_an_accuracy_lies_in_its_intervals_and_all_between_0_and_1(seed: int, accuracy: float) -> None:
    for S in (2, 3, 10):
        effects = effects_of(outcomes(seed, S, 100, accuracy).astype(float))
        method, network = effects.proportion_interval(), effects.of_one_network.proportion_interval()
        assert 0 <= network.low <= method.low + 1e-12
        assert method.low <= method.estimate <= method.high <= network.high + 1e-12 <= 1 + 1e-12


@RANDOM
def test_accuracy_of_copies_of_one_seed_is_nearly_wilsons(seed: int) -> None:
    correct_SN = outcomes(seed, S=1, N=400)
    copies = effects_of(np.repeat(correct_SN, 3, axis=0).astype(float)).proportion_interval()
    assert bounds(copies) == pytest.approx(bounds(wilson(int(correct_SN.sum()), 400)), abs=2e-3)


def test_two_seeds_say_little() -> None:
    effects = effects_of(differences(3, S=2, N=300))
    assert effects.seed_df == 1
    assert effects.half_width() ** 2 >= special.stdtrit(1, 0.975) ** 2 * effects.seed_part


@pytest.mark.parametrize("shape", [(1, 10), (10, 1), (0, 5), (3, 0)])
def test_too_small_a_table_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two of each"):
        mean_squares(np.zeros(shape))


def test_one_group_is_refused() -> None:
    with pytest.raises(ValueError, match="1 groups of images: two of each"):
        mean_squares(np.zeros((3, 10)), Groups.of(np.zeros(10)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    x_SN = np.zeros((3, 10))
    x_SN[1, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        mean_squares(x_SN)
