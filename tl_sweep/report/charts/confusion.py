"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np

from tl_sweep.base.confusion import most_confused
from tl_sweep.comparison.study import Row
from tl_sweep.report.charts.chart import MOST_WRITTEN, Chart
from tl_sweep.report.drawing import Figure, ticks
from tl_sweep.report.menus import MOST_CLASSES, Menus


def confusions(menus: Menus) -> Chart:
    rows = {str(place): row for place, row in enumerate(menus.details) if row.confusion_KK}
    return Chart(
        "confusion",
        "Confusion matrix",
        "Test images, counted over all seeds; colours are shares of a label.",
        ("row",),
        {place: _confusion(row) for place, row in rows.items()},
    )


def _confusion(row: Row) -> Figure:
    """Counts; the page's script makes shares of them, by the totals of all classes, which may be more."""
    classes = most_confused(np.array(row.confusion_KK), MOST_CLASSES)
    names = [row.class_names[place] for place in classes]
    counts_KK = [[row.confusion_KK[label][predicted] for predicted in classes] for label in classes]
    trace = {
        "type": "heatmap",
        "z": counts_KK,
        "meta": {"totals": [sum(row.confusion_KK[label]) for label in classes]},
        "texttemplate": "%{text}" if len(classes) <= MOST_WRITTEN else "",
        "hovertemplate": "%{y} taken for %{x}: %{text} (%{z:.0%})<extra></extra>",
        "xgap": 1,
        "ygap": 1,
        "coloraxis": "coloraxis",
    }
    layout = {
        "height": 220 + round(26 * max(6, min(len(classes), 20))),
        "xaxis": ticks(names, showgrid=False, title={"text": "predicted"}, tickangle=-60),
        "yaxis": ticks(names, showgrid=False, title={"text": "label"}, autorange="reversed"),
        "coloraxis": {"cmin": 0, "cmax": 1, "showscale": len(classes) > MOST_WRITTEN},
    }
    if len(classes) < len(row.class_names):
        layout["meta"] = {"note": f"{len(classes)} of {len(row.class_names)} classes: those with the most mistakes."}
    return {"data": [trace], "layout": layout}
