"""What a run is, as a key and in words: two jobs with one key mean the same, and one of them is enough.

The key is a hash of what defines the result: the configuration without execution settings, its rates resolved and
without what its solver does not read; the data set's fingerprint; what the starting weights are. Finding it needs
neither torch nor a tracking store, nor that the weights are there already.
"""

from __future__ import annotations

import hashlib
import json
from operator import attrgetter
from pathlib import Path
from typing import Any

from tl_sweep.base.secrets import masked
from tl_sweep.config.keys import default_of, field_paths
from tl_sweep.config.schema import Config, DataConfig, ObjectiveConfig, flattened, local_path, text_of, to_dict
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.weights.files import verified
from tl_sweep.run.inputs import open_images
from tl_sweep.run.letters import RECIPE
from tl_sweep.run.weights import uses_pooled_head, weights_source
from tl_sweep.training.rates import backbone_scale_of, head_lr_of, learns_only_the_head, solver_of, weight_decay_of

SCHEMA = 1  # raise it when the same key would no longer give the same result
KEY_DIGITS = 16
HASH_DIGITS = 8  # of a weight file's SHA-256: as many as torchvision's file names promise
RESOLVED = ("model.weights", "freeze.", "optim.")  # stand in a key as what they come to


def key_of(config: Config) -> str:
    """16 hex digits.

    Raises:
        UserError: the data set or a weight file cannot be read.
    """
    return hash_of(meaning(config))[:KEY_DIGITS]


def hash_of(value: Any) -> str:
    """SHA-256 in hex digits of what can be written as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def meaning(config: Config) -> dict[str, Any]:
    """Everything that defines the run's result, as plain values."""
    given = _given(config)
    return {
        **{name: value for name, value in given.items() if not name.startswith(RESOLVED)},
        "freeze": _strategy(config),
        "optim": _optimisation(config, given),
        "weights": weights_identity(config),
        "pooled": uses_pooled_head(config),
        "data": open_images(config).fingerprint,
        "schema": SCHEMA,
    }


def _given(config: Config) -> dict[str, Any]:
    """The values, by key, that the run's solver reads and its result follows from."""
    solver = solver_of(config)
    values = {name: (attrgetter(name)(config), item) for name, item in field_paths(config)}
    return {
        name: value
        for name, (value, item) in values.items()
        if item.metadata["role"] != "execution"
        and solver in item.metadata["solvers"]
        and not (item.metadata["since"] > 1 and value == default_of(item))
    }


def title(config: Config) -> str:
    """Differing parts first, since MLflow cuts long names: ``early lr0.001 e10 n5 resnet18 imagenet s0`` (e: epochs, n:
    labels per class, or their share). The objective is named where it is not cross-entropy, the fit where it is not
    crop."""
    lr, data, weights = head_lr_of(config), config.data, config.model.weights
    how = solver_of(config) if lr is None else f"lr{lr:g} e{config.epochs}"
    depth = "" if config.freeze.frozen_stages is None else str(config.freeze.frozen_stages)
    labels = data.fraction if data.shots is None else data.shots
    source = None if weights is None or not config.freeze.pretrained else Path(weights).stem
    parts = [
        f"{config.freeze.name}{depth}",
        None if config.objective.name == ObjectiveConfig.name else config.objective.name,
        how,
        None if labels is None else f"n{labels:g}",
        None if data.fit == DataConfig.fit else data.fit,
        architecture_label(config.model),
        source,
        f"s{config.seed}",
    ]
    return " ".join(part for part in parts if part is not None)


def params_of(config: Config) -> dict[str, str]:
    """The whole configuration, flat, as text: what a store shows of it."""
    return {name: masked(text_of(value)) for name, value in flattened(to_dict(config)).items()}


def run_folder(config: Config, key: str) -> Path:
    return local_path(config.output.dir) / key


def weights_identity(config: Config) -> str | None:
    """What the run starts from: the first digits of a file's hash, or how locally made weights came to be."""
    source = weights_source(config)
    if source is None or source.kind == "none":
        return None
    if source.kind == "letters":
        return f"{config.model.weights}, recipe {RECIPE}, seed 0"
    if source.kind == "run":
        return f"run {Path(str(source.run_id)).name}"  # a folder's name is the key of the run in it
    promised = max(source.sha256_prefixes, key=len, default="")
    assert source.path is not None
    return (promised or verified(source.path).sha256)[:HASH_DIGITS]


def _strategy(config: Config) -> dict[str, Any]:
    freeze = config.freeze
    return {
        "name": freeze.name,
        "pretrained": freeze.pretrained,
        "phases": [vars(phase) for phase in freeze.phases],
        "batch_norm": None if learns_only_the_head(config) else freeze.batch_norm,
    }


def _optimisation(config: Config, given: dict[str, Any]) -> dict[str, Any]:
    solver, head_lr = solver_of(config), head_lr_of(config)
    part_of_others = ("optim.name", "optim.lr_scale")  # of the solver, and of the rate
    plain = {
        name.removeprefix("optim."): value
        for name, value in given.items()
        if name.startswith("optim.") and name not in part_of_others
    }
    if head_lr is None:
        return {**plain, "solver": solver, "l2": sorted(config.optim.l2)}
    return {
        "momentum": None,
        **plain,
        "solver": solver,
        "lr": f"{head_lr:.10g}",  # 3 × 1e-4 is 3e-4
        "weight_decay": weight_decay_of(config),
        "backbone_lr_scale": None if learns_only_the_head(config) else backbone_scale_of(config),
    }
