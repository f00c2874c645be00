"""Who learns, who chooses, who judges: train, validation and test, and few-shot subsets of the labels.

Everything is ranked by a seeded hash of the content, so file names and order play no part. What must stay together
(identical images, those of one ``data.group``) is one *group*, never divided. N images, K classes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import listing
from tl_sweep.data.imageset import ImageSet

TEST_SHARE = 0.2
PROTECTED_FIRST = ("test", "val", "train", "")
LEAK = "leak"


@dataclass(frozen=True, eq=False)
class Splits:
    """Sorted indices into an ImageSet. digest: of the contents and labels in each part, whatever the file order.
    groups: of each image of the set, the first id of those that are never divided from it."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    digest: str
    notes: tuple[str, ...]
    groups: tuple[str, ...]


def split(images: ImageSet, config: DataConfig) -> Splits:
    """Test by ``split_seed`` alone; then, of the rest, the labelled subset and its 80/20 division by ``subset_seed``.

    A source's own test and validation splits are kept. ``shots`` counts training and validation labels together, 80/20
    of them from the two; ``fraction`` takes that share of each. Subsets are nested: 5 shots are part of 10.

    Raises:
        UserError: classes (all of them are named, with counts) have too few images.
    """
    groups_N = _groups(images)
    own_N, leak_notes = _without_leaks(images, _held_out(images, config.test_group), groups_N)
    test_N = _test(images, own_N, groups_N, config.split_seed)
    free_N = ~test_N & (own_N != LEAK)
    pool = [group[free_N[group]] for group in _ranked(images, groups_N, f"subset {config.subset_seed}")]
    val_N = (own_N == "val") if (own_N == "val").any() else _every_fifth(images, pool)
    subset_N = _subset(images, config, pool, val_N)
    parts = (np.flatnonzero(subset_N & ~val_N), np.flatnonzero(subset_N & val_N), np.flatnonzero(test_N))
    notes = (*leak_notes, *_check(images, own_N, parts))
    return Splits(*parts, _digest(images, parts), notes, _first_ids(images.ids, groups_N))


def _groups(images: ImageSet) -> np.ndarray:
    """The group of each image: connected by equal content, as twins, or by equal ``data.group``."""
    _, same_N = np.unique(images.hashes_N, axis=0, return_inverse=True)
    same_N = same_N.reshape(-1)
    if images.groups_N is None and not images.twin_pairs:
        return same_N
    names_N = np.arange(len(images)) if images.groups_N is None else images.groups_N
    _, group_N = np.unique(names_N, return_inverse=True)
    members = np.column_stack([same_N, same_N.max() + 1 + group_N])
    twins = [(same_N[one], same_N[other]) for one, other, _ in images.twin_pairs]
    return connected(same_N.max() + group_N.max() + 2, [*members.tolist(), *twins])[same_N]


def connected(count: int, pairs: Sequence[Sequence[int]]) -> np.ndarray:
    """(count,) the number of the component that each of ``count`` things is in, things of a pair being in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    edges = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return connected_components(edges, directed=False)[1]


def _first_ids(ids: Sequence[str], groups_N: np.ndarray) -> tuple[str, ...]:
    """Of each image's group, in the order of letters."""
    first: dict[int, str] = {}
    for name, group in zip(ids, groups_N.tolist(), strict=True):
        first[group] = min(name, first.get(group, name))
    return tuple(first[group] for group in groups_N.tolist())


def _held_out(images: ImageSet, test_group: str | None) -> np.ndarray:
    """The source's own split of each image; the groups that ``data.test_group`` names are test, whole.

    Raises:
        UserError: there are no groups, or none of that name, or the source has a test split of its own.
    """
    if test_group is None:
        return images.own_split_N
    asked = f"data.test_group={test_group}"
    if images.groups_N is None:
        raise UserError(f"{asked}: the images have no groups; data.group names a column or a pattern")
    there = np.unique(images.groups_N).tolist()
    test_groups = [test_group] if test_group in there else test_group.split("+")
    for name in test_groups:
        if name not in there:
            near = did_you_mean(name, there)
            raise UserError(f"{asked}: there is no group {name!r};{near} groups: {listing(there)}")
    if (images.own_split_N == "test").any():
        raise UserError(f"{asked}: the images have a test split of their own")
    own_N = images.own_split_N.copy()
    own_N[np.isin(images.groups_N, test_groups)] = "test"
    return own_N


