"""Many comparisons: what they do to p-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family of tests (Holm 1979), in the given order.

    Raises:
        ValueError: one of them is not a probability.
    """
    order = np.argsort(_checked(p_values), kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[int(place)] = largest
    return adjusted


def discoveries(p_values: Sequence[float], level: float) -> list[bool]:
    """Which are told to differ, if at most that share of what is told may be false (Benjamini and Hochberg 1995).

    Raises:
        ValueError: one of them is not a probability.
    """
    adjusted, count = _checked(p_values), len(p_values)
    ranked = sorted(adjusted)
    passed = [p for rank, p in enumerate(ranked, 1) if p <= level * rank / count]
    return [bool(passed) and p <= passed[-1] for p in adjusted]


def _checked(p_values: Sequence[float]) -> list[float]:
    if not all(0 <= p <= 1 for p in p_values):  # nan is none
        raise ValueError(f"not probabilities: {list(p_values)}")
    return list(p_values)
