"""From a configuration to a network with its stage table, its starting weights and a new head."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.catalog import backbone_source_of, families, model_problems
from tl_sweep.models.heads import Head, replace_head
from tl_sweep.models.sources.contract import BACKBONE_SOURCES
from tl_sweep.models.stages import StagedModel, within
from tl_sweep.models.tables import Blueprint, Ending, StageTable
from tl_sweep.models.weights.files import WeightsFile, read_tensors


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
    table = blueprint.table
    ending = table.pooled if pooled and table.pooled else table.ending
    features = _feature_dim(blueprint, ending)
    replace_head(blueprint.module, ending, Head(features, num_classes, dropout=config.dropout, seed=head_seed))
    model = blueprint.staged(ending)
    if weights is not None:
        tensors = backbone_source_of(config.name).translate(read_tensors(weights.path), model.module, image_px)
        model.wait_for(backbone_tensors(model, tensors, _head_names(table, ending), weights.path))
    return model


def original_model(config: ModelConfig, image_px: int) -> StagedModel:
    """The network as its authors made it, with their own head, and its stage table."""
    blueprint = construct(config, image_px)
    return blueprint.staged(blueprint.original)


def construct(config: ModelConfig, image_px: int) -> Blueprint:
    """A network with its authors' head and random weights.

    Raises:
        UserError: every reason why there is none.
    """
    problems = model_problems(config, image_px)
    if problems:
        raise UserError("\n".join(problems))
    return backbone_source_of(config.name).build(config, image_px)


def staged(module: nn.Module) -> StagedModel:
    """A source's network that somebody else has built, as it stands, with its stage table.

    Raises:
        UserError: no source has a table for it.
    """
    for source in BACKBONE_SOURCES.usable().values():
        blueprint = source.recognise(module)
        if blueprint is not None:
            return blueprint.staged(blueprint.original)
    name = type(module).__name__
    raise UserError(f"{name}: no stage table for this network; there is one for {', '.join(families())}")


def _feature_dim(blueprint: Blueprint, ending: Ending) -> int:
    """Width of the pooled features on which a new head is put."""
    if ending.width is not None:
        return ending.width(blueprint.module)
    return blueprint.staged(blueprint.original).feature_dim


def _head_names(table: StageTable, ending: Ending) -> tuple[str, ...]:
    """Under which names a file may hold a head, of any number of classes: the authors', or one of ours."""
    if ending is table.pooled:
        return (ending.head_name,)
    return tuple(other.head_name for other in (table.original, table.ending) if other is not None)


def backbone_tensors(
    model: StagedModel, tensors: Mapping[str, Tensor], head_names: tuple[str, ...], path: Path
) -> dict[str, Tensor]:
    """Those of a file's ``tensors`` that are not its head's, checked against the model.

    Raises:
        UserError: the file lacks a tensor, has one too many, or one of another shape; the first is named.
    """
    mine = {name: tensor for k in range(model.num_stages) for name, tensor in model.tensors_in_module(k).items()}
    mismatch = _first_mismatch(mine, tensors, head_names)
    if mismatch is not None:
        raise UserError(f"{path}: weights of another network: {mismatch}")
    uncounted = {
        name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in mine.items() if name not in tensors
    }
    return {name: tensors[name] for name in mine.keys() & tensors.keys()} | uncounted


def _first_mismatch(mine: dict[str, Tensor], theirs: Mapping[str, Tensor], heads: tuple[str, ...]) -> str | None:
    for name, tensor in mine.items():
        # Files older than PyTorch 0.4.1 do not count a BatchNorm's batches.
        if name not in theirs and not name.endswith("num_batches_tracked"):
            return f"{name} is missing"
        if name in theirs and theirs[name].shape != tensor.shape:
            return f"{name} has shape {tuple(theirs[name].shape)}, the model's has {tuple(tensor.shape)}"
    extra = [name for name in theirs if name not in mine and not within(name, heads)]
    return f"{extra[0]} is not in the model" if extra else None
