"""Transfer learning as the textbooks write it, in four names, on the parts that the sweeps use.

>>> model = fine_tune_resnet(load_pretrained_resnet(num_classes=10))  # doctest: +SKIP

Every function takes and returns a plain torchvision network.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.build import build_model, staged
from tl_sweep.models.catalog import architecture
from tl_sweep.models.residual import ResidualBlock
from tl_sweep.models.weights.fetch import fetch
from tl_sweep.models.weights.files import WeightsFile, verified
from tl_sweep.models.weights.resolve import resolve
from tl_sweep.training.freeze import hold_in_eval, set_trainable

__all__ = ["ResidualBlock", "fine_tune_resnet", "freeze_pretrained_layers", "load_pretrained_resnet"]

IMAGE_PX = 224


def load_pretrained_resnet(
    num_classes: int = 10, weights: str | Path | None = "imagenet", name: str = "resnet18"
) -> nn.Module:
    """A torchvision ResNet with pretrained weights and a new ``fc``, drawn from torch's random generator.

    Args:
        num_classes: K, the outputs of ``fc``.
        weights: ``imagenet``, a torchvision enum name, a ``.pth`` or ``.safetensors`` file, or None for random weights.
        name: a ResNet, ResNeXt or wide ResNet of torchvision's.

    Raises:
        UserError: no ResNet has this name, or its weights cannot be had.
    """
    if architecture(name).family != "resnet":
        raise UserError(f"name={name!r}: not one of torchvision's ResNets, such as 'resnet18'")
    config = ModelConfig(name=name, weights=None if weights is None else str(weights))
    head_seed = int(torch.randint(2**31, ()))
    model = build_model(config, num_classes, IMAGE_PX, weights=_weights_file(config), head_seed=head_seed)
    model.load()
    return model.module


def _weights_file(config: ModelConfig) -> WeightsFile | None:
    source = resolve(config, weights_dir=Path())
    if source.kind not in ("none", "file", "download"):
        raise UserError(f"weights={config.weights!r}: give 'imagenet', an enum name, a file, or None here")
    fetch([source])
    return None if source.path is None else verified(source.path, source.sha256_prefixes)


def freeze_pretrained_layers(model: nn.Module, freeze: bool = True, *, keep_head: bool = False) -> nn.Module:
    """Freeze every parameter, or (``freeze=False``) let every one learn; returns the model.

    The layers before the head stay in eval mode through later calls of ``model.train()`` while they are frozen, so that
    BatchNorm's statistics stand still, too. Two ways to a head that learns, a new one afterwards or the present one:

    >>> model = freeze_pretrained_layers(load_pretrained_resnet(weights=None))
    >>> model.fc = nn.Linear(model.fc.in_features, 5)
    >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ['fc.weight', 'fc.bias']

    >>> model = freeze_pretrained_layers(load_pretrained_resnet(num_classes=5, weights=None), keep_head=True)
    >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ['fc.weight', 'fc.bias']

    Args:
        model: a network of torchvision's or of our own.
        freeze: every parameter's ``requires_grad`` becomes ``not freeze``.
        keep_head: but the head's, which learn in any case.

    Raises:
        UserError: the network has no table of stages.
    """
    table = staged(model)
    set_trainable(model.parameters(), not freeze)
    if keep_head:
        set_trainable(table.head_parameters().values(), True)
    for stage in range(table.num_stages):
        hold_in_eval(table.stage_modules(stage), freeze)
    return model


def fine_tune_resnet(model: nn.Module, freeze_early_layers: bool = True) -> nn.Module:
    """Let ``layer3``, ``layer4`` and ``fc`` learn; stem, ``layer1`` and ``layer2`` too unless ``freeze_early_layers``.

    Early layers carry over best between tasks (Yosinski et al.: How transferable are features, 2014).
    """
    table = staged(freeze_pretrained_layers(model, freeze=False))
    if freeze_early_layers:
        for stage in range(-(-table.num_stages // 2)):
            set_trainable(table.stage_parameters(stage).values(), False)
            hold_in_eval(table.stage_modules(stage))
    return model
