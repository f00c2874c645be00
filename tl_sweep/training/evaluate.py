"""Predictions and the numbers made of them. Evaluators count: sums over images, divided once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tl_sweep.tracking.names import Metric
from tl_sweep.training.examples import Examples
from tl_sweep.training.prefix import Prefix

CALIBRATION_BINS = 15  # as Guo et al. 2017 took
BATCH_SIZE = 64  # any, as long as it is fixed: a batch's size moves the last bits of a prediction


def image_batches(examples: Examples) -> list[np.ndarray]:
    """Every image once, in batches of the evaluation's size."""
    return [np.arange(first, min(first + BATCH_SIZE, len(examples))) for first in range(0, len(examples), BATCH_SIZE)]


@torch.no_grad()
def logits_of(prefix: Prefix, examples: Examples) -> Tensor:
    """Logits (N, K), float32 on the CPU, of the clean images in eval mode."""
    model = prefix.model
    model.module.eval()
    chunks = []
    for z in prefix.outputs(examples, image_batches(examples), None):
        with prefix.compute.autocast():
            chunks.append(model.head(model.run(z, prefix.depth)).float())
    return torch.cat(chunks).cpu()


def loss_and_accuracy(logits_NK: Tensor, labels_N: Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats, and the share of images whose largest logit is their label's."""
    loss = F.cross_entropy(logits_NK, labels_N).item()
    return loss, (logits_NK.argmax(1) == labels_N).sum().item() / len(labels_N)


def final_metrics(logits_NK: Tensor, labels_N: Tensor, class_names: tuple[str, ...]) -> dict[str, float]:
    """What is reported once, on test: accuracy, macro-F1, balanced accuracy, AUROC, calibration error, recalls.

    AUROC is one class against the rest, averaged over classes. The calibration error is the expected one (Guo et al.
    2017) over 15 bins of confidence. Classes without a test image are left out of the averages.
    """
    from torchmetrics.functional import classification as measure

    num_classes = len(class_names)
    probabilities_NK = logits_NK.softmax(1)
    present = torch.bincount(labels_N, minlength=num_classes) > 0
    recall_K = measure.multiclass_recall(logits_NK, labels_N, num_classes, average=None)
    f1_K = measure.multiclass_f1_score(logits_NK, labels_N, num_classes, average=None)
    auroc = [
        measure.binary_auroc(probabilities_NK[:, k], (labels_N == k).long()) for k in range(num_classes) if present[k]
    ]
    calibration = measure.multiclass_calibration_error(probabilities_NK, labels_N, num_classes, CALIBRATION_BINS)
    loss, accuracy = loss_and_accuracy(logits_NK, labels_N)
    recalls = {Metric.test_recall_of(name): recall_K[k].item() for k, name in enumerate(class_names) if present[k]}
    return {
        Metric.TEST_ACC: accuracy,
        Metric.TEST_LOSS: loss,
        Metric.TEST_MACRO_F1: f1_K[present].mean().item(),
        Metric.TEST_BALANCED_ACC: recall_K[present].mean().item(),
        Metric.TEST_AUROC: torch.stack(auroc).mean().item(),
        Metric.TEST_CALIBRATION_ERROR: calibration.item(),
    } | recalls


def confusion_counts(logits_NK: Tensor, labels_N: Tensor) -> np.ndarray:
    """(K, K) counts: rows are labels, columns predictions."""
    num_classes = logits_NK.shape[1]
    pairs = labels_N * num_classes + logits_NK.argmax(1)
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).numpy()
