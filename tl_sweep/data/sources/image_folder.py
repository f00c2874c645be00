"""One's own images: ``root/<class>/*``, or ``root/{train,val,test}/<class>/*``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.paths import expanded
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import listing
from tl_sweep.data.files import LabelledFiles, found_files
from tl_sweep.data.imageset import Found, LeftOut
from tl_sweep.data.sources.contract import DataSource

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class ImageFolder(DataSource[DataConfig]):
    """A folder per class; those of each split in a folder of their own, where the splits are given."""

    reads = frozenset({"root", "group"})

    def find(self, config: DataConfig, data_dir: Path) -> Found:
        """
        Raises:
            UserError: a missing root, no class folder, no image, an empty class, or records that cannot be kept.
        """
        root = _root(config.root)
        splits = _split_folders(root)
        folders = [(split, label_folder) for split, folder in splits for label_folder in _subfolders(folder)]
        class_names = sorted({folder.name for _, folder in folders})
        if not class_names:
            raise UserError(f"data.root: no class folders in {root}: images are looked for in {root}/<class>/")
        entered = {device_and_inode(folder) for folder in (root, *(f for _, f in splits), *(f for _, f in folders))}
        seen = [(path, split, folder) for split, folder in folders for path in all_files(folder, entered)]
        images = [found for found in seen if found[0].suffix.lower() in EXTENSIONS]
        _check_not_empty(class_names, images, learned_from=splits[0][1])
        label_of = {name: label for label, name in enumerate(class_names)}
        files = LabelledFiles(
            paths=[path for path, _, _ in images],
            ids=[path.relative_to(root).as_posix() for path, _, _ in images],
            labels=[label_of[folder.name] for _, _, folder in images],
            splits=[split for _, split, _ in images],
            class_names=class_names,
            labels_from="the names of folders",
            left_out=tuple(
                LeftOut(path.relative_to(root).as_posix(), f"{path.suffix.lower() or path.name} is no image")
                for path, _, _ in seen
                if path.suffix.lower() not in EXTENSIONS
            ),
        )
        return found_files(files, data_dir, verify=config.verify)


IMAGE_FOLDER = ImageFolder()


def _root(given: str | None) -> Path:
    if not given:
        raise UserError("data.root is missing: data=image_folder needs data.root=<folder with one folder per class>")
    root = expanded(given)
    if root.is_dir():
        return root
    siblings = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
    raise UserError(f"data.root: there is no folder {root}.{did_you_mean(root.name, siblings)}")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    """The folders that hold class folders, training first, each with the name of its split ('' where we split)."""
    folders = _subfolders(root)
    splits = [(SPLIT_NAMES.get(folder.name.lower(), ""), folder) for folder in folders]
    if not any(split and _subfolders(folder) for split, folder in splits):
        return [("", root)]
    if "train" not in {split for split, _ in splits}:
        raise UserError(f"data.root: {root} has {listing([f.name for f in folders])} with class folders, but no train/")
    foreign = [folder.name for split, folder in splits if not split]
    if foreign:
        raise UserError(f"data.root: {root} has train/ with class folders, but also {listing(foreign)}: move them away")
    return sorted(splits, key=lambda split: split[0] != "train")


def image_files(folder: Path) -> list[Path]:
    """Every file below ``folder`` that is an image by its suffix, hidden ones left out."""
    found = all_files(folder, {device_and_inode(folder)})
    return [path for path in found if path.suffix.lower() in EXTENSIONS]


def all_files(folder: Path, entered: set[tuple[int, int]]) -> Iterator[Path]:
    """Every regular file below ``folder``, through links, too; hidden ones, pipes and devices left out. A link that
    leads nowhere counts as a file: it cannot be read, and that is to be said.

    entered: folders that are not entered (again), wherever a link to them stands; those that are entered are added.

    Raises:
        UserError: a folder may not be read: fewer images would be found than there are.
    """
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"data.root: the folder {folder} cannot be read: {error.strerror}") from error
    inside = sorted(shown, key=lambda entry: entry.name)
    for entry in inside:
        if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
            yield Path(entry.path)
    for entry in inside:
        if entry.is_dir() and (identity := device_and_inode(Path(entry.path))) not in entered:
            entered.add(identity)
            yield from all_files(Path(entry.path), entered)


def device_and_inode(folder: Path) -> tuple[int, int]:
    """Device and inode: the same for a folder and for every link to it."""
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _check_not_empty(class_names: list[str], images: list[tuple[Path, str, Path]], learned_from: Path) -> None:
    filled = {folder.name for _, _, folder in images if folder.parent == learned_from}
    empty = [name for name in class_names if name not in filled]
    if len(empty) == len(class_names):
        raise UserError(f"data.root: no images under {learned_from} (looked for {listing(sorted(EXTENSIONS))})")
    if empty:
        raise UserError(f"data.root: no image in class {listing(empty)} of {learned_from}: add some, or remove it")
