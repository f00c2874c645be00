"""The page's charts, as plain Plotly figures: ``{"data": […], "layout": {…}}``. Accuracies are percentages here.

A trace whose axis the reader chooses carries its columns in ``meta``, and the page's script takes ``x``, ``y`` or ``z``
from there. Colours of text, paper and grid are the page's, since they depend on the reader's light or dark.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from tl_sweep.comparison.label_efficiency import ALL, accuracy_at, amount, leads, number_of
from tl_sweep.comparison.study import Gain, Point, Row, Study
from tl_sweep.comparison.task import line_of
from tl_sweep.report.catalogue import MOST_CLASSES, Catalogue
from tl_sweep.report.drawing import Figure, Palette, number, percent, plain, rings, ticks

MOST_CURVE_POINTS = 6_000  # of all curves together: the page has to stay small
MOST_WRITTEN = 12  # classes, so that counts fit into the cells; points, so that their labels do not overlap


@dataclass(frozen=True)
class Chart:
    """A chart that shows one figure at a time.

    by: what selects it, of dataset, task, backbone and row. figures: by the places of what is selected, with ``|``
    between. choices: per axis (x, y, z), the columns of ``meta`` it may show and their titles.
    """

    name: str
    title: str
    caption: str
    by: tuple[str, ...]
    figures: Mapping[str, Figure]
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def palette_of(study: Study) -> Palette:
    return Palette([*map(line_of, study.rows), *(gain.name for gain in study.gains)])


def charts_of(study: Study, catalogue: Catalogue) -> list[Chart]:
    """Those that have something to show."""
    palette = palette_of(study)
    charts = [
        _heat_maps(study, catalogue, palette),
        _curves(study, catalogue, palette),
        _rates(study, catalogue, palette),
        _cost(study, catalogue, palette),
        _labels(study, catalogue, palette),
        _confusions(catalogue),
    ]
    return [chart for chart in charts if chart.figures]


def _heat_maps(study: Study, catalogue: Catalogue, palette: Palette) -> Chart:
    by = ("task",)
    return Chart(
        "heat",
        "Strategy × backbone",
        "At the setting that validation chose. ★ marks the best on validation.",
        by,
        {key: _heat_map(rows, palette) for key, rows in _panels(study.rows, catalogue, by).items()},
        {"z": {"test": "test accuracy, %", "gain": "lead over scratch, points"}},
    )


def _heat_map(rows: Sequence[Row], palette: Palette) -> Figure:
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    lines = sorted({line_of(row) for row in rows}, key=palette.order)
    found = {(line_of(row), row.backbone): row for row in rows}

    def table(value: Callable[[Row], Any]) -> list[list[Any]]:
        cells = [[found.get((line, backbone)) for backbone in backbones] for line in lines]
        return [[None if row is None else value(row) for row in cells_of_line] for cells_of_line in cells]

    trace = {
        "type": "heatmap",
        "meta": {"test": table(lambda row: percent(row.test_acc.estimate)), "gain": table(_lead)},
        "text": table(lambda row: " ★" if row.is_best else ""),
        "texttemplate": "%{z:.1f}%{text}",
        "hovertemplate": "%{y}, %{x}: %{z:.1f}<extra></extra>",
        "hoverongaps": False,
        "xgap": 2,
        "ygap": 2,
        "coloraxis": "coloraxis",
    }
    return {
        "data": [trace],
        "layout": {
            "height": max(380, 50 + 36 * len(lines)),
            "margin": {"l": 50, "r": 10, "t": 30, "b": 10},
            "xaxis": ticks(backbones, showgrid=False, side="top"),
            "yaxis": ticks(lines, showgrid=False, autorange="reversed"),
            "coloraxis": {"showscale": False},
        },
    }


def _lead(row: Row) -> float | None:
    return None if row.vs_scratch is None else percent(row.vs_scratch.difference.estimate)


def _curves(study: Study, catalogue: Catalogue, palette: Palette) -> Chart:
    by = ("task", "backbone")
    most = max(8, MOST_CURVE_POINTS // max(1, len(study.rows)))
    panels = _panels([row for row in study.rows if row.curve], catalogue, by)
    return Chart(
        "curves",
        "Learning curves",
        "Means over seeds at the chosen setting; the dashed gray line is scratch on the same backbone and task.",
        by,
        {key: _curve_figure(rows, palette, most) for key, rows in panels.items()},
        {
            "y": {
                "val_acc": "validation accuracy, %",
                "train_acc": "training accuracy, %",
                "val_loss": "validation loss, nats",
                "train_loss": "training loss, nats",
            },
            "x": {"epoch": "epochs", "seconds": "training seconds"},
        },
    )


def _curve_figure(rows: Sequence[Row], palette: Palette, most: int) -> Figure:
    traces = []
    for row in _ordered(rows, palette):
        trace = palette.line(line_of(row))
        trace["marker"]["maxdisplayed"] = 6
        traces.append(trace | {"meta": _columns(_thinned(row.curve, most))})
    return {"data": traces, "layout": {"xaxis": {"rangemode": "tozero"}, "yaxis": {}}}


def _columns(curve: Sequence[Point]) -> dict[str, list[float | None]]:
    return {
        "epoch": [point.epoch for point in curve],
        "seconds": [number(point.seconds) for point in curve],
        "val_acc": [percent(point.val_acc) for point in curve],
        "train_acc": [percent(point.train_acc) for point in curve],
        "val_loss": [number(point.val_loss) for point in curve],
        "train_loss": [number(point.train_loss) for point in curve],
    }


def _thinned(curve: Sequence[Point], most: int) -> list[Point]:
    """At most so many points, evenly spaced, the last among them."""
    step = math.ceil(len(curve) / most)
    return list(curve[::-1][::step][::-1])


def _rates(study: Study, catalogue: Catalogue, palette: Palette) -> Chart:
    by = ("task", "backbone")
    panels = _panels([row for row in study.rows if row.rates], catalogue, by)
    return Chart(
        "rates",
        "Learning rates",
        "Each rate that was tried; a ring marks the chosen one.",
        by,
        {key: _rate_figure(rows, palette) for key, rows in panels.items()},
    )


def _rate_figure(rows: Sequence[Row], palette: Palette) -> Figure:
    traces = []
    for row in _ordered(rows, palette):
        points = {"x": [rate.lr for rate in row.rates], "y": [percent(rate.val_acc) for rate in row.rates]}
        traces.append(palette.line(line_of(row)) | points)
    chosen = [rate for row in rows for rate in row.rates if rate.chosen]
    tried = sorted({rate.lr for row in rows for rate in row.rates})
    ring = rings("chosen") | {"x": [rate.lr for rate in chosen], "y": [percent(rate.val_acc) for rate in chosen]}
    return {
        "data": [*traces, ring],
        "layout": {
            "xaxis": {
                "type": "log",
                "title": {"text": "learning rate of the head"},
                "tickvals": tried,
                "ticktext": [f"{lr:g}" for lr in tried],
            },
            "yaxis": {"title": {"text": "validation accuracy, %"}},
        },
    }


def _cost(study: Study, catalogue: Catalogue, palette: Palette) -> Chart:
    by = ("task",)
    return Chart(
        "cost",
        "Accuracy against cost",
        "A ring marks the Pareto front: no other row is better in accuracy, training time, inference time and "
        "parameters at once.",
        by,
        {key: _cost_figure(rows, palette) for key, rows in _panels(study.rows, catalogue, by).items()},
        {
            "y": {"test_acc": "test accuracy, %", "val_acc": "validation accuracy, %"},
            "x": {
                "seconds": "training seconds",
                "parameters": "trainable parameters",
                "inference": "inference, images per second",
            },
        },
    )


def _cost_figure(rows: Sequence[Row], palette: Palette) -> Figure:
    by_line: dict[str, list[Row]] = defaultdict(list)
    for row in _ordered(rows, palette):
        by_line[line_of(row)].append(row)
    written = len({row.backbone for row in rows}) > 1 and len(rows) <= MOST_WRITTEN
    look = {"mode": "markers+text" if written else "markers", "textposition": "bottom center", "cliponaxis": False}
    traces = [palette.line(line) | look | _costs(same) for line, same in by_line.items()]
    for trace in traces:
        trace["marker"]["size"] = 10
    ring = rings("on the Pareto front") | _costs([row for row in rows if row.on_front])
    return {"data": [*traces, ring], "layout": {"xaxis": {"type": "log"}, "yaxis": {}}}


def _costs(rows: Sequence[Row]) -> Figure:
    return {
        "text": [plain(row.backbone) for row in rows],
        "hovertemplate": "%{text}: %{y:.1f} % at %{x:,}",
        "meta": {
            "test_acc": [percent(row.test_acc.estimate) for row in rows],
            "val_acc": [percent(row.val_acc) for row in rows],
            "seconds": [number(row.seconds) for row in rows],
            "parameters": [row.trainable_parameters for row in rows],
            "inference": [number(row.inference_images_per_s) for row in rows],
        },
    }


def _labels(study: Study, catalogue: Catalogue, palette: Palette) -> Chart:
    by = ("dataset", "backbone")
    panels = _panels(study.gains, catalogue, by)
    return Chart(
        "labels",
        "What labels are worth",
        "Test accuracy with 95 % intervals. A dotted lead runs from the best strategy to where scratch is as accurate.",
        by,
        {key: _label_figure(lines, palette) for key, lines in panels.items()},
    )


def _label_figure(lines: Sequence[Gain], palette: Palette) -> Figure:
    every = {labels for line in lines for labels in line.shots}
    shots = sorted(every, key=number_of)
    ordered = sorted(lines, key=lambda line: palette.order(line.name))
    shares = all(labels == ALL or float(labels) < 1 for labels in shots)
    title = "share of the training images" if shares else "labelled images per class"
    return {
        "data": [_label_line(line, shots, place - len(lines) / 2, palette) for place, line in enumerate(ordered)],
        "layout": {
            "xaxis": ticks(shots, title={"text": title}, range=[-0.3, len(shots) - 0.7]),
            "yaxis": {"title": {"text": "test accuracy, %"}},
            "shapes": [_lead_shape(*lead, shots, palette) for lead in leads(lines)],
            "annotations": [_lead_text(*lead, shots) for lead in leads(lines)],
        },
    }


def _label_line(line: Gain, shots: Sequence[str], shift: float, palette: Palette) -> Figure:
    """shift: in line widths, so that intervals do not cover each other."""
    return palette.line(line.name) | {
        "x": [round(shots.index(labels) + 0.02 * shift, 3) for labels in line.shots],
        "y": [percent(acc.estimate) for acc in line.test_acc],
        "customdata": list(line.shots),
        "error_y": {
            "array": [percent(acc.high - acc.estimate) for acc in line.test_acc],
            "arrayminus": [percent(acc.estimate - acc.low) for acc in line.test_acc],
            "color": palette.colour(line.name),
            "thickness": 1.2,
            "width": 3,
        },
        "hovertemplate": "%{customdata}: %{y:.1f} %",
    }


def _lead_shape(labels: str, line: Gain, needs: float, shots: Sequence[str], palette: Palette) -> Figure:
    height = percent(accuracy_at(line, labels))
    return {
        "type": "line",
        "x0": shots.index(labels),
        "x1": _place_of(needs, shots),
        "y0": height,
        "y1": height,
        "line": {"color": palette.colour(line.name), "dash": "dot", "width": 2},
    }


def _lead_text(labels: str, line: Gain, needs: float, shots: Sequence[str]) -> Figure:
    return {
        "text": f"scratch needs {amount(needs)}",
        "x": _place_of(needs, shots),
        "y": percent(accuracy_at(line, labels)),
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


def _confusions(catalogue: Catalogue) -> Chart:
    rows = {str(place): row for place, row in enumerate(catalogue.details) if row.confusion_KK}
    return Chart(
        "confusion",
        "Confusion matrix",
        "Test images, counted over all seeds; colours are shares of a label.",
        ("row",),
        {place: _confusion(row) for place, row in rows.items()},
    )


def _confusion(row: Row) -> Figure:
    """Counts; the page's script makes shares of them, by the totals of all classes, which may be more."""
    classes = _most_confused(row.confusion_KK)
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


def _most_confused(confusion_KK: Sequence[Sequence[int]]) -> list[int]:
    """All classes, or as many as can be shown: those with the most mistakes, as label or as answer."""
    K = len(confusion_KK)
    mistakes_K = [
        sum(confusion_KK[place]) + sum(line[place] for line in confusion_KK) - 2 * confusion_KK[place][place]
        for place in range(K)
    ]
    return sorted(sorted(range(K), key=lambda place: -mistakes_K[place])[:MOST_CLASSES])


def _panels(rows: Iterable[Any], catalogue: Catalogue, by: Sequence[str]) -> dict[str, list[Any]]:
    panels: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        panels[catalogue.key(row, by)].append(row)
    return panels


def _ordered(rows: Iterable[Row], palette: Palette) -> list[Row]:
    return sorted(sorted(rows, key=attrgetter("backbone")), key=lambda row: palette.order(line_of(row)))
