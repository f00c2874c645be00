"""Pictures of a comparison for documents: what is drawn, and that a PNG is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make_study import BACKBONES, LABELS, STRATEGIES, make_study
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from tl_sweep.comparison.study import Row, Study
from tl_sweep.report.figures import draw_labels, draw_strategies

Draw = Callable[..., Figure]


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study(classes=("oak", "pine"), epochs=2)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draws into a file, looks at it, and returns the figure that was written."""
    written: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **how: (written.append(figure), save(figure, *a, **how)))

    def draw(function: Callable[..., None], shown: object) -> Figure:
        function(shown, tmp_path / "picture.png")
        (figure,) = written
        with Image.open(tmp_path / "picture.png") as picture:
            assert picture.format == "PNG"
            assert picture.size == tuple(int(side) for side in 110 * figure.get_size_inches())
            assert len(picture.convert("RGB").getcolors(2**24) or []) > 10
        return figure

    return draw


def errors_of(axes: Axes, direction: str) -> np.ndarray:
    """(L, 2): bounds of the error bars of each container with one bar, in percent."""
    bars = [bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)]
    place = 0 if direction == "x" else 1
    return np.array([segment[:, place] for bar in bars for segment in bar[2][0].get_segments()])


def at_ten_labels(study: Study, backbone: str) -> list[Row]:
    """From the lowest to the highest, as the bars stand."""
    rows = [row for row in study.rows if row.backbone == backbone and dict(row.axes)["data.shots"] == "10"]
    return sorted(rows, key=lambda row: row.test_acc.estimate)


def test_strategies_have_a_panel_per_backbone_and_a_bar_with_its_interval_each(study: Study, drawn: Draw) -> None:
    figure = drawn(draw_strategies, [row for backbone in BACKBONES for row in at_ten_labels(study, backbone)])
    assert [axes.get_title() for axes in figure.axes] == list(BACKBONES)
    for axes, backbone in zip(figure.axes, BACKBONES, strict=True):
        rows = at_ten_labels(study, backbone)
        assert axes.get_xlabel() == "test accuracy, %"
        assert axes.get_xlim() == (0, 100)
        assert [text.get_text() for text in axes.get_yticklabels()] == [LABELS[row.strategy] for row in rows]
        bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
        assert [bar.get_width() for bar in bars] == [100 * row.test_acc.estimate for row in rows]
        bounds = [[100 * row.test_acc.low, 100 * row.test_acc.high] for row in rows]
        np.testing.assert_allclose(errors_of(axes, "x"), bounds)
        assert [text.get_text() for text in axes.texts] == [f"{100 * row.test_acc.estimate:.1f}" for row in rows]
        grays = [bar.get_facecolor()[:3] for bar in bars if len(set(bar.get_facecolor()[:3])) == 1]
        assert len(grays) == 1  # the baseline


def test_labels_have_a_line_per_strategy_with_its_intervals(study: Study, drawn: Draw) -> None:
    gains = [gain for gain in study.gains if gain.backbone == BACKBONES[0]]
    (axes,) = drawn(draw_labels, gains).axes
    assert axes.get_xlabel() == "labelled images per class (training and validation)"
    assert axes.get_ylabel() == "test accuracy, %"
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["5", "10", "25", "all"]
    assert axes.get_xticks().tolist() == [5, 10, 25, 75]  # all stands beyond the largest number
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [LABELS[name] for name in STRATEGIES]
    bounds = [[100 * acc.low, 100 * acc.high] for gain in gains for acc in gain.test_acc]
    np.testing.assert_allclose(errors_of(axes, "y"), bounds)


def test_a_dotted_line_runs_to_where_the_baseline_is_as_accurate(study: Study, drawn: Draw) -> None:
    gains = [gain for gain in study.gains if gain.backbone == BACKBONES[0]]
    (axes,) = drawn(draw_labels, gains).axes
    best = max(gains, key=lambda gain: gain.test_acc[0].estimate)
    height = 100 * best.test_acc[0].estimate
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [np.column_stack(line.get_data()).tolist() for line in dotted] == [[[5, height], [17.3, height]]]
    assert [text.get_text() for text in axes.texts] == ["the baseline needs 17"]


def test_several_backbones_are_named_in_the_legend(study: Study, drawn: Draw) -> None:
    (axes,) = drawn(draw_labels, study.gains).axes
    named = [f"{backbone} {LABELS[name]}" for backbone in BACKBONES for name in STRATEGIES]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == named


def test_without_a_baseline_nothing_is_dotted(study: Study, drawn: Draw) -> None:
    alone = [replace(gain, baseline_needs=(None,) * 4) for gain in study.gains if gain.strategy == "none"]
    (axes,) = drawn(draw_labels, alone).axes
    assert [line for line in axes.lines if line.get_linestyle() == ":"] == []
    assert list(axes.texts) == []
