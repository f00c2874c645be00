"""What stands below a folder: pictures, other files, and what computers leave behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tl_sweep.base.errors import UserError
from tl_sweep.data.imageset import LeftOut
from tl_sweep.data.readers.registry import SUFFIXES

SYSTEM_FOLDERS = {"@eadir", "__macosx", "lost+found", "$recycle.bin", "system volume information"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
HIDDEN = "a hidden or system file"
LINKED = "a link to a folder that is read anyway"

Place = tuple[str, ...]  # the folders below the root, then the name of the file


@dataclass(frozen=True)
class Listing:
    """Everything below ``root``. Places are in the order of a walk: a folder's files, then its folders, by name.

    pictures, others: by their suffix. folders: also those without a file. left_out: what computers leave behind.
    """

    root: Path
    pictures: list[Place] = field(default_factory=list)
    others: list[Place] = field(default_factory=list)
    folders: list[Place] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def path(self, place: Place) -> Path:
        return self.root.joinpath(*place)


def is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def is_system(name: str) -> bool:
    """Hidden, a thumbnail, or a note of an operating system."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS | SYSTEM_FILES


def look_through(root: Path) -> Listing:
    """Every regular file below ``root``, through links, too, each folder once; pipes and devices are passed over. A
    link that leads nowhere counts as a file: it cannot be read, and that is to be said.

    Raises:
        UserError: a folder may not be read: fewer images would be found than there are.
    """
    listing = Listing(root)
    _enter(listing, (), {_identity(root)}, os.path.realpath(root))
    return listing


def image_files(folder: Path) -> list[Path]:
    """Every file below ``folder`` that is an image by its suffix; hidden ones and system folders left out."""
    listing = look_through(folder)
    return [listing.path(place) for place in listing.pictures]


def _enter(listing: Listing, place: Place, entered: set[tuple[int, int]], real_root: str) -> None:
    inside = _entries(listing.path(place))
    for entry in inside:
        if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
            _sort_in(listing, (*place, entry.name))
    for entry in inside:
        if not entry.is_dir():
            continue
        below = (*place, entry.name)
        if is_system(entry.name):
            listing.left_out.extend(LeftOut(name, HIDDEN) for name in _pictures_below(entry.path, listing.root))
        elif entry.is_symlink() and _is_inside(os.path.realpath(entry.path), real_root):
            listing.left_out.append(LeftOut("/".join(below), LINKED))
        elif (identity := _identity(Path(entry.path))) not in entered:
            entered.add(identity)
            listing.folders.append(below)
            _enter(listing, below, entered, real_root)


def _sort_in(listing: Listing, place: Place) -> None:
    if is_system(place[-1]):
        listing.left_out.append(LeftOut("/".join(place), HIDDEN))
    else:
        (listing.pictures if is_picture(place[-1]) else listing.others).append(place)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"data.root: the folder {folder} cannot be read: {error.strerror}") from error


def _pictures_below(folder: str, root: Path) -> Iterator[str]:
    """Of a folder that is not entered: what looks like a picture there; one that may not be read has none."""
    for where, _, names in os.walk(folder):
        for name in filter(is_picture, sorted(names)):
            yield Path(where, name).relative_to(root).as_posix()


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _identity(folder: Path) -> tuple[int, int]:
    """Device and inode: the same for a folder and for every link to it."""
    stat = folder.stat()
    return stat.st_dev, stat.st_ino
