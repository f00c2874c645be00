"""How many seeds or images a verdict needs. S seeds, N images in G groups."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from scipy import special

from tl_sweep.comparison.effects import Effects
from tl_sweep.comparison.proportions import LEVEL
from tl_sweep.comparison.study import SampleSize

POWER = 0.8  # of the sample sizes that are said to be needed
MOST_SEEDS = 200
MOST_IMAGES = 1_000_000

LevelAt = Callable[[Effects], float]  # of a test of that many seeds and images


def needed_sample_size(effects: Effects, size: float, tests: int = 1, level_at: LevelAt | None = None) -> SampleSize:
    """What makes a difference of ``size`` significant in 8 of 10 such studies, going by these variances.

    tests: in the family; the first step of Holm's procedure asks for the level over their number. level_at: of a
    study of that size, where it is looked at again; LEVEL if not given. More images come in groups like these.
    """

    def tells(S: int, N: int) -> bool:
        expected = expected_effects(effects, S, N)
        level = (LEVEL if level_at is None else level_at(expected)) / tests
        return expected.half_width(level) + special.ndtri(POWER) * math.sqrt(expected.variance) <= abs(size)

    now = effects.squares
    seeds, images = range(2, MOST_SEEDS + 1), _image_counts(now.num_images)
    return SampleSize(
        _first(seeds, lambda S: tells(S, now.num_images)), _first(images, lambda N: tells(now.num_seeds, N))
    )


def _image_counts(fewest: int) -> list[int]:
    """Each a tenth more than the one before."""
    counts = [fewest]
    while counts[-1] <= MOST_IMAGES:
        counts.append(math.ceil(counts[-1] * 1.1))
    return counts[:-1]


def _first(counts: Sequence[int], tells: Callable[[int], bool]) -> int | None:
    """The smallest that does; all larger ones do, too."""
    place = bisect_left(counts, True, key=tells)
    return counts[place] if place < len(counts) else None


def expected_effects(effects: Effects, S: int, N: int) -> Effects:
    """What a study of S seeds and N images finds in the mean, with the same variances and the same siblings."""
    now, more = effects.squares, N / effects.squares.num_images
    G = now.num_groups * more
    return Effects(
        effects.mean,
        seed_part=effects.seed_variance / S + now.rest / (S * G),
        seed_df=S - 1 + effects.seed_df - (now.num_seeds - 1),
        image_part=effects.image_part / more,
        seed_variance=effects.seed_variance,
        squares=replace(
            now,
            num_seeds=S,
            num_images=N,
            num_groups=round(G),
            effective_groups=now.effective_groups * more,
        ),
    )
