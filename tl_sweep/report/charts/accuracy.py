"""Accuracy over strategies and backbones, and against what it costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tl_sweep.comparison.line import Line, line_of
from tl_sweep.comparison.study import Row, Study
from tl_sweep.report.charts.chart import MOST_WRITTEN, Chart, ordered, panels
from tl_sweep.report.columns import TEST_ACC, on_axis
from tl_sweep.report.drawing import Figure, Palette, plain, rings, ticks
from tl_sweep.report.menus import Menus


def heat_maps(study: Study, menus: Menus, palette: Palette) -> Chart:
    by = ("task",)
    return Chart(
        "heat",
        "Strategy × backbone",
        "At the setting that validation chose. ★ marks the best on validation.",
        by,
        {key: _heat_map(rows, palette) for key, rows in panels(study.rows, menus, by).items()},
        {"z": {column.key: column.title for column in on_axis("z")}},
    )


def _heat_map(rows: Sequence[Row], palette: Palette) -> Figure:
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    lines = sorted({line_of(row) for row in rows}, key=palette.order)
    found = {(line_of(row), row.backbone): row for row in rows}
    names = [line.name for line in lines]

    def table(value: Callable[[Row], Any]) -> list[list[Any]]:
        cells = [[found.get((line, backbone)) for backbone in backbones] for line in lines]
        return [[None if row is None else value(row) for row in cells_of_line] for cells_of_line in cells]

    trace = {
        "type": "heatmap",
        "meta": {column.key: table(column.plotted) for column in on_axis("z")},
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
            "yaxis": ticks(
                names, showgrid=False, autorange="reversed", ticktext=[_in_two_lines(name) for name in names]
            ),
            "coloraxis": {"showscale": False},
        },
    }


def _in_two_lines(name: str) -> str:
    """As Plotly breaks it: what a strategy is called stands below what is typed."""
    return plain(name).replace(" (", "<br>(", 1)


def cost(study: Study, menus: Menus, palette: Palette) -> Chart:
    by = ("task",)
    return Chart(
        "cost",
        "Accuracy against cost",
        "A ring marks the Pareto front: no other row is better in accuracy, training time, inference time and "
        "parameters at once.",
        by,
        {key: _cost_figure(rows, palette) for key, rows in panels(study.rows, menus, by).items()},
        {
            "y": {
                column.key: column.title for column in sorted(on_axis("y"), key=lambda column: column is not TEST_ACC)
            },
            "x": {column.key: column.title for column in on_axis("x")},
        },
    )


def _cost_figure(rows: Sequence[Row], palette: Palette) -> Figure:
    by_line: dict[Line, list[Row]] = defaultdict(list)
    for row in ordered(rows, palette):
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
        "meta": {column.key: [column.plotted(row) for row in rows] for column in (*on_axis("x"), *on_axis("y"))},
    }
