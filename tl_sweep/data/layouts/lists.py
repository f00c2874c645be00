"""Text files beside pictures that say which split a picture is in, or what it shows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from tl_sweep.base.errors import UserError
from tl_sweep.data.decode import listing
from tl_sweep.data.imageset import LeftOut
from tl_sweep.data.layouts.listing import Listing, Place, is_picture
from tl_sweep.data.layouts.understood import Labelled, Understood
from tl_sweep.data.layouts.words import split_of

LISTS = (".txt", ".lst")
CLASSES = {"classes.txt", "class_names.txt", "names.txt", "labels.txt", "obj.names", "wnids.txt"}
ANNOTATIONS = re.compile(r"annotation|label|ground_?truth", re.IGNORECASE)
BETWEEN = re.compile(r"[\t,;]|\s+")
NOT_LISTED = "in none of the lists"


def by_lists(root: str, found: Listing) -> Understood | None:
    """Splits from ``train.txt`` and ``test.txt`` or ``val.txt``, a picture a line, with its class or without (then its
    folder names it); None: there are no such lists.

    Raises:
        UserError: lists that name files that are not there, or one file twice.
    """
    lists = {place: split_of(PurePosixPath(place[-1]).stem) for place in found.others if _is_list(place)}
    splits = set(lists.values())
    if "train" not in splits or len(splits) < 2 or not found.pictures:
        return None
    index, names = Index(found.pictures), _class_names(found)
    labelled: dict[Place, Labelled] = {}
    for place, split in sorted(lists.items(), key=lambda item: item[1] != "train"):
        for line in _lines(found, place):
            image = _image(index, line, names, "" if split == "unlabelled" else split)
            if image is None:
                raise UserError(f"data.root: {root}: {'/'.join(place)} names {line!r}, and there is no such picture")
            if image.place in labelled:
                raise UserError(f"data.root: {root}: {line!r} stands in two lists, or twice in {'/'.join(place)}")
            labelled[image.place] = image
    left_out = [LeftOut("/".join(place), NOT_LISTED) for place in found.pictures if place not in labelled]
    order = {place: number for number, place in enumerate(found.pictures)}
    images = sorted(labelled.values(), key=lambda image: (image.split != "train", order[image.place]))
    said = listing(sorted("/".join(place) for place in lists))
    return Understood(images, f"the folders of the pictures that {said} name", left_out=left_out, read=tuple(lists))


class Index:
    """Pictures by how their paths end, with or without the suffix."""

    def __init__(self, pictures: Sequence[Place]) -> None:
        self.by_name: dict[str, list[Place]] = defaultdict(list)
        for place in pictures:
            self.by_name[place[-1]].append(place)
            self.by_name[PurePosixPath(place[-1]).stem].append(place)

    def find(self, text: str) -> Place | None:
        """The one picture that is meant by a path, as written on any system; None: none, or several."""
        parts = tuple(part for part in text.strip().replace("\\", "/").split("/") if part not in ("", "."))
        if not parts:
            return None
        meant = [place for place in self.by_name.get(parts[-1], ()) if _ends_alike(place, parts)]
        whole = [place for place in meant if len(place) == len(parts)]
        chosen = whole if len(whole) == 1 else meant
        return chosen[0] if len(chosen) == 1 else None


def _ends_alike(place: Place, parts: Place) -> bool:
    """Whether the folders of both are the same, as far as the shorter one goes."""
    depth = min(len(place), len(parts))
    return place[-depth:-1] == parts[-depth:-1]


def flat_labels(found: Listing, where: Place, places: Sequence[Place]) -> dict[Place, str] | None:
    """Labels of the pictures of a split that has no class folders, from an annotations file in it or beside it: the
    file in its first column, the class in its second (ImageNet's ``val_annotations.txt``); None: there is none."""
    by_name = {place[-1]: place for place in places}
    for depth in range(len(where), max(0, len(where) - 2) - 1, -1):
        for file in found.others:
            if file[:-1] == where[:depth] and ANNOTATIONS.search(file[-1]) and not _names_classes(file):
                rows = [BETWEEN.split(line, maxsplit=2) for line in _lines(found, file)]
                labels = {by_name[row[0]]: row[1] for row in rows if len(row) > 1 and row[0] in by_name}
                if labels:
                    return labels
    return None


def _is_list(place: Place) -> bool:
    path = PurePosixPath(place[-1])
    return len(place) <= 2 and path.suffix.lower() in LISTS and bool(split_of(path.stem))


def _names_classes(place: Place) -> bool:
    return place[-1].lower() in CLASSES


def _class_names(found: Listing) -> list[str]:
    """The lines of ``classes.txt`` or the like, by which lists may number classes; a number before a name is no part of
    it."""
    file = next((place for place in found.others if _names_classes(place)), None)
    return [re.sub(r"^\d+[\s,:]+", "", line) for line in _lines(found, file)] if file else []


def _lines(found: Listing, place: Place) -> list[str]:
    text = found.path(place).read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _image(index: Index, line: str, names: Sequence[str], split: str) -> Labelled | None:
    place, label = index.find(line), ""
    if place is None:
        path, _, label = re.sub(BETWEEN, "\0", line[::-1], count=1)[::-1].partition("\0")
        place = index.find(path)
    if place is None:
        return None
    if label.isdigit() and int(label) < len(names):
        label = names[int(label)]
    folder = place[-2] if len(place) > 1 else ""
    return Labelled(place, label or folder, split) if label or (folder and is_picture(place[-1])) else None
