"""Choosing on one half of the seeds, and looking at the other: what is chosen on the seeds that are then looked at
looks better than it is (Cawley and Talbot 2010). In two halves, each seed is looked at once (cross-fitting)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Choose = Callable[[Sequence[int]], int]  # from the places of seeds to the number of what is best on them


@dataclass(frozen=True)
class HeldOut:
    """by_seed: what those seeds choose that stand in the other half, seeds at even and at odd places. of_all: what all
    choose. disagreement: the share of seeds for which these are not the same."""

    by_seed: tuple[int, ...]
    of_all: int

    @property
    def disagreement(self) -> float:
        return sum(choice != self.of_all for choice in self.by_seed) / len(self.by_seed)


def held_out(num_seeds: int, choose: Choose) -> HeldOut:
    """With one seed there is no other half: it is looked at as chosen."""
    places = range(num_seeds)
    of_all = choose(places)
    if num_seeds < 2:
        return HeldOut((of_all,), of_all)
    halves = [choose(places[1::2]), choose(places[::2])]
    return HeldOut(tuple(halves[place % 2] for place in places), of_all)
