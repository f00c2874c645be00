"""How figures are written for people, the same in tables, on the page and in charts."""

from __future__ import annotations

import math
from collections.abc import Callable

from tl_sweep.comparison.study import Interval, Row, TimeToBaseline

MISSING = "–"
SYMBOLS = {"better": "▲", "worse": "▼", "equivalent": "=", "inconclusive": "?"}


def one_digit(value: float) -> str:
    """``93.8``"""
    return f"{value:.1f}"


def signed(value: float) -> str:
    """``+9.6``, ``−1.2``: a difference."""
    return f"{value:+.1f}".replace("-", "−")


def whole(value: float) -> str:
    """``11,181,642``"""
    return f"{value:,.0f}"


def three_digits(value: float) -> str:
    """``44.7``, ``1,235``"""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plain_seconds(seconds: float) -> str:
    """``12.3``, ``0.045``; ``never`` for an infinite one."""
    if math.isinf(seconds):
        return "never"
    return f"{seconds:,.1f}" if seconds >= 1 else f"{seconds:.2g}"


def tick(holds: bool) -> str:
    return "yes" if holds else ""


def verdict_with_symbol(verdict: str) -> str:
    """A symbol and the word, so that a glance is enough and colour is not alone."""
    return f"{SYMBOLS[verdict]} {verdict}"


def bounds(interval: Interval | None, write: Callable[[float], str] = one_digit) -> str:
    """``[93.1, 94.6]``, of a share in percent; empty where there are none."""
    if interval is None or not math.isfinite(interval.low):
        return ""
    return f"[{write(100 * interval.low)}, {write(100 * interval.high)}]"


def images_of(row: Row) -> str:
    """``50 val, 797 test in 40 groups``"""
    groups = f" in {row.num_test_groups:,} groups" if 0 < row.num_test_groups < row.num_test_images else ""
    return f"{row.num_val_images:,} val, {row.num_test_images:,} test{groups}"


def difference(interval: Interval | None) -> str:
    """``+9.6 [+8.1, +11.1]``, in points."""
    if interval is None or math.isnan(interval.estimate):
        return MISSING
    return f"{signed(100 * interval.estimate)} {bounds(interval, signed)}".rstrip()


def when(found: TimeToBaseline | None) -> str:
    """``at epoch 3, ×4.1``: how far training had come, and how many times as fast as the baseline that was. ``by
    L-BFGS``, for short, where a head is logistic regression."""
    if found is None or found.epochs is None:
        return ""
    return (found.when if found.epochs else "by L-BFGS") + ("" if found.factor is None else f", ×{found.factor:.1f}")
