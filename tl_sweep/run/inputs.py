"""The data set of a run, opened once."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.config.schema import Config, local_path, own_fields

if TYPE_CHECKING:
    from tl_sweep.data.imageset import ImageSet


def data_dir(config: Config) -> Path:
    """Where public data sets and the records of image folders are kept: beside the weights."""
    return local_path(config.weights.dir).parent / "data"


_opened: dict[Hashable, ImageSet] = {}  # by the sweep that this process prepared last; its jobs need not look again


def forget_images() -> None:
    """Another sweep begins: what was opened before is looked at again."""
    _opened.clear()


def open_and_keep(config: Config) -> ImageSet:
    """The configured data set, looked at now, and kept for the jobs of this sweep."""
    images = _opened[_identity_of_data(config)] = open_images(config)
    return images


def open_images(config: Config) -> ImageSet:
    """The configured data set, checked.

    Raises:
        UserError: anything about it that a person must mend.
    """
    from tl_sweep.data.sources.registry import open_data

    return _opened.get(_identity_of_data(config)) or open_data(config.data, data_dir(config))


def images_at_hand(config: Config) -> ImageSet | None:
    """The configured data set, where looking at it downloads nothing; else None.

    Raises:
        UserError: it cannot be read.
    """
    from tl_sweep.data.sources.registry import SOURCES

    known = _opened.get(_identity_of_data(config))
    return known if known is not None or SOURCES[config.data.name].downloads else open_images(config)


def _identity_of_data(config: Config) -> Hashable:
    data = config.data
    own = repr([getattr(data, item.name) for item in own_fields(data)])
    return data.name, data.root, data.group, data.skip_unreadable, data.duplicates, own, data_dir(config)
