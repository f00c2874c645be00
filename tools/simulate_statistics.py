"""How often the statistics hold what they promise, in simulated worlds whose truth is known; three minutes, one core.

    python tools/simulate_statistics.py [worlds=1000] [seed=0] [table=docs/statistics.md]

In a world, scratch and three strategies are trained with S seeds and tested on N images. Whether a network is right
about an image is decided by how easy the image is (for all methods, and for this one), how good this seed was (in part
the same for all methods: the labelled subset), and by chance:

    right = [level_m + 1.5 easy_n + 0.7 easy_mn + spread_m (subset_s + luck_ms) / √2 + chance_msn > 0],    all normal

so that accuracy over all seeds and images is known exactly: a normal probability. M methods.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy import stats

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.comparison import statistics
from tl_sweep.comparison.statistics import LEVEL, Effects


@dataclass(frozen=True)
class Arguments:
    worlds: int = argument(1000, "of each kind", ge=1)
    seed: int = argument(0, "of all of them")
    table: Path | None = argument(None, "the document whose tables are written anew; null: none")


MARK = "<!-- table -->\n"
MARGIN = 0.01
EASY, EASY_FOR_THIS = 1.5, 0.7
SEEDS, IMAGES, SPREADS = (3, 5, 10), (300, 1000), (0.0, 0.005, 0.01, 0.02, 0.04)
EQUAL = (0.85, 0.85, 0.85, 0.85)  # scratch first
DIFFERENT = (0.85, 0.84, 0.86, 0.88)  # a margin below, a margin above, three above


@dataclass(frozen=True)
class World:
    """spread: standard deviation over seeds of a method's accuracy, and of the difference of two methods."""

    num_seeds: int
    num_images: int
    spread: float
    accuracies: tuple[float, ...] = EQUAL

    @property
    def leads(self) -> tuple[float, ...]:
        return tuple(accuracy - self.accuracies[0] for accuracy in self.accuracies[1:])

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """correct_MSN"""
        S, N = self.num_seeds, self.num_images
        level_M11, spread_M11 = _levels(self.accuracies, self.spread)
        M = len(level_M11)
        image_M1N = EASY * _normal(rng, 1, 1, N) + EASY_FOR_THIS * _normal(rng, M, 1, N)
        seed_MS1 = spread_M11 * (_normal(rng, 1, S, 1) + _normal(rng, M, S, 1))
        return _normal(rng, M, S, N) + image_M1N + (seed_MS1 + level_M11) > 0


