"""What a run leaves: the tensors that differ from the source weights, and what is needed to put them back.

``checkpoint.safetensors`` holds the tensors; ``checkpoint.json`` the model's configuration, the digest of the source
weights, class names and preprocessing. A run with a frozen backbone costs kilobytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing, Reading
from tl_sweep.config.schema import Config, ModelConfig, PreprocessingConfig
from tl_sweep.models.build import build_model
from tl_sweep.models.stages import StagedModel
from tl_sweep.models.weights.files import WeightsFile, require_sha256
from tl_sweep.training.freeze import moving_tensors

if TYPE_CHECKING:
    from tl_sweep.training.state import Setup

TENSORS, DESCRIPTION = "checkpoint.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """A run's model on disk. ``source`` is None when every tensor is in the checkpoint itself."""

    tensors: dict[str, Tensor]
    model: ModelConfig
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    reading: Reading
    source: WeightsFile | None
    pooled: bool


def save_checkpoint(
    folder: Path,
    config: Config,
    class_names: tuple[str, ...],
    source: WeightsFile | None,
    model: StagedModel,
    setup: Setup,
) -> None:
    """Write both files. Without source weights, frozen tensors are random and belong to the checkpoint, too."""
    state = model.module.state_dict()
    names = list(state) if source is None else moving_tensors(model, setup.plan)
    tensors = {name: state[name].detach().cpu().contiguous() for name in names}
    with atomic_write(folder / TENSORS) as file:
        save_file(tensors, file)
    description = {
        "format": 1,
        "model": asdict(config.model),
        "class_names": class_names,
        "preprocessing": asdict(setup.train.preprocessing),
        "reading": asdict(setup.train.images.reading),
        "source": None if source is None else {"path": str(source.path), "sha256": source.sha256},
        "pooled": model.pooled,
    }
    with atomic_write(folder / DESCRIPTION) as file:
        file.write_text(json.dumps(description, indent=1))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        UserError: the source weights are gone or not the ones that the run used.
    """
    description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    source = description["source"] and WeightsFile(Path(description["source"]["path"]), description["source"]["sha256"])
    if source:
        if not source.path.is_file():
            raise UserError(f"{source.path}: the weights that this run started from are gone (sha256 {source.sha256})")
        require_sha256(source.path, source.sha256)
    model = description["model"]
    preprocessing = description["preprocessing"]
    return Checkpoint(
        tensors=load_file(folder / TENSORS),
        model=ModelConfig(**{**model, "preprocessing": PreprocessingConfig(**model["preprocessing"])}),
        class_names=tuple(description["class_names"]),
        preprocessing=Preprocessing(
            tuple(preprocessing["mean"]),
            tuple(preprocessing["std"]),
            preprocessing["interpolation"],
            preprocessing["image_px"],
            preprocessing.get("fit", "crop"),  # which older runs did
        ),
        reading=_reading(description.get("reading", {})),
        source=source,
        pooled=description["pooled"],
    )


def _reading(values: dict[str, Any]) -> Reading:
    return Reading(**{**values, "bands": tuple(values.get("bands", ()))})


def restore(checkpoint: Checkpoint) -> StagedModel:
    """The run's model on the CPU, in eval mode."""
    model = build_model(
        checkpoint.model,
        len(checkpoint.class_names),
        checkpoint.preprocessing.image_px,
        weights=checkpoint.source,
        pooled=checkpoint.pooled,
        head_seed=0,
    )
    model.load()
    mine = model.module.state_dict()
    for name, tensor in checkpoint.tensors.items():
        mine[name].copy_(tensor)
    model.module.to(memory_format=torch.contiguous_format).eval()
    return model
