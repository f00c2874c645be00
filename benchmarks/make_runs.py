"""Finished runs that nobody trained, to measure and test what reads them.

    python benchmarks/make_runs.py OUTPUT_DIR COUNT

Their predictions are drawn: how often a network is right follows from its strategy, rate and number of labels, which
images it gets right from how hard each image is and from the seed. The rest is as real runs leave it.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tl_sweep.config.loading import compose
from tl_sweep.config.schema import Config, to_dict
from tl_sweep.data.imageset import ImageSet
from tl_sweep.run.inputs import open_images
from tl_sweep.run.key import params_of, title
from tl_sweep.tracking.names import YES, Metric, Tag
from tl_sweep.training.rates import head_lr_of, solver_of

STARTED_MS = 1_700_000_000_000
BACKBONES = ("resnet18", "resnet50", "vgg16", "efficientnet_b0", "mobilenet_v2", "squeezenet1_1")
SKILL = {"scratch": -0.3, "none": 1.6, "early": 1.5, "all": 1.0, "lp_ft": 1.6}  # in logits
LEARNS = {"scratch": 1.0, "none": 0.5, "early": 0.45, "all": 0.2, "lp_ft": 0.5}  # per doubling of the labels
PARAMETERS = {"scratch": 11_000_000, "none": 11_000_000, "early": 8_000_000, "all": 5_130, "lp_ft": 11_000_000}
TRAINABLE = {"all": "head x 10", "lp_ft": "head x 5, 5 of 5 stages + head x 5"}
SCALES, SHOTS, SEEDS, EPOCHS = (0.3, 1.0, 3.0), (5, 10, 25, 50, 100), range(5), 10


@dataclass(frozen=True)
class World:
    """difficulty_N: of each image, in logits."""

    images: ImageSet
    difficulty_N: np.ndarray


def grid() -> Iterator[Config]:
    """One configuration per run, the seeds fastest."""
    axes = (BACKBONES, SHOTS, SKILL, SCALES)
    for backbone, shots, strategy, scale in itertools.product(*axes):
        base = compose(
            {"model": backbone, "freeze": strategy, "optim": "adamw", "data": "digits", "augment": "light"},
            {
                "model": {"weights": "imagenet"},
                "epochs": EPOCHS,
                "data": {"shots": shots},
                "optim": {"lr_scale": scale},
            },
        )
        for seed in SEEDS:
            yield replace(base, seed=seed, data=replace(base.data, subset_seed=seed))


def make_runs(output_dir: Path, configs: Iterator[Config]) -> None:
    """A folder per configuration, as a finished run leaves it, but for its figures."""
    for number, config in enumerate(configs):
        if not number:
            images = open_images(config)
            world = World(images, np.random.default_rng(0).normal(0, 1.5, len(images)))
        make_run(output_dir / f"{number:016x}", config, world, number)


def make_run(folder: Path, config: Config, world: World, number: int) -> None:
    rng = np.random.default_rng([number, config.seed])
    folder.mkdir(parents=True)
    frame = predictions(config, world, rng)
    frame.to_parquet(folder / "predictions.parquet", index=False)
    (folder / "config.yaml").write_text(yaml.safe_dump(to_dict(config), sort_keys=False))
    (folder / "checkpoint.safetensors").write_bytes(bytes(8))
    hits = frame.assign(right=frame["label"] == frame["predicted"]).groupby("split")["right"].mean()
    lines = [json.dumps(event) + "\n" for event in events(folder, config, world, hits.to_dict(), number)]
    (folder / "record.jsonl").write_text("".join(lines))


def predictions(config: Config, world: World, rng: np.random.Generator) -> pd.DataFrame:
    images, strategy = world.images, config.freeze.name
    assert config.data.shots is not None
    pool = np.flatnonzero(images.own_split_N == "train")
    val = np.random.default_rng(config.data.subset_seed).choice(pool, 2 * config.data.shots, replace=False)
    parts = {"val": np.sort(val), "test": np.flatnonzero(images.own_split_N == "test")}
    skill = SKILL[strategy] + LEARNS[strategy] * np.log2(config.data.shots / 5)
    skill += rng.normal(0, 0.15) - 0.2 * np.log(config.optim.lr_scale) ** 2
    frames = []
    for split, indices in parts.items():
        right_N = rng.random(len(indices)) < 1 / (1 + np.exp(world.difficulty_N[indices] - skill))
        labels_N = images.labels_N[indices]
        count = len(images.class_names)
        predicted_N = np.where(right_N, labels_N, (labels_N + rng.integers(1, count, len(indices))) % count)
        probabilities_NK = np.full((len(indices), count), 0.3 / (count - 1))
        probabilities_NK[np.arange(len(indices)), predicted_N] = 0.7
        names = images.class_names
        columns = {
            "split": [split] * len(indices),
            "id": [images.ids[index] for index in indices],
            "group": [images.ids[index] for index in indices],
            "label": [names[label] for label in labels_N],
            "predicted": [names[label] for label in predicted_N],
        }
        frames.append(pd.DataFrame(columns | {f"p/{name}": probabilities_NK[:, k] for k, name in enumerate(names)}))
    return pd.concat(frames)


def events(
    folder: Path, config: Config, world: World, hits: dict[str, float], number: int
) -> Iterator[dict[str, object]]:
    strategy, head_lr = config.freeze.name, head_lr_of(config)
    tags = {
        Tag.KEY: folder.name,
        Tag.FOLDER: str(folder.absolute()),
        Tag.BACKBONE: config.model.name,
        Tag.STRATEGY: strategy,
        Tag.INIT: "random" if strategy == "scratch" else "imagenet",
        Tag.TRAINABLE: TRAINABLE.get(strategy, "5 of 5 stages + head x 10"),
        Tag.SOLVER: solver_of(config),
        Tag.HEAD_LR: f"{head_lr:g}",
        Tag.TRAINABLE_PARAMETERS: str(PARAMETERS[strategy]),
        Tag.OVERRIDES: f"model={config.model.name} freeze={strategy} data.shots={config.data.shots} "
        f"optim.lr_scale={config.optim.lr_scale} seed={config.seed}",
        Tag.DATA_FINGERPRINT: world.images.fingerprint,
        Tag.sweep_of("smade"): YES,
        Tag.SWEEP: "smade",
    }
    now_ms = STARTED_MS + 60_000 * number
    header = {"name": title(config), "tags": tags, "params": params_of(config), "destination": None}
    data = {"name": "digits", "digest": "made", "source_type": "local", "source": "{}", "profile": "{}"}
    yield {"event": "start", "time_ms": now_ms, "id": folder.name * 2, "data": data, **header}
    seconds = 2.0 if strategy == "all" else 20.0 + number % 7
    for epoch in range(config.epochs):
        share = 1 - 0.5 ** (epoch + 1)
        values = dict.fromkeys((Metric.TRAIN_ACC, Metric.VAL_ACC), share * hits["val"])
        values |= dict.fromkeys((Metric.TRAIN_LOSS, Metric.VAL_LOSS), 2.3 - 2 * share * hits["val"])
        values[Metric.SECONDS_ELAPSED] = seconds * (epoch + 1) / config.epochs
        yield {"event": "metrics", "time_ms": now_ms + 1000 * epoch, "step": epoch, "values": values}
    final = {
        Metric.BEST_VAL_ACC: hits["val"],
        Metric.BEST_VAL_LOSS: 2.3 - 2 * hits["val"],
        Metric.BEST_EPOCH: config.epochs - 1.0,
        Metric.TEST_ACC: hits["test"],
        Metric.TEST_MACRO_F1: hits["test"],
        Metric.TEST_CALIBRATION_ERROR: 0.05,
        Metric.SECONDS: seconds,
        Metric.CHECKPOINT_BYTES: 4.0 * PARAMETERS[strategy],
    }
    yield {"event": "metrics", "time_ms": now_ms + 30_000, "step": config.epochs, "values": final}
    yield {"event": "end", "time_ms": now_ms + 30_000, "status": "FINISHED"}


def main(output_dir: str, count: str) -> None:
    make_runs(Path(output_dir), itertools.islice(grid(), int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
