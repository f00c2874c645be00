"""What is written down about a run before it starts: names, tags, parameters, inputs."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml

from tl_sweep.base.secrets import masked
from tl_sweep.config.schema import Config, text_of, to_dict
from tl_sweep.data.reading import much_cut_away
from tl_sweep.models.catalog import architecture_label
from tl_sweep.models.weights.files import description_of
from tl_sweep.run.key import params_of, title
from tl_sweep.tracking.names import EVERYTHING, HEAD, SCHEMA, SOME, YES, RecordedPhase, Tag, phases_text
from tl_sweep.tracking.record import RunHeader
from tl_sweep.tracking.strategy_label import labelled
from tl_sweep.training.freeze import Phase, trainable_parameters
from tl_sweep.training.rates import head_lr_of, solver_of

if TYPE_CHECKING:
    from tl_sweep.run.assemble import Run
    from tl_sweep.run.context import Position

PACKAGES = ("hydra-core", "mlflow", "numpy")


def header(folder: Path, config: Config, run: Run, position: Position) -> RunHeader:
    return RunHeader(
        name=title(config),
        tags={Tag.FOLDER: str(folder), **_tags(config, run, position)},
        params=params_of(config),
        data={
            "name": run.images.name,
            "digest": f"{run.images.fingerprint[:17]}-{run.splits.digest[:17]}",  # MLflow keeps one entry per digest
            "source_type": "local",
            "source": json.dumps({"root": config.data.root, "split": run.splits.digest}),
            "profile": json.dumps(counts(run)),
        },
    )


def counts(run: Run) -> dict[str, int]:
    return {
        "train": len(run.splits.train),
        "val": len(run.splits.val),
        "test": len(run.splits.test),
        "classes": len(run.images.class_names),
    }


def _tags(config: Config, run: Run, position: Position) -> dict[str, str]:
    model, head_lr = run.state.model, head_lr_of(config)
    phases = [_phase(phase, model.num_stages) for phase in run.setup.plan]
    only_head = all(phase.learns == HEAD for phase in phases)
    cut_away = much_cut_away(config.data.fit, run.images.facts)
    is_control = only_head and run.weights is None  # frozen random features: what a source has to beat
    tags = {
        Tag.SCHEMA: str(SCHEMA),
        Tag.KEY: position.key,
        Tag.BACKBONE: architecture_label(config.model),
        Tag.POOLED: YES if model.pooled else "",
        Tag.STRATEGY: config.freeze.name,
        Tag.STRATEGY_LABEL: labelled(
            config.freeze.name, text_of(config.freeze.frozen_stages), config.freeze.label or "", is_control
        ),
        Tag.INIT: text_of(config.model.weights) if run.weights else "random",
        Tag.BASELINE: "" if config.freeze.pretrained or only_head else YES,
        Tag.PHASES: phases_text(phases),
        Tag.TRAINABLE: ", ".join(_phase_text(phase, model.num_stages) for phase in run.setup.plan),
        Tag.SOLVER: solver_of(config),
        Tag.HEAD_LR: "" if head_lr is None else f"{head_lr:g}",
        Tag.CONTROL: "random features" if is_control else "",
        Tag.TRAINABLE_PARAMETERS: str(max(_count(run, phase) for phase in run.setup.plan)),
        Tag.PARAMETERS_PER_STAGE: json.dumps(_parameters_per_stage(run)),
        Tag.OVERRIDES: masked(" ".join(position.overrides)),
        Tag.CONFIG_DIR: position.config_dir,
        Tag.DATA_FINGERPRINT: run.images.fingerprint,
        Tag.DATA_SPLIT: run.splits.digest,
        Tag.DATA_CUT_AWAY: "" if cut_away is None else f"{cut_away:.2f}",
        **_weights_tags(run),
        Tag.DEVICE: str(run.setup.compute.device),
        Tag.PRECISION: run.setup.compute.precision,
        Tag.THREADS: str(torch.get_num_threads()),
        Tag.HOST: socket.gethostname(),
        Tag.PID: str(os.getpid()),
        Tag.PYTHON: platform.python_version(),
        **{Tag.version_of(package): version(package) for package in ("tl-sweep", *model.recipe.packages, *PACKAGES)},
        **git_state(),
    }
    if position.sweep_id:
        tags |= {Tag.sweep_of(position.sweep_id): YES, Tag.SWEEP: position.sweep_id, Tag.COMMAND: position.command}
    return {name: text for name, text in tags.items() if text}


def write_inputs(folder: Path, config: Config, run: Run) -> None:
    """``config.yaml`` and ``split.json``: by them a run can be repeated and its split checked."""
    (folder / "config.yaml").write_text(masked(yaml.safe_dump(to_dict(config), sort_keys=False)))
    named = {name: [run.images.ids[index] for index in getattr(run.splits, name)] for name in ("train", "val", "test")}
    (folder / "split.json").write_text(json.dumps({"digest": run.splits.digest, **named}))


def git_state() -> dict[str, str]:
    """Commit and dirty flag of the checkout that the command was started in; empty outside one."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {Tag.GIT_COMMIT: commit, Tag.GIT_DIRTY: YES if _git("status", "--porcelain") else "no"}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _phase(phase: Phase, num_stages: int) -> RecordedPhase:
    is_everything = phase.frozen_stages == 0 and phase.parameters == "all"
    learns = HEAD if phase.frozen_stages == num_stages else EVERYTHING if is_everything else SOME
    return RecordedPhase(learns, phase.frozen_stages, phase.parameters, phase.epochs)


def _phase_text(phase: Phase, num_stages: int) -> str:
    kind = "norm layers of " if phase.parameters == "norm" else ""
    learning = num_stages - phase.frozen_stages
    return f"{kind}{learning} of {num_stages} stages + head x {phase.epochs}" if learning else f"head x {phase.epochs}"


def _weights_tags(run: Run) -> dict[str, str]:
    if run.weights is None:
        return {}
    described = description_of(run.weights.path)
    return {Tag.WEIGHTS_SHA256: run.weights.sha256} | {Tag.weights_of(name): text for name, text in described.items()}


def _count(run: Run, phase: Phase) -> int:
    return sum(parameter.numel() for parameter in trainable_parameters(run.state.model, phase).values())


def _parameters_per_stage(run: Run) -> dict[str, int]:
    model = run.state.model
    sizes = {
        stage.name: sum(parameter.numel() for parameter in model.stage_parameters(index).values())
        for index, stage in enumerate(model.stages)
    }
    return sizes | {"head": sum(parameter.numel() for parameter in model.head_parameters().values())}
