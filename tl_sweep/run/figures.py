"""Pictures of one run as PNG: its confusion matrix and its learning curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tl_sweep.base.confusion import most_confused
from tl_sweep.config.schema import ObjectiveConfig
from tl_sweep.tracking.names import Metric

MOST_LABELLED = 40  # with more classes the tick labels would overlap: then those with the most mistakes are shown
WORST = 25
LONGEST = 30  # letters of a class's name that are shown


def draw_confusion(counts_KK: np.ndarray, class_names: tuple[str, ...], path: Path) -> None:
    """Row-normalised colours; counts are written into the cells of small matrices. Of many classes, the worst."""
    shown, title = confusion_shown(counts_KK)
    shares_KK = (counts_KK / np.maximum(counts_KK.sum(1, keepdims=True), 1))[np.ix_(shown, shown)]
    counts_KK, class_names = counts_KK[np.ix_(shown, shown)], tuple(class_names[place] for place in shown)
    num_classes = len(class_names)
    side = min(10.0, 3.0 + 0.35 * num_classes)
    figure = Figure(figsize=(side, side))
    margin = 0.12 + min(0.25, 0.03 * max(map(len, class_names)))  # a constrained layout would draw everything twice
    axes = figure.add_axes((margin, margin, 0.97 - margin, 0.92 - margin))
    axes.imshow(shares_KK, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="label", title=title)
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in class_names]
    axes.set_xticks(range(num_classes), names, rotation=90, parse_math=False)
    axes.set_yticks(range(num_classes), names, parse_math=False)
    if num_classes <= 12:
        for row, column in np.ndindex(counts_KK.shape):
            colour = "white" if shares_KK[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts_KK[row, column]), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=80)


def confusion_shown(counts_KK: np.ndarray) -> tuple[list[int], str]:
    """Places of the classes that are shown, and what they are."""
    num_classes = len(counts_KK)
    if num_classes <= MOST_LABELLED:
        return list(range(num_classes)), "test images"
    return most_confused(counts_KK, WORST), f"test images: the {WORST} of {num_classes} classes with the most mistakes"


def draw_curves(records: list[dict[str, float]], path: Path, objective: str) -> None:
    """Loss and accuracy per epoch, from a record per step: ``{"step": 0, "train/loss": …}``.

    objective: name of what training minimised. Validation measures cross-entropy in nats whatever that was.
    """
    figure = Figure(figsize=(8, 3))
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.17, top=0.95, wspace=0.25)
    is_plain = objective == ObjectiveConfig.name
    losses = ("train", "val") if is_plain else (f"train: {objective}", "val: cross-entropy (nats)")
    panels = {
        "cross-entropy (nats)" if is_plain else "loss": zip(losses, (Metric.TRAIN_LOSS, Metric.VAL_LOSS), strict=True),
        "accuracy": (("train", Metric.TRAIN_ACC), ("val", Metric.VAL_ACC)),
    }
    for axes, (quantity, metrics) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for split, metric in metrics:
            points = [(record["step"] + 1, record[metric]) for record in records if metric in record]
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else None, label=split)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.legend()
    figure.savefig(path, dpi=80)
