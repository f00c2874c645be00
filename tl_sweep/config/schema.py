"""The whole configuration: types, shared defaults and rules, each beside its field.

The YAML files under ``conf/`` say what makes an option itself; everything an option does not say is a default here and
nowhere else. ``parse`` turns Hydra's ``DictConfig`` into a ``Config`` or raises one ``ConfigError`` with every problem
found. Values that follow from others (a learning rate, a label) are functions of a ``Config``, never keys of it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import II, MISSING

from tl_sweep.base.errors import UserError
from tl_sweep.base.paths import expanded
from tl_sweep.base.preprocessing import FITS
from tl_sweep.base.registry import Registry


class ConfigError(UserError):
    """Every rule that a configuration breaks, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


SOLVERS = ("sgd", "adamw", "lbfgs")
STEPPING = ("sgd", "adamw")  # those that take steps, batch after batch


def key(
    default: Any,
    doc: str,
    *,
    role: str = "definition",
    asks: str = "",
    costs: bool = False,
    place: str = "",
    solvers: tuple[str, ...] = SOLVERS,
    since: int = 1,
    **rules: Any,
) -> Any:
    """A field with its help text, what it is to a run, and rules: ``choices``, ``ge``, ``gt``, ``le``, ``lt``,
    ``length``. Lists of keys are derived from these (tl_sweep.config.keys).

    role: ``definition``: of what the run is. ``draw``: the same, and images are drawn by it. ``seed``: the same, and
    results are averaged over its values. ``execution``: where, how fast and under whose eyes the run is computed, no
    part of what it is (tl_sweep.run.key).
    asks: what a comparison asks by it: ``data`` (which data set: its files, labels and test images), ``labels`` (how
    many), ``images`` (how they are shown and counted), ``source`` (which weights). Empty: it is an answer, which
    validation chooses. Keys of ``data.`` ask ``data`` unless they say otherwise, or are execution.
    costs: an epoch takes another time where it differs.
    place: where a run's ``inputs`` or ``results`` are: a command that adds to recorded runs has to say it.
    solvers: those that read it.
    since: the schema of the record that it came with; a later field than the first schema's is part of a run's key only
    where it differs from its default, so that finished runs keep their keys.
    path: it is a path on this machine, and taken literally from the command line.
    """
    said = {"role": role, "asks": asks, "costs": costs, "place": place, "solvers": solvers, "since": since}
    metadata = {"doc": doc, **said, **rules}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def group(cls: type) -> Any:
    return field(default_factory=cls)


@dataclass
class PreprocessingConfig:
    mean: list[float] | None = key(None, "per channel, on [0, 1]; null: the architecture's own", length=3)
    std: list[float] | None = key(None, "per channel; null: the architecture's own", length=3, gt=0)
    interpolation: str | None = key(
        None, "of the resize; null: the architecture's own", choices=("bilinear", "bicubic")
    )


@dataclass
class ModelConfig:
    name: str = key(MISSING, "a torchvision classification model, or one of our own (resnet_small, residual)")
    weights: str | None = key(
        None,
        "null, imagenet, letters, run:<which>, a .pth or .safetensors file, or a torchvision enum name",
        asks="source",
        path=True,
    )
    sha256: str | None = key(
        None, "refuse a weight file whose SHA-256 does not begin with these hex digits", role="execution"
    )
    preprocessing: PreprocessingConfig = group(PreprocessingConfig)
    dropout: float = key(0.0, "before the new linear head", ge=0, lt=1)
    depth: int | None = key(None, "of our own residual network: 8, 14, 20, 32, 44, 56, 110 or 18, 34, 50, 101, 152")
    norm: str = key("batch", "of our own residual network", choices=("batch", "group", "none"))
    residual: bool = key(True, "of our own residual network: false is the plain twin, without shortcuts")


