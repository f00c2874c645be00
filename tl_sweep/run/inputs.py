"""The data set of a run, opened once."""

from __future__ import annotations

from collections.abc import Hashable
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.config.keys import keys_with, role_of
from tl_sweep.config.schema import Config, local_path

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
    """Which files it is, which of them count, their labels, and what there is to say; not what is drawn of it."""
    which = [*(name for name in keys_with(config, asks="data") if role_of(name) != "draw"), "data.fit"]
    return data_dir(config), *(repr(attrgetter(name)(config)) for name in which)
