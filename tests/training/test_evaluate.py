"""Metrics against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tl_sweep.training.evaluate import by_class, confusion_counts, final_metrics, loss_and_accuracy

NAMES = ("cat", "dog")


def logits(*probabilities_of_dog: float) -> torch.Tensor:
    p = torch.tensor(probabilities_of_dog, dtype=torch.float64)
    return torch.stack([1 - p, p], dim=1).log()


def measured_by(logits_NK: torch.Tensor, labels: list[int], names: tuple[str, ...] = NAMES) -> dict[str, float]:
    labels_N = torch.tensor(labels)
    return final_metrics(logits_NK, labels_N, names, by_class(logits_NK, labels_N))


def test_loss_and_accuracy() -> None:
    loss, accuracy = loss_and_accuracy(logits(0.25, 0.5001), torch.tensor([0, 1]))
    assert loss == pytest.approx(-(math.log(0.75) + math.log(0.5001)) / 2)
    assert accuracy == 1.0


def test_final_metrics_by_hand() -> None:
    # three cats, one of them taken for a dog; one dog, recognised
    measured = measured_by(logits(0.2, 0.3, 0.6, 0.9).float(), [0, 0, 0, 1])
    assert measured["test/acc"] == pytest.approx(3 / 4)
    assert measured["test/recall/cat"] == pytest.approx(2 / 3)
    assert measured["test/recall/dog"] == pytest.approx(1)
    assert measured["test/balanced_acc"] == pytest.approx((2 / 3 + 1) / 2)
    assert measured["test/macro_f1"] == pytest.approx((2 * 2 / (2 + 3) + 2 * 1 / (2 + 1)) / 2)
    assert measured["test/auroc"] == pytest.approx(1)


def test_calibration_error_by_hand() -> None:
    # confidences 0.9 (right, right, wrong, wrong) fall in one bin: |0.5 - 0.9|; 0.6 (right) in another: |1 - 0.6|
    measured = measured_by(logits(0.9, 0.9, 0.9, 0.9, 0.6).float(), [1, 1, 0, 0, 1])
    assert measured["test/calibration_error"] == pytest.approx(4 / 5 * 0.4 + 1 / 5 * 0.4, abs=1e-5)


def test_classes_without_a_test_image_are_left_out() -> None:
    three = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5]])
    measured = measured_by(three, [0, 1], ("a", "b", "c"))
    assert measured["test/balanced_acc"] == 1
    assert measured["test/macro_f1"] == 1
    assert "test/recall/c" not in measured


def test_figures_by_class() -> None:
    classes = by_class(logits(0.2, 0.3, 0.6, 0.9).float(), torch.tensor([0, 0, 0, 1]))
    assert classes.images_K.tolist() == [3, 1]
    assert classes.recall_K.tolist() == pytest.approx([2 / 3, 1])
    assert classes.precision_K.tolist() == pytest.approx([1, 1 / 2])
    assert classes.auroc_K.tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(("num_classes", "recalls"), [(100, 2), (101, 0)])
def test_many_classes_have_no_metric_each(num_classes: int, recalls: int) -> None:
    names = tuple(f"class {k}" for k in range(num_classes))
    measured = measured_by(torch.eye(2, num_classes), [0, 1], names)
    assert sum(name.startswith("test/recall/") for name in measured) == recalls
    assert measured["test/balanced_acc"] == 1


def test_confusion_counts() -> None:
    counts = confusion_counts(logits(0.2, 0.6, 0.9), torch.tensor([0, 0, 1]))
    np.testing.assert_array_equal(counts, [[1, 1], [0, 1]])
