"""What is promised of verdicts, in simulated worlds: all lines at length where it may take minutes, some in short."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plain_engine import Plain
from product_engine import Product
from simulated_promises import Line, invented, lines
from simulated_worlds import World

LINES = [*lines(), *invented()]
ROOM = 3  # standard errors of a share of so many worlds


def shares(line: Line, worlds: int) -> np.ndarray:
    """Of the plain analysis and of ours, per figure."""
    return line.shares([Plain(), Product()], worlds, np.random.default_rng([7, worlds]))


@pytest.mark.parametrize("spread", [0.0, 0.02])
@pytest.mark.parametrize("luck", ["normal", "heavy", "skewed"])
def test_worlds_have_the_accuracies_and_the_spread_that_they_say(spread: float, luck: str) -> None:
    world = World(400, 2000, spread, (0.85, 0.88), luck=luck)
    correct_MSN = world.draw(np.random.default_rng(0)).correct_MSN
    assert correct_MSN.mean((1, 2)) == pytest.approx(world.truth_M, abs=0.02)
    differences_S = (correct_MSN[1].astype(float) - correct_MSN[0]).mean(1)
    assert differences_S.std() == pytest.approx(math.hypot(spread, 0.009), abs=0.007)


def test_images_of_one_group_are_alike_and_those_of_others_are_not() -> None:
    drawn = World(50, 400, 0.0, (0.7,), num_groups=20).draw(np.random.default_rng(0))
    assert drawn.group_N is not None
    easy_N = drawn.correct_MSN[0].mean(0)
    within = np.mean([easy_N[drawn.group_N == group].var() for group in range(20)])
    assert within < 0.75 * easy_N.var()


def test_a_seed_that_collapses_guesses() -> None:
    world = World(200, 500, 0.0, (0.9, 0.9), collapse=(0.0, 0.3))
    acc_MS = world.draw(np.random.default_rng(0)).correct_MSN.mean(2)
    assert (acc_MS[0] > 0.8).all()
    assert (acc_MS[1] < 0.3).mean() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("line", [LINES[place] for place in (1, 7, 9, 12, 19)], ids=lambda line: line.name)
def test_promises_are_kept_where_a_plain_analysis_breaks_them(line: Line) -> None:
    worlds = 150 * line.every
    plain, ours = shares(line, worlds)
    for figure, share in zip(line.figures, ours, strict=True):
        room = ROOM * math.sqrt(figure.target * (1 - figure.target) / 150)
        assert share >= figure.target - room if figure.is_least else share <= figure.target + room, figure.name
    if line is not LINES[1]:
        assert not line.figures[0].met(plain[0])


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_every_promise_is_kept(line: Line) -> None:
    worlds = 1000 * line.every
    _, ours = shares(line, worlds)
    for figure, share in zip(line.figures, ours, strict=True):
        short = figure.target - share if figure.is_least else share - figure.target
        assert short <= ROOM * math.sqrt(figure.target * (1 - figure.target) / 1000), (figure.name, share)