@dataclass
class PhaseConfig:
    frozen: str | None = key(
        "0",
        "leading stages frozen in this phase: a number, 'half' (rounded up), 'all', or 'each' (one phase per stage)",
    )
    parameters: str = key("all", "which parameters of a trainable stage learn", choices=("all", "norm"))
    lr_scale: float = key(1.0, "multiplies every rate in this phase", gt=0)
    share: float = key(1.0, "weight of this phase when the epochs are shared out", gt=0)


@dataclass
class FreezeConfig:
    name: str = key(MISSING, "the strategy")
    label: str | None = key(None, "what the field calls it, in tables and figures", role="execution", since=2)
    phases: list[PhaseConfig] = key([], "what learns, in order")
    pretrained: bool = key(True, "false: weights are not loaded, the model starts at random (the baseline)")
    frozen_stages: int | None = key(None, "freeze=depth: how many leading stages are frozen", ge=0)
    batch_norm: str = key(
        "train", "BatchNorm of trainable stages: follow the batch, or keep the statistics", choices=("train", "eval")
    )
    solver: str = key("adamw", "what optim=auto means for this strategy", choices=SOLVERS)
    lr: dict[str, float] = key({}, "default optim.lr per optimiser", gt=0)
    lr_without_norm: dict[str, float] = key({}, "the same, for a network without normalisation layers; else lr", gt=0)
    backbone_lr_scale: float = key(1.0, "rate of the backbone relative to the head's", gt=0)


@dataclass
class OptimConfig:
    name: str = key("auto", "auto: the strategy's own", choices=("auto", *SOLVERS))
    lr: float | None = key(None, "of the head; null: the strategy's default for this optimiser", gt=0, solvers=STEPPING)
    lr_scale: float = key(1.0, "multiplies lr: the fair way to search over strategies", gt=0, solvers=STEPPING)
    weight_decay: float | None = key(
        None, "not on norms and biases; null: 1e-4 for sgd, 1e-2 for adamw", ge=0, solvers=STEPPING
    )
    momentum: float = key(0.9, "of sgd", ge=0, lt=1, solvers=("sgd",))
    backbone_lr_scale: float | None = key(
        None, "null: the strategy's own (0.1 when fine-tuning)", gt=0, solvers=STEPPING
    )
    layer_decay: float = key(1.0, "rate per stage, counted down from the head", gt=0, le=1, solvers=STEPPING)
    warmup: float = key(
        0.1, "share of a phase's steps with a linearly rising rate; then cosine to 0", ge=0, lt=1, solvers=STEPPING
    )
    label_smoothing: float = key(0.0, "of the training loss", ge=0, lt=1)
    clip_norm: float | None = key(None, "gradients are scaled down to this norm", gt=0, solvers=STEPPING)
    ema_decay: float | None = key(
        None, "evaluate an exponential moving average of the weights", gt=0, lt=1, solvers=STEPPING
    )
    l2: list[float] = key(
        [1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3],
        "lbfgs: penalties tried, chosen by validation loss",
        gt=0,
        solvers=("lbfgs",),
    )


@dataclass
class ObjectiveConfig:
    name: str = key("cross_entropy", "what training minimises", costs=True, since=2)
    options: dict[str, float] = key({}, "numbers that the objective reads, by name", since=2)


