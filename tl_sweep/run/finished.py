"""Finished runs as models, and their files: by id, from the tracking store."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import TrackingConfig
from tl_sweep.tracking.delivery import own_id
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord
from tl_sweep.tracking.store import download, read_run

if TYPE_CHECKING:
    from torch import nn

    from tl_sweep.training.checkpoint import Checkpoint


def load_run(run_id: str, uri: str = str(TrackingConfig.uri)) -> tuple[nn.Module, tuple[str, ...]]:
    """The model of a finished run, in eval mode on the CPU, and its class names.

    The model is a plain torchvision module (or our own network); it takes images_BCHW normalised as the run's
    ``checkpoint.json`` says and gives logits_BK.

    Raises:
        UserError: no such run, or the weights that it started from are gone.
    """
    from tl_sweep.training.checkpoint import restore

    checkpoint = checkpoint_of(run_id, uri)
    return restore(checkpoint).module, checkpoint.class_names


@dataclass(frozen=True)
class Files:
    """The files of recorded runs: in their own folders, where these are on this machine; else brought here from the
    tracking store at ``uri``, once, into a folder beside ``weights_dir``."""

    uri: str | None
    weights_dir: Path
    ids: dict[Path, str] = field(default_factory=dict, repr=False)  # of the runs in folders that were looked at

    def __call__(self, run: RunRecord, name: str) -> Path:
        """The file ``name`` of ``run``.

        Raises:
            UserError: it is neither here nor in the store, or its folder may not be read.
        """
        folder = Path(run.tags.get(Tag.FOLDER, ""))
        own = folder / name
        try:
            if folder not in self.ids:
                self.ids[folder] = own_id(folder)
            is_own = run.tags.get(Tag.RUN_ID, self.ids[folder]) == self.ids[folder]  # not a later run's of its key
            if is_own and own.exists():
                return own
        except PermissionError as error:
            raise UserError(f"{own}: {error.strerror}") from error
        if self.uri is None or not run.run_id:
            raise UserError(f"{own} is gone")
        brought = self.weights_dir.parent / "runs" / run.run_id
        return brought / name if (brought / name).exists() else download(self.uri, run.run_id, name, brought)


def checkpoint_of(run_id: str, uri: str) -> Checkpoint:
    """A run's checkpoint, read from its artifacts.

    Raises:
        UserError: no such run, no checkpoint, or the weights that it started from are gone.
    """
    from tl_sweep.training.checkpoint import DESCRIPTION, TENSORS, read_checkpoint

    read_run(uri, run_id)  # a run that is not there is told from one without a checkpoint
    with tempfile.TemporaryDirectory() as folder:
        for name in (TENSORS, DESCRIPTION):
            download(uri, run_id, name, Path(folder))
        return read_checkpoint(Path(folder))
