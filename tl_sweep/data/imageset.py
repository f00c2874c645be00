"""What a source found, and the checked set of images made of it. N images, B asked for,
C channels, W side of a decoded image."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import PLAIN, Preprocessing, Reading
from tl_sweep.data.decode import decode, listing
from tl_sweep.data.file_records import HASH_BYTES, Facts, content_hash

if TYPE_CHECKING:
    from pathlib import Path

    import torch

IMBALANCE = 1.5
NUMBER = re.compile(r"-?\d[\d.]*(e[+-]?\d+)?")
NAMED = 3  # images that a note names
CONSTANT_ANSWER = 0.8  # share of one class from which an accuracy says little


@dataclass(frozen=True)
class LeftOut:
    """A file that a source saw and did not take. reason: of which there are few, so that they can be counted."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Found:
    """Everything a source offers, before a check. N images.

    ids: unique, and lasting: a run's files name images by them. labels_N: int64, places in ``class_names``. splits_N:
    ``train``, ``val`` or ``test``, empty where it is ours to split. hashes_N: uint8 (N, 16), of each image's content
    alone. open_image: the image at an index, anew each time. problems: index to why that image is unreadable. notes:
    what was understood and what was passed over, in words for people. groups_N: what must stay in one split, where the
    source knows it; a ``data.group`` comes before. grouped_by: the ``data.group`` that the source has obeyed.
    labels_from: where labels came from, for people; empty: they belong to the data set. left_out: files that were seen
    and not taken. unlabelled: images without a label, for ``predict``. facts: of each image, None where it could not be
    read; empty: nobody looked. reading: how files became pictures. terms: what of it pixels depend on; empty for plain
    ones.
    """

    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels_N: np.ndarray
    splits_N: np.ndarray
    hashes_N: np.ndarray
    open_image: Callable[[int], Image.Image]
    problems: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    groups_N: np.ndarray | None = None
    grouped_by: str | None = None
    labels_from: str = ""
    left_out: tuple[LeftOut, ...] = ()
    unlabelled: tuple[Path, ...] = ()
    facts: tuple[Facts | None, ...] = ()
    reading: Reading = PLAIN
    terms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images that passed every check.

    labels_N: int64. hashes_N: uint8 (N, 16), of the content. ids: relative path, or ``digits/0017``.
    own_split_N: ``train``, ``val``, ``test`` as the source says, else empty. groups_N: whatever must stay in one split.
    notes: everything that was left out, and imbalance, for the log. fingerprint: of ids, contents, labels, groups and
    twins.
    labels_from, left_out, unlabelled, facts, reading, terms: as the source found them (``Found``); facts of these.
    twin_pairs: two images that are the same picture, and how alike they are (``identical pixels``, ``near-identical``).
    """

    name: str
    class_names: tuple[str, ...]
    labels_N: np.ndarray
    hashes_N: np.ndarray
    ids: tuple[str, ...]
    own_split_N: np.ndarray
    groups_N: np.ndarray | None
    notes: tuple[str, ...]
    fingerprint: str
    open_image: Callable[[int], Image.Image]
    labels_from: str = ""
    left_out: tuple[LeftOut, ...] = ()
    unlabelled: tuple[Path, ...] = ()
    facts: tuple[Facts | None, ...] = ()
    twin_pairs: tuple[tuple[int, int, str], ...] = ()
    reading: Reading = PLAIN
    terms: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def fingerprinted(self) -> ImageSet:
        """The same, with a fingerprint of what it is now."""
        digest = hashlib.blake2b("\0".join(self.class_names).encode(), digest_size=16)
        if self.terms:
            digest.update(json.dumps(dict(self.terms), sort_keys=True).encode())
        for index in range(len(self)):
            digest.update(f"{self.ids[index]}\0{self.labels_N[index]}\0{self.own_split_N[index]}\0".encode())
            digest.update(self.hashes_N[index].tobytes())
            if self.groups_N is not None:
                digest.update(f"\0{self.groups_N[index]}".encode())
        for one, other, _ in self.twin_pairs:
            digest.update(f"\0{self.ids[one]}\0{self.ids[other]}".encode())
        return replace(self, fingerprint=digest.hexdigest())

    def without(self, gone_N: np.ndarray, note: str) -> ImageSet:
        """The others, and a note of why these are gone."""
        kept = np.flatnonzero(~gone_N)
        place_N, open_image = np.cumsum(~gone_N) - 1, self.open_image
        return replace(
            self,
            labels_N=self.labels_N[kept],
            hashes_N=self.hashes_N[kept],
            ids=tuple(self.ids[index] for index in kept),
            own_split_N=self.own_split_N[kept],
            groups_N=None if self.groups_N is None else self.groups_N[kept],
            notes=(*self.notes, note),
            open_image=lambda index: open_image(int(kept[index])),
            facts=tuple(self.facts[index] for index in kept) if self.facts else (),
            twin_pairs=tuple(
                (int(place_N[one]), int(place_N[other]), kind)
                for one, other, kind in self.twin_pairs
                if not (gone_N[one] or gone_N[other])
            ),
        ).fingerprinted()

    def decode(self, indices_B: np.ndarray, preprocessing: Preprocessing, num_workers: int) -> torch.Tensor:
        """Decoded images, uint8 (B, 3, W, W) on the CPU.

        Raises:
            UserError: naming files that became unreadable.
        """
        import torch

        indices = [int(index) for index in indices_B]
        names = [self.ids[index] for index in indices]
        images_BCWW = decode(lambda nth: self.open_image(indices[nth]), names, preprocessing, num_workers)
        return torch.from_numpy(images_BCWW)


def found_arrays(
    images_NHW: np.ndarray,
    ids: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    splits: Sequence[str],
    class_names: Sequence[str],
) -> Found:
    """A source whose images are one uint8 array (N, H, W) or (N, H, W, 3)."""
    return Found(
        class_names=tuple(class_names),
        ids=tuple(ids),
        labels_N=np.asarray(labels, dtype=np.int64),
        splits_N=np.asarray(splits, dtype="U5"),
        hashes_N=hash_rows([content_hash(image.tobytes()) for image in images_NHW]),
        open_image=lambda index: Image.fromarray(images_NHW[index]),
    )


def check(name: str, found: Found, groups_N: np.ndarray | None, skip_unreadable: bool, duplicates: str) -> ImageSet:
    """Refuses or leaves out what cannot be learned from; what is left out is said in ``notes``."""
    unreadable_N, unreadable_notes = _unreadable(found, skip_unreadable)
    clashing_N, clashing_notes = _clashing(found, ~unreadable_N, duplicates)
    kept = np.flatnonzero(~unreadable_N & ~clashing_N)
    labels_N = found.labels_N[kept]
    notes = (*found.notes, *unreadable_notes, *clashing_notes, *_of_one_shade(found))
    check_classes(name, found.class_names, labels_N, notes)
    ids = tuple(found.ids[index] for index in kept)
    return ImageSet(
        name=name,
        class_names=found.class_names,
        labels_N=labels_N,
        hashes_N=found.hashes_N[kept],
        ids=ids,
        own_split_N=found.splits_N[kept],
        groups_N=None if groups_N is None else groups_N[kept],
        notes=(*notes, *_imbalance(found.class_names, labels_N)),
        fingerprint="",
        open_image=lambda index: found.open_image(int(kept[index])),
        labels_from=found.labels_from,
        left_out=found.left_out,
        unlabelled=found.unlabelled,
        facts=tuple(found.facts[index] for index in kept) if found.facts else (),
        reading=found.reading,
        terms=found.terms,
    ).fingerprinted()


def check_classes(name: str, class_names: Sequence[str], labels_N: np.ndarray, notes: Sequence[str] = ()) -> None:
    """notes: what was left out before, which may be why.

    Raises:
        UserError: there are fewer than two classes, or classes without an image.
    """
    if len(class_names) < 2:
        raise UserError(f"data={name}: found {len(class_names)} class ({listing(class_names)}), two are needed")
    sizes_K = np.bincount(labels_N, minlength=len(class_names))
    empty = [class_name for class_name, size in zip(class_names, sizes_K, strict=True) if size == 0]
    if empty:
        why = "".join(f"\n{note}" for note in notes)
        raise UserError(f"data={name}: no image in class {listing(empty)}: add images or remove the folder{why}")


def hash_rows(hashes: list[bytes]) -> np.ndarray:
    padded = b"".join(content.ljust(HASH_BYTES, b"\0") for content in hashes)
    return np.frombuffer(padded, dtype=np.uint8).reshape(-1, HASH_BYTES)


def _unreadable(found: Found, skip: bool) -> tuple[np.ndarray, list[str]]:
    unreadable_N = np.zeros(len(found.ids), dtype=bool)
    unreadable_N[list(found.problems)] = True
    count = len(found.problems)
    if count and not skip:
        remedy = "replace them, or leave them out with data.skip_unreadable=true"
        raise UserError(f"{count} unreadable image(s): {listing(_by_problem(found, NAMED))}; {remedy}")
    return unreadable_N, [
        f"{count} unreadable image(s) skipped: {', '.join(_by_problem(found, count))}"
    ] if count else []


def _by_problem(found: Found, limit: int) -> list[str]:
    """``name (why)``, or of a problem that several images have ``the first names (why)``, as many as ``limit``;
    problems that differ in numbers alone are one, told of the first."""
    alike: dict[str, list[int]] = {}
    for index, problem in found.problems.items():
        alike.setdefault(NUMBER.sub("", problem), []).append(index)
    names = [listing([found.ids[index] for index in those], limit) for those in alike.values()]
    whys = [found.problems[those[0]] for those in alike.values()]
    return [f"{name} ({why})" for name, why in zip(names, whys, strict=True)]


def _clashing(found: Found, readable_N: np.ndarray, duplicates: str) -> tuple[np.ndarray, list[str]]:
    """Identical images that stand in different classes: nobody can tell which label is right, so all copies go."""
    clashing_N = np.zeros(len(found.ids), dtype=bool)
    copies: dict[bytes, list[int]] = {}
    for index in np.flatnonzero(readable_N):
        copies.setdefault(found.hashes_N[index].tobytes(), []).append(int(index))
    clashes = [same for same in copies.values() if len({int(found.labels_N[index]) for index in same}) > 1]
    if not clashes:
        return clashing_N, []
    clashing_N[[index for same in clashes for index in same]] = True
    named = [" = ".join(found.ids[index] for index in same) for same in clashes]
    what = f"{clashing_N.sum()} images are identical across classes"
    if duplicates == "refuse":
        raise UserError(f"{what}: {listing(named)}; remove the wrong ones, or drop all with data.duplicates=drop")
    return clashing_N, [f"{what} and were dropped: {', '.join(named)}"]


def _of_one_shade(found: Found) -> list[str]:
    flat = [name for name, fact in zip(found.ids, found.facts, strict=False) if fact is not None and not fact.deviation]
    return [f"{len(flat)} picture(s) are of one shade ({listing(flat, NAMED)})"] if flat else []


def _imbalance(class_names: Sequence[str], labels_N: np.ndarray) -> list[str]:
    sizes = Counter(labels_N.tolist()).most_common()
    (largest, most), (smallest, fewest) = sizes[0], sizes[-1]
    if most < IMBALANCE * fewest:
        return []
    notes = [f"classes are unequal: from {fewest} ({class_names[smallest]}) to {most} ({class_names[largest]}) images"]
    if most > CONSTANT_ANSWER * len(labels_N):
        share = f"{most} of {len(labels_N)} are one class; a constant answer gives {100 * most / len(labels_N):.0f} %"
        notes.append(f"{share} accuracy")
    return notes
