"""What is known about a model by its name alone, without importing torch: families, weight files, pixel values, sizes.

``table.json`` is written by ``tools/make_model_table.py``; a test holds it equal to torchvision's own registry.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tl_sweep.base.errors import Misfit, UserError, did_you_mean
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import ModelConfig

SMALL = "resnet_small"
SMALL_DEPTH = 14
OWN_NAMES = (SMALL, "residual")
CIFAR_DEPTHS = (8, 14, 20, 32, 44, 56, 110)
BOTTLENECK_DEPTHS = (50, 101, 152)
IMAGENET_DEPTHS = (18, 34, *BOTTLENECK_DEPTHS)


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    family: name of its stage table; None: there is none.
    weights: URL by torchvision's enum name; default: the name that ``imagenet`` stands for.
    min_px: side of the smallest square it can read; patch_px: the side must be a multiple of this.
    norm: it has normalisation layers. hidden: its authors' head has hidden linear layers.
    """

    family: str | None
    weights: dict[str, str]
    default: str | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    min_px: int
    patch_px: int | None
    norm: bool
    hidden: bool


@cache
def architectures() -> dict[str, Architecture]:
    """Every model that torchvision or this package knows, by name."""
    table = json.loads(resources.files(__package__).joinpath("table.json").read_text())
    return {
        name: Architecture(**{**row, "mean": tuple(row["mean"]), "std": tuple(row["std"])})
        for name, row in table.items()
    }


def families() -> list[str]:
    """Names of the families that have a stage table."""
    return sorted({row.family for row in architectures().values() if row.family is not None})


def depth_of(config: ModelConfig) -> int | None:
    """Depth of our own network; None where the name or the configuration does not give one."""
    return SMALL_DEPTH if config.name == SMALL else config.depth


def has_norm(config: ModelConfig) -> bool:
    """Whether the network has normalisation layers: VGG without ``_bn``, SqueezeNet and AlexNet have none."""
    return config.norm != "none" if config.name in OWN_NAMES else architecture(config.name).norm


def architecture_label(config: ModelConfig) -> str:
    """Short name for tables: ``resnet18``, ``resnet_small``, ``residual56``, ``plain56``, ``residual20-group``."""
    if config.name not in OWN_NAMES:
        return config.name
    kind = "residual" if config.residual else "plain"
    label = SMALL if config.name == SMALL and config.residual else f"{kind}{depth_of(config)}"
    return label if config.norm == "batch" else f"{label}-{'nonorm' if config.norm == 'none' else config.norm}"


def default_preprocessing(config: ModelConfig, image_px: int) -> Preprocessing:
    """The architecture's own ImageNet values, each overridden by ``model.preprocessing`` where that says something."""
    row, wish = architecture(config.name), config.preprocessing
    return Preprocessing(
        mean=row.mean if wish.mean is None else _triple(wish.mean),
        std=row.std if wish.std is None else _triple(wish.std),
        interpolation=row.interpolation if wish.interpolation is None else wish.interpolation,
        image_px=image_px,
    )


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def architecture(name: str) -> Architecture:
    """The table's row for a model.

    Raises:
        UserError: there is none, or its family has no stage table.
    """
    row = architectures().get(name)
    if row is None:
        nearest = did_you_mean(name, architectures())
        raise UserError(f"model.name={name}: neither torchvision nor we ({', '.join(OWN_NAMES)}) have it.{nearest}")
    if row.family is None:
        raise UserError(f"model.name={name}: no stage table for this family; there is one for {', '.join(families())}")
    return row


def model_problems(config: ModelConfig, image_px: int) -> list[str]:
    """Everything that keeps a configured model from being built, one line each; empty if nothing does."""
    try:
        row = architecture(config.name)
    except UserError as error:
        return [str(error)]
    return [*_size_problems(config.name, row, image_px), *_depth_problems(config)]


def _size_problems(name: str, row: Architecture, image_px: int) -> list[str]:
    if image_px < row.min_px:
        return [f"data.image_size={image_px}: {name} needs images of at least {row.min_px} px"]
    if row.patch_px is not None and image_px % row.patch_px:
        below = image_px // row.patch_px * row.patch_px
        near = f"{below} or {below + row.patch_px}"
        return [f"data.image_size={image_px}: {name} needs a multiple of {row.patch_px} px, such as {near}"]
    return []


def _depth_problems(config: ModelConfig) -> list[str]:
    if config.name not in OWN_NAMES:
        return _foreign_keys(config)
    if config.name == SMALL:
        fits = config.depth in (None, SMALL_DEPTH)
        return [] if fits else [f"model.depth={config.depth}: {SMALL} has {SMALL_DEPTH}; another depth: model=residual"]
    if config.depth in (*CIFAR_DEPTHS, *IMAGENET_DEPTHS):
        return []
    small, large = (", ".join(map(str, depths)) for depths in (CIFAR_DEPTHS, IMAGENET_DEPTHS))
    return [f"model.depth={config.depth}: allowed are {small} (for small images) and {large}"]


def _foreign_keys(config: ModelConfig) -> list[str]:
    given = {"depth": config.depth is not None, "norm": config.norm != "batch", "residual": not config.residual}
    return [
        Misfit(
            f"model.{key}={getattr(config, key)}: only our own network has it (model=residual), not {config.name}",
            unread=f"model.{key}",
        )
        for key, said in given.items()
        if said
    ]
