"""What verdicts promise, each in the worlds where it is hardest to keep: the lines of the first table of
docs/statistics.md. Every line draws its worlds once and asks two engines about the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from plain_engine import Found
from simulated_worlds import Drawn, World

from tl_sweep.comparison.multiplicity import holm
from tl_sweep.comparison.proportions import LEVEL

Siblings = Sequence[Sequence[np.ndarray]]  # of each table of a family, the mean differences_S at other settings


class Engine(Protocol):
    def differences(
        self,
        tables: Sequence[np.ndarray],
        group_N: np.ndarray | None,
        siblings: Siblings = (),
        looks: Sequence[int] = (),
    ) -> list[Found]: ...

    def accuracies(self, correct_MSN: np.ndarray, group_N: np.ndarray | None) -> list[Found]: ...

    def networks(self, correct_MSN: np.ndarray, group_N: np.ndarray | None) -> list[Found]: ...

    def chosen(
        self, correct_KSN: np.ndarray, val_KSV: np.ndarray, other_KSN: np.ndarray, other_val_KSV: np.ndarray
    ) -> tuple[Found, Found]: ...

    def worse_than_best(self, correct_MSN: np.ndarray, val_MSV: np.ndarray) -> list[bool]: ...

    def claims(self, families: Sequence[Sequence[Found]]) -> list[list[bool]]: ...

    def better_all_counted(
        self, correct_SN: np.ndarray, val_SV: np.ndarray, other_SN: np.ndarray, other_val_SV: np.ndarray, classes: int
    ) -> bool: ...


@dataclass(frozen=True)
class Figure:
    """A share of worlds. target: what it has to be, at least or at most."""

    name: str
    target: float
    is_least: bool = False

    def met(self, share: float) -> bool:
        return share >= self.target if self.is_least else share <= self.target

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {100 * self.target:g}"


FALSE, NOISY_FALSE = Figure("any false", 0.05), Figure("any false", 0.06)
COVERED = Figure("difference covered", 0.92, is_least=True)
ACC_COVERED = Figure("accuracy covered", 0.92, is_least=True)


@dataclass(frozen=True)
class Line:
    """judge: what an engine makes of what was drawn, a number from 0 to 1 per figure. every: of so many worlds one is
    drawn, where one is many studies."""

    name: str
    draw: Callable[[np.random.Generator], Any]
    judge: Callable[[Engine, Any], tuple[float, ...]]
    figures: tuple[Figure, ...]
    every: int = 1

    def shares(self, engines: Sequence[Engine], worlds: int, rng: np.random.Generator) -> np.ndarray:
        """(engines, figures)"""
        drawn = (self.draw(rng) for _ in range(max(1, worlds // self.every)))
        return np.mean([[self.judge(engine, one) for engine in engines] for one in drawn], axis=0)


def leads_of(correct_MSN: np.ndarray) -> list[np.ndarray]:
    """Tables of all methods' differences to the first."""
    values_MSN = correct_MSN.astype(np.float64)
    return list(values_MSN[1:] - values_MSN[0])


def any_different(found: Sequence[Found]) -> bool:
    return any(p < LEVEL for p in holm([one.p for one in found]))


def of_family(name: str, world: World, figures: tuple[Figure, ...] = (FALSE, COVERED, ACC_COVERED)) -> Line:
    """Equal methods against the first."""

    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        found = engine.differences(leads_of(drawn.correct_MSN), drawn.group_N)
        accuracies = engine.accuracies(drawn.correct_MSN, drawn.group_N)
        return (
            any_different(found),
            float(np.mean([one.holds(lead) for one, lead in zip(found, world.leads, strict=True)])),
            float(np.mean([one.holds(truth) for one, truth in zip(accuracies, world.truth_M, strict=True)])),
        )[: len(figures)]

    return Line(name, world.draw, judge, figures)


