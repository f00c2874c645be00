"""Test accuracy by number of labelled images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tl_sweep.comparison.label_efficiency import ALL, accuracy_at, amount, leads, number_of
from tl_sweep.comparison.line import line_by_labels
from tl_sweep.comparison.study import Gain, Study
from tl_sweep.report.charts.chart import Chart, panels
from tl_sweep.report.columns import TEST_ACC
from tl_sweep.report.drawing import Figure, Palette, in_percent, ticks
from tl_sweep.report.menus import Menus


def labels(study: Study, menus: Menus, palette: Palette) -> Chart:
    by = ("dataset", "backbone")
    figures = panels(study.gains, menus, by)
    return Chart(
        "labels",
        "Accuracy by number of labels",
        "With 95 % intervals. A dotted line runs from the best strategy to where the baseline is as accurate.",
        by,
        {key: _label_figure(lines, palette) for key, lines in figures.items()},
    )


def _label_figure(lines: Sequence[Gain], palette: Palette) -> Figure:
    every = {labels for line in lines for labels in line.shots}
    shots = sorted(every, key=number_of)
    ordered = sorted(lines, key=lambda line: palette.order(line_by_labels(line)))
    shares = all(labels == ALL or float(labels) < 1 for labels in shots)
    title = "share of the training images" if shares else "labelled images per class"
    return {
        "data": [_label_line(line, shots, place - len(lines) / 2, palette) for place, line in enumerate(ordered)],
        "layout": {
            "xaxis": ticks(shots, title={"text": title}, range=[-0.3, len(shots) - 0.7]),
            "yaxis": {"title": {"text": TEST_ACC.title}},
            "shapes": [_lead_shape(*lead, shots, palette) for lead in leads(lines)],
            "annotations": [_lead_text(*lead, shots) for lead in leads(lines)],
        },
    }


def _label_line(line: Gain, shots: Sequence[str], shift: float, palette: Palette) -> Figure:
    """shift: in line widths, so that intervals do not cover each other."""
    return palette.line(line_by_labels(line)) | {
        "x": [round(shots.index(labels) + 0.02 * shift, 3) for labels in line.shots],
        "y": [in_percent(acc.estimate) for acc in line.test_acc],
        "customdata": list(line.shots),
        "error_y": {
            "array": [in_percent(acc.high - acc.estimate) for acc in line.test_acc],
            "arrayminus": [in_percent(acc.estimate - acc.low) for acc in line.test_acc],
            "color": palette.colour(line_by_labels(line)),
            "thickness": 1.2,
            "width": 3,
        },
        "hovertemplate": "%{customdata}: %{y:.1f} %",
    }


def _lead_shape(labels: str, line: Gain, needs: float, shots: Sequence[str], palette: Palette) -> Figure:
    height = in_percent(accuracy_at(line, labels))
    return {
        "type": "line",
        "x0": shots.index(labels),
        "x1": _place_of(needs, shots),
        "y0": height,
        "y1": height,
        "line": {"color": palette.colour(line_by_labels(line)), "dash": "dot", "width": 2},
    }


def _lead_text(labels: str, line: Gain, needs: float, shots: Sequence[str]) -> Figure:
    return {
        "text": f"the baseline needs {amount(needs)}",
        "x": _place_of(needs, shots),
        "y": in_percent(accuracy_at(line, labels)),
        "xanchor": "left",
        "ax": 24,
        "ay": 34,
        "arrowhead": 0,
        "arrowwidth": 1,
    }


def _place_of(labels: float, shots: Sequence[str]) -> float:
    """On an axis on which the numbers that were tried have equal distances, between two by their logarithm."""
    tried = [float(value) for value in shots if value != ALL]
    above = next((place for place, value in enumerate(tried) if value >= labels), len(tried) - 1)
    if above == 0:
        return 0.0
    few, many = tried[above - 1], tried[above]
    return round(above - 1 + math.log(labels / few) / math.log(many / few), 3)
