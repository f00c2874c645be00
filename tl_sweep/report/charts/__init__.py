"""The page's charts, as plain Plotly figures: ``{"data": […], "layout": {…}}``. Accuracies are percentages here.

A trace whose axis the reader chooses carries its columns in ``meta``, and the page's script takes ``x``, ``y`` or ``z``
from there. Colours of text, paper and grid are the page's, since they depend on the reader's light or dark.
"""

from __future__ import annotations

from tl_sweep.comparison.line import line_by_labels, line_of
from tl_sweep.comparison.study import Study
from tl_sweep.report.charts.accuracy import cost, heat_maps
from tl_sweep.report.charts.chart import Chart
from tl_sweep.report.charts.confusion import confusions
from tl_sweep.report.charts.labels import labels
from tl_sweep.report.charts.training import curves, rates
from tl_sweep.report.drawing import Palette
from tl_sweep.report.menus import Menus


def palette_of(study: Study) -> Palette:
    return Palette([*map(line_of, study.rows), *map(line_by_labels, study.gains)])


def charts_of(study: Study, menus: Menus) -> list[Chart]:
    """Those that have something to show."""
    palette = palette_of(study)
    charts = [
        heat_maps(study, menus, palette),
        curves(study, menus, palette),
        rates(study, menus, palette),
        cost(study, menus, palette),
        labels(study, menus, palette),
        confusions(menus),
    ]
    return [chart for chart in charts if chart.figures]
