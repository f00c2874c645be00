"""Finished runs as models: by id, from the tracking store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.config import Config, local_path
from tl_sweep.tracking.store import download

if TYPE_CHECKING:
    from torch import nn

    from tl_sweep.models.weights import WeightsFile
    from tl_sweep.training.checkpoint import Checkpoint


def load_run(run_id: str, uri: str = "sqlite:///mlflow.db") -> tuple[nn.Module, tuple[str, ...]]:
    """The model of a finished run, in eval mode on the CPU, and its class names.

    The model is a plain torchvision module (or our own network); it takes images_BCHW normalised as the run's
    ``checkpoint.json`` says and gives logits_BK.

    Raises:
        UserError: no such run, or the weights that it started from are gone.
    """
    from tl_sweep.training.checkpoint import restore

    checkpoint = checkpoint_of(run_id, uri)
    return restore(checkpoint).module, checkpoint.class_names


def checkpoint_of(run_id: str, uri: str) -> Checkpoint:
    """A run's checkpoint, read from its artifacts."""
    from tl_sweep.training.checkpoint import DESCRIPTION, TENSORS, read_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        for name in (TENSORS, DESCRIPTION):
            download(uri, run_id, name, Path(folder))
        return read_checkpoint(Path(folder))


def assembled_weights(config: Config) -> WeightsFile:
    """The whole state dict of ``model.weights=run:<id>`` as a file in ``weights.dir``, written on first use."""
    from filelock import FileLock
    from safetensors.torch import save_file

    from tl_sweep.models.weights import WeightsFile, digest_of
    from tl_sweep.training.checkpoint import restore

    assert config.model.weights is not None and config.tracking.uri is not None
    run_id = config.model.weights.removeprefix("run:")
    path = local_path(config.weights.dir) / f"run-{run_id}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            model = restore(checkpoint_of(run_id, config.tracking.uri))
            tensors = {name: tensor.contiguous() for name, tensor in model.module.state_dict().items()}
            partial = path.with_suffix(".partial")
            save_file(tensors, partial)
            partial.replace(path)
    return WeightsFile(path, digest_of(path))
