"""What a layout says of each picture."""

from __future__ import annotations

from dataclasses import dataclass, field

from tl_sweep.base.errors import UserError
from tl_sweep.data.imageset import LeftOut
from tl_sweep.data.layouts.listing import Place


class NoClassFolders(UserError):
    """Folders say nothing of classes; a table may."""


@dataclass(frozen=True)
class Below:
    """A picture and the folders that are still to be understood, the outermost first."""

    place: Place
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Labelled:
    """A picture and what its place says: split is ``train``, ``val``, ``test`` or empty, group empty where none is."""

    place: Place
    label: str
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class Understood:
    """Of all pictures: with a label, without one, left out. labels_from, notes: for people. learned_from: the folder
    that has a folder for each class to learn; None: labels come from elsewhere. grouped_by: the ``data.group`` that is
    obeyed already. read: lists and tables that said so.
    """

    labelled: list[Labelled]
    labels_from: str
    unlabelled: list[Place] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    learned_from: Place | None = None
    grouped_by: str | None = None
    read: tuple[Place, ...] = ()
