"""Files that show the same picture: pixel by pixel, or nearly (stored anew, resized, mirrored, one of a burst).

N images of a set; a pair is two places in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tl_sweep.base.errors import UserError
from tl_sweep.data.decode import listing
from tl_sweep.data.file_records import TwinPair, content_hash, twins_of
from tl_sweep.data.imageset import ImageSet, check_classes
from tl_sweep.data.likeness import DETAIL_PX, correlation, detail_correlation, detail_of, features_of, near_pairs
from tl_sweep.data.splits import connected

IDENTICAL, NEAR = "identical pixels", "near-identical"
# Chosen on 2,527 photographs of TrashNet (tools/measure_twins.py): pairs of one scene have 0.86 or more, others at most
# 0.69.
SAME_DETAIL = 0.8
SAME_SMALL = 0.93  # what is worth a second look: re-encoded copies have 0.995 and more, copies cut by 3 % a side 0.94
SAME_PIXELS = 0.999  # from which pixels are compared; a JPEG and a PNG of equal pixels are reduced in different ways
NEAREST, REACH = 4, 0.25  # neighbours by the quick measure that are looked at, and how far they may be
FEWEST_PX = 48  # of the shorter side: smaller pictures have too little detail to tell two of a kind apart
KEPT = 4096  # details in memory

Pair = tuple[int, int]


@dataclass(frozen=True)
class Twins:
    """Pairs of each kind; every pair has its smaller place first."""

    identical: list[Pair]
    near: list[Pair]


def settle(images: ImageSet, near_duplicates: str, duplicates: str, data_dir: Path) -> ImageSet:
    """The set with its twins: kept together (``group``), one of each kept (``drop``), or as they are (``ignore``).

    Images that are pixel for pixel the same under different labels are dropped or refused as identical files are.

    Raises:
        UserError: such images, where ``duplicates`` says ``refuse``; or what was found cannot be kept.
    """
    if near_duplicates == "ignore" or not images.facts:
        return images
    twins = find_twins(images, data_dir)
    images, twins = _without_contradictions(images, twins, duplicates)
    if near_duplicates == "drop":
        return _without_copies(images, twins)
    return _together(images, twins)


def find_twins(images: ImageSet, data_dir: Path) -> Twins:
    """Which files show the same picture. A set of contents that was looked at once is not looked at again.

    Raises:
        UserError: what was found cannot be kept.
    """
    contents = content_hash(images.hashes_N.tobytes() + json.dumps(dict(images.terms), sort_keys=True).encode())
    found = twins_of(contents, lambda: _look(images), data_dir)
    identical, near = ([(one, other) for one, other, kind in found if kind == wanted] for wanted in (IDENTICAL, NEAR))
    return Twins(identical, near)


def _look(images: ImageSet) -> list[TwinPair]:
    details = lru_cache(KEPT)(lambda index: _opened_detail(images, index))
    judged = ((one, other, _kind(images, (one, other), alike, details)) for one, other, alike in candidates(images))
    return [(one, other, kind) for one, other, kind in judged if kind]


def candidates(images: ImageSet) -> list[tuple[int, int, float]]:
    """Pairs of files of different content that are worth opening, and how alike they are in small."""
    known = np.array([index for index, fact in enumerate(images.facts) if fact is not None and fact.small], dtype=int)
    smalls = [images.facts[index].small for index in known]  # type: ignore[union-attr]
    pairs_P2 = near_pairs(features_of(smalls), REACH, NEAREST) if smalls else np.empty((0, 2), dtype=int)
    alike_P = correlation([smalls[one] for one in pairs_P2[:, 0]], [smalls[other] for other in pairs_P2[:, 1]])
    return [
        (int(one), int(other), float(alike))
        for (one, other), alike in zip(known[pairs_P2], alike_P, strict=True)
        if alike > SAME_SMALL and (images.hashes_N[one] != images.hashes_N[other]).any()
    ]


def _kind(images: ImageSet, pair: Pair, alike: float, details: Callable[[int], np.ndarray]) -> str:
    """Of a pair; empty: they are different pictures."""
    one, other = pair
    sizes = [(fact.width_px, fact.height_px) for fact in (images.facts[index] for index in pair) if fact is not None]
    if alike > SAME_PIXELS and sizes[0] == sizes[1] and _pixels(images, one) == _pixels(images, other):
        return IDENTICAL
    if min(min(size) for size in sizes) < FEWEST_PX:
        return ""
    return NEAR if detail_correlation(details(one), details(other)) > SAME_DETAIL else ""


def _pixels(images: ImageSet, index: int) -> bytes:
    with images.open_image(index) as image:
        return content_hash(image.convert("RGBA").tobytes())


def _opened_detail(images: ImageSet, index: int) -> np.ndarray:
    with images.open_image(index) as image:
        image.draft(None, (2 * DETAIL_PX, 2 * DETAIL_PX))
        return detail_of(image)


def _without_contradictions(images: ImageSet, twins: Twins, duplicates: str) -> tuple[ImageSet, Twins]:
    labels_N = images.labels_N
    clashing = [pair for pair in twins.identical if labels_N[pair[0]] != labels_N[pair[1]]]
    if not clashing:
        return images, twins
    named = listing([_named(images, pair, " = ") for pair in clashing])
    what = f"{len({index for pair in clashing for index in pair})} images are the same, pixel by pixel, across classes"
    if duplicates == "refuse":
        raise UserError(f"{what}: {named}; remove the wrong ones, or drop all with data.duplicates=drop")
    gone_N = np.zeros(len(images), dtype=bool)
    gone_N[[index for pair in clashing for index in pair]] = True
    place_N = np.cumsum(~gone_N) - 1

    def kept(pairs: Iterable[Pair]) -> list[Pair]:
        return [(int(place_N[a]), int(place_N[b])) for a, b in pairs if not gone_N[a] and not gone_N[b]]

    images = images.without(gone_N, f"{what} and were dropped: {named}")
    check_classes(images.name, images.class_names, images.labels_N, images.notes)
    return images, Twins(kept(twins.identical), kept(twins.near))


def _together(images: ImageSet, twins: Twins) -> ImageSet:
    """All files of one picture as one group, which is never divided."""
    pairs = [(*pair, IDENTICAL) for pair in twins.identical] + [(*pair, NEAR) for pair in twins.near]
    if not pairs:
        return images
    notes = (*images.notes, *_notes(images, twins))
    return replace(images, twin_pairs=tuple(pairs), notes=notes).fingerprinted()


def _without_copies(images: ImageSet, twins: Twins) -> ImageSet:
    """One file of each picture, of a test split if any, else the first by content."""
    twins_N = connected(len(images), [*twins.identical, *twins.near])
    first: dict[int, int] = {}
    order = sorted(range(len(images)), key=lambda i: (images.own_split_N[i] != "test", images.hashes_N[i].tobytes()))
    for index in order:
        first.setdefault(int(twins_N[index]), index)
    gone_N = np.ones(len(images), dtype=bool)
    gone_N[list(first.values())] = False
    if not gone_N.any():
        return images
    left = listing([images.ids[index] for index in np.flatnonzero(gone_N)])
    images = images.without(gone_N, f"{gone_N.sum()} further files of a picture that is there dropped: {left}")
    check_classes(images.name, images.class_names, images.labels_N, images.notes)
    return images


def _notes(images: ImageSet, twins: Twins) -> list[str]:
    notes = []
    for kind, pairs in ((IDENTICAL, twins.identical), (NEAR, twins.near)):
        if pairs:
            named = listing([_named(images, pair, " = ") for pair in pairs], 3)
            notes.append(f"{len(pairs)} pair(s) of files show one picture ({kind}), kept in one split: {named}")
    labels_N = images.labels_N
    torn = [pair for pair in twins.near if labels_N[pair[0]] != labels_N[pair[1]]]
    if torn:
        named = listing([_named(images, pair, " ~ ") for pair in torn], 3)
        notes.append(f"{len(torn)} of them stand in different classes: which label is right? {named}")
    return notes


def _named(images: ImageSet, pair: Pair, between: str) -> str:
    return between.join(images.ids[index] for index in pair)
