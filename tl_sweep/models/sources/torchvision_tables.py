"""Which submodules of each torchvision family form which stage, and where its head hangs.

A family is named after torchvision's own file (``torchvision/models/<family>.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from tl_sweep.models.stages import Stage
from tl_sweep.models.tables import (
    POOLED_TAIL,
    RESNET,
    Ending,
    StageTable,
    after_pooling,
    at,
    at_new_width,
    average_pool,
    mean_pool,
    numbered,
    relu,
    sequence,
)


def embed_patches(vit: VisionTransformer, images_BCHW: Tensor) -> Tensor:
    """Tokens (B, S, D) of a vision transformer, class token first, positions added."""
    patches_BSD = vit._process_input(images_BCHW)
    class_token_B1D = vit.class_token.expand(len(images_BCHW), -1, -1)
    tokens_BSD = torch.cat([class_token_B1D, patches_BSD], dim=1)
    return vit.encoder.dropout(tokens_BSD + vit.encoder.pos_embedding)


def class_token(vit: VisionTransformer, tokens_BSD: Tensor) -> Tensor:
    return tokens_BSD[:, 0]


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


def last_width(module: nn.Module) -> int:
    """Channels of the last convolution in ``features``."""
    convolutions = [m for m in module.get_submodule("features").modules() if isinstance(m, nn.Conv2d)]
    return convolutions[-1].out_channels


# torchvision's dropout before its own last layer gives way, so that model.dropout is the only one there.
NO_DROPOUT = {"classifier.0": nn.Identity}
POOLED_VGG = Ending(
    POOLED_TAIL,
    "classifier",
    {"avgpool": lambda: nn.AdaptiveAvgPool2d(1)},
    "model.avgpool, model.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear({features}, {classes})",
    last_width,
)

FAMILIES: dict[str, StageTable] = {
    "alexnet": StageTable(
        sequence("features", at(0, 3, 6, 8, 10), first="stage1"),
        Ending((*POOLED_TAIL, *(f"classifier.{i}" for i in range(6))), "classifier.6"),
        pooled=POOLED_VGG,
    ),
    "convnext": StageTable(
        sequence("features", at(0, 1, 2, 4, 6)),
        Ending(("avgpool", "classifier.0", "classifier.1"), "classifier.2"),
    ),
    "densenet": StageTable(sequence("features", at(0, 4, 6, 8, 10)), Ending((relu, average_pool), "classifier")),
    "efficientnet": StageTable(sequence("features", at_new_width), Ending(POOLED_TAIL, "classifier.1", NO_DROPOUT)),
    "mnasnet": StageTable(
        sequence("layers", at(0, 8, 9, 10, 11, 12, 13)), Ending((mean_pool,), "classifier.1", NO_DROPOUT)
    ),
    "mobilenetv2": StageTable(sequence("features", at_new_width), Ending((average_pool,), "classifier.1", NO_DROPOUT)),
    "mobilenetv3": StageTable(
        sequence("features", at_new_width),
        Ending((*POOLED_TAIL, "classifier.0", "classifier.1"), "classifier.3", {"classifier.2": nn.Identity}),
        pooled=Ending(POOLED_TAIL, "classifier", width=last_width),
    ),
    "regnet": StageTable(regnet_body, Ending(POOLED_TAIL, "fc")),
    "resnet": RESNET,
    "shufflenetv2": StageTable(shufflenet_body, Ending((mean_pool,), "fc")),
    "squeezenet": StageTable(
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
    "swin_transformer": StageTable(
        sequence("features", at(0, 1, 2, 4, 6)), Ending(("norm", "permute", "avgpool", "flatten"), "head")
    ),
    "vgg": StageTable(
        sequence("features", after_pooling, first="stage1"),
        Ending((*POOLED_TAIL, *(f"classifier.{i}" for i in range(5))), "classifier.6", {"classifier.5": nn.Identity}),
        pooled=POOLED_VGG,
    ),
    "vision_transformer": StageTable(vit_body, Ending(("encoder.ln", class_token), "heads.head")),
}