def of_power(name: str, world: World, target: float, num_siblings: int = 0, looks: Sequence[int] = ()) -> Line:
    """The last of three strategies is better; each, and scratch, at further settings that are as good. looks: none
    where the number of seeds was declared before."""
    settings = 1 + num_siblings
    all_settings = World(
        world.num_seeds, world.num_images, world.spreads, tuple(a for a in world.accuracies for _ in range(settings))
    )

    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        means_MKS = drawn.correct_MSN.mean(-1).reshape(len(world.accuracies), settings, -1)
        siblings = [
            [ours_S - other_S for ours_S in means_KS[1:] for other_S in means_MKS[0, 1:]] for means_KS in means_MKS[1:]
        ]
        found = engine.differences(leads_of(drawn.correct_MSN[::settings]), None, siblings, looks)
        return (holm([one.p for one in found])[-1] < LEVEL and found[-1].estimate > 0,)

    return Line(name, all_settings.draw, judge, (Figure("told", target, is_least=True),))


def of_network(name: str, world: World) -> Line:
    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        found = engine.networks(drawn.correct_MSN, None)
        return (float(np.mean([one.holds(fresh) for one, fresh in zip(found, drawn.fresh_M, strict=True)])),)

    return Line(name, world.draw, judge, (Figure("a fresh network inside", 0.92, is_least=True),))


def of_looks(name: str, world: World, looks: Sequence[int] = (3, 5, 8, 14)) -> Line:
    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        tables = leads_of(drawn.correct_MSN)
        found = (
            engine.differences([x_SN[:S] for x_SN in tables], None, looks=looks[: place + 1])
            for place, S in enumerate(looks)
        )
        return (any(map(any_different, found)),)

    return Line(name, world.draw, judge, (Figure("ever false", 0.05),))


def of_study(name: str, world: World, tasks: int) -> Line:
    def draw(rng: np.random.Generator) -> list[Drawn]:
        return [world.draw(rng) for _ in range(tasks)]

    def judge(engine: Engine, drawn: list[Drawn]) -> tuple[float, ...]:
        families = [engine.differences(leads_of(one.correct_MSN), None) for one in drawn]
        return (any(map(any, engine.claims(families))),)

    return Line(name, draw, judge, (Figure("any false", 0.05),), every=3)


def of_choice(name: str, world: World, settings: int) -> Line:
    """So many settings of ours, the others of scratch; all are equally good."""

    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        right, val, K = drawn.correct_MSN, drawn.val_MSV, settings
        accuracy, difference = engine.chosen(right[:K], val[:K], right[K:], val[K:])
        return accuracy.holds(float(world.truth_M[0])), difference.p < LEVEL

    return Line(name, world.draw, judge, (ACC_COVERED, NOISY_FALSE))


def of_best(name: str, world: World) -> Line:
    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        return (any(engine.worse_than_best(drawn.correct_MSN, drawn.val_MSV)),)

    return Line(name, world.draw, judge, (Figure("a row falsely worse", 0.04),))


def of_collapse(name: str, seeds: int, share: float) -> Line:
    """A steady method, and one that is better unless it collapses: in the mean as good."""
    clean = 0.85
    mean = (1 - share) * clean + share / 6
    world = World(seeds, 1000, 0.02, (mean, clean), num_val=1000, collapse=(0.0, share))

    def judge(engine: Engine, drawn: Drawn) -> tuple[float, ...]:
        steady, ours = (0, 1)
        right, val = drawn.correct_MSN, drawn.val_MSV
        return (engine.better_all_counted(right[ours], val[ours], right[steady], val[steady], world.num_classes),)

    return Line(name, world.draw, judge, (Figure("falsely better, collapses counted", 0.01),))


def equal(seeds: int, images: int, spread: float, methods: int = 4, **more: Any) -> World:
    return World(seeds, images, spread, (0.85,) * methods, **more)