def _without_leaks(images: ImageSet, own_N: np.ndarray, groups_N: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The given split of each image, or ``leak`` where its group also stands in a split that comes before."""
    own_N = own_N.copy()
    taken_N = np.zeros(len(own_N), dtype=bool)
    for name in PROTECTED_FIRST:
        mine_N = own_N == name
        own_N[mine_N & taken_N] = LEAK
        taken_N |= np.isin(groups_N, groups_N[mine_N])
    leaks = [images.ids[index] for index in np.flatnonzero(own_N == LEAK)]
    what = "image(s) left out: the same picture as one in the source's own validation or test split, or of its group"
    return own_N, [f"{len(leaks)} {what}: {', '.join(leaks)}"] if leaks else []


def _ranked(images: ImageSet, groups_N: np.ndarray, key: str) -> list[np.ndarray]:
    """The groups as index arrays, in the order of a keyed hash of their contents."""
    hashes = [hashlib.blake2b(row.tobytes(), key=key.encode(), digest_size=16).digest() for row in images.hashes_N]
    groups: dict[int, list[int]] = defaultdict(list)
    # Equal hashes are copies of one image: the ids decide which of them comes first, so that file order never does.
    for index in sorted(range(len(hashes)), key=lambda index: (hashes[index], images.ids[index])):
        groups[int(groups_N[index])].append(index)
    return [np.array(group) for group in groups.values()]


def _test(images: ImageSet, own_N: np.ndarray, groups_N: np.ndarray, seed: int) -> np.ndarray:
    """The source's own test split, or whole groups that make up a fifth of each class as nearly as they can."""
    if (own_N == "test").any():
        return own_N == "test"
    pool_N = np.isin(own_N, ("train", ""))
    ranked = [group for group in _ranked(images, groups_N, f"test {seed}") if pool_N[group].all()]
    test_N = np.zeros(len(images), dtype=bool)
    if not ranked:
        return test_N
    room_K = np.maximum(1, np.round(TEST_SHARE * _class_sizes(images, np.concatenate(ranked))))
    for group in ranked:
        sizes_K = _class_sizes(images, group)
        if (sizes_K <= room_K).all():
            test_N[group] = True
            room_K -= sizes_K
    # A class whose groups are all larger than its fifth gives its smallest.
    for label in np.flatnonzero(_class_sizes(images, test_N) == 0):
        test_N[min((group for group in ranked if label in images.labels_N[group]), key=len, default=[])] = True
    return test_N


def _every_fifth(images: ImageSet, ranked: list[np.ndarray]) -> np.ndarray:
    """Validation: of each class's groups in rank order the 2nd, 7th, 12th …, so that two labels give one to each."""
    val_N = np.zeros(len(images), dtype=bool)
    seen_K, val_K = ([0] * len(images.class_names) for _ in range(2))
    for group in ranked:
        labels = set(images.labels_N[group].tolist())
        for label in labels:
            seen_K[label] += 1
        if any(val_K[label] < _val_share(seen_K[label]) for label in labels):
            val_N[group] = True
            for label in labels:
                val_K[label] += 1
    return val_N


def _val_share(count: int) -> int:
    """How many of the first ``count`` labels are validation: 0 of 1, 1 of 2 to 6, 2 of 7 to 11 …"""
    return (count + 3) // 5


def _subset(images: ImageSet, config: DataConfig, ranked: list[np.ndarray], val_N: np.ndarray) -> np.ndarray:
    """The labelled images: per class, the first in rank for training and for validation."""
    # One image of each group comes before a second of any: few shots are then different images, of different groups.
    places = sorted((place, rank, int(index)) for rank, group in enumerate(ranked) for place, index in enumerate(group))
    rows: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for _, _, index in places:
        rows[int(images.labels_N[index]), bool(val_N[index])].append(index)
    subset_N = np.zeros(len(images), dtype=bool)
    short = []
    for (label, is_val), indices in sorted(rows.items()):
        wanted = _wanted(config, is_val, len(indices))
        subset_N[indices[:wanted]] = True
        if wanted > len(indices):
            what = "validation" if is_val else "training"
            short.append(f"class {images.class_names[label]!r} has {len(indices)} of {wanted} {what} images")
    if short:
        raise UserError(f"data.shots={config.shots}: {listing(short)}; ask for fewer shots")
    return subset_N


def _wanted(config: DataConfig, is_val: bool, available: int) -> int:
    if config.shots is not None:
        val = _val_share(config.shots)
        return val if is_val else config.shots - val
    return available if config.fraction is None else max(1, round(config.fraction * available))


def _check(images: ImageSet, own_N: np.ndarray, parts: Sequence[np.ndarray]) -> list[str]:
    """Notes of classes that the source's own parts lack.

    Raises:
        UserError: a part made by us lacks a class.
    """
    sizes_K = _class_sizes(images, np.arange(len(images)))
    short, notes = [], []
    for name, part in zip(("train", "val", "test"), parts, strict=True):
        for label in np.flatnonzero(_class_sizes(images, part) == 0):
            if name != "train" and (own_N == name).any():
                notes.append(f"the source's own {name} split has no image of class {images.class_names[label]!r}")
            else:
                short.append(f"class {images.class_names[label]!r} ({sizes_K[label]} images) has none for {name}")
    if short:
        alike = ", different and of different groups" if images.groups_N is not None else ", different ones"
        alike += ", or part twins by data.near_duplicates=ignore" if images.twin_pairs else ""
        raise UserError(f"data={images.name}: too few images to split: {listing(short)}; add images{alike}")
    return notes


def _class_sizes(images: ImageSet, members: np.ndarray) -> np.ndarray:
    return np.bincount(images.labels_N[members], minlength=len(images.class_names))


def _digest(images: ImageSet, parts: Iterable[np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        rows = sorted(images.hashes_N[index].tobytes() + images.labels_N[index].tobytes() for index in part)
        digest.update(len(rows).to_bytes(8, "little") + b"".join(rows))
    return digest.hexdigest()
