"""Which submodules of each torchvision family form which stage, and where its head hangs.

A family is named after torchvision's own file (``torchvision/models/<family>.py``). ``body`` lists the stages without
their ending; an ``Ending`` adds pooling (and hidden linear layers) to the last one and names the final layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer

from tl_sweep.models.stages import Stage, Step

Starts = Callable[[nn.Sequential], tuple[int, ...]]


@dataclass(frozen=True)
class Ending:
    """From the last feature map to the head.

    tail: steps that end the last stage.
    head_name: dotted name of the final layer.
    replaced: submodules that make way when a new head comes, by dotted name.
    recipe: the assignment that does so in plain PyTorch; empty: derived from ``head_name``.
    """

    tail: tuple[Step, ...]
    head_name: str
    replaced: Mapping[str, Callable[[], nn.Module]] = field(default_factory=lambda: MappingProxyType({}))
    recipe: str = ""

    @property
    def head_recipe(self) -> str:
        parts = [f"[{part}]" if part.isdigit() else f".{part}" for part in self.head_name.split(".")]
        return self.recipe or f"model{''.join(parts)} = nn.Linear({{features}}, {{classes}})"


@dataclass(frozen=True)
class Family:
    """The stage table of one family.

    ending: with a linear head on pooled features.
    original: with the authors' own head, where that is something else.
    pooled: without the authors' hidden linear layers, where there are any.
    """

    body: Callable[[nn.Module], list[Stage]]
    ending: Ending
    original: Ending | None = None
    pooled: Ending | None = None


def staged_table(family: Family, ending: Ending, module: nn.Module) -> tuple[Stage, ...]:
    """The stages of a module, its last one ending in pooled features."""
    *first, last = family.body(module)
    return (*first, replace(last, steps=(*last.steps, *ending.tail)))


def flatten(module: nn.Module, z_BCHW: Tensor) -> Tensor:
    return z_BCHW.flatten(1)


def mean_pool(module: nn.Module, z_BCHW: Tensor) -> Tensor:
    return z_BCHW.mean((2, 3))


def average_pool(module: nn.Module, z_BCHW: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(z_BCHW, (1, 1)).flatten(1)


def relu(module: nn.Module, z: Tensor) -> Tensor:
    return F.relu(z, inplace=True)


def embed_patches(vit: VisionTransformer, images_BCHW: Tensor) -> Tensor:
    """Tokens (B, S, D) of a vision transformer, class token first, positions added."""
    patches_BSD = vit._process_input(images_BCHW)
    class_token_B1D = vit.class_token.expand(len(images_BCHW), -1, -1)
    tokens_BSD = torch.cat([class_token_B1D, patches_BSD], dim=1)
    return vit.encoder.dropout(tokens_BSD + vit.encoder.pos_embedding)


def class_token(vit: VisionTransformer, tokens_BSD: Tensor) -> Tensor:
    return tokens_BSD[:, 0]


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


def regnet_body(module: nn.Module) -> list[Stage]:
    blocks = [f"trunk_output.{name}" for name, _ in module.get_submodule("trunk_output").named_children()]
    return numbered([("stem",), *((block,) for block in blocks)], "stem")


def shufflenet_body(module: nn.Module) -> list[Stage]:
    return numbered([("conv1", "maxpool"), ("stage2",), ("stage3",), ("stage4", "conv5")], "stem")


def vit_body(module: nn.Module) -> list[Stage]:
    """Patch embedding, then the transformer blocks in four equal groups."""
    blocks = [f"encoder.layers.{name}" for name, _ in module.get_submodule("encoder.layers").named_children()]
    size = len(blocks) // 4
    groups = [tuple(blocks[i : i + size]) for i in range(0, len(blocks), size)]
    owned = ("conv_proj", "class_token", "encoder.pos_embedding", "encoder.dropout")
    return [Stage("stem", (embed_patches,), owned), *numbered(groups, "stage1")]


POOLED_TAIL: tuple[Step, ...] = ("avgpool", flatten)
# torchvision's dropout before its own last layer gives way, so that model.dropout is the only one there.
NO_DROPOUT = {"classifier.0": nn.Identity}
POOLED_VGG = Ending(
    POOLED_TAIL,
    "classifier",
    {"avgpool": lambda: nn.AdaptiveAvgPool2d(1)},
    "model.avgpool, model.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear({features}, {classes})",
)
RESNET = Family(resnet_body, Ending(POOLED_TAIL, "fc"))

FAMILIES: dict[str, Family] = {
    "alexnet": Family(
        sequence("features", at(0, 3, 6, 8, 10), first="stage1"),
        Ending((*POOLED_TAIL, *(f"classifier.{i}" for i in range(6))), "classifier.6"),
        pooled=POOLED_VGG,
    ),
    "convnext": Family(
        sequence("features", at(0, 1, 2, 4, 6)),
        Ending(("avgpool", "classifier.0", "classifier.1"), "classifier.2"),
    ),
    "densenet": Family(sequence("features", at(0, 4, 6, 8, 10)), Ending((relu, average_pool), "classifier")),
    "efficientnet": Family(sequence("features", at_new_width), Ending(POOLED_TAIL, "classifier.1", NO_DROPOUT)),
    "mnasnet": Family(
        sequence("layers", at(0, 8, 9, 10, 11, 12, 13)), Ending((mean_pool,), "classifier.1", NO_DROPOUT)
    ),
    "mobilenetv2": Family(sequence("features", at_new_width), Ending((average_pool,), "classifier.1", NO_DROPOUT)),
    "mobilenetv3": Family(
        sequence("features", at_new_width),
        Ending((*POOLED_TAIL, "classifier.0", "classifier.1"), "classifier.3", {"classifier.2": nn.Identity}),
        pooled=Ending(POOLED_TAIL, "classifier"),
    ),
    "regnet": Family(regnet_body, Ending(POOLED_TAIL, "fc")),
    "residual": RESNET,
    "resnet": RESNET,
    "shufflenetv2": Family(shufflenet_body, Ending((mean_pool,), "fc")),
    "squeezenet": Family(
        sequence("features", after_pooling, first="stage1"),
        Ending(
            ("classifier.0", "classifier.1"),
            "classifier.2",
            {"classifier": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Identity())},
            "model.classifier = nn.Sequential("
            "nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear({features}, {classes}))",
        ),
        original=Ending((), "classifier"),  # convolution and ReLU come before its pooling
    ),
    "swin_transformer": Family(
        sequence("features", at(0, 1, 2, 4, 6)), Ending(("norm", "permute", "avgpool", "flatten"), "head")
    ),
    "vgg": Family(
        sequence("features", after_pooling, first="stage1"),
        Ending((*POOLED_TAIL, *(f"classifier.{i}" for i in range(5))), "classifier.6", {"classifier.5": nn.Identity}),
        pooled=POOLED_VGG,
    ),
    "vision_transformer": Family(vit_body, Ending(("encoder.ln", class_token), "heads.head")),
}
