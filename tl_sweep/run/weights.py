"""What a run starts from. Asking downloads, builds and writes nothing; ``obtain`` makes what has to be made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config, local_path
from tl_sweep.models.catalog import architecture
from tl_sweep.models.weights.files import WeightsFile, description_of, verified
from tl_sweep.models.weights.resolve import EMBEDDED, RUN, WeightsSource, resolve
from tl_sweep.run.context import Start
from tl_sweep.run.letters import RECIPE, source_config, train_source
from tl_sweep.run.which import Places, named_for_good, which_run
from tl_sweep.tracking.names import Tag

POOLED = "pooled"  # in a file's description
PACKAGE = Path(__file__).parents[1]


def weights_source(config: Config) -> WeightsSource | None:
    """Where this run's weights come from; None when it starts at random."""
    return resolve(config.model, local_path(config.weights.dir)) if config.freeze.pretrained else None


def start_in_full(config: Config) -> Config:
    """With ``model.weights=run:<…>``, however the run is named, as ``run:`` and what it is called for good.

    Raises:
        UserError: no such run, or several begin so.
    """
    text = config.model.weights
    if text is None or not text.startswith(RUN):
        return config
    named = RUN + named_for_good(text.removeprefix(RUN), Places.of(config))
    return replace(config, model=replace(config.model, weights=named))


def uses_pooled_head(config: Config) -> bool:
    """Whether the authors' hidden linear layers are left out: weights trained here know none, nor do baselines.

    Raises:
        UserError: there is no such run as ``run:<id>``, whose record alone knows what it left out.
    """
    if not architecture(config.model.name).hidden:
        return False
    source = resolve(config.model, local_path(config.weights.dir))
    match source.kind:
        case "letters":
            return True
        case "run":
            assert source.run_id is not None
            said = description_of(_assembled(config, source.run_id)).get(POOLED)
            if said is not None:
                return said == "true"
            recorded = which_run(source.run_id, Places.of(config))
            return Tag.POOLED in recorded.tags or recorded.params.get("model.weights") in EMBEDDED
        case "file":
            return source.path is not None and description_of(source.path).get(POOLED) == "true"
        case _:
            return False


def obtain(config: Config) -> Start:
    """The run's weights as a verified local file, trained or put together if need be, and the head that they ask for.

    Only for who starts a run: it may take minutes. Downloads are ``tl_sweep.models.weights.fetch``'s.

    Raises:
        UserError: they cannot be had.
    """
    return Start(_file_of(config), uses_pooled_head(config))


def _file_of(config: Config) -> WeightsFile | None:
    source = weights_source(config)
    if source is None or source.kind == "none":
        return None
    path = assembled_weights(config) if source.kind == "run" else source.path
    assert path is not None
    if source.kind == "letters":
        ensure_trained(config, path)
    return verified(path, source.sha256_prefixes)


def ensure_trained(config: Config, path: Path) -> None:
    """Train the backbone of ``config`` on its source unless ``path`` is there; other processes wait at the lock.

    Raises:
        UserError: weights that belong to the package are missing from it.
    """
    from filelock import FileLock

    if description_of(path).get("recipe") == str(RECIPE):
        return
    if path.is_relative_to(PACKAGE):
        raise UserError(
            f"{path}: missing from the package, or of another recipe; install it again, or: python -m tl_sweep.letters"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if description_of(path).get("recipe") != str(RECIPE):
            train_source(source_config(config, str(config.model.weights), seed=0), path)


def assembled_weights(config: Config) -> Path:
    """The whole state dict of ``model.weights=run:<id>`` as a file in ``weights.dir``, written on first use."""
    from filelock import FileLock
    from safetensors.torch import save_file

    from tl_sweep.run.finished import checkpoint_of
    from tl_sweep.training.checkpoint import restore

    run_id = str(config.model.weights).removeprefix(RUN)
    path = _assembled(config, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            places = Places.of(config)
            model = restore(checkpoint_of(which_run(run_id, places), places))
            tensors = {name: tensor.contiguous() for name, tensor in model.module.state_dict().items()}
            with atomic_write(path) as file:
                save_file(tensors, file, metadata={POOLED: str(model.pooled).lower()})
    return path


def _assembled(config: Config, run_id: str) -> Path:
    return local_path(config.weights.dir) / f"run-{Path(run_id).name}.safetensors"
