"""The one door to images: a data set by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tl_sweep.base.registry import Registry
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.groups import read_groups
from tl_sweep.data.imageset import ImageSet, check
from tl_sweep.data.reading import note_on_fit
from tl_sweep.data.sources.contract import DataSource
from tl_sweep.data.twins import settle

SOURCES: Registry[DataSource[Any]] = Registry(
    "data.name",
    "tl_sweep.data_sources",
    {
        "digits": "tl_sweep.data.sources.embedded:DIGITS",
        "letters": "tl_sweep.data.sources.embedded:LETTERS",
        "letters_clean": "tl_sweep.data.sources.embedded:LETTERS_CLEAN",
        "table": "tl_sweep.data.sources.table:TABLE",
        "image_folder": "tl_sweep.data.sources.image_folder:IMAGE_FOLDER",
        "cifar10": "tl_sweep.data.sources.public:CIFAR10",
        "cifar100": "tl_sweep.data.sources.public:CIFAR100",
        "flowers102": "tl_sweep.data.sources.public:FLOWERS102",
        "oxford_pets": "tl_sweep.data.sources.public:OXFORD_PETS",
        "eurosat": "tl_sweep.data.sources.public:EUROSAT",
        "pcam": "tl_sweep.data.sources.public:PCAM",
        "food101": "tl_sweep.data.sources.public:FOOD101",
    },
)


def open_data(config: DataConfig, data_dir: Path) -> ImageSet:
    """The data set ``config.name``, checked; ``data_dir`` keeps file records and downloads.

    Raises:
        UserError: anything a person must mend: missing or unreadable files, too few classes, a failed download.
    """
    found = SOURCES[config.name].find(config, data_dir)
    asked = config.group if config.group != found.grouped_by else None
    groups_N = read_groups(asked, found.ids, config.root) if asked else found.groups_N
    images = check(config.name, found, groups_N, config.skip_unreadable, config.duplicates)
    images = settle(images, config.near_duplicates, config.duplicates, data_dir)
    return replace(images, notes=(*images.notes, *note_on_fit(config.fit, images.facts)))
