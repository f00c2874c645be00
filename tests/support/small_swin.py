"""A Swin transformer as torchvision's, of a thousandth of its size: one block a stage, 16 channels wide."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.sources.contract import Architecture, BackboneSource

if TYPE_CHECKING:
    from torch import nn

    from tl_sweep.models.tables import Blueprint

SHAPE = {"patch_size": [2, 2], "embed_dim": 16, "depths": [1] * 4, "num_heads": [2] * 4, "window_size": [3, 3]}


class SmallSwin(BackboneSource):
    title = "the small Swin"
    packages = ("torch", "torchvision")

    def names(self) -> Collection[str]:
        return ("small_swin",)

    def architecture(self, name: str) -> Architecture:
        return Architecture(family="swin_transformer")

    def build(self, config: ModelConfig, image_px: int) -> Blueprint:
        from torchvision.models import swin_transformer

        from tl_sweep.models.sources.torchvision_tables import FAMILIES
        from tl_sweep.models.tables import Blueprint

        module: nn.Module = swin_transformer.SwinTransformer(**SHAPE)
        arguments = ", ".join(f"{key}={value}" for key, value in SHAPE.items())
        constructor = f"torchvision.models.swin_transformer.SwinTransformer({arguments})"
        return Blueprint(module, FAMILIES["swin_transformer"], constructor, self.packages)
