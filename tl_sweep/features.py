"""Embeddings of any images: what a frozen backbone makes of them, pooled, from the same store that sweeps use.

    python -m tl_sweep.features model=resnet18 [out=features.npy] IMAGE_OR_FOLDER...

`out` is .npy (float32, one row per image, with names and labels in a .csv beside it) or .parquet (all in one). The
label of an image is the name of its folder. model.weights takes what a sweep takes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tl_sweep.base.arguments import argument, read_with_words
from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.loading import compose, conf_dir
from tl_sweep.config.schema import Config, ConfigError

if TYPE_CHECKING:
    from tl_sweep.base.preprocessing import Reading
    from tl_sweep.data.imageset import ImageSet

FORMATS = (".npy", ".parquet")


@dataclass(frozen=True)
class Arguments:
    model: str = argument("", "needed: the backbone, an option of conf/model")
    model_weights: str | None = config_argument("model.weights", default="imagenet")
    data_image_size: int = config_argument("data.image_size")
    data_fit: str = config_argument("data.fit")
    data_bands: tuple[int, ...] = config_argument("data.bands", default=())
    data_white: str = config_argument("data.white")
    data_page: int = config_argument("data.page")
    data_alpha: bool = config_argument("data.alpha")
    data_max_megapixels: float | None = config_argument("data.max_megapixels")
    out: Path = argument(Path("features.npy"), "the file to write, .npy or .parquet", suffixes=FORMATS)
    output_dir: str = config_argument("output.dir", doc="where the runs are, for model.weights=run:<…>")
    cache_dir: str = config_argument("cache.dir")
    weights_dir: str = config_argument("weights.dir")
    tracking_uri: str | None = config_argument(
        "tracking.uri", doc="MLflow tracking address, for model.weights=run:<…>; null: none"
    )
    tracking_experiment: str = config_argument("tracking.experiment")


@dataclass(frozen=True)
class Features:
    """values_ND: float32, pooled features of the clean centre crop. missed: images that were not in the store."""

    files: list[str]
    labels: list[str]
    values_ND: np.ndarray
    missed: int


def compute_features(config: Config, paths: list[Path]) -> Features:
    """Pooled features of image files, by all stages of the configured backbone.

    Raises:
        UserError: unreadable images, or weights that cannot be had or do not fit.
    """
    import torch

    from tl_sweep.data.reading import reading_of
    from tl_sweep.run.assemble import build, examples, open_array_store, use_machine
    from tl_sweep.run.inputs import data_dir
    from tl_sweep.run.weights import obtain
    from tl_sweep.sweep.preflight import obtain_weights
    from tl_sweep.training.evaluate import image_batches
    from tl_sweep.training.prefix import Prefix

    obtain_weights([config])
    compute = use_machine(config)
    images = loose_files(paths, data_dir(config), reading_of(config.data))
    with open_array_store(config) as store:
        model = build(config, 2, obtain(config), compute)
        shown = examples(config, images, np.arange(len(images)), compute, store)
        prefix = Prefix(model, model.num_stages, compute, store)
        values_ND = torch.cat(list(prefix.outputs(shown, image_batches(shown), None))).cpu().numpy()
    labels = [images.class_names[label] for label in images.labels_N]
    return Features(list(images.ids), labels, values_ND, prefix.usage.missed)


def loose_files(paths: list[Path], data_dir: Path, asked: Reading) -> ImageSet:
    """Image files as a set without splits; the label of each is its folder's name.

    Raises:
        UserError: some cannot be read.
    """
    from tl_sweep.data.decode import listing
    from tl_sweep.data.files import LabelledFiles, found_files
    from tl_sweep.data.imageset import ImageSet

    folders = [path.absolute().parent.name for path in paths]
    class_names = sorted(set(folders))
    labels = [class_names.index(folder) for folder in folders]
    ids = [str(path) for path in paths]
    found = found_files(LabelledFiles(paths, ids, labels, [""] * len(paths), class_names), data_dir, asked)
    if found.problems:
        named = [f"{found.ids[index]} ({problem})" for index, problem in found.problems.items()]
        raise UserError(f"{len(named)} unreadable image(s): {listing(named)}")
    return ImageSet(
        name="files",
        class_names=found.class_names,
        labels_N=found.labels_N,
        hashes_N=found.hashes_N,
        ids=found.ids,
        own_split_N=found.splits_N,
        groups_N=None,
        notes=(),
        fingerprint="",
        open_image=found.open_image,
        reading=found.reading,
        terms=found.terms,
    )


def write_features(features: Features, out: Path) -> None:
    """Write what ``out``'s suffix says."""
    import pandas as pd

    names = pd.DataFrame({"file": features.files, "label": features.labels})
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npy":
        with atomic_write(out) as path, path.open("wb") as file:
            np.save(file, features.values_ND)
        with atomic_write(out.with_suffix(".csv")) as path:
            names.to_csv(path, index=False)
    else:
        columns = [f"f{number}" for number in range(features.values_ND.shape[1])]
        table = pd.concat([names, pd.DataFrame(features.values_ND, columns=columns)], axis=1)
        with atomic_write(out) as path:
            table.to_parquet(path, index=False)


def configure(arguments: Arguments) -> Config:
    """The configuration of a frozen backbone, from the command's arguments.

    Raises:
        UserError: an unknown model, or values that it cannot take.
    """
    from tl_sweep.models.catalog import model_problems
    from tl_sweep.run.weights import start_in_full
    from tl_sweep.sweep.preflight import folder_problems

    options = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))
    if arguments.model not in options:
        near = did_you_mean(arguments.model, options)
        raise UserError(f"model={arguments.model}:{near} allowed: {', '.join(options)}")
    config = compose(
        {"model": arguments.model, "freeze": "all", "optim": "auto", "data": "image_folder", "augment": "none"},
        {
            "model": {"weights": arguments.model_weights},
            "data": {
                "root": ".",
                "image_size": arguments.data_image_size,
                "fit": arguments.data_fit,
                "bands": list(arguments.data_bands) or None,
                "white": arguments.data_white,
                "page": arguments.data_page,
                "alpha": arguments.data_alpha,
                "max_megapixels": arguments.data_max_megapixels,
            },
            "cache": {"dir": arguments.cache_dir, "enabled": "True"},
            "weights": {"dir": arguments.weights_dir},
            "output": {"dir": arguments.output_dir},
            "tracking": {"uri": arguments.tracking_uri, "experiment": arguments.tracking_experiment},
        },
    )
    problems = [*model_problems(config.model, config.data.image_size), *folder_problems(config)]
    if problems:
        raise ConfigError(problems)
    return start_in_full(config)


def main() -> None:
    with errors_for_people():
        arguments, words = read_with_words(Arguments, sys.argv[1:], __doc__)
        out = arguments.out
        if not arguments.model or not words:
            raise UserError(
                "which backbone, which images? python -m tl_sweep.features model=resnet18 IMAGE_OR_FOLDER..."
            )
        from tl_sweep.predict import find_images

        features = compute_features(configure(arguments), find_images(words))
        write_features(features, out)
        count, width = features.values_ND.shape
        print(f"{count} images x {width} features in {out}; {features.missed} computed, the rest were there")


if __name__ == "__main__":
    main()