@cache
def _levels(accuracies: tuple[float, ...], spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Level and, over √2, spread of each method."""
    quantile_M = stats.norm.ppf(accuracies)
    within = 1 + EASY**2 + EASY_FOR_THIS**2
    spread_M = (
        spread / stats.norm.pdf(quantile_M) * math.sqrt(within)
    )  # how fast accuracy grows with the level: a density
    level_M = quantile_M * np.sqrt(within + spread_M**2)
    return tuple(values_M.astype(np.float32).reshape(-1, 1, 1) for values_M in (level_M, spread_M / math.sqrt(2)))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


@dataclass(frozen=True)
class Tally:
    """Shares of worlds (of ``covered`` and ``by_satterthwaite``: of the differences in them).

    covered: the interval of a difference has the truth in it. by_satterthwaite: the same with his own degrees of
    freedom. accuracy: the interval of scratch's accuracy has. better: a strategy is called better that is not.
    equivalent: one that differs by the margin or more is called equivalent. power: the last one is called better.
    """

    covered: float
    by_satterthwaite: float
    accuracy: float
    better: float
    equivalent: float
    power: float


def tally(world: World, worlds: int, rng: np.random.Generator) -> Tally:
    return Tally(*map(fmean, zip(*(_outcome(world, world.draw(rng)) for _ in range(worlds)), strict=True)))


def _outcome(world: World, correct_MSN: np.ndarray) -> tuple[float, ...]:
    """The fields of a Tally, of one world."""
    differences_MSN = _differences(correct_MSN)
    all_effects = [statistics.two_way(difference_SN) for difference_SN in differences_MSN]
    p_values = statistics.holm([effects.p_value() for effects in all_effects])
    not_equivalent = statistics.holm([effects.p_not_equivalent(MARGIN) for effects in all_effects])
    equivalent = [p < LEVEL for p in not_equivalent]
    better = [
        p < LEVEL and effects.mean > 0 and not same
        for p, effects, same in zip(p_values, all_effects, equivalent, strict=True)
    ]
    his_effects = [
        replace(effects, df=satterthwaite(difference_SN, effects.variance))
        for effects, difference_SN in zip(all_effects, differences_MSN, strict=True)
    ]
    return (
        fmean(map(_covers, all_effects, world.leads)),
        fmean(map(_covers, his_effects, world.leads)),
        float(_within(statistics.accuracy(correct_MSN[0]), world.accuracies[0])),
        float(any(is_better and lead <= 0 for is_better, lead in zip(better, world.leads, strict=True))),
        float(any(same and abs(lead) > 0.999 * MARGIN for same, lead in zip(equivalent, world.leads, strict=True))),
        float(better[-1]),
    )


def _differences(correct_MSN: np.ndarray) -> np.ndarray:
    values_MSN = correct_MSN.astype(np.float64)
    return values_MSN[1:] - values_MSN[0]


def _covers(effects: Effects, truth: float) -> bool:
    return _within(effects.interval(), truth)


def _within(interval: statistics.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def satterthwaite(x_SN: np.ndarray, variance: float) -> float:
    """The degrees of freedom of 1946: the shares of the mean squares in the variance count squared."""
    S, N = x_SN.shape
    squares = np.array(statistics.mean_squares(x_SN))
    doubt = (squares**2 / [S - 1, N - 1, (S - 1) * (N - 1)]).sum()
    return float((S * N * variance) ** 2 / doubt) if doubt else math.inf


# --- what else is done, for contrast


def contrast(world: World, worlds: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Of the first strategy against scratch, shares of worlds: exact McNemar on the first seed finds a difference; the
    interval has the truth in it, for a bootstrap over seeds and images with two seeds and with three, and for ours."""
    resampled_BN = rng.multinomial(world.num_images, np.full(world.num_images, 1 / world.num_images), 400)
    weights_BN = (resampled_BN / world.num_images).astype(np.float32)
    shares = []
    for _ in range(worlds):
        correct_MSN = world.draw(rng)
        difference_SN = _differences(correct_MSN)[0]
        found = statistics.mcnemar(correct_MSN[1, 0], correct_MSN[0, 0]) < LEVEL
        resampled = [_bootstrap(difference_SN[:count], weights_BN, rng) for count in (2, 3)]
        ours = [statistics.two_way(difference_SN[:count]).interval() for count in (2, 3)]
        shares.append([found, *(_within(interval, world.leads[0]) for interval in (*resampled, *ours))])
    return tuple(np.mean(shares, 0))


def _bootstrap(x_SN: np.ndarray, weights_BN: np.ndarray, rng: np.random.Generator) -> statistics.Interval:
    """Percentiles of the mean, seeds and images both drawn with replacement."""
    S = len(x_SN)
    shares_BS = rng.multinomial(S, np.full(S, 1 / S), len(weights_BN)) / S
    means_B = (shares_BS * (weights_BN @ x_SN.T.astype(np.float32))).sum(1)
    low, high = np.quantile(means_B, [LEVEL / 2, 1 - LEVEL / 2])
    return statistics.Interval(float(x_SN.mean()), float(low), float(high))


# --- how many more are needed


def plan(world: World, worlds: int, rng: np.random.Generator) -> tuple[statistics.SampleSize, float, float]:
    """What is needed to find the first strategy's lead, by the mean variances of 200 such studies, and the share of
    studies with that many seeds, and with that many images, that find it (one test, no family)."""
    pilots = [statistics.two_way(_differences(world.draw(rng))[0]) for _ in range(200)]
    effects = replace(
        pilots[0],
        seed_variance=fmean(pilot.seed_variance for pilot in pilots),
        image_variance=fmean(pilot.image_variance for pilot in pilots),
        rest_variance=fmean(pilot.rest_variance for pilot in pilots),
    )
    need = statistics.needed_sample_size(effects, world.leads[0])
    by_seeds = _power(replace(world, num_seeds=need.seeds), worlds, rng) if need.seeds else math.nan
    by_images = _power(replace(world, num_images=need.images), worlds, rng) if need.images else math.nan
    return need, by_seeds, by_images


def _power(world: World, worlds: int, rng: np.random.Generator) -> float:
    return fmean(statistics.two_way(_differences(world.draw(rng))[0]).p_value() < LEVEL for _ in range(worlds))


# --- the choice on validation, over resamples


def selection_frequency(world: World, worlds: int, rng: np.random.Generator) -> tuple[float, float]:
    """The chance that two studies choose the same of three settings on validation, and the mean share of resamples."""
    chosen, shares = [], []
    for number in range(worlds):
        correct_SMN = np.stack([replace(world, num_seeds=1).draw(rng)[:, 0] for _ in range(world.num_seeds)])
        losses = rng.permutation(len(world.accuracies)).tolist()
        chosen.append(min(range(len(losses)), key=lambda m: (-correct_SMN[:, m].sum(), losses[m])))
        if number < 200:
            shares.append(statistics.share_that_choose(list(map(list, correct_SMN)), losses, chosen[-1]))
    return float(((np.bincount(chosen) / worlds) ** 2).sum()), fmean(shares)


# --- tables


def held(worlds: int, seed: int) -> Iterator[tuple[World, Tally, Tally]]:
    """Each world, with equal methods and with different ones."""
    for S in SEEDS:
        for N in IMAGES:
            for spread in SPREADS:
                rng = np.random.default_rng([seed, S, N, round(1e4 * spread)])
                equal, different = World(S, N, spread), World(S, N, spread, DIFFERENT)
                yield equal, tally(equal, worlds, rng), tally(different, worlds, rng)


def tables(worlds: int, seed: int) -> Iterator[str]:
    yield "### Coverage, and false verdicts"
    yield (
        "Accuracy 85 %. Equal: three strategies as good as scratch; different: 1 point worse, 1 and 3 points better. "
        "False *better*: any strategy is called better than scratch in the world of equals; false *equivalent*: any of "
        "the two at the margin, in the other. Power: the one 3 points better is called better. Satterthwaite: coverage "
        "in the world of equals with his own degrees of freedom."
    )
    yield markdown(
        "seeds | images | spread | equal: covered | different: covered | accuracy: covered | false *better*"
        " | false *equivalent* | power | Satterthwaite",
        [
            [*_where(world), _share(equal.covered), _share(other.covered), _share(equal.accuracy),
             _share(equal.better), _share(other.equivalent), _share(other.power), _share(equal.by_satterthwaite)]
            for world, equal, other in held(worlds, seed)
        ],
    )  # fmt: skip
    rng = np.random.default_rng([seed, 1])
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
            [f"{100 * world.accuracies[0]:g} %", *_where(world), _share(equal.covered), _share(equal.accuracy),
             _share(equal.better), _share(tally(_worse(world), worlds, rng).equivalent)]
            for world in ceiling
            for equal in [tally(world, worlds, rng)]
        ],
    )  # fmt: skip
    yield "### What one seed, or a bootstrap, would have said"
    yield (
        "Equal methods. McNemar: how often the exact test on one seed, read as a verdict on methods, is a false alarm. "
        "Then coverage: of the percentile bootstrap over seeds × images, and of our interval."
    )
    yield markdown(
        "images | spread | McNemar, one seed | bootstrap, 2 seeds | bootstrap, 3 seeds | ours, 2 seeds | ours, 3 seeds",
        [
            [*_where(world)[1:], *map(_share, contrast(world, worlds, rng))]
            for world in [World(3, N, spread, EQUAL[:2]) for N in IMAGES for spread in SPREADS]
        ],
    )
    yield "### Power of the number of seeds or images said to be needed"
    yield (
        "One strategy 2 points better than scratch: how many seeds, or images, are said to be needed to find that "
        "significant in 8 of 10 studies, and the share of studies of that size that do."
    )
    yield markdown(
        "seeds | images | spread | needed seeds | power with these | needed images | power with these",
        [
            [*_where(world), _number(need.seeds), _share(by_seeds), _number(need.images), _share(by_images)]
            for world in [World(5, N, spread, (0.85, 0.87)) for N in (1000, 3000) for spread in (0.005, 0.01, 0.02)]
            for need, by_seeds, by_images in [plan(world, worlds, rng)]
        ],
    )
    yield "### Selection frequency against the chance that two studies choose the same"
    yield (
        "Three settings, their accuracies in the first column; images: of validation, others for each seed. Fresh: the "
        "chance that two studies choose the same. Selection frequency: the share of resamples that choose the same as "
        "the study they come from."
    )
    yield markdown(
        "accuracies | seeds | images | spread | fresh | selection frequency",
        [
            [_accuracies(world), *_where(world), *map(_share, selection_frequency(world, worlds, rng))]
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


def _share(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def _number(count: int | None) -> str:
    return "no number" if count is None else f"{count:,}"


def markdown(header: str, rows: Sequence[Sequence[str]]) -> str:
    rule = "|".join("---" for _ in header.split("|"))
    return "\n".join([f"| {header} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        worlds, seed, began_s = arguments.worlds, arguments.seed, time.monotonic()
        said = [f"{worlds:,} worlds each (seed {seed}), {time.strftime('%Y-%m-%d')}. All figures but counts in %."]
        for part in tables(worlds, seed):
            print(part, end="\n\n", flush=True)
            said.append(part)
        print(f"{time.monotonic() - began_s:.0f} s")
        if path := arguments.table:
            before, mark, _ = (path.read_text() if path.exists() else MARK).partition(MARK)
            path.write_text(f"{before}{mark}\n" + "\n\n".join(said) + "\n")


if __name__ == "__main__":
    main()
