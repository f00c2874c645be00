"""Pictures that say something of other pictures: no images to learn from."""

from __future__ import annotations

from collections.abc import Sequence

from tl_sweep.data.imageset import LeftOut
from tl_sweep.data.layouts.listing import Place
from tl_sweep.data.layouts.understood import Below
from tl_sweep.data.layouts.words import MASK_ENDING, is_no_class, is_of_pictures, stem_of

MASKS = "in a folder of masks or annotations"


def without_masks(pictures: Sequence[Below]) -> tuple[list[Below], list[LeftOut]]:
    """The others, and what was left out: folders of masks beside folders of images, files beside what they mask."""
    others, in_folders = _without_mask_folders(pictures)
    others, beside = _without_mask_files(others)
    return others, [*in_folders, *beside]


def _without_mask_folders(pictures: Sequence[Below]) -> tuple[list[Below], list[LeftOut]]:
    """Pictures of pictures: a folder called masks beside one called images."""
    folders: dict[Place, set[str]] = {}
    for picture in pictures:
        for depth, folder in enumerate(picture.folders):
            folders.setdefault(picture.folders[:depth], set()).add(folder)
    beside = {where for where, names in folders.items() if any(map(is_of_pictures, names))}

    def is_mask(picture: Below) -> bool:
        levels = enumerate(picture.folders)
        return any(is_no_class(folder) and picture.folders[:depth] in beside for depth, folder in levels)

    return [p for p in pictures if not is_mask(p)], [LeftOut("/".join(p.place), MASKS) for p in pictures if is_mask(p)]


def _without_mask_files(pictures: Sequence[Below]) -> tuple[list[Below], list[LeftOut]]:
    """``17_mask.png`` beside ``17.png``."""
    stems = {(picture.place[:-1], stem_of(picture.place[-1])) for picture in pictures}

    def is_mask(picture: Below) -> bool:
        stem = stem_of(picture.place[-1])
        of = MASK_ENDING.sub("", stem)
        return of != stem and (picture.place[:-1], of) in stems

    left_out = [
        LeftOut("/".join(picture.place), "a mask of a picture beside it") for picture in pictures if is_mask(picture)
    ]
    return [picture for picture in pictures if not is_mask(picture)], left_out
