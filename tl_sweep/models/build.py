"""From a configuration to a network with its stage table, its starting weights and a new head."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.catalog import OWN_NAMES, architecture, depth_of, model_problems
from tl_sweep.models.heads import Head, replace_head
from tl_sweep.models.residual import ResidualNet
from tl_sweep.models.stages import Recipe, StagedModel, within
from tl_sweep.models.tables import FAMILIES, Ending, Family, staged_table
from tl_sweep.models.weights.files import WeightsFile, read_tensors

# Names in files of older torchvision versions, which its own loaders translate as well (ViT, DenseNet).
RENAMED = (
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
    (re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),
)
SOURCE_CLASSES = 1000


@dataclass(frozen=True)
class Blueprint:
    """A freshly constructed network, its family, and the expression that constructs it."""

    module: nn.Module
    family_name: str
    constructor: str

    @property
    def family(self) -> Family:
        return FAMILIES[self.family_name]

    def staged(self, ending: Ending) -> StagedModel:
        stages = staged_table(self.family, ending, self.module)
        recipe = Recipe(self.constructor, ending.head_recipe)
        pooled = ending is self.family.pooled
        return StagedModel(self.module, self.family_name, stages, ending.head_name, recipe, pooled=pooled)


def build_model(
    config: ModelConfig,
    num_classes: int,
    image_px: int,
    *,
    weights: WeightsFile | None,
    head_seed: int,
    pooled: bool = False,
) -> StagedModel:
    """Build the configured network with a new head for ``num_classes`` classes.

    Args:
        config: which network, its dropout.
        num_classes: K.
        image_px: side of the images; only a vision transformer's shape depends on it.
        weights: everything but the head waits on the meta device for the tensors of this file, until
            ``StagedModel.load``; None: it starts from torch's global random generator.
        head_seed: of the head's initial weights, whatever the backbone drew before.
        pooled: leave the authors' hidden linear layers out (VGG, AlexNet, MobileNetV3).

    Raises:
        UserError: the network cannot be built like that, or the file is of another one.
    """
    with nullcontext() if weights is None else torch.device("meta"):
        blueprint = construct(config, image_px)
    family = blueprint.family
    ending = family.pooled if pooled and family.pooled else family.ending
    features = _feature_dim(blueprint, ending)
    replace_head(blueprint.module, ending, Head(features, num_classes, dropout=config.dropout, seed=head_seed))
    model = blueprint.staged(ending)
    if weights is not None:
        model.wait_for(backbone_tensors(model, weights, image_px))
    return model


def original_model(config: ModelConfig, image_px: int) -> StagedModel:
    """The network as its authors made it, 1000 classes and their own head, with its stage table."""
    return staged(construct(config, image_px).module)


def construct(config: ModelConfig, image_px: int) -> Blueprint:
    """A network with 1000 classes and random weights.

    Raises:
        UserError: every reason why there is none.
    """
    problems = model_problems(config, image_px)
    if problems:
        raise UserError("\n".join(problems))
    if config.name in OWN_NAMES:
        return _construct_residual(config)
    row = architecture(config.name)
    shape = {"image_size": image_px} if row.patch_px else {}
    arguments = "".join(f"{key}={value}" for key, value in shape.items())
    # A RegNet's constructor computes with tensors, which it could not on the meta device.
    with torch.device("cpu") if row.family == "regnet" else nullcontext():
        module = models.get_model(config.name, weights=None, **shape)
    return Blueprint(module, str(row.family), f"torchvision.models.{config.name}({arguments})")


def _construct_residual(config: ModelConfig) -> Blueprint:
    depth = depth_of(config)
    assert depth is not None  # model_problems has seen to it
    module = ResidualNet(depth, SOURCE_CLASSES, norm=config.norm, residual=config.residual)
    arguments = f"{depth}, {SOURCE_CLASSES}, norm={config.norm!r}, residual={config.residual}"
    return Blueprint(module, "residual", f"tl_sweep.models.residual.ResidualNet({arguments})")


def staged(module: nn.Module) -> StagedModel:
    """One of torchvision's or our own networks, as it stands, with its stage table.

    Raises:
        UserError: there is no table for it.
    """
    name = type(module).__name__
    family = type(module).__module__.rpartition(".")[2]
    if family not in FAMILIES:
        raise UserError(f"{name}: no stage table for this network; there is one for {', '.join(FAMILIES)}")
    blueprint = Blueprint(module, family, name)
    return blueprint.staged(blueprint.family.original or blueprint.family.ending)


def _feature_dim(blueprint: Blueprint, ending: Ending) -> int:
    """Width of the pooled features on which a new head is put."""
    if ending is blueprint.family.pooled:
        convolutions = [m for m in blueprint.module.get_submodule("features").modules() if isinstance(m, nn.Conv2d)]
        return convolutions[-1].out_channels
    return blueprint.staged(blueprint.family.original or ending).feature_dim


def backbone_tensors(model: StagedModel, weights: WeightsFile, image_px: int) -> dict[str, Tensor]:
    """Everything but the head from a file, by the model's own names; a vision transformer's positions interpolated.

    Raises:
        UserError: the file lacks a tensor, has one too many, or one of another shape; the first is named.
    """
    tensors = {_current_name(name): tensor for name, tensor in read_tensors(weights.path).items()}
    if model.family == "vision_transformer" and "encoder.pos_embedding" in tensors:
        tensors = _fit_positions(model, tensors, image_px)
    mine = {name: tensor for k in range(model.num_stages) for name, tensor in model.tensors_in_module(k).items()}
    mismatch = _first_mismatch(mine, tensors, _head_names(model))
    if mismatch is not None:
        raise UserError(f"{weights.path}: weights of another network: {mismatch}")
    uncounted = {
        name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in mine.items() if name not in tensors
    }
    return {name: tensors[name] for name in mine.keys() & tensors.keys()} | uncounted


def _current_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = pattern.sub(replacement, name)
    return name


def _fit_positions(model: StagedModel, tensors: dict[str, Tensor], image_px: int) -> dict[str, Tensor]:
    """Bicubic, by torchvision's own function, from the file's grid of patches to this model's."""
    patches = model.module.get_submodule("conv_proj")
    assert isinstance(patches, nn.Conv2d)
    return interpolate_embeddings(image_px, patches.kernel_size[0], dict(tensors))


def _head_names(model: StagedModel) -> tuple[str, ...]:
    """Under which names a file may hold a head, of any number of classes: the authors', or one of ours."""
    family = FAMILIES[model.family]
    if model.pooled:
        return (model.head_name,)
    endings = [ending for ending in (family.original, family.ending) if ending is not None]
    return tuple(ending.head_name for ending in endings)


def _first_mismatch(mine: dict[str, Tensor], theirs: dict[str, Tensor], heads: tuple[str, ...]) -> str | None:
    for name, tensor in mine.items():
        # Files older than PyTorch 0.4.1 do not count a BatchNorm's batches.
        if name not in theirs and not name.endswith("num_batches_tracked"):
            return f"{name} is missing"
        if name in theirs and theirs[name].shape != tensor.shape:
            return f"{name} has shape {tuple(theirs[name].shape)}, the model's has {tuple(tensor.shape)}"
    extra = [name for name in theirs if name not in mine and not within(name, heads)]
    return f"{extra[0]} is not in the model" if extra else None
