"""Batch normalisation lent to a network that has none: trained with it, folded away afterwards.

Ioffe & Szegedy (2015): at inference a BatchNorm is an affine map per channel, which a convolution before it absorbs.
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tl_sweep.models.stages import StagedModel


def with_batch_norm(model: StagedModel) -> StagedModel:
    """The same network with a BatchNorm after each convolution, in place; stage names stay."""
    for name, convolution in list(model.module.named_modules()):
        if isinstance(convolution, nn.Conv2d):
            norm = nn.BatchNorm2d(convolution.out_channels).to(convolution.weight.device)
            model.module.set_submodule(name, nn.Sequential(convolution, norm))
    return restaged(model)


def folded(model: StagedModel) -> StagedModel:
    """Undo ``with_batch_norm``, in place: the same outputs in eval mode, up to rounding, by the convolutions alone."""
    model.module.eval()
    for name, pair in list(model.module.named_modules()):
        match list(pair.children()):
            case [nn.Conv2d() as convolution, nn.BatchNorm2d() as norm] if isinstance(pair, nn.Sequential):
                model.module.set_submodule(name, fuse_conv_bn_eval(convolution, norm))
    return restaged(model)


def restaged(model: StagedModel) -> StagedModel:
    """The stage table bound again, to a module whose submodules were exchanged."""
    return StagedModel(model.module, model.stages, model.head_name, model.recipe, pooled=model.pooled)
