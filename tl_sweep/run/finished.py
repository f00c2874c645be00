"""Finished runs as models, and their files: from their folders, else from the tracking store."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import OutputConfig, TrackingConfig, local_path
from tl_sweep.run.which import Places, which_run
from tl_sweep.tracking.delivery import own_id
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord
from tl_sweep.tracking.store import download_artifact

if TYPE_CHECKING:
    from torch import nn

    from tl_sweep.training.checkpoint import Checkpoint


def load_run(
    run: str,
    uri: str | None = str(TrackingConfig.uri),
    *,
    output_dir: str | Path = OutputConfig.dir,
    experiment: str = TrackingConfig.experiment,
) -> tuple[nn.Module, tuple[str, ...]]:
    """The model of a finished run, in eval mode on the CPU, and its class names.

    The model is a plain torchvision module (or our own network); it takes images_BCHW normalised as the run's
    ``checkpoint.json`` says and gives logits_BK.

    Args:
        run: which one: an MLflow run id or a key, or how it begins; a run's folder; ``best`` of the last sweep, or
            ``best:<sweep>``.
        uri: the tracking store, for what is not in ``output_dir``; None: none.
        output_dir: where the runs are, one folder each.
        experiment: of the tracking store.

    Raises:
        UserError: no such run, or the weights that it started from are gone.
    """
    from tl_sweep.training.checkpoint import restore

    places = Places(local_path(str(output_dir)), uri, experiment)
    checkpoint = checkpoint_of(which_run(run, places), places)
    return restore(checkpoint).module, checkpoint.class_names


@dataclass(frozen=True)
class Files:
    """The files of recorded runs: in their own folders, where these are on this machine, if need be in ``output_dir``,
    to which they were moved; else brought here from the tracking store at ``uri``, once, into a folder beside
    ``weights_dir``."""

    uri: str | None
    weights_dir: Path
    output_dir: Path
    ids: dict[Path, str] = field(default_factory=dict, repr=False)  # of the runs in folders that were looked at

    def __call__(self, run: RunRecord, name: str) -> Path:
        """The file ``name`` of ``run``.

        Raises:
            UserError: it is neither here nor in the store, or its folder may not be read.
        """
        was = Path(run.tags.get(Tag.FOLDER, ""))
        for folder in dict.fromkeys((was, self.output_dir / run.tags.get(Tag.KEY, was.name))):
            if self._is_own(run, folder) and (folder / name).exists():
                return folder / name
        if self.uri is None or not run.run_id:
            moved = "" if was.is_dir() else "; if the run's folder was moved, output.dir= says where it is"
            raise UserError(f"{was / name} is gone{moved}")
        brought = self.weights_dir.parent / "runs" / run.run_id
        return brought / name if (brought / name).exists() else download_artifact(self.uri, run.run_id, name, brought)

    def _is_own(self, run: RunRecord, folder: Path) -> bool:
        """Whether the run in ``folder`` is this one, and not a later one of its key."""
        try:
            if folder not in self.ids:
                self.ids[folder] = own_id(folder)
        except PermissionError as error:
            raise UserError(f"{folder}: {error.strerror}") from error
        return run.tags.get(Tag.RUN_ID, self.ids[folder]) == self.ids[folder]


def checkpoint_of(run: RunRecord, places: Places) -> Checkpoint:
    """A run's checkpoint, read from its folder, or from its artifacts.

    Raises:
        UserError: the run has not finished, or the weights that it started from are gone.
    """
    from tl_sweep.training.checkpoint import DESCRIPTION, TENSORS, read_checkpoint

    if run.status != "FINISHED":
        raise UserError(f"run={run.name}: it has not finished ({run.status}): there is no model of it")
    with tempfile.TemporaryDirectory() as folder:
        files = Files(places.uri, Path(folder) / "weights", places.output_dir)
        paths = [files(run, name) for name in (TENSORS, DESCRIPTION)]
        return read_checkpoint(paths[0].parent)