@dataclass
class DataConfig:
    name: str = key(MISSING, "the data set", costs=True)
    root: str | None = key(
        None,
        "its folder; null: <weights.dir>/../data for public sets",
        role="execution",
        asks="data",
        path=True,
        place="inputs",
    )
    image_size: int = key(224, "side of the square the model sees, in pixels", ge=8, le=1024, asks="images", costs=True)
    shots: int | None = key(
        None,
        "labelled images per class, training and validation together (80/20)",
        ge=2,
        role="draw",
        asks="labels",
        costs=True,
    )
    fraction: float | None = key(
        None, "share of the labelled images, as shots", gt=0, le=1, role="draw", asks="labels", costs=True
    )
    split_seed: int = key(0, "draws the test split, once and for all", ge=0, role="draw")
    subset_seed: int = key(
        II("seed"), "draws the labelled subset and validation; default: seed", ge=0, role="seed", asks="labels"
    )
    flips: str = key(
        "horizontal",
        "mirror images that are still of their class",
        choices=("none", "horizontal", "both"),
        asks="images",
    )
    duplicates: str = key("drop", "identical files in different classes", choices=("drop", "refuse"))
    near_duplicates: str = key(
        "group",
        "files that show one picture: group keeps them in one split, drop keeps one of them, ignore looks for none",
        choices=("group", "drop", "ignore"),
        since=2,
    )
    group: str | None = key(
        None, "keeps a patient or site in one split: a column of metadata.csv, or a regular expression on the path"
    )
    test_group: str | None = key(
        None, "the group that is the test split, whole: a hospital, a camera; several: north+west", since=2
    )
    label_level: int | None = key(
        None,
        "which folder names the class: 1 the first below data.root, -1 the picture's own; null: found out",
        since=2,
    )
    table: str | None = key(
        None,
        "of the pictures and their classes, beside them or above",
        role="execution",
        asks="data",
        path=True,
        place="inputs",
        since=2,
    )
    file_column: str | None = key(None, "of the table: which picture; null: found out", since=2)
    label_column: str | None = key(None, "of the table: its class; null: found out", since=2)
    split_column: str | None = key(None, "of the table: train, val or test; null: found out", since=2)
    label_pattern: str | None = key(
        None, "a regular expression on the path, whose one pair of parentheses is the class", since=2
    )
    bands: list[int] | None = key(
        None,
        "of which a picture is made, counted from 1: three (red, green, blue) or one; null: as the file says",
        ge=1,
        since=2,
    )
    white: str = key(
        "auto",
        "which value is white in pictures of more than 8 bits; auto: the smallest of 255, 1023, 4095, 16383 and 65535 "
        "that holds the whole set",
        since=2,
    )
    page: int = key(1, "which page or frame of files with several, counted from 1", ge=1, since=2)
    alpha: bool = key(False, "true: the band beside a TIFF's colours is its transparency; false: left out", since=2)
    max_megapixels: float | None = key(
        None, "larger pictures are refused; null: Pillow's own limit, 179", gt=0, since=2
    )
    fit: str = key(
        "crop",
        "how an oblong picture becomes a square: crop: its middle; squash: all of it, stretched (of both, a margin of "
        "1/16 a side is not seen in evaluation); whole: all of it, stretched, no margin; pad: all of it, between bars",
        choices=FITS,
        asks="images",
        since=2,
    )
    balance: str = key(
        "none", "weight: the loss weighs classes inversely to their size", choices=("none", "weight"), asks="images"
    )
    verify: bool = key(
        False, "true: read every file again, also those that look as they did last time", role="execution", since=2
    )
    skip_unreadable: bool = key(False, "true: unreadable files are listed, skipped and counted; false: refused")


# Of data sources with keys of their own, by data.name: a subclass of DataConfig whose fields are made by ``key``.
DATA_CONFIGS: Registry[type[DataConfig]] = Registry("data.name", "tl_sweep.data_configs", {})


@dataclass
class AugmentConfig:
    name: str = key(MISSING, "the augmentation")
    views: int | None = key(None, "distinct draws of each image; null: a fresh one every epoch", ge=1, costs=True)
    seed: int = key(0, "of the draws", ge=0)
    crop_scale_min: float = key(1.0, "smallest area of the random crop, of the decoded image's", gt=0, le=1)
    aspect: float = key(1.0, "largest aspect ratio of the random crop", ge=1, le=4)
    rotation_deg: float = key(0.0, "largest rotation, either way", ge=0, le=180)
    brightness: float = key(0.0, "factor within 1 ± this", ge=0, lt=1)
    contrast: float = key(0.0, "factor within 1 ± this", ge=0, lt=1)
    saturation: float = key(0.0, "factor within 1 ± this", ge=0, lt=1)
    erase: float = key(0.0, "largest side of an erased square, of the image's side", ge=0, lt=1)
    mixup: float = key(0.0, "alpha of mixup; 0: off", ge=0)
    cutmix: float = key(0.0, "alpha of CutMix; 0: off", ge=0)


