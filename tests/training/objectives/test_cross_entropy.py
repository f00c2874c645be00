"""Cross-entropy keeps to the contract of an objective, and is what it is called."""

from __future__ import annotations

import pytest
import torch
from objective_contract import ObjectiveContract

from tl_sweep.training.objectives.cross_entropy import CrossEntropy


class TestCrossEntropy(ObjectiveContract):
    name = "cross_entropy"


def test_class_weights_and_smoothing_by_hand() -> None:
    logits_BK, labels_B = torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 1])
    nats_BK = -logits_BK.log_softmax(1)
    smooth = CrossEntropy({}, None, 0.2).cross_entropy(logits_BK, labels_B)
    assert smooth.item() == pytest.approx(((0.8 * nats_BK.diagonal() + 0.2 * nats_BK.mean(1)).mean()).item())
    weighted = CrossEntropy({}, torch.tensor([3.0, 1.0]), 0.0).cross_entropy(logits_BK, labels_B)
    assert weighted.item() == pytest.approx(((3 * nats_BK[0, 0] + nats_BK[1, 1]) / 4).item())


def test_half_precision_logits_are_counted_in_full() -> None:
    logits_BK = torch.tensor([[2.0, 0.0]], dtype=torch.bfloat16)
    assert CrossEntropy({}, None, 0.0).cross_entropy(logits_BK, torch.tensor([0])).dtype == torch.float32
