"""The detailed tables of docs/statistics.md: coverage over many worlds, near the ceiling, what one seed would have
said, what is said to be needed, what is chosen again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from product_engine import Product
from simulated_worlds import World

from tl_sweep.comparison import resampling
from tl_sweep.comparison.effects import Effects, Member, effects_of, mean_squares, moderated
from tl_sweep.comparison.multiplicity import holm
from tl_sweep.comparison.proportions import LEVEL, mcnemar
from tl_sweep.comparison.sample_size import needed_sample_size
from tl_sweep.comparison.study import Interval, SampleSize

MARGIN = 0.01
SEEDS, IMAGES, SPREADS = (3, 5, 10), (300, 1000), (0.0, 0.005, 0.01, 0.02, 0.04)
EQUAL = (0.85, 0.85, 0.85, 0.85)  # scratch first
DIFFERENT = (0.85, 0.84, 0.86, 0.88)  # a margin below, a margin above, three above


@dataclass(frozen=True)
class Tally:
    """Shares of worlds (of ``covered``: of the differences in them).

    covered: the interval of a difference has the truth in it. accuracy: the interval of scratch's accuracy has. better:
    a strategy is called better that is not. equivalent: one that differs by the margin or more is called equivalent.
    power: the last one is called better.
    """

    covered: float
    accuracy: float
    better: float
    equivalent: float
    power: float


def tally(world: World, worlds: int, rng: np.random.Generator) -> Tally:
    outcomes = (_outcome(world, world.draw(rng).correct_MSN) for _ in range(worlds))
    return Tally(*map(fmean, zip(*outcomes, strict=True)))


def _outcome(world: World, correct_MSN: np.ndarray) -> tuple[float, ...]:
    """The fields of a Tally, of one world."""
    differences = [correct_SN.astype(float) - correct_MSN[0] for correct_SN in correct_MSN[1:]]
    all_effects = list(moderated([Member(mean_squares(difference_SN)) for difference_SN in differences]))
    p_values = holm([effects.p_value() for effects in all_effects])
    equivalent = [p < LEVEL for p in holm([effects.p_not_equivalent(MARGIN) for effects in all_effects])]
    better = [
        p < LEVEL and effects.mean > 0 and not same
        for p, effects, same in zip(p_values, all_effects, equivalent, strict=True)
    ]
    return (
        fmean(_within(effects.interval(), lead) for effects, lead in zip(all_effects, world.leads, strict=True)),
        float(Product().accuracies(correct_MSN, None)[0].holds(world.accuracies[0])),
        float(any(is_better and lead <= 0 for is_better, lead in zip(better, world.leads, strict=True))),
        float(any(same and abs(lead) > 0.999 * MARGIN for same, lead in zip(equivalent, world.leads, strict=True))),
        float(better[-1]),
    )


def _first_difference(world: World, rng: np.random.Generator) -> np.ndarray:
    correct_MSN = world.draw(rng).correct_MSN
    return correct_MSN[1].astype(float) - correct_MSN[0]


def _within(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


# --- what else is done, for contrast


def contrast(world: World, worlds: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Of the first strategy against scratch, shares of worlds: exact McNemar on the first seed finds a difference; the
    interval has the truth in it, for a bootstrap over seeds and images with two seeds and with three, and for ours."""
    resampled_BN = rng.multinomial(world.num_images, np.full(world.num_images, 1 / world.num_images), 400)
    weights_BN = (resampled_BN / world.num_images).astype(np.float32)
    shares = []
    for _ in range(worlds):
        correct_MSN = world.draw(rng).correct_MSN
        difference_SN = correct_MSN[1].astype(float) - correct_MSN[0]
        found = mcnemar(correct_MSN[1, 0], correct_MSN[0, 0]) < LEVEL
        resampled = [_bootstrap(difference_SN[:count], weights_BN, rng) for count in (2, 3)]
        ours = [effects_of(difference_SN[:count]).interval() for count in (2, 3)]
        shares.append([found, *(_within(interval, world.leads[0]) for interval in (*resampled, *ours))])
    return tuple(np.mean(shares, 0))


