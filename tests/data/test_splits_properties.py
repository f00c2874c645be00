"""What holds of every split, whatever the classes, copies, groups and given splits: made-up sets by the hundred."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from image_sets import image_set, reordered

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.splits import TEST_SHARE, Splits, split

PARTS = ("train", "val", "test")
SEEDS = st.integers(0, 5)
some = settings(deadline=None, derandomize=True, max_examples=40)


@st.composite
def image_sets(draw: st.DrawFn, given_splits: bool = True, single: bool = False) -> ImageSet:
    """Two to four classes of 50 to 80 images. Unless ``single``: some images are copies, and there may be groups, of up
    to four images that need not be of one class; with ``given_splits``, some stand in a split of the source's own."""
    sizes = draw(st.lists(st.integers(50, 80), min_size=2, max_size=4))
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    if single:
        return image_set(labels)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    copies = draw(st.integers(1, 3))
    contents = [(label, place // copies) for place, label in enumerate(labels)]
    group_size = draw(st.integers(0, 4))
    groups = [f"g{place // group_size}" for place in rng.permutation(len(labels))] if group_size else []
    names = draw(st.sampled_from([[""], ["train", "test"], ["train", "val"], PARTS]) if given_splits else st.just([""]))
    own = rng.choice(names, len(labels), p=np.array([4, *[1] * (len(names) - 1)]) / (len(names) + 3)).tolist()
    return image_set(labels, contents=contents, own=own, groups=groups)


def parts_of(images: ImageSet, **options: Any) -> Splits:
    """Its split; sets with too few images for it are passed over."""
    try:
        return split(images, DataConfig(name="made_up", **{"subset_seed": 0, **options}))
    except UserError:
        assume(False)
        raise


def ids(images: ImageSet, parts: Splits) -> dict[str, set[str]]:
    return {name: {images.ids[index] for index in getattr(parts, name)} for name in PARTS}


@some
@given(image_sets(), SEEDS, SEEDS, st.sampled_from([None, 5, 10]))
def test_no_group_is_divided(images: ImageSet, split_seed: int, subset_seed: int, shots: int | None) -> None:
    parts = parts_of(images, split_seed=split_seed, subset_seed=subset_seed, shots=shots)
    for one, other in combinations((parts.train, parts.val, parts.test), 2):
        assert not {row.tobytes() for row in images.hashes_N[one]} & {row.tobytes() for row in images.hashes_N[other]}
        if images.groups_N is not None:
            assert not set(images.groups_N[one]) & set(images.groups_N[other])


@some
@given(image_sets(), SEEDS)
def test_few_shots_are_part_of_more(images: ImageSet, subset_seed: int) -> None:
    steps = [ids(images, parts_of(images, shots=shots, subset_seed=subset_seed)) for shots in (5, 10, 25, None)]
    for few, more in pairwise(steps):
        assert few["train"] < more["train"]
        assert few["val"] <= more["val"]
        assert few["test"] == more["test"]


@some
@given(image_sets(), SEEDS, st.sampled_from([None, 5]), st.randoms(use_true_random=False))
def test_the_order_of_files_plays_no_part(images: ImageSet, seed: int, shots: int | None, random: Random) -> None:
    order = list(range(len(images)))
    random.shuffle(order)
    shuffled = reordered(images, np.array(order))
    before, after = (parts_of(which, shots=shots, split_seed=seed) for which in (images, shuffled))
    assert ids(images, before) == ids(shuffled, after)
    assert before.digest == after.digest


@some
@given(image_sets(), SEEDS, SEEDS, st.sampled_from([None, 5, 10]))
def test_the_test_images_are_the_same_for_every_seed(
    images: ImageSet, split_seed: int, subset_seed: int, shots: int | None
) -> None:
    first = parts_of(images, split_seed=split_seed)
    other = parts_of(images, split_seed=split_seed, subset_seed=subset_seed, shots=shots)
    assert first.test.tolist() == other.test.tolist()


@some
@given(image_sets(given_splits=False), SEEDS)
def test_every_class_is_in_every_part_and_test_takes_no_more_than_its_fifth(images: ImageSet, seed: int) -> None:
    parts = parts_of(images, split_seed=seed)
    sizes_K = np.bincount(images.labels_N)
    for part in (parts.train, parts.val, parts.test):
        assert (np.bincount(images.labels_N[part], minlength=len(sizes_K)) > 0).all()
    assert (np.bincount(images.labels_N[parts.test]) <= np.round(TEST_SHARE * sizes_K)).all()


@some
@given(image_sets(single=True), SEEDS, SEEDS)
def test_single_images_are_divided_alike_in_every_class(images: ImageSet, split_seed: int, subset_seed: int) -> None:
    parts = parts_of(images, split_seed=split_seed, subset_seed=subset_seed)
    sizes_K = np.bincount(images.labels_N)
    test_K = np.round(TEST_SHARE * sizes_K)
    assert np.bincount(images.labels_N[parts.test]).tolist() == test_K.tolist()
    val_K = np.bincount(images.labels_N[parts.val])
    assert (np.abs(val_K - (sizes_K - test_K) / 5) < 1).all()
    assert len(parts.train) + len(parts.val) + len(parts.test) == len(images)
