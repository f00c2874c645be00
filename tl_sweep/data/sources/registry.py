"""The one door to images: a data set by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.groups import read_groups
from tl_sweep.data.imageset import Found, ImageSet, check, found_arrays
from tl_sweep.data.sources import glyphs, public
from tl_sweep.data.sources.image_folder import open_folder

DIGITS_TEST = 797


def open_data(config: DataConfig, data_dir: Path) -> ImageSet:
    """The data set ``config.name``, checked; ``data_dir`` keeps file records and downloads.

    Raises UserError for anything a person must mend: missing or unreadable files, too few classes, a failed download.
    """
    if config.name not in SOURCES:
        near = did_you_mean(config.name, SOURCES)
        raise UserError(f"data.name={config.name}: not a data set. Allowed: {', '.join(SOURCES)}.{near}")
    found = SOURCES[config.name](config, data_dir)
    groups_N = read_groups(config.group, found.ids, config.root) if config.group else None
    return check(config.name, found, groups_N, config.skip_unreadable, config.duplicates)


def open_digits(config: DataConfig, data_dir: Path) -> Found:
    """1797 handwritten digits, 8x8 counts (UCI; Alpaydin and Kaynak 1998). Their order follows the writers, so the
    last 797 are the test split: mostly other hands."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    count = len(digits.target)
    return found_arrays(
        glyphs.counts_to_gray(digits.images),
        ids=[f"digits/{index:04d}" for index in range(count)],
        labels=digits.target,
        splits=["train"] * (count - DIGITS_TEST) + ["test"] * DIGITS_TEST,
        class_names=[str(name) for name in digits.target_names],
    )


def open_letters(config: DataConfig, data_dir: Path) -> Found:
    return _open_glyphs("letters", *glyphs.letters())


def open_letters_clean(config: DataConfig, data_dir: Path) -> Found:
    return _open_glyphs("letters_clean", *glyphs.letters_clean())


def _open_glyphs(name: str, images_NHW: np.ndarray, labels_N: np.ndarray, class_names: tuple[str, ...]) -> Found:
    ids = [f"{name}/{index:05d}" for index in range(len(labels_N))]
    return found_arrays(images_NHW, ids, labels_N, [""] * len(ids), class_names)


SOURCES: dict[str, Callable[[DataConfig, Path], Found]] = {
    "digits": open_digits,
    "letters": open_letters,
    "letters_clean": open_letters_clean,
    "image_folder": open_folder,
    **public.SOURCES,
}
