"""What the curves of a chosen setting say: how long it took, how far it was, and what went wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tl_sweep.comparison.model_selection import Cell
from tl_sweep.comparison.study import Point, Rate, TimeToBaseline
from tl_sweep.tracking.names import Metric, Tag

POINT = 0.01  # of accuracy
LAST_FIFTH = 0.8
FEWEST_EPOCHS = 5  # that show the shape of a curve
RISE = 0.2  # of the training loss above its lowest: more than batches and augmentation make it swing


def rates_of(cell: Cell) -> tuple[Rate, ...]:
    """The learning rates that were tried, each with its best validation accuracy over the other free settings."""
    best: dict[float, Rate] = {}
    for candidate in cell.candidates:
        lr = candidate.runs[0].tags.get(Tag.HEAD_LR)
        if lr is None:  # logistic regression has none
            continue
        rate = Rate(float(lr), candidate.mean(Metric.BEST_VAL_ACC), candidate is cell.chosen)
        known = best.get(rate.lr)
        if known is None or rate.chosen or (rate.val_acc > known.val_acc and not known.chosen):
            best[rate.lr] = rate
    return tuple(best[lr] for lr in sorted(best))


def good_rates(rates: Sequence[Rate]) -> tuple[float, float] | None:
    """The smallest and the largest rate within one point of the best validation accuracy."""
    if not rates:
        return None
    top = max(rate.val_acc for rate in rates)
    good = [rate.lr for rate in rates if rate.val_acc >= top - POINT]
    return min(good), max(good)


def edge_of(rates: Sequence[Rate]) -> str:
    """``largest`` or ``smallest`` if the best rate is the last of those that were tried, else empty.

    A neighbour that is as good, within one point, says that the grid went far enough.
    """
    if len(rates) < 2:
        return ""
    places = [place for place, rate in enumerate(rates) if rate.chosen]
    if not places or places[0] not in (0, len(rates) - 1):
        return ""
    neighbour = rates[1] if places[0] == 0 else rates[-2]
    if neighbour.val_acc >= rates[places[0]].val_acc - POINT:
        return ""
    return "smallest" if places[0] == 0 else "largest"


def time_to_baseline(curve: Sequence[Point], baseline: Sequence[Point], baseline_acc: float) -> TimeToBaseline:
    """When ``curve`` first reaches ``baseline_acc``, the validation accuracy that the tuned baseline ends with.

    Where each seed keeps its own best epoch, their mean lies above the whole mean curve: then its highest point counts.
    """
    baseline_acc = min(baseline_acc, max((point.val_acc for point in baseline), default=baseline_acc))
    ours, theirs = _first(curve, baseline_acc), _first(baseline, baseline_acc)
    if ours is None:
        return TimeToBaseline(None, None, None)
    factor = theirs.seconds / ours.seconds if theirs is not None and ours.seconds else None
    is_solver = len(curve) == 1 < ours.epoch  # all epochs at once
    epochs = 0 if is_solver else ours.epoch
    return TimeToBaseline(epochs, ours.seconds, factor if factor is None or math.isfinite(factor) else None)


def _first(curve: Sequence[Point], val_acc: float) -> Point | None:
    return next((point for point in curve if point.val_acc >= val_acc - 1e-9), None)


def val_acc_after(curve: Sequence[Point], seconds: float) -> float:
    """The best validation accuracy within the first ``seconds`` of training; nan if no epoch had ended by then."""
    return max((point.val_acc for point in curve if point.seconds <= seconds), default=math.nan)


def diagnose(
    cell: Cell, curve: Sequence[Point], rates: Sequence[Rate], task: Sequence[Cell], as_good: Cell | None
) -> str:
    """One sentence on what stands in the way of this cell, the gravest first; empty if nothing does.

    task: the cells that were asked the same, this one among them. as_good: what does as well without this source.
    """
    if as_good is not None:
        or_enough = ", or there are labels enough without one" if as_good.is_baseline else ""
        return (
            f"the source does not help{or_enough}: on validation its frozen features are no better than {as_good.label}"
        )
    edge = edge_of(rates)
    if edge:
        what, remedy = ("low", "higher") if edge == "largest" else ("high", "lower")
        return f"the rate may be too {what}: the {edge} of {len(rates)} tried was best; try {remedy} ones"
    if not curve:
        return ""
    last = curve[-1]
    if len(curve) >= FEWEST_EPOCHS:
        before = curve[int(LAST_FIFTH * len(curve)) - 1]
        if last.train_loss > min(point.train_loss for point in curve) + RISE:
            return "the rate is too high: training itself got worse again; try lower ones"
        if last.val_loss > 1.1 * min(point.val_loss for point in curve) and last.train_acc - last.val_acc > 10 * POINT:
            return f"overfits: {'' if cell.is_baseline else 'freeze more, '}augment more, or train for fewer epochs"
        if last.val_acc - before.val_acc > 2 * POINT and last.val_loss < before.val_loss:
            return "not converged: validation still rises in the last fifth of the epochs; train longer"
    freer = [other for other in task if other.backbone == cell.backbone and _trainable(other) > _trainable(cell)]
    if (
        last.train_acc < 0.9
        and last.train_acc - last.val_acc < 2 * POINT
        and any(other.mean(Metric.BEST_VAL_ACC) > cell.mean(Metric.BEST_VAL_ACC) + POINT for other in freer)
    ):
        return "underfits: too much is frozen; a strategy that learns more does better"
    return ""


def _trainable(cell: Cell) -> int:
    return int(cell.runs[0].tags[Tag.TRAINABLE_PARAMETERS])
