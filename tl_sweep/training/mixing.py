"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) by torchvision; governed by the run's seed, not a view."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tl_sweep.config.schema import AugmentConfig

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def make_mixing(augment: AugmentConfig, num_classes: int) -> Mixing | None:
    """``(images_BCHW, labels_B) -> (images_BCHW, targets_BK)``; None where nothing is mixed."""
    if not augment.mixup and not augment.cutmix:
        return None
    from torchvision.transforms import v2

    choices = []
    if augment.mixup:
        choices.append(v2.MixUp(alpha=augment.mixup, num_classes=num_classes))
    if augment.cutmix:
        choices.append(v2.CutMix(alpha=augment.cutmix, num_classes=num_classes))
    return choices[0] if len(choices) == 1 else v2.RandomChoice(choices)
