"""Train, validation and test: hand-counted sizes, nesting, and independence of everything but content and seed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from image_sets import image_set, reordered

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.splits import Splits, split


def config(**options: Any) -> DataConfig:
    return DataConfig(name="made_up", **{"subset_seed": 0, **options})


def sizes(images: ImageSet, parts: Splits) -> list[list[int]]:
    """Images per part and class."""
    return [np.bincount(images.labels_N[part]).tolist() for part in (parts.train, parts.val, parts.test)]


LABELS = [0] * 100 + [1] * 50
BALANCED = image_set(LABELS)


def test_a_fifth_for_test_and_a_fifth_of_the_rest_for_validation() -> None:
    assert sizes(BALANCED, split(BALANCED, config())) == [[64, 32], [16, 8], [20, 10]]


def test_every_image_is_in_exactly_one_part_in_order() -> None:
    parts = split(BALANCED, config())
    together = np.concatenate([parts.train, parts.val, parts.test])
    assert sorted(together) == list(range(150))
    assert all((np.diff(part) > 0).all() for part in (parts.train, parts.val, parts.test))


@pytest.mark.parametrize(
    ("shots", "train", "val"), [(2, 1, 1), (3, 2, 1), (5, 4, 1), (6, 5, 1), (7, 5, 2), (10, 8, 2), (25, 20, 5)]
)
def test_shots_are_divided_80_to_20(shots: int, train: int, val: int) -> None:
    assert sizes(BALANCED, split(BALANCED, config(shots=shots)))[:2] == [[train, train], [val, val]]


@pytest.mark.parametrize(
    ("fraction", "train", "val"), [(1.0, [64, 32], [16, 8]), (0.5, [32, 16], [8, 4]), (0.01, [1, 1], [1, 1])]
)
def test_a_fraction_is_taken_of_each_class_and_part(fraction: float, train: list[int], val: list[int]) -> None:
    assert sizes(BALANCED, split(BALANCED, config(fraction=fraction)))[:2] == [train, val]


@pytest.mark.parametrize("groups", [(), [f"g{index // 2}" for index in range(150)]], ids=["single", "groups of two"])
def test_subsets_are_nested(groups: Sequence[str]) -> None:
    images = image_set(LABELS, groups=groups)
    steps = [split(images, config(shots=shots)) for shots in (2, 5, 10, 25)] + [split(images, config())]
    for small, large in pairwise(steps):
        assert set(small.train) < set(large.train)
        assert set(small.val) <= set(large.val)
        assert (small.test == large.test).all()


def test_fractions_are_nested() -> None:
    small, large = (split(BALANCED, config(fraction=fraction)) for fraction in (0.1, 0.3))
    assert set(small.train) < set(large.train)
    assert set(small.val) < set(large.val)


def test_test_depends_on_the_split_seed_alone() -> None:
    first = split(BALANCED, config())
    other_subset = split(BALANCED, config(subset_seed=1))
    other_split = split(BALANCED, config(split_seed=1))
    assert (first.test == other_subset.test).all()
    assert set(first.val) != set(other_subset.val)
    assert set(first.test) != set(other_split.test)


def test_seed_0_is_a_seed() -> None:
    assert len({split(BALANCED, config(shots=5, subset_seed=seed)).digest for seed in (0, 1, 2)}) == 3


@pytest.mark.parametrize("groups", [(), [f"g{index % 40}" for index in range(150)]], ids=["single", "groups"])
def test_file_order_plays_no_part(groups: Sequence[str]) -> None:
    images = image_set(LABELS, contents=[index // 2 for index in range(150)], groups=groups)
    order = np.random.default_rng(0).permutation(150)
    shuffled = reordered(images, order)
    before, after = split(images, config(shots=5)), split(shuffled, config(shots=5))
    for name in ("train", "val", "test"):
        ids_before = {images.ids[index] for index in getattr(before, name)}
        ids_after = {shuffled.ids[index] for index in getattr(after, name)}
        assert ids_before == ids_after
    assert before.digest == after.digest


def test_names_play_no_part() -> None:
    renamed = replace(BALANCED, ids=tuple(f"other{index}" for index in range(150)))
    assert split(renamed, config(shots=5)).digest == split(BALANCED, config(shots=5)).digest


def test_the_digest_tells_contents_and_labels_apart() -> None:
    relabelled = replace(BALANCED, labels_N=1 - BALANCED.labels_N)
    recontented = image_set(LABELS, contents=range(1000, 1150))
    assert len({split(images, config()).digest for images in (BALANCED, relabelled, recontented)}) == 3


def part_of(parts: Splits, count: int) -> np.ndarray:
    part_N = np.full(count, "none", dtype="U5")
    for name in ("train", "val", "test"):
        part_N[getattr(parts, name)] = name
    return part_N


def test_identical_images_stay_together() -> None:
    images = image_set(LABELS, contents=[index // 5 for index in range(150)])
    part_N = part_of(split(images, config()), 150).reshape(-1, 5)
    assert (part_N == part_N[:, :1]).all()
    assert set(part_N[:, 0]) == {"train", "val", "test"}


def test_groups_stay_together_and_every_class_is_everywhere() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 3, 300), rng.integers(0, 40, 300)
    images = image_set(labels.tolist(), groups=[f"patient{group}" for group in groups])
    parts = split(images, config())
    part_N = part_of(parts, 300)
    assert all(len(set(part_N[groups == group])) == 1 for group in range(40))
    assert all(min(counts) > 0 and len(counts) == 3 for counts in sizes(images, parts))
    assert len(parts.test) == pytest.approx(60, abs=20)


def test_copies_join_groups() -> None:
    contents = [*range(29), 0]
    images = image_set([0] * 15 + [1] * 15, contents=contents, groups=[f"g{index // 3}" for index in range(30)])
    parts = split(images, config())
    part_N = part_of(parts, 30)
    assert set(part_N[:3]) == set(part_N[27:]) == {part_N[0]}
    first_ids = [min(images.ids[:3] + images.ids[27:]), *(min(images.ids[n : n + 3]) for n in range(3, 27, 3))]
    assert parts.groups == tuple(first_ids[number % 9] for number in np.repeat(range(10), 3))


def test_an_image_on_its_own_is_its_group() -> None:
    images = image_set(LABELS)
    assert split(images, config()).groups == tuple(images.ids)


def test_few_shots_are_of_different_groups() -> None:
    groups = [f"g{index // 10}" for index in range(150)]
    parts = split(image_set(LABELS, groups=groups), config(shots=3))
    chosen = [groups[index] for index in (*parts.train, *parts.val)]
    assert len(set(chosen)) == len(chosen) == 6


def test_contiguous_blocks_are_kept() -> None:
    images = image_set([0, 1] * 50, own=["train"] * 60 + ["test"] * 40)
    parts = split(images, config(shots=5))
    assert parts.test.tolist() == list(range(60, 100))
    assert max(*parts.train, *parts.val) < 60


def test_an_own_validation_split_is_kept_whole() -> None:
    images = image_set([0, 1] * 50, own=["train"] * 40 + ["val"] * 30 + ["test"] * 30)
    parts = split(images, config())
    assert parts.val.tolist() == list(range(40, 70))
    assert parts.train.tolist() == list(range(40))


def test_shots_take_a_fifth_from_an_own_validation_split() -> None:
    images = image_set([0, 1] * 50, own=["train"] * 40 + ["val"] * 30 + ["test"] * 30)
    parts = split(images, config(shots=10))
    assert sizes(images, parts) == [[8, 8], [2, 2], [15, 15]]
    assert set(images.own_split_N[parts.val]) == {"val"}


def test_test_is_cut_from_train_where_only_validation_is_given() -> None:
    images = image_set([0, 1] * 50, own=["train"] * 50 + ["val"] * 50)
    parts = split(images, config())
    assert sizes(images, parts) == [[20, 20], [25, 25], [5, 5]]
    assert set(images.own_split_N[parts.test]) == {"train"}


def test_training_copies_of_test_images_are_left_out_and_listed() -> None:
    images = image_set([0, 1] * 10, contents=[*range(18), 0, 1], own=["train"] * 14 + ["test"] * 6)
    parts = split(images, config())
    assert parts.test.tolist() == list(range(14, 20))
    assert not {0, 1} & {*parts.train, *parts.val}
    assert len(parts.notes) == 1
    assert parts.notes[0].startswith("2 image(s) left out: the same picture as one in the source's own")
    assert parts.notes[0].endswith("image0, image1")


def test_a_class_that_the_own_test_split_lacks_is_noted() -> None:
    images = image_set([0, 1] * 10, own=["train"] * 19 + ["test"])
    assert split(images, config()).notes == ("the source's own test split has no image of class 'a'",)


def refusal(images: ImageSet, **options: object) -> str:
    with pytest.raises(UserError) as error:
        split(images, config(**options))
    return str(error.value)


def test_classes_too_small_for_the_shots_are_all_named_with_counts() -> None:
    images = image_set([0] * 10 + [1] * 50 + [2] * 5)
    assert refusal(images, shots=10) == (
        "data.shots=10: class 'a' has 6 of 8 training images, class 'c' has 3 of 8 training images, "
        "class 'c' has 1 of 2 validation images; ask for fewer shots"
    )


def test_classes_too_small_to_split_are_all_named_with_counts() -> None:
    text = refusal(image_set([0] * 2 + [1] * 50 + [2]))
    assert "class 'a' (2 images) has none for val" in text
    assert "class 'c' (1 images) has none for train" in text
    assert "'b'" not in text


def test_three_images_are_enough() -> None:
    images = image_set([0] * 3 + [1] * 3)
    assert sizes(images, split(images, config())) == [[1, 1], [1, 1], [1, 1]]


def test_a_class_of_one_group_cannot_be_split() -> None:
    images = image_set([0] * 20 + [1] * 20, groups=["one"] * 20 + [f"g{index}" for index in range(20)])
    text = refusal(images)
    assert "class 'a' (20 images) has none for train" in text
    assert text.endswith("add images, different and of different groups")
