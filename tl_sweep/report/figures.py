"""Pictures as PNG: of one run its confusion matrix and learning curves, of a comparison its strategies and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tl_sweep.comparison.label_efficiency import ALL, accuracy_at, amount, leads, number_of
from tl_sweep.comparison.line import line_by_labels, line_of
from tl_sweep.comparison.study import Gain, Interval, Row
from tl_sweep.report.columns import TEST_ACC


def draw_strategies(rows: Sequence[Row], path: Path) -> None:
    """Test accuracy of each strategy with its 95 % interval, at the chosen setting; a panel per backbone."""
    backbones = sorted({row.backbone for row in rows})
    figure = Figure(figsize=(1 + 4 * len(backbones), 3.2), layout="constrained")
    panels = figure.subplots(1, len(backbones), sharex=True, squeeze=False)[0]
    for axes, backbone in zip(panels, backbones, strict=True):
        ranked = sorted((row for row in rows if row.backbone == backbone), key=lambda row: row.test_acc.estimate)
        for height, row in enumerate(ranked):
            colour = "tab:gray" if row.is_baseline else "tab:blue"
            value, spread = _percent_with_errors(row.test_acc)
            axes.barh(height, value, color=colour, alpha=0.35)
            axes.errorbar(value, height, xerr=spread, color=colour, capsize=3)
            axes.text(1, height, f"{value:.1f}", va="center", fontsize=9)
        axes.set_yticks(range(len(ranked)), [line_of(row).name for row in ranked])
        axes.set(title=backbone, xlabel=TEST_ACC.title, xlim=(0, 100))
    figure.savefig(path, dpi=110)


def draw_labels(lines: Sequence[Gain], path: Path) -> None:
    """Test accuracy with 95 % intervals by labelled images per class; dotted: how many more of them the
    baseline needs to match the best line."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    shots = sorted({shot for line in lines for shot in line.shots}, key=number_of)
    places = {shot: _place(shot, shots) for shot in shots}
    colours = {}
    for line in lines:
        acc, spread = zip(*map(_percent_with_errors, line.test_acc), strict=True)
        x = [places[shot] for shot in line.shots]
        colour = "tab:gray" if line.is_baseline else None
        several = len({other.backbone for other in lines}) > 1
        name = " ".join([*([line.backbone] if several else []), line_by_labels(line).name])
        bars = axes.errorbar(
            x, acc, yerr=np.concatenate(spread, axis=1), marker="o", capsize=3, label=name, color=colour
        )
        colours[line] = bars[0].get_color()
    for shot, line, needs in leads(lines):
        value, colour = 100 * accuracy_at(line, shot), colours[line]
        axes.plot([places[shot], needs], [value, value], ":", color=colour)
        axes.plot(needs, value, "|", markersize=10, color=colour)
        axes.annotate(
            f"the baseline needs {amount(needs)}", (needs, value), (3, -10), textcoords="offset points", fontsize=7
        )
    axes.set_xscale("log")
    axes.set_xticks(list(places.values()), list(places), minor=False)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="labelled images per class (training and validation)", ylabel=TEST_ACC.title)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)


def _percent_with_errors(acc: Interval) -> tuple[float, np.ndarray]:
    """The estimate, and how far the bounds are below and above it (2, 1)."""
    return 100 * acc.estimate, 100 * np.array([[acc.estimate - acc.low], [acc.high - acc.estimate]])


def _place(shot: str, shots: Sequence[str]) -> float:
    """On a logarithmic axis; ``all`` stands beyond the largest number."""
    return number_of(shot) if shot != ALL else 3 * max(number_of(other) for other in shots if other != ALL)
