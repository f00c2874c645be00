"""What a backbone source is asked: which networks it has, what is known of them by name, and to build one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tl_sweep.base.registry import Registry
from tl_sweep.config.schema import ModelConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tl_sweep.models.tables import Blueprint


@dataclass(frozen=True)
class Architecture:
    """What is known of a network by its name alone.

    family: of its stage table, for messages; None: it has no stage table, and cannot be used.
    weights: URL of a file by the name that ``model.weights`` gives it; default: the name that ``imagenet`` stands for.
    mean, std, interpolation: how its authors prepared images; per channel, on [0, 1].
    min_px: side of the smallest square it can read; patch_px: the side must be a multiple of this.
    norm: it has normalisation layers. hidden: its authors' head has hidden linear layers.
    """

    family: str | None
    weights: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    min_px: int = 1
    patch_px: int | None = None
    norm: bool = True
    hidden: bool = False


class BackboneSource(ABC):
    """Networks that ``model.name`` can name.

    Everything but ``build``, ``recognise`` and ``translate`` is asked before torch is imported: a source's module may
    import neither torch nor anything that does, except inside these three. The same source, name and configuration give
    the same network for ever: keys and kept features go by them. Where two sources have a name, the first registered
    one is asked.

    ``tests/support/backbone_source_contract.py`` holds what every source keeps to.
    """

    title: str
    """In messages: neither *torchvision* nor … have it."""

    packages: tuple[str, ...]
    """Distributions whose versions decide what its networks compute; kept features are known by them, and runs record
    them."""

    @abstractmethod
    def names(self) -> Collection[str]:
        """Of all its networks, those without a stage table included."""

    @abstractmethod
    def architecture(self, name: str) -> Architecture:
        """What is known of one of ``names()``."""

    @abstractmethod
    def build(self, config: ModelConfig, image_px: int) -> Blueprint:
        """The network that ``config`` describes, with its authors' own head and random weights from torch's global
        generator, for images (B, 3, image_px, image_px).

        It is built on the device that is torch's default at that moment, or on the CPU if it cannot be built on the
        meta device. There are no ``problems`` with ``config``.
        """

    def problems(self, config: ModelConfig) -> list[str]:
        """Why one of its networks cannot be built like that, a line each; names and sizes have been looked at."""
        return []

    def misplaced(self, config: ModelConfig) -> list[str]:
        """Keys of ``model.`` that this source alone reads, given for a network of another source, a line each."""
        return []

    def label(self, config: ModelConfig) -> str:
        """Short name for tables and files."""
        return config.name

    def has_norm(self, config: ModelConfig) -> bool:
        """Whether the network has normalisation layers."""
        return self.architecture(config.name).norm

    def translate(self, tensors: Mapping[str, Tensor], module: nn.Module, image_px: int) -> dict[str, Tensor]:
        """The tensors of a weight file by the names, and in the shapes, that ``module`` has today."""
        return dict(tensors)

    def recognise(self, module: nn.Module) -> Blueprint | None:
        """A network that somebody else has built, if it is one of this source's; the constructor is then its name."""
        return None


BACKBONE_SOURCES: Registry[BackboneSource] = Registry(
    key="backbone source",
    group="tl_sweep.backbone_sources",
    own={
        "torchvision": "tl_sweep.models.sources.torchvision:TORCHVISION",
        "residual": "tl_sweep.models.sources.residual_networks:RESIDUAL_NETWORKS",
    },
)
