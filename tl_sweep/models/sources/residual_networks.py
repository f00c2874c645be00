"""Our own residual networks and their plain twins: ``tl_sweep.models.residual.ResidualNet``."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tl_sweep.base.errors import Misfit
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.residual_depths import CIFAR_DEPTHS, IMAGENET_DEPTHS
from tl_sweep.models.sources.contract import Architecture, BackboneSource

if TYPE_CHECKING:
    from torch import nn

    from tl_sweep.models.tables import Blueprint

SMALL, SMALL_DEPTH = "resnet_small", 14
NAMES = (SMALL, "residual")
SOURCE_CLASSES = 1000
ROW = Architecture(family="residual")


class ResidualNetworks(BackboneSource):
    title = f"we ({', '.join(NAMES)})"
    packages = ("torch", "torchvision")  # the latter in every key since the first

    def names(self) -> Collection[str]:
        return NAMES

    def architecture(self, name: str) -> Architecture:
        return ROW

    def build(self, config: ModelConfig, image_px: int) -> Blueprint:
        from tl_sweep.models.residual import ResidualNet
        from tl_sweep.models.tables import RESNET, Blueprint

        depth = depth_of(config)
        assert depth is not None  # else there is a problem
        module = ResidualNet(depth, SOURCE_CLASSES, norm=config.norm, residual=config.residual)
        arguments = f"{depth}, {SOURCE_CLASSES}, norm={config.norm!r}, residual={config.residual}"
        return Blueprint(module, RESNET, f"tl_sweep.models.residual.ResidualNet({arguments})", self.packages)

    def problems(self, config: ModelConfig) -> list[str]:
        if config.name == SMALL:
            if config.depth in (None, SMALL_DEPTH):
                return []
            return [f"model.depth={config.depth}: {SMALL} has {SMALL_DEPTH}; another depth: model=residual"]
        if config.depth in (*CIFAR_DEPTHS, *IMAGENET_DEPTHS):
            return []
        small, large = (", ".join(map(str, depths)) for depths in (CIFAR_DEPTHS, IMAGENET_DEPTHS))
        return [f"model.depth={config.depth}: allowed are {small} (for small images) and {large}"]

    def misplaced(self, config: ModelConfig) -> list[str]:
        given = {"depth": config.depth is not None, "norm": config.norm != "batch", "residual": not config.residual}
        return [
            Misfit(
                f"model.{key}={getattr(config, key)}: only our own network has it (model=residual), not {config.name}",
                unread=f"model.{key}",
            )
            for key, said in given.items()
            if said
        ]

    def label(self, config: ModelConfig) -> str:
        """``resnet_small``, ``residual56``, ``plain56``, ``residual20-group``."""
        kind = "residual" if config.residual else "plain"
        label = SMALL if config.name == SMALL and config.residual else f"{kind}{depth_of(config)}"
        return label if config.norm == "batch" else f"{label}-{'nonorm' if config.norm == 'none' else config.norm}"

    def has_norm(self, config: ModelConfig) -> bool:
        return config.norm != "none"

    def recognise(self, module: nn.Module) -> Blueprint | None:
        from tl_sweep.models.residual import ResidualNet
        from tl_sweep.models.tables import RESNET, Blueprint

        if not isinstance(module, ResidualNet):
            return None
        return Blueprint(module, RESNET, type(module).__name__, self.packages)


def depth_of(config: ModelConfig) -> int | None:
    """None where neither the name nor the configuration gives one."""
    return SMALL_DEPTH if config.name == SMALL else config.depth


RESIDUAL_NETWORKS = ResidualNetworks()
