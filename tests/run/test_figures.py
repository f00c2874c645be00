"""A run's pictures: its confusion matrix and its learning curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from tl_sweep.run.figures import confusion_shown, draw_confusion, draw_curves


@pytest.mark.parametrize(("num_classes", "side_px"), [(3, 324), (20, 800), (40, 800), (1000, 800)])
def test_the_confusion_matrix_is_a_picture_of_fitting_size(tmp_path: Path, num_classes: int, side_px: int) -> None:
    counts_KK = np.random.default_rng(0).integers(0, 9, (num_classes, num_classes))
    draw_confusion(counts_KK, tuple(f"class {k}" for k in range(num_classes)), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (side_px, side_px)
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 10


@pytest.mark.parametrize("name", ["$x_$", r"$\frac$", "$"])
def test_a_class_may_be_called_what_looks_like_mathematics(tmp_path: Path, name: str) -> None:
    draw_confusion(np.eye(2, dtype=int), (name, "b"), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_of_many_classes_the_worst_are_drawn() -> None:
    counts_KK = np.diag(np.full(1000, 9))
    counts_KK[7, 900] = 5
    shown, title = confusion_shown(counts_KK)
    assert (len(shown), {7, 900} < set(shown)) == (25, True)
    assert title == "test images: the 25 of 1000 classes with the most mistakes"


def test_a_class_without_an_image_leaves_an_empty_row(tmp_path: Path) -> None:
    draw_confusion(np.array([[2, 1], [0, 0]]), ("a", "b"), tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_the_curves_draw_what_the_run_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        {"step": 0, "train/loss": 2.0, "train/acc": 0.1, "val/loss": 2.5, "val/acc": 0.2},
        {"step": 1, "train/loss": 1.0, "train/acc": 0.3, "val/loss": 1.5, "val/acc": 0.4},
        {"step": 2, "test/acc": 0.5},
    ]
    drawn, plot = [], Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda axes, x, y, **how: drawn.append((x, y)) or plot(axes, x, y, **how))
    draw_curves(records, tmp_path / "curves.png", "cross_entropy")
    assert drawn == [((1, 2), (2.0, 1.0)), ((1, 2), (2.5, 1.5)), ((1, 2), (0.1, 0.3)), ((1, 2), (0.2, 0.4))]
    with Image.open(tmp_path / "curves.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (640, 240))


@pytest.mark.parametrize(
    ("objective", "quantity", "lines"),
    [
        ("cross_entropy", "cross-entropy (nats)", ["train", "val"]),
        ("auxiliary", "loss", ["train: auxiliary", "val: cross-entropy (nats)"]),
    ],
)
def test_a_loss_is_called_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str, quantity: str, lines: list[str]
) -> None:
    records = [{"step": 0, "train/loss": 2.0, "train/acc": 0.1, "val/loss": 2.5, "val/acc": 0.2}]
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **how: drawn.append(figure))
    draw_curves(records, tmp_path / "curves.png", objective)
    (figure,) = drawn
    loss, accuracy = figure.axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", quantity)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == lines
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["train", "val"]