@dataclass
class CacheConfig:
    enabled: str = key(
        "auto",
        "keep decoded images and the output of frozen stages on disk; auto weighs the latter; never changes a result",
        choices=("auto", "True", "False"),
        role="execution",
    )
    dir: str = key(
        "~/.cache/tl_sweep/rows",
        "where prefix features and decoded images are kept",
        role="execution",
        path=True,
        place="inputs",
    )
    max_gb: float = key(20.0, "the least recently used make room beyond this", ge=0, role="execution")


@dataclass
class OutputConfig:
    dir: str = key("runs", "one folder per run is made in here", role="execution", path=True, place="results")


@dataclass
class WeightsConfig:
    dir: str = key(
        "~/.cache/tl_sweep/weights",
        "locally trained weights; data sets and records of image folders go beside it",
        role="execution",
        path=True,
        place="inputs",
    )


@dataclass
class TrackingConfig:
    uri: str | None = key(
        "sqlite:///mlflow.db", "MLflow tracking address; null: only the run folder", role="execution", place="results"
    )
    experiment: str = key("tl_sweep", "MLflow experiment", role="execution", place="results")


@dataclass
class Config:
    model: ModelConfig = group(ModelConfig)
    freeze: FreezeConfig = group(FreezeConfig)
    optim: OptimConfig = group(OptimConfig)
    objective: ObjectiveConfig = group(ObjectiveConfig)
    data: DataConfig = group(DataConfig)
    augment: AugmentConfig = group(AugmentConfig)
    cache: CacheConfig = group(CacheConfig)
    output: OutputConfig = group(OutputConfig)
    weights: WeightsConfig = group(WeightsConfig)
    tracking: TrackingConfig = group(TrackingConfig)
    epochs: int = key(30, "of training, over all phases", ge=1)
    batch_size: int | None = key(
        None, "images per step; null: 32, fewer where an epoch would have under ten steps", ge=2, solvers=STEPPING
    )
    seed: int = key(0, "of head initialisation, batch order, dropout and mixing", ge=0, role="seed")
    planned_seeds: int | None = key(
        None,
        "decided before the first one runs: no verdict with fewer, and with so many one at the full level; null: looks "
        "at few and at more seeds share it",
        ge=3,
        role="execution",
        since=2,
    )
    patience: int | None = key(
        None, "epochs without a better validation accuracy that end a phase; null: off", ge=1, solvers=STEPPING
    )
    precision: str = key(
        "auto", "auto: float32 on CPU, bfloat16 autocast on CUDA", choices=("auto", "float32", "bfloat16")
    )
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"), role="execution")
    threads: int | None = key(None, "of torch on the CPU; null: torch's own choice", ge=1, role="execution")
    num_workers: int = key(2, "threads that decode image files", ge=1, role="execution")
    resume: str = key(
        "auto",
        "auto: finished runs are not run again, interrupted ones go on; never: interrupted ones start over; "
        "force: all start over",
        choices=("auto", "never", "force"),
        role="execution",
    )
    deterministic: bool = key(False, "refuse operations that have no deterministic form (CUDA)", role="execution")


def to_dict(config: Config) -> dict[str, Any]:
    """The resolved configuration as plain, hashable-by-JSON values."""
    return dataclasses.asdict(config)


def flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"optim": {"lr": 1}}`` → ``{"optim.lr": 1}``; lists stay whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def text_of(value: Any) -> str:
    """A value as runs record it."""
    return "null" if value is None else json.dumps(value) if isinstance(value, (list, bool)) else str(value)


def local_path(text: str) -> Path:
    """An absolute path; ``~`` is the home directory."""
    return expanded(text).absolute()
