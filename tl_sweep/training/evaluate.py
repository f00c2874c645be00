"""Predictions and the numbers made of them. Evaluators count: sums over images, divided once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tl_sweep.tracking.names import MANY_CLASSES, Metric
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


@dataclass(frozen=True, eq=False)
class ByClass:
    """Of the test images, per class: how many there are, and figures that mean nothing where there are none.

    auroc_K: this class against the rest; NaN where there are none.
    """

    images_K: Tensor
    recall_K: Tensor
    precision_K: Tensor
    f1_K: Tensor
    auroc_K: Tensor


def by_class(logits_NK: Tensor, labels_N: Tensor) -> ByClass:
    """Figures of each class by itself."""
    from torchmetrics.functional import classification as measure

    num_classes = logits_NK.shape[1]
    probabilities_NK, images_K = logits_NK.softmax(1), torch.bincount(labels_N, minlength=num_classes)
    none = torch.tensor(torch.nan)
    auroc = [
        measure.binary_auroc(probabilities_NK[:, k], (labels_N == k).long()) if images_K[k] else none
        for k in range(num_classes)
    ]
    return ByClass(
        images_K,
        measure.multiclass_recall(logits_NK, labels_N, num_classes, average=None),
        measure.multiclass_precision(logits_NK, labels_N, num_classes, average=None),
        measure.multiclass_f1_score(logits_NK, labels_N, num_classes, average=None),
        torch.stack(auroc),
    )


def final_metrics(
    logits_NK: Tensor, labels_N: Tensor, class_names: tuple[str, ...], classes: ByClass
) -> dict[str, float]:
    """What is reported once, on test: accuracy, macro-F1, balanced accuracy, AUROC, calibration error; recalls, unless
    there are many classes.

    AUROC is one class against the rest, averaged over classes. The calibration error is the expected one (Guo et al.
    2017) over 15 bins of confidence. Classes without a test image are left out of the averages.
    """
    from torchmetrics.functional import classification as measure

    present = classes.images_K > 0
    calibration = measure.multiclass_calibration_error(
        logits_NK.softmax(1), labels_N, len(class_names), CALIBRATION_BINS
    )
    loss, accuracy = loss_and_accuracy(logits_NK, labels_N)
    each = enumerate(class_names if len(class_names) <= MANY_CLASSES else ())
    recalls = {Metric.test_recall_of(name): classes.recall_K[k].item() for k, name in each if present[k]}
    return {
        Metric.TEST_ACC: accuracy,
        Metric.TEST_LOSS: loss,
        Metric.TEST_MACRO_F1: classes.f1_K[present].mean().item(),
        Metric.TEST_BALANCED_ACC: classes.recall_K[present].mean().item(),
        Metric.TEST_AUROC: classes.auroc_K[present].mean().item(),
        Metric.TEST_CALIBRATION_ERROR: calibration.item(),
    } | recalls


def confusion_counts(logits_NK: Tensor, labels_N: Tensor) -> np.ndarray:
    """(K, K) counts: rows are labels, columns predictions."""
    num_classes = logits_NK.shape[1]
    pairs = labels_N * num_classes + logits_NK.argmax(1)
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).numpy()
