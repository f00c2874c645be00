"""What is known about a configured model by its name alone, without importing torch.

Each question is put to the source that has the name: the first in the order of ``BACKBONE_SOURCES``.
"""

from __future__ import annotations

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.sources.contract import BACKBONE_SOURCES, Architecture, BackboneSource


def architectures() -> dict[str, Architecture]:
    """Every model that a source knows, by name."""
    last_first = reversed([*BACKBONE_SOURCES.usable().values()])
    return {name: source.architecture(name) for source in last_first for name in source.names()}


def families() -> list[str]:
    """Names of the families that have a stage table."""
    return sorted({row.family for row in architectures().values() if row.family is not None})


def backbone_source_of(name: str) -> BackboneSource:
    """The source that has a model of this name.

    Raises:
        UserError: none has.
    """
    for source in BACKBONE_SOURCES.usable().values():
        if name in source.names():
            return source
    *others, last = (source.title for source in BACKBONE_SOURCES.usable().values())
    nearest = did_you_mean(name, architectures())
    raise UserError(f"model.name={name}: neither {', '.join(others)} nor {last} have it.{nearest}")


def architecture(name: str) -> Architecture:
    """What is known of a model.

    Raises:
        UserError: no source has it, or its family has no stage table.
    """
    row = backbone_source_of(name).architecture(name)
    if row.family is None:
        raise UserError(f"model.name={name}: no stage table for this family; there is one for {', '.join(families())}")
    return row


def has_norm(config: ModelConfig) -> bool:
    """Whether the network has normalisation layers: VGG without ``_bn``, SqueezeNet and AlexNet have none."""
    return backbone_source_of(config.name).has_norm(config)


def architecture_label(config: ModelConfig) -> str:
    """Short name for tables and files: ``resnet18``, ``resnet_small``, ``residual56``, ``residual20-group``."""
    return backbone_source_of(config.name).label(config)


def default_preprocessing(config: ModelConfig, image_px: int, fit: str = "crop") -> Preprocessing:
    """The architecture's own ImageNet values, each overridden by ``model.preprocessing`` where that says something."""
    row, wish = architecture(config.name), config.preprocessing
    return Preprocessing(
        mean=row.mean if wish.mean is None else _triple(wish.mean),
        std=row.std if wish.std is None else _triple(wish.std),
        interpolation=row.interpolation if wish.interpolation is None else wish.interpolation,
        image_px=image_px,
        fit=fit,
    )


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def model_problems(config: ModelConfig, image_px: int) -> list[str]:
    """Everything that keeps a configured model from being built, one line each; empty if nothing does."""
    try:
        row = architecture(config.name)
    except UserError as error:
        return [str(error)]
    mine = backbone_source_of(config.name)
    misplaced = [
        line for source in BACKBONE_SOURCES.usable().values() if source is not mine for line in source.misplaced(config)
    ]
    return [*_size_problems(config.name, row, image_px), *mine.problems(config), *misplaced]


def _size_problems(name: str, row: Architecture, image_px: int) -> list[str]:
    if image_px < row.min_px:
        return [f"data.image_size={image_px}: {name} needs images of at least {row.min_px} px"]
    if row.patch_px is not None and image_px % row.patch_px:
        below = image_px // row.patch_px * row.patch_px
        near = f"{below} or {below + row.patch_px}"
        return [f"data.image_size={image_px}: {name} needs a multiple of {row.patch_px} px, such as {near}"]
    return []
