"""A backbone source with one network of two stages, as another package would bring it along."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.sources.contract import Architecture, BackboneSource

if TYPE_CHECKING:
    from tl_sweep.models.tables import Blueprint


class ToySource(BackboneSource):
    title = "the toy"
    packages = ("torch",)

    def names(self) -> Collection[str]:
        return ("toy",)

    def architecture(self, name: str) -> Architecture:
        return Architecture(family="toy", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), norm=False)

    def build(self, config: ModelConfig, image_px: int) -> Blueprint:
        from toy_network import ToyNetwork

        from tl_sweep.models.tables import Blueprint, Ending, StageTable, at, mean_pool, sequence

        table = StageTable(sequence("body", at(0, 2), first="stage1"), Ending((mean_pool,), "head"))
        return Blueprint(ToyNetwork(), table, "toy_network.ToyNetwork()", self.packages)
