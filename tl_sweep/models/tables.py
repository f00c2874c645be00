"""Where a network can be cut and where its head hangs: the stage table, and the parts that tables are made of.

``body`` lists the stages without their ending; an ``Ending`` adds pooling (and hidden linear layers) to the last one
and names the final layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from tl_sweep.models.stages import Recipe, Stage, StagedModel, StageStep

Starts = Callable[[nn.Sequential], tuple[int, ...]]


@dataclass(frozen=True)
class Ending:
    """From the last feature map to the head.

    tail: steps that end the last stage.
    head_name: dotted name of the final layer.
    replaced: submodules that make way when a new head comes, by dotted name.
    recipe: the assignment that does so in plain PyTorch; empty: derived from ``head_name``.
    width: D, where it is not what the authors' own final layer reads.
    """

    tail: tuple[StageStep, ...]
    head_name: str
    replaced: Mapping[str, Callable[[], nn.Module]] = field(default_factory=lambda: MappingProxyType({}))
    recipe: str = ""
    width: Callable[[nn.Module], int] | None = None

    @property
    def head_recipe(self) -> str:
        parts = [f"[{part}]" if part.isdigit() else f".{part}" for part in self.head_name.split(".")]
        return self.recipe or f"model{''.join(parts)} = nn.Linear({{features}}, {{classes}})"


@dataclass(frozen=True)
class StageTable:
    """How one network, or a family of them, is divided.

    ending: with a linear head on pooled features.
    original: with the authors' own head, where that is something else.
    pooled: without the authors' hidden linear layers, where there are any.
    """

    body: Callable[[nn.Module], list[Stage]]
    ending: Ending
    original: Ending | None = None
    pooled: Ending | None = None

    def stages(self, module: nn.Module, ending: Ending) -> tuple[Stage, ...]:
        """The stages of a module, its last one ending in pooled features."""
        *first, last = self.body(module)
        return (*first, replace(last, steps=(*last.steps, *ending.tail)))


@dataclass(frozen=True)
class Blueprint:
    """A network as its authors made it, with its stage table.

    constructor: the expression that makes it without this package, beginning with a dotted name that can be imported:
    ``torchvision.models.vit_b_16(image_size=96)``.
    packages: distributions whose versions decide what it computes.
    """

    module: nn.Module
    table: StageTable
    constructor: str
    packages: tuple[str, ...]

    @property
    def original(self) -> Ending:
        """The ending in the authors' own head."""
        return self.table.original or self.table.ending

    def staged(self, ending: Ending) -> StagedModel:
        stages = self.table.stages(self.module, ending)
        recipe = Recipe(self.constructor, ending.head_recipe, self.packages)
        return StagedModel(self.module, stages, ending.head_name, recipe, pooled=ending is self.table.pooled)


def flatten(module: nn.Module, z_BCHW: Tensor) -> Tensor:
    return z_BCHW.flatten(1)


def mean_pool(module: nn.Module, z_BCHW: Tensor) -> Tensor:
    return z_BCHW.mean((2, 3))


def average_pool(module: nn.Module, z_BCHW: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(z_BCHW, (1, 1)).flatten(1)


def relu(module: nn.Module, z: Tensor) -> Tensor:
    return F.relu(z, inplace=True)


def numbered(groups: list[tuple[str, ...]], first: str) -> list[Stage]:
    """Stages ``stem, stage1, stage2, …``, or ``stage1, stage2, …`` where the first is no mere stem."""
    offset = 0 if first == "stem" else 1
    names = [first, *(f"stage{i + offset}" for i in range(1, len(groups)))]
    return [Stage(name, group) for name, group in zip(names, groups, strict=True)]


def sequence(path: str, starts: Starts, *, first: str = "stem") -> Callable[[nn.Module], list[Stage]]:
    """Stages of a network whose body is one ``nn.Sequential``, cut before each child that ``starts`` gives."""

    def body(module: nn.Module) -> list[Stage]:
        children = module.get_submodule(path)
        assert isinstance(children, nn.Sequential)
        names = [f"{path}.{name}" for name, _ in children.named_children()]
        groups = [tuple(names[a:b]) for a, b in pairwise((*starts(children), len(names)))]
        return numbered(groups, first)

    return body


def at(*indices: int) -> Starts:
    return lambda children: indices


def after_pooling(children: nn.Sequential) -> tuple[int, ...]:
    """A stage ends with its max-pooling."""
    pools = [i + 1 for i, child in enumerate(children) if isinstance(child, nn.MaxPool2d)]
    return (0, *(start for start in pools if start < len(children)))


def at_new_width(children: nn.Sequential) -> tuple[int, ...]:
    """A stage is the blocks of one width; the last 1×1 convolution belongs to the stage before it."""
    widths = [(child[-1] if type(child) is nn.Sequential else child).out_channels for child in children]
    return (0, *(i for i in range(1, len(widths) - 1) if widths[i] != widths[i - 1]))


def resnet_body(module: nn.Module) -> list[Stage]:
    layers = [name for name, _ in module.named_children() if name.startswith("layer")]
    return [Stage("stem", ("conv1", "bn1", "relu", "maxpool")), *(Stage(name, (name,)) for name in layers)]


POOLED_TAIL: tuple[StageStep, ...] = ("avgpool", flatten)
RESNET = StageTable(resnet_body, Ending(POOLED_TAIL, "fc"))  # torchvision's and ours
