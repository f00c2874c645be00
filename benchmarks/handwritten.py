"""The loop that people write by hand, written well: what tl_sweep is measured against in ``make bench``.

Images lie decoded in the memory of the device that trains; tensors are channels-last; frozen stages run in eval mode
without gradients; only what learns is given to the optimiser. It does not keep the frozen stages' outputs, as hardly
anybody does by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.transforms import v2


@dataclass(frozen=True)
class Split:
    """images_NCHW: uint8, already at the working resolution. labels_N: int64. Both on the device that trains."""

    images_NCHW: Tensor
    labels_N: Tensor


@dataclass(frozen=True)
class Workload:
    """views: distinct draws of each image; None: a fresh one every epoch; 1: the centre crop alone."""

    train: Split
    val: Split
    test: Split
    image_px: int
    batch_size: int
    views: int | None


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepared(images_BCHW: Tensor) -> Tensor:
    mean_C11, std_C11 = (torch.tensor(values, device=images_BCHW.device)[:, None, None] for values in (MEAN, STD))
    return ((images_BCHW.float() / 255 - mean_C11) / std_C11).contiguous(memory_format=torch.channels_last)


def augmented(images_BCHW: Tensor, image_px: int) -> Tensor:
    crop = v2.Compose([v2.RandomResizedCrop(image_px, (0.35, 1.0), antialias=False), v2.RandomHorizontalFlip()])
    return torch.stack([crop(image_CHW) for image_CHW in images_BCHW])


def train(backbone: list[nn.Module], frozen: int, head: nn.Module, task: Workload, epochs: int, lr: float) -> float:
    """Train the last stages and the head, validate each epoch; returns test accuracy.

    backbone: stages in order, the first ``frozen`` of which stand still; the last one ends in pooled features.
    """
    still, learning = nn.Sequential(*backbone[:frozen]).eval(), nn.Sequential(*backbone[frozen:], head)
    optimizer = torch.optim.SGD(learning.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    crop = v2.CenterCrop(task.image_px)
    for epoch in range(epochs):
        learning.train()
        for indices_B in torch.randperm(len(task.train.labels_N)).split(task.batch_size):
            images_BCWW = task.train.images_NCHW[indices_B]
            clean = task.views is not None and epoch % task.views == 0
            images_BCHW = prepared(crop(images_BCWW) if clean else augmented(images_BCWW, task.image_px))
            with torch.no_grad():
                z = still(images_BCHW)
            loss = nn.functional.cross_entropy(learning(z), task.train.labels_N[indices_B])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        accuracy(still, learning, task.val, crop)
    return accuracy(still, learning, task.test, crop)


@torch.no_grad()
def accuracy(still: nn.Module, learning: nn.Module, split: Split, crop: nn.Module) -> float:
    learning.eval()
    hits = 0
    for images_BCHW, labels_B in zip(split.images_NCHW.split(64), split.labels_N.split(64), strict=True):
        hits += int((learning(still(prepared(crop(images_BCHW)))).argmax(1) == labels_B).sum())
    return hits / len(split.labels_N)