def lines() -> Iterator[Line]:
    yield of_family("5 seeds, 3 equal strategies", equal(5, 1000, 0.01))
    yield of_family("3 seeds, 3 equal, spread 2", equal(3, 1000, 0.02))
    yield of_family("3 seeds, 12 equal, spread 4", equal(3, 1000, 0.04, 13))
    noisy = (0.01,) * 6 + (0.06,)
    yield of_family("3 seeds, one of 6 noisy (spread 6, others 1)", World(3, 1000, noisy, (0.85,) * 7))
    yield of_family(
        "3 seeds, noisy baseline (spread 6, others 1)",
        World(3, 1000, noisy[::-1], (0.85,) * 7),
        (NOISY_FALSE, Figure("difference covered", 0.9, is_least=True), ACC_COVERED),
    )
    for groups, seeds, sizes in ((50, 5, "equal"), (20, 5, "equal"), (12, 3, "equal"), (40, 5, "lognormal")):
        unequal = " of unequal size" * (sizes == "lognormal")
        world = equal(seeds, 500, 0.01, num_groups=groups, sizes=sizes)
        yield of_family(f"{seeds} seeds, 500 images in {groups} groups{unequal}", world)
    yield of_study("a study of 10 tasks × 3 equal, 3 seeds, spread 2", equal(3, 1000, 0.02), 10)
    yield of_looks("looks at 3, 5, 8, 14 seeds, 500 images, spread 1", equal(14, 500, 0.01))
    yield of_looks("looks at 3, 5, 8, 14 seeds, 2,000 images, spread 2", equal(14, 2000, 0.02))
    for seeds, spread in ((3, 0.02), (5, 0.04), (10, 0.02)):
        yield of_network(f"one more network, {seeds} seeds, spread {100 * spread:g}", equal(seeds, 1000, spread))
    yield of_choice("chosen among 9 settings, 3 seeds, spread 4", equal(3, 1000, 0.04, 10, num_val=1000), 9)
    yield of_choice("chosen among 30, scratch among 3, 5 seeds, spread 4", equal(5, 1000, 0.04, 33, num_val=1000), 30)
    for seeds in (3, 10):
        yield of_best(f"best of 12 equal rows, {seeds} seeds, spread 4", equal(seeds, 1000, 0.04, 12, num_val=1000))
    for share, seeds in ((0.2, 3), (0.2, 5), (0.1, 5)):
        yield of_collapse(f"{share:.0%} of seeds collapse, equal means, {seeds} seeds", seeds, share)
    for lead, seeds, target in ((0.04, 3, 0.33), (0.03, 5, 0.36)):
        world = World(seeds, 1000, 0.02, (0.85, 0.85, 0.85, 0.85 + lead))
        name = f"{100 * lead:g} points better, {seeds} seeds, spread 2"
        yield of_power(f"{name}, declared before", world, target)
        yield of_power(f"{name}, two further settings each, declared before", world, target, num_siblings=2)
        yield of_power(f"{name}, two further settings each, first look", world, target, num_siblings=2, looks=(seeds,))


def invented() -> Iterator[Line]:
    """Drawn once, after everything else was decided: nothing was changed in their light."""
    clinics = World(
        4, 600, (0.03, 0.01, 0.02, 0.03, 0.04, 0.02), (0.8,) * 6, 30, "lognormal", icc=0.7, luck="skewed"
    )  # fmt: skip
    yield of_family("4 skewed seeds, 5 strategies of unlike spread, 600 images in 30 unequal groups, ICC .7", clinics)
    wild = World(12, 400, (0.02, 0.05, 0.01, 0.03, 0.02, 0.04, 0.01, 0.03, 0.02), (0.9,) * 9, luck="heavy")
    yield of_looks("heavy-tailed seeds, 8 strategies of unlike spread, 400 images, looks at 4, 6, 12", wild, (4, 6, 12))
    yield of_family("the same, 12 seeds, declared before", wild)
