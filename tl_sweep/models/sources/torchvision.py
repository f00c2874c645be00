"""torchvision's classification models.

``torchvision.json`` is written by ``tools/make_model_table.py``; a test holds it equal to torchvision's own registry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.sources.contract import Architecture, BackboneSource

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tl_sweep.models.tables import Blueprint

# Names in files of older torchvision versions, which its own loaders translate as well (ViT, DenseNet).
RENAMED = (
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
    (re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),
)


class Torchvision(BackboneSource):
    title = "torchvision"
    packages = ("torch", "torchvision")

    def names(self) -> Collection[str]:
        return _table().keys()

    def architecture(self, name: str) -> Architecture:
        return _table()[name]

    def build(self, config: ModelConfig, image_px: int) -> Blueprint:
        import torch
        from torchvision import models

        from tl_sweep.models.sources.torchvision_tables import FAMILIES
        from tl_sweep.models.tables import Blueprint

        row = self.architecture(config.name)
        shape = {"image_size": image_px} if row.patch_px else {}
        arguments = "".join(f"{key}={value}" for key, value in shape.items())
        # A RegNet's constructor computes with tensors, which it could not on the meta device.
        with torch.device("cpu") if row.family == "regnet" else nullcontext():
            module = models.get_model(config.name, weights=None, **shape)
        constructor = f"torchvision.models.{config.name}({arguments})"
        return Blueprint(module, FAMILIES[str(row.family)], constructor, self.packages)

    def translate(self, tensors: Mapping[str, Tensor], module: nn.Module, image_px: int) -> dict[str, Tensor]:
        """Older names, and a vision transformer's positions: bicubic, by torchvision's own function, from the file's
        grid of patches to this module's."""
        from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

        named = {_current_name(name): tensor for name, tensor in tensors.items()}
        if isinstance(module, VisionTransformer) and "encoder.pos_embedding" in named:
            return dict(interpolate_embeddings(image_px, module.patch_size, named))
        return named

    def recognise(self, module: nn.Module) -> Blueprint | None:
        from tl_sweep.models.sources.torchvision_tables import FAMILIES
        from tl_sweep.models.tables import Blueprint

        family = type(module).__module__.rpartition(".")[2]
        if family not in FAMILIES:
            return None
        return Blueprint(module, FAMILIES[family], type(module).__name__, self.packages)


@cache
def _table() -> dict[str, Architecture]:
    table = json.loads(resources.files(__package__).joinpath("torchvision.json").read_text())
    return {
        name: Architecture(**{**row, "mean": tuple(row["mean"]), "std": tuple(row["std"])})
        for name, row in table.items()
    }


def _current_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = pattern.sub(replacement, name)
    return name


TORCHVISION = Torchvision()