def _bootstrap(x_SN: np.ndarray, weights_BN: np.ndarray, rng: np.random.Generator) -> Interval:
    """Percentiles of the mean, seeds and images both drawn with replacement."""
    S = len(x_SN)
    shares_BS = rng.multinomial(S, np.full(S, 1 / S), len(weights_BN)) / S
    means_B = (shares_BS * (weights_BN @ x_SN.T.astype(np.float32))).sum(1)
    low, high = np.quantile(means_B, [LEVEL / 2, 1 - LEVEL / 2])
    return Interval(float(x_SN.mean()), float(low), float(high))


# --- how many more are needed


def plan(world: World, worlds: int, rng: np.random.Generator) -> tuple[SampleSize, float, float]:
    """What is needed to find the first strategy's lead, by the mean variances of 200 such studies, and the share of
    studies with that many seeds, and with that many images, that find it (one test, no family, declared before)."""
    need = needed_sample_size(_mean_of([effects_of(_first_difference(world, rng)) for _ in range(200)]), world.leads[0])
    by_seeds = _power(replace(world, num_seeds=need.seeds), worlds, rng) if need.seeds else math.nan
    by_images = _power(replace(world, num_images=need.images), worlds, rng) if need.images else math.nan
    return need, by_seeds, by_images


def _mean_of(pilots: Sequence[Effects]) -> Effects:
    squares = replace(pilots[0].squares, rest=fmean(pilot.squares.rest for pilot in pilots))
    return replace(
        pilots[0],
        seed_part=fmean(pilot.seed_part for pilot in pilots),
        image_part=fmean(pilot.image_part for pilot in pilots),
        seed_variance=fmean(pilot.seed_variance for pilot in pilots),
        squares=squares,
    )


def _power(world: World, worlds: int, rng: np.random.Generator) -> float:
    return fmean(effects_of(_first_difference(world, rng)).p_value() < LEVEL for _ in range(worlds))


# --- the choice on validation, over resamples


def selection_frequency(world: World, worlds: int, rng: np.random.Generator) -> tuple[float, float]:
    """The chance that two studies choose the same of three settings on validation, and the mean share of resamples."""
    chosen, shares = [], []
    for number in range(worlds):
        one_seed = replace(world, num_seeds=1)
        correct_SMN = np.stack([one_seed.draw(rng).correct_MSN[:, 0] for _ in range(world.num_seeds)])
        losses = rng.permutation(len(world.accuracies)).tolist()
        chosen.append(min(range(len(losses)), key=lambda m: (-correct_SMN[:, m].sum(), losses[m])))
        if number < 200:
            shares.append(resampling.share_that_choose(list(map(list, correct_SMN)), losses, chosen[-1]))
    return float(((np.bincount(chosen) / worlds) ** 2).sum()), fmean(shares)


# --- tables


def held(worlds: int, seed: int) -> Iterator[tuple[World, Tally, Tally]]:
    """Each world, with equal methods and with different ones."""
    for S in SEEDS:
        for N in IMAGES:
            for spread in SPREADS:
                rng = np.random.default_rng([seed, S, N, round(1e4 * spread)])
                equal, different = World(S, N, spread, EQUAL), World(S, N, spread, DIFFERENT)
                yield equal, tally(equal, worlds, rng), tally(different, worlds, rng)


def tables(worlds: int, seed: int) -> Iterator[str]:
    yield from _coverage(worlds, seed)
    rng = np.random.default_rng([seed, 1])
    yield from _ceiling(worlds, rng)
    yield from _contrast(worlds, rng)
    yield from _needed(worlds, rng)
    yield from _chosen_again(worlds, rng)


def _coverage(worlds: int, seed: int) -> Iterator[str]:
    yield "### Coverage, and false verdicts"
    yield (
        "Accuracy 85 %. Equal: three strategies as good as scratch; different: 1 point worse, 1 and 3 points better. "
        "False *better*: any strategy is called better than scratch in the world of equals; false *equivalent*: any of "
        "the two at the margin, in the other. Power: the one 3 points better is called better. One setting each."
    )
    yield markdown(
        "seeds | images | spread | equal: covered | different: covered | accuracy: covered | false *better*"
        " | false *equivalent* | power",
        [
            [*_where(world), share(equal.covered), share(other.covered), share(equal.accuracy),
             share(equal.better), share(other.equivalent), share(other.power)]
            for world, equal, other in held(worlds, seed)
        ],
    )  # fmt: skip


