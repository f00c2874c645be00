"""How training went: curves by epoch or second, and accuracy by learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tl_sweep.comparison.line import line_of
from tl_sweep.comparison.study import Point, Row, Study
from tl_sweep.report.charts.chart import Chart, ordered, panels
from tl_sweep.report.columns import SECONDS, VAL_ACC
from tl_sweep.report.drawing import Figure, Palette, in_percent, number, rings
from tl_sweep.report.menus import Menus

MOST_CURVE_POINTS = 6_000  # of all curves together: the page has to stay small


def curves(study: Study, menus: Menus, palette: Palette) -> Chart:
    by = ("task", "backbone")
    most = max(8, MOST_CURVE_POINTS // max(1, len(study.rows)))
    figures = panels([row for row in study.rows if row.curve], menus, by)
    return Chart(
        "curves",
        "Learning curves",
        "Means over seeds at the chosen setting; the dashed gray line is the baseline of the same backbone and task.",
        by,
        {key: _curve_figure(rows, palette, most) for key, rows in figures.items()},
        {
            "y": {
                "val_acc": VAL_ACC.title,
                "train_acc": "training accuracy, %",
                "val_loss": "validation loss, nats",
                "train_loss": "training loss, as the objective counts it",
            },
            "x": {"epoch": "epochs", "seconds": SECONDS.title},
        },
    )


def _curve_figure(rows: Sequence[Row], palette: Palette, most: int) -> Figure:
    traces = []
    for row in ordered(rows, palette):
        trace = palette.line(line_of(row))
        trace["marker"]["maxdisplayed"] = 6
        traces.append(trace | {"meta": _columns(_thinned(row.curve, most))})
    return {"data": traces, "layout": {"xaxis": {"rangemode": "tozero"}, "yaxis": {}}}


def _columns(curve: Sequence[Point]) -> dict[str, list[float | None]]:
    return {
        "epoch": [point.epoch for point in curve],
        "seconds": [number(point.seconds) for point in curve],
        "val_acc": [in_percent(point.val_acc) for point in curve],
        "train_acc": [in_percent(point.train_acc) for point in curve],
        "val_loss": [number(point.val_loss) for point in curve],
        "train_loss": [number(point.train_loss) for point in curve],
    }


def _thinned(curve: Sequence[Point], most: int) -> list[Point]:
    """At most so many points, evenly spaced, the last among them."""
    step = math.ceil(len(curve) / most)
    return list(curve[::-1][::step][::-1])


def rates(study: Study, menus: Menus, palette: Palette) -> Chart:
    by = ("task", "backbone")
    figures = panels([row for row in study.rows if row.rates], menus, by)
    return Chart(
        "rates",
        "Learning rates",
        "Each rate that was tried; a ring marks the chosen one.",
        by,
        {key: _rate_figure(rows, palette) for key, rows in figures.items()},
    )


def _rate_figure(rows: Sequence[Row], palette: Palette) -> Figure:
    traces = []
    for row in ordered(rows, palette):
        points = {"x": [rate.lr for rate in row.rates], "y": [in_percent(rate.val_acc) for rate in row.rates]}
        traces.append(palette.line(line_of(row)) | points)
    chosen = [rate for row in rows for rate in row.rates if rate.chosen]
    tried = sorted({rate.lr for row in rows for rate in row.rates})
    ring = rings("chosen") | {"x": [rate.lr for rate in chosen], "y": [in_percent(rate.val_acc) for rate in chosen]}
    return {
        "data": [*traces, ring],
        "layout": {
            "xaxis": {
                "type": "log",
                "title": {"text": "learning rate of the head"},
                "tickvals": tried,
                "ticktext": [f"{lr:g}" for lr in tried],
            },
            "yaxis": {"title": {"text": VAL_ACC.title}},
        },
    }
