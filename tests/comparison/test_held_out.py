"""Choosing on one half of the seeds."""

from __future__ import annotations

import numpy as np
import pytest

from tl_sweep.comparison.held_out import held_out


def test_each_seed_gets_what_the_other_half_chooses() -> None:
    asked = []

    def choose(places: object) -> int:
        asked.append(list(places))  # type: ignore[call-overload]
        return len(asked)

    found = held_out(5, choose)
    assert asked == [[0, 1, 2, 3, 4], [1, 3], [0, 2, 4]]
    assert found.of_all == 1
    assert found.by_seed == (2, 3, 2, 3, 2)
    assert found.disagreement == 1


def test_where_all_agree_nothing_changes() -> None:
    found = held_out(3, lambda places: 7)
    assert (found.by_seed, found.of_all, found.disagreement) == ((7, 7, 7), 7, 0)


def test_one_seed_is_looked_at_as_chosen() -> None:
    assert held_out(1, lambda places: 2).by_seed == (2,)


@pytest.mark.parametrize("S", [3, 4, 10])
def test_the_mean_of_what_is_held_out_is_not_optimistic(S: int) -> None:
    """Twenty settings that are all equal: the chosen one looks better than it is, the held-out one does not."""
    rng, chosen, fresh = np.random.default_rng(S), [], []
    for _ in range(2000):
        acc_KS = rng.normal(size=(20, S))
        found = held_out(S, lambda seeds: int(acc_KS[:, list(seeds)].mean(1).argmax()))  # noqa: B023 - called at once
        chosen.append(acc_KS[found.of_all].mean())
        fresh.append(np.mean([acc_KS[k, s] for s, k in enumerate(found.by_seed)]))
    assert np.mean(chosen) > 0.5
    assert abs(np.mean(fresh)) < 0.05
