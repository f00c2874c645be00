"""The page's charts, as plain Plotly figures: ``{"data": […], "layout": {…}}``. Accuracies are percentages here.

A trace whose axis the reader chooses carries its columns in ``meta``, and the page's script takes ``x``, ``y`` or ``z``
from there. Colours of text, paper and grid are the page's, since they depend on the reader's light or dark.
"""

from __future__ import annotations

from tl_sweep.comparison.study import Study
from tl_sweep.comparison.task import line_of
from tl_sweep.report.catalogue import Catalogue
from tl_sweep.report.charts.accuracy import cost, heat_maps
from tl_sweep.report.charts.chart import Chart
from tl_sweep.report.charts.confusion import confusions
from tl_sweep.report.charts.labels import labels
from tl_sweep.report.charts.training import curves, rates
from tl_sweep.report.drawing import Palette


def palette_of(study: Study) -> Palette:
    names = [*map(line_of, study.rows), *(gain.name for gain in study.gains)]
    return Palette(names, {row.strategy for row in study.rows if row.is_baseline})


def charts_of(study: Study, catalogue: Catalogue) -> list[Chart]:
    """Those that have something to show."""
    palette = palette_of(study)
    charts = [
        heat_maps(study, catalogue, palette),
        curves(study, catalogue, palette),
        rates(study, catalogue, palette),
        cost(study, catalogue, palette),
        labels(study, catalogue, palette),
        confusions(catalogue),
    ]
    return [chart for chart in charts if chart.figures]
