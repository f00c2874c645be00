"""The vocabulary of a run's record: every metric and tag, spelled once for whoever writes it and whoever reads it.

Values of tags are text. One that holds or not is ``YES`` or absent; one with parts is JSON. ``Tag.TRAINABLE`` and
``Tag.CACHE`` are prose for people, which nobody reads back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

SCHEMA = 2  # of the record: from 2 on there are ``Tag.SCHEMA`` itself, ``Tag.PHASES`` and ``Tag.BASELINE``
YES = "yes"
MANY_CLASSES = 100  # beyond, what is known of each class stands in one file, not in a metric or a column of its own


class Metric:
    """Metrics: a number per step, which is the epoch, from 0 on; those of the whole run stand at the step after it."""

    TRAIN_LOSS = "train/loss"
    TRAIN_ACC = "train/acc"
    VAL_LOSS = "val/loss"
    VAL_ACC = "val/acc"
    SECONDS_ELAPSED = "seconds_elapsed"
    IMAGES_PER_S = "images_per_s"
    L2 = "l2"

    BEST_VAL_ACC = "best/val_acc"
    BEST_VAL_LOSS = "best/val_loss"
    BEST_EPOCH = "best/epoch"
    TEST_ACC = "test/acc"
    TEST_LOSS = "test/loss"
    TEST_MACRO_F1 = "test/macro_f1"
    TEST_BALANCED_ACC = "test/balanced_acc"
    TEST_AUROC = "test/auroc"
    TEST_CALIBRATION_ERROR = "test/calibration_error"
    SECONDS = "seconds"
    PEAK_MEMORY_MB = "peak_memory_mb"
    CHECKPOINT_BYTES = "checkpoint_bytes"
    CACHE_HIT_ROWS = "cache/hit_rows"
    CACHE_MISSED_ROWS = "cache/missed_rows"
    CACHE_WRITTEN_MB = "cache/written_mb"
    CACHE_SAVED_S = "cache/saved_s"

    @staticmethod
    def lr_of(group: str) -> str:
        """The learning rate of a stage, or of the head."""
        return f"lr/{group}"

    @staticmethod
    def train_of(name: str) -> str:
        """An epoch's mean of what its objective measures in each step; of the loss itself ``TRAIN_LOSS``."""
        return f"train/{name}"

    @staticmethod
    def grad_norm_of(group: str) -> str:
        return f"grad_norm/{group}"

    @staticmethod
    def test_recall_of(class_name: str) -> str:
        return f"test/recall/{class_name}"


# Beginnings of those that measure the machine, not the result: they differ whenever a run is run again.
MEASURED = (Metric.SECONDS, Metric.IMAGES_PER_S, Metric.PEAK_MEMORY_MB, "cache/")


class Tag:
    """Tags: what is known of a run besides its configuration."""

    SCHEMA = "schema"
    KEY = "key"
    FOLDER = "folder"
    RUN_ID = "run.id"  # its own, which a run keeps over all of its attempts; not MLflow's
    OVERRIDES = "overrides"
    CONFIG_DIR = "config.dir"  # of one's own options, on the command line
    SWEEP = "sweep"
    COMMAND = "sweep.command"  # the call that began the last attempt: the sweep and its own start
    REPLACED = "replaced"
    ERROR = "error"
    PAUSED = "paused"  # why
    HEARTBEAT = "heartbeat"

    BACKBONE = "backbone"
    POOLED = "pooled"
    STRATEGY = "strategy"
    STRATEGY_LABEL = "strategy.label"  # for people: ``none (full fine-tuning)``
    INIT = "init"
    BASELINE = "baseline"  # of what starts at random by its strategy, and learns more than a head
    PHASES = "phases"  # see ``RecordedPhase``
    TRAINABLE = "trainable"
    SOLVER = "solver"
    HEAD_LR = "head_lr"
    CONTROL = "control"
    TRAINABLE_PARAMETERS = "trainable_parameters"
    PARAMETERS_PER_STAGE = "parameters_per_stage"
    DATA_FINGERPRINT = "data.fingerprint"
    DATA_SPLIT = "data.split"
    DATA_CUT_AWAY = "data.cut_away"  # share of the pictures' pixels that no network sees, where it is much
    WEIGHTS_SHA256 = "weights.sha256"
    FROZEN_SHA256 = "frozen.sha256"
    FROZEN_TENSORS = "frozen.tensors"

    DEVICE = "device"
    PRECISION = "precision"
    THREADS = "threads"
    CACHE = "cache"
    HOST = "host"
    PID = "pid"
    PYTHON = "python"
    GIT_COMMIT = "mlflow.source.git.commit"
    GIT_DIRTY = "git.dirty"

    @staticmethod
    def sweep_of(sweep: str) -> str:
        """Whether the run belongs to this sweep; it may belong to several."""
        return f"sweep.{sweep}"

    @staticmethod
    def weights_of(name: str) -> str:
        """What the file of its weights says of itself."""
        return f"weights.{name}"

    @staticmethod
    def version_of(package: str) -> str:
        return f"version.{package}"


HEAD, SOME, EVERYTHING = "head", "some", "everything"


@dataclass(frozen=True)
class RecordedPhase:
    """Some epochs in which the same learns. learns: the ``head`` alone, ``some`` of the network, or ``everything``.
    frozen_stages: the leading ones. parameters: of the other stages, ``all`` or those of ``norm`` layers."""

    learns: str
    frozen_stages: int
    parameters: str
    epochs: int


def phases_text(phases: Iterable[RecordedPhase]) -> str:
    """The value of ``Tag.PHASES``."""
    return json.dumps([asdict(phase) for phase in phases])


def phases_in(tags: Mapping[str, str]) -> tuple[RecordedPhase, ...]:
    """What ``Tag.PHASES`` says."""
    return tuple(RecordedPhase(**phase) for phase in json.loads(tags.get(Tag.PHASES, "[]")))
