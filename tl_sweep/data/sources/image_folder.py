"""One's own images in folders, as people lay them out (``tl_sweep.data.layouts``)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.paths import expanded
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import listing
from tl_sweep.data.files import LabelledFiles, found_files
from tl_sweep.data.imageset import Found, LeftOut
from tl_sweep.data.layouts.class_names import with_one_name_each
from tl_sweep.data.layouts.file_names import by_pattern, remedy
from tl_sweep.data.layouts.levels import by_folders
from tl_sweep.data.layouts.listing import Listing, Place, look_through
from tl_sweep.data.layouts.lists import by_lists, flat_labels
from tl_sweep.data.layouts.tables import by_tables, tables_beside
from tl_sweep.data.layouts.understood import NoClassFolders, Understood
from tl_sweep.data.layouts.words import composed
from tl_sweep.data.readers.registry import SUFFIXES
from tl_sweep.data.reading import reading_of
from tl_sweep.data.sources.contract import KEYS_OF_FILES, KEYS_OF_TABLES, DataSource

UNPACK = {
    ".zip": "unzip {file} -d {folder}",
    ".tar": "mkdir {folder} && tar -xf {file} -C {folder}",
    ".tar.gz": "mkdir {folder} && tar -xf {file} -C {folder}",
    ".tgz": "mkdir {folder} && tar -xf {file} -C {folder}",
}


class ImageFolder(DataSource[DataConfig]):
    """A folder per class, with splits, sites, lists or wrappers around them, or the class in the names of files."""

    reads = frozenset({"root", "group", "label_level", "label_pattern"}) | KEYS_OF_FILES | KEYS_OF_TABLES - {"table"}

    def find(self, config: DataConfig, data_dir: Path) -> Found:
        """
        Raises:
            UserError: a missing root, no picture, a layout that can be read in two ways or in none, an empty class, or
                records that cannot be kept.
        """
        root = folder_of(config.root)
        found = look_through(root)
        understood = with_one_name_each(str(root), understand(str(root), found, config))
        _check_not_empty(found, understood)
        return found_files(labelled_files(found, understood), data_dir, reading_of(config), verify=config.verify)


IMAGE_FOLDER = ImageFolder()


def understand(root: str, found: Listing, config: DataConfig) -> Understood:
    """What the layout says: by what the user names, else by lists, else by folders.

    Raises:
        UserError: it can be read in two ways, or in none.
    """
    if config.label_pattern is not None:
        return by_pattern(config.label_pattern, found.pictures)
    if config.label_level is None:
        listed = by_lists(root, found)
        if listed is not None:
            return listed
    try:
        _refuse_flat(root, found)
        return by_folders(root, found.pictures, config.label_level, partial(flat_labels, found))
    except NoClassFolders:
        tables = tables_beside(found)
        if not tables or config.label_level is not None:
            raise
    return by_tables([found.path(place) for place in tables], found, config)


def labelled_files(found: Listing, understood: Understood) -> LabelledFiles:
    class_names = sorted({image.label for image in understood.labelled})
    label_of = {name: label for label, name in enumerate(class_names)}
    images = understood.labelled
    grouped = any(image.group for image in images)
    return LabelledFiles(
        paths=[found.path(image.place) for image in images],
        ids=["/".join(image.place) for image in images],
        labels=[label_of[image.label] for image in images],
        splits=[image.split for image in images],
        class_names=class_names,
        groups=[image.group for image in images] if grouped else (),
        labels_from=understood.labels_from,
        left_out=(*_no_pictures(found, understood.read), *found.left_out, *understood.left_out),
        unlabelled=tuple(found.path(place) for place in understood.unlabelled),
        notes=tuple(understood.notes),
        grouped_by=understood.grouped_by,
    )


def _no_pictures(found: Listing, read: Sequence[Place]) -> list[LeftOut]:
    others = [place for place in found.others if place not in read]
    return [LeftOut("/".join(place), f"{_kind(place[-1])} is no image") for place in others]


def _kind(name: str) -> str:
    return Path(name).suffix.lower() or name


def folder_of(given: str | None) -> Path:
    if not given:
        raise UserError("data.root is missing: data=image_folder needs data.root=<folder with one folder per class>")
    root = expanded(given)
    if root.is_dir():
        return root
    command = next((words for suffix, words in UNPACK.items() if root.is_file() and root.name.endswith(suffix)), "")
    if command:
        folder = root.name.partition(".")[0]
        remedy = command.format(file=shlex.quote(str(root)), folder=shlex.quote(folder))
        raise UserError(f"data.root: {root} is an archive; unpack it: {remedy}")
    siblings = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
    raise UserError(f"data.root: there is no folder {root}.{did_you_mean(root.name, siblings)}")


def _refuse_flat(root: str, found: Listing) -> None:
    """
    Raises:
        NoClassFolders: no picture is in a folder.
        UserError: there is no picture.
    """
    if found.pictures and all(len(place) == 1 for place in found.pictures):
        raise NoClassFolders(f"data.root: no class folders in {root}; {remedy(found.pictures)}")
    if not found.pictures:
        what = f"no images under {root}" if found.folders or found.others else f"no class folders in {root}"
        raise UserError(f"data.root: {what} (looked for {listing(sorted(SUFFIXES))} in {root}/<class>/)")


def _check_not_empty(found: Listing, understood: Understood) -> None:
    """
    Raises:
        UserError: a class without a picture to learn from.
    """
    where = understood.learned_from
    if where is None:
        return
    there = {composed(folder[-1]) for folder in found.folders if folder[:-1] == where}
    splits = {image.split for image in understood.labelled}
    learned = {image.label for image in understood.labelled if image.split in ("train", "")}
    empty = sorted((there | {image.label for image in understood.labelled}) - learned)
    if empty and splits & {"train", ""}:
        folder = found.root.joinpath(*where)
        raise UserError(f"data.root: no image in class {listing(empty)} of {folder}: add some, or remove it")