def _ceiling(worlds: int, rng: np.random.Generator) -> Iterator[str]:
    yield "### Near the ceiling"
    yield (
        "Scratch at the accuracy in the first column, three strategies equal to it; for the last column all three are "
        "worse by the margin."
    )
    ceiling = [
        World(S, N, spread, (accuracy,) * 4)
        for accuracy, spread in ((0.95, 0.01), (0.98, 0.002), (0.98, 0.01), (0.995, 0.001))
        for S in (3, 10)
        for N in (300, 1000, 3000)
    ]
    yield markdown(
        "accuracy | seeds | images | spread | difference: covered | accuracy: covered | false *better*"
        " | false *equivalent*",
        [
            [f"{100 * world.accuracies[0]:g} %", *_where(world), share(equal.covered), share(equal.accuracy),
             share(equal.better), share(tally(_worse(world), worlds, rng).equivalent)]
            for world in ceiling
            for equal in [tally(world, worlds, rng)]
        ],
    )  # fmt: skip


def _contrast(worlds: int, rng: np.random.Generator) -> Iterator[str]:
    yield "### What one seed, or a bootstrap, would have said"
    yield (
        "Equal methods. McNemar: how often the exact test on one seed, read as a verdict on methods, is a false alarm. "
        "Then coverage: of the percentile bootstrap over seeds × images, and of our interval."
    )
    yield markdown(
        "images | spread | McNemar, one seed | bootstrap, 2 seeds | bootstrap, 3 seeds | ours, 2 seeds | ours, 3 seeds",
        [
            [*_where(world)[1:], *map(share, contrast(world, worlds, rng))]
            for world in [World(3, N, spread, EQUAL[:2]) for N in IMAGES for spread in SPREADS]
        ],
    )


def _needed(worlds: int, rng: np.random.Generator) -> Iterator[str]:
    yield "### Power of the number of seeds or images said to be needed"
    yield (
        "One strategy 2 points better than scratch: how many seeds, or images, are said to be needed to find that "
        "significant in 8 of 10 studies, and the share of studies of that size that do."
    )
    yield markdown(
        "seeds | images | spread | needed seeds | power with these | needed images | power with these",
        [
            [*_where(world), _number(need.seeds), share(by_seeds), _number(need.images), share(by_images)]
            for world in [World(5, N, spread, (0.85, 0.87)) for N in (1000, 3000) for spread in (0.005, 0.01, 0.02)]
            for need, by_seeds, by_images in [plan(world, worlds, rng)]
        ],
    )


def _chosen_again(worlds: int, rng: np.random.Generator) -> Iterator[str]:
    yield "### Selection frequency against the chance that two studies choose the same"
    yield (
        "Three settings, their accuracies in the first column; images: of validation, others for each seed. Fresh: the "
        "chance that two studies choose the same. Selection frequency: the share of resamples that choose the same as "
        "the study they come from."
    )
    yield markdown(
        "accuracies | seeds | images | spread | fresh | selection frequency",
        [
            [_accuracies(world), *_where(world), *map(share, selection_frequency(world, worlds, rng))]
            for accuracies in ((0.85, 0.85, 0.85), (0.85, 0.84, 0.80), (0.85, 0.82, 0.75))
            for world in [World(S, N, 0.01, accuracies) for S, N in ((3, 20), (3, 300), (5, 300))]
        ],
    )


def _accuracies(world: World) -> str:
    return ", ".join(f"{100 * accuracy:g}" for accuracy in world.accuracies)


def _worse(world: World) -> World:
    scratch, *others = world.accuracies
    return replace(world, accuracies=(scratch, *(accuracy - MARGIN for accuracy in others)))


def _where(world: World) -> list[str]:
    return [str(world.num_seeds), f"{world.num_images:,}", f"{100 * world.spread:g}"]


def share(part: float) -> str:
    return "–" if math.isnan(part) else f"{100 * part:.1f}"


def _number(count: int | None) -> str:
    return "no number" if count is None else f"{count:,}"


def markdown(header: str, rows: Sequence[Sequence[str]]) -> str:
    rule = "|".join("---" for _ in header.split("|"))
    return "\n".join([f"| {header} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)])
