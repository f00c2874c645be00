"""Folders as people lay them out: a table of what is understood, and of what is refused with its remedy."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.layouts.levels import by_folders
from tl_sweep.data.layouts.words import split_of
from tl_sweep.data.sources.registry import open_data
from tl_sweep.data.splits import split

CASES = Path(__file__).parents[2].parent / "shared/cases/layouts.py"


def fill(root: Path, *places: str) -> Path:
    """A small picture at each of these places, each another one."""
    for number, place in enumerate(places):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels_HWC = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels_HWC).save(path, path.suffix.lstrip(".").upper().replace("JPG", "JPEG"))
    return root


def each(*folders: str, count: int = 3, name: str = "{n}.png") -> list[str]:
    return [f"{folder}/{name.format(n=n)}" for folder in folders for n in range(count)]


def opened(root: Path, **options: object) -> ImageSet:
    config = DataConfig(name="image_folder", root=str(root), **options)  # type: ignore[arg-type]
    return open_data(config, root.parent / "memory")


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(UserError) as error:
        opened(root, **options)
    return str(error.value)


def counts(images: ImageSet) -> dict[str, int]:
    return dict(Counter(images.class_names[label] for label in images.labels_N))


def splits(images: ImageSet) -> dict[str, int]:
    return dict(Counter(images.own_split_N.tolist()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((word, "train") for word in ("train", "Training", "TRAIN", "train_set", "train_images", "Training Data")),
        *((word, "train") for word in ("seg_train", "train2017", "trainset", "Train-1")),
        *((word, "val") for word in ("val", "valid", "validation", "dev", "val_set", "Validation Set")),
        *((word, "test") for word in ("test", "testing", "test1", "eval", "Test Images", "test_set")),
        *((word, "unlabelled") for word in ("seg_pred", "unlabeled")),
        *((word, "") for word in ("trains", "contest", "testudo", "train station", "images", "trainer", "latest")),
    ],
)
def test_a_split_folder_is_known_by_its_name(name: str, expected: str) -> None:
    assert split_of(name) == expected


UNDERSTOOD = {  # places -> images of each class, of each split, groups
    "nested splits of one name": (
        [*each("seg_train/seg_train/a", "seg_train/seg_train/b"), *each("seg_test/seg_test/a", "seg_test/seg_test/b")],
        {"a": 6, "b": 6}, {"train": 6, "test": 6}, None,
    ),
    "data/train/class": (
        each("data/train/a", "data/train/b", "data/test/a", "data/test/b"),
        {"a": 6, "b": 6}, {"train": 6, "test": 6}, None,
    ),
    "two wrappers": (each("v3/photos/a", "v3/photos/b"), {"a": 3, "b": 3}, {"": 6}, None),
    "class then split": (
        each("a/train", "b/train", "a/test", "b/test"), {"a": 6, "b": 6}, {"train": 6, "test": 6}, None,
    ),
    "sites": (
        each("north/a", "north/b", "south/a", "south/b"), {"a": 6, "b": 6}, {"": 12}, {"north": 6, "south": 6},
    ),
    "a site called photo, as PACS has": (
        each("photo/a", "photo/b", "sketch/a", "sketch/b"), {"a": 6, "b": 6}, {"": 12}, {"photo": 6, "sketch": 6},
    ),
    "sites with a folder of pictures each, as Office has": (
        each("amazon/images/mug", "amazon/images/pen", "webcam/images/mug", "webcam/images/pen"),
        {"mug": 6, "pen": 6}, {"": 12}, {"amazon": 6, "webcam": 6},
    ),
    "sites, then splits, then classes": (
        each(*(f"{site}/{part}/{label}" for site in "xy" for part in ("train", "test") for label in "ab")),
        {"a": 12, "b": 12}, {"train": 12, "test": 12}, {"x": 12, "y": 12},
    ),
    "sites inside splits": (
        each(*(f"{part}/{site}/{label}" for part in ("train", "test") for site in "xy" for label in "ab")),
        {"a": 12, "b": 12}, {"train": 12, "test": 12}, {"x": 12, "y": 12},
    ),
    "folders of classes with a folder of pictures": (
        each("a/images", "b/images"), {"a": 3, "b": 3}, {"": 6}, None,
    ),
    "images and masks of each class": (
        each("a/images", "a/masks", "b/images", "b/masks"), {"a": 3, "b": 3}, {"": 6}, None,
    ),
    "images and masks of all": (
        each("images/a", "images/b", "masks/a", "masks/b"), {"a": 3, "b": 3}, {"": 6}, None,
    ),
    "masks beside their pictures": (
        [*each("a", "b"), *each("a", "b", name="{n}_mask.png")], {"a": 3, "b": 3}, {"": 6}, None,
    ),
    "deeper folders are a matter of the class": (
        [*each("a", "b"), "a/paris/9.png"], {"a": 4, "b": 3}, {"": 7}, None,
    ),
    "a class called train": (each("train", "car"), {"car": 3, "train": 3}, {"": 6}, None),
    "what computers leave behind": (
        [*each("a", "b"), "a/.ipynb_checkpoints/1.png", "__MACOSX/a/1.png", "b/._0.png", "@eaDir/t.png"],
        {"a": 3, "b": 3}, {"": 6}, None,
    ),
    "a test folder without labels": (
        [*each("train/a", "train/b"), *each("test", count=4)], {"a": 3, "b": 3}, {"train": 6}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_a_layout_is_understood(tmp_path: Path, case: str) -> None:
    places, of_classes, of_splits, of_groups = UNDERSTOOD[case]
    images = opened(fill(tmp_path / "photos", *places))
    assert (counts(images), splits(images)) == (of_classes, of_splits)
    assert (None if images.groups_N is None else dict(Counter(images.groups_N.tolist()))) == of_groups
    accounted = len(images) + len(images.left_out) + len(images.unlabelled)
    assert accounted == len(places), "a picture is used, without a label, or left out with a reason"
    if of_groups:
        assert any("sites as groups" in note for note in images.notes)


REFUSED = {
    "train and test without classes": (
        each("train", "test"),
        "test, train are splits without class folders; images are looked for in <folder>/<class>/",
    ),
    "pictures beside class folders": (
        [*each("a", "b"), "stray.png"],
        "1 picture(s) stand beside the class folders: stray.png; move them into one, or away",
    ),
    "a folder of masks among the classes": (each("a", "b", "masks"), "masks: a folder of that name is no class"),
    "half of the inner folders are the same": (
        each("a/x", "a/y", "b/x", "b/y", "b/z"),
        "a, b have folders of one name (x, y): which are the classes?; data.label_level=1 takes the first",
    ),
    "the inner folders are dates": (each("a/2019", "a/2020", "b/2019", "b/2020"), "data.label_level=1 takes the first"),
    "another case in another split": (
        each("train/Cat", "train/dog", "test/cat", "test/dog"), "one class or two? 'Cat' = 'cat'",
    ),
    "a blank more in another split": (
        each("train/red fox", "train/dog", "test/red_fox", "test/dog"), "one class or two? 'red fox' = 'red_fox'",
    ),
    "splits without training": (each("val/a", "test/a"), "with class folders, but no train/"),
    "train is flat, test is not": ([*each("train"), *each("test/a")], "the folder to learn from has no class folders"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_layout_that_cannot_be_told_is_refused_with_what_would_do(tmp_path: Path, case: str) -> None:
    places, text = REFUSED[case]
    assert text in refusal(fill(tmp_path / "photos", *places))


def test_the_level_of_the_classes_may_be_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", *each("a/2019", "a/2020", "b/2019", "b/2020"))
    assert counts(opened(root, label_level=1)) == {"a": 6, "b": 6}
    assert counts(opened(root, label_level=-1)) == {"2019": 6, "2020": 6}
    assert "has no folder at data.label_level=3" in refusal(root, label_level=3)


def test_classes_in_names_of_files_by_the_pattern_that_the_refusal_prints(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", *(f"{name}.{n}.jpg" for name in ("cat", "dog") for n in range(3)))
    text = refusal(root)
    assert "the names of files would tell them: " in text
    pasted = subprocess.run(["sh", "-c", f"printf %s {text.partition('would tell them: ')[2]}"], capture_output=True)
    pattern = OverridesParser.create().parse_override(pasted.stdout.decode()).value()
    assert counts(opened(root, label_pattern=pattern)) == {"cat": 3, "dog": 3}


def test_a_test_folder_that_the_pattern_does_not_match_has_no_labels(tmp_path: Path) -> None:
    places = [*(f"train/{name}.{n}.jpg" for name in ("cat", "dog") for n in range(3)), "test/1.jpg", "test/2.jpg"]
    images = opened(fill(tmp_path / "photos", *places), label_pattern=r"([a-z]+)\.\d+\.jpg$")
    assert (counts(images), splits(images), len(images.unlabelled)) == ({"cat": 3, "dog": 3}, {"train": 6}, 2)
    broken = fill(tmp_path / "broken", "train/cat.1.jpg", "train/other.jpg")
    assert "no class for 1 picture(s): train/other.jpg" in refusal(broken, label_pattern=r"([a-z]+)\.\d+\.jpg$")


def test_lists_name_the_splits(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", *each("images/a", "images/b", count=4))
    (root / "meta").mkdir()
    (root / "meta/train.txt").write_text("a/0\na/1\nb/0\nb/1\n")  # as Food-101 has them: no suffix, class in the path
    (root / "meta/test.txt").write_text("a/2\nb/2\n")
    images = opened(root)
    assert (counts(images), splits(images)) == ({"a": 3, "b": 3}, {"train": 4, "test": 2})
    assert [one.name for one in images.left_out if one.reason == "in none of the lists"] == [
        "images/a/3.png",
        "images/b/3.png",
    ]


def test_lists_number_the_classes(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", *(f"jpg/{n}.jpg" for n in range(6)))
    (root / "classes.txt").write_text("owl\nwren\n")
    (root / "train.txt").write_text("".join(f"jpg/{n}.jpg {n % 2}\n" for n in range(4)))
    (root / "val.txt").write_text("jpg\\4.jpg 0\n./jpg/5.jpg\t1\n")
    images = opened(root)
    assert (counts(images), splits(images)) == ({"owl": 3, "wren": 3}, {"train": 4, "val": 2})


@pytest.mark.parametrize(
    ("lines", "text"),
    [("0.jpg 0\n9.jpg 1\n", "names '9.jpg 1', and there is no such picture"), ("1.jpg 0\n", "stands in two lists")],
)
def test_lists_that_cannot_be_are_refused(tmp_path: Path, lines: str, text: str) -> None:
    root = fill(tmp_path / "photos", *(f"jpg/{n}.jpg" for n in range(3)))
    (root / "train.txt").write_text("1.jpg 0\n")
    (root / "test.txt").write_text(lines)
    assert text in refusal(root)


def test_annotations_of_a_split_without_folders(tmp_path: Path) -> None:
    places = [
        *each("train/n01/images", "train/n02/images"),
        *each("val/images", count=4),
        *each("test/images", count=2),
    ]
    root = fill(tmp_path / "tiny", *places)
    (root / "val/val_annotations.txt").write_text("".join(f"{n}.png\tn0{n % 2 + 1}\t0\t0\t9\t9\n" for n in range(4)))
    images = opened(root)
    assert (counts(images), splits(images)) == ({"n01": 5, "n02": 5}, {"train": 6, "val": 4})
    assert len(images.unlabelled) == 2


def test_one_class_in_two_unicode_forms(tmp_path: Path) -> None:
    images = opened(fill(tmp_path / "photos", *each("train/cafe\u0301", "train/bar", "test/caf\u00e9", "test/bar")))
    assert counts(images) == {"bar": 6, "café": 6}
    assert "1 class name(s) stand there in two Unicode forms; each is one class" in images.notes


def test_a_link_is_no_second_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", *each("cats", "dogs"))
    (root / "animals").symlink_to("cats")
    (root / "cats/more").symlink_to("../dogs")
    images = opened(root)
    assert counts(images) == {"cats": 3, "dogs": 3}
    assert {one.name for one in images.left_out} == {"animals", "cats/more"}


def test_a_whole_site_may_be_the_test_split(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", *each(*(f"{site}/{label}" for site in "xyz" for label in "ab"), count=6))
    images = opened(root)
    parts = split(images, DataConfig(name="image_folder", subset_seed=0, test_group="y"))
    assert {images.ids[index][0] for index in parts.test} == {"y"}
    assert {images.ids[index][0] for index in (*parts.train, *parts.val)} == {"x", "z"}
    assert len(parts.test) == 12
    with pytest.raises(UserError, match="too few images to split"):
        split(images, DataConfig(name="image_folder", subset_seed=0, test_group="x+y"))  # one group is left for both


@pytest.mark.parametrize(
    ("places", "group", "text"),
    [
        (each("x/a", "x/b", "why/a", "why/b"), "wy", "there is no group 'wy'; did you mean 'why'? groups: why, x"),
        (each("a", "b"), "x", "data.test_group=x: the images have no groups"),
    ],
)
def test_a_test_group_that_is_not_there(tmp_path: Path, places: list[str], group: str, text: str) -> None:
    images = opened(fill(tmp_path / "photos", *places))
    with pytest.raises(UserError) as error:
        split(images, DataConfig(name="image_folder", subset_seed=0, test_group=group))
    assert text in str(error.value)


def test_a_constant_answer_is_said_where_one_class_is_nearly_all(tmp_path: Path) -> None:
    images = opened(fill(tmp_path / "photos", *each("a", count=18), *each("b", count=2)))
    assert "18 of 20 are one class; a constant answer gives 90 % accuracy" in images.notes


@pytest.mark.parametrize(
    ("places", "fingerprint"),
    [
        (each("a", "b"), "cd8b7ac490afc6a452db2f33663a0e18"),
        (each("train/a", "train/b", "val/a", "val/b", "test/a", "test/b"), "3b17b77ba5d8ee1186a68c9a45251a5f"),
    ],
    ids=["classes", "splits"],
)
def test_fingerprints_of_plain_folders_are_those_of_before(tmp_path: Path, places: list[str], fingerprint: str) -> None:
    assert opened(fill(tmp_path / "photos", *places)).fingerprint == fingerprint


FOLDERS = st.lists(st.sampled_from(["a", "b", "train", "test", "images", "masks", "2019", "x"]), max_size=3)


def place_of(drawn: tuple[list[str], int]) -> tuple[str, ...]:
    folders, number = drawn
    return (*folders, f"{number}.png")


PLACES = st.lists(st.tuples(FOLDERS, st.integers(0, 3)).map(place_of), min_size=1, max_size=24, unique=True)


@given(places=PLACES, reorder=st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_no_picture_is_lost_and_order_plays_no_part(places: list[tuple[str, ...]], reorder: random.Random) -> None:
    def outcome(some: list[tuple[str, ...]]) -> object:
        try:
            understood = by_folders("photos", some)
        except UserError as error:
            return str(error)
        labels = {(image.place, image.label, image.split, image.group) for image in understood.labelled}
        left = {one.name for one in understood.left_out}
        everything = {image.place for image in understood.labelled} | set(understood.unlabelled)
        assert everything | {tuple(name.split("/")) for name in left} == set(places)
        assert len(understood.labelled) + len(understood.unlabelled) + len(left) == len(places)
        return labels, left, set(understood.unlabelled)

    first = outcome(sorted(places))
    shuffled = list(places)
    reorder.shuffle(shuffled)
    again = outcome(shuffled)
    assert isinstance(first, str) == isinstance(again, str)
    assert isinstance(first, str) or first == again


EXPECTED = {  # of ../shared/cases/layouts.py: classes, splits, groups, unlabelled; or a part of the refusal
    "plain": (3, 60, {}, 0, 0),
    "table_beside_images": (3, 60, {}, 0, 0),
    "flat_train_and_test": (3, 45, {}, 0, 15),
    "excel_table": (3, 60, {}, 0, 0),
    "flat_without_table": "are splits without class folders",
    "train_dev_test": (3, 60, {"train": 36, "val": 12, "test": 12}, 0, 0),
    "data_words": (3, 60, {"train": 36, "val": 12, "test": 12}, 0, 0),
    "seg": (3, 48, {"train": 36, "test": 12}, 0, 0),
    "class_then_split": (3, 60, {"train": 45, "test": 15}, 0, 0),
    "sites": (3, 60, {}, 2, 0),
    "wrapped": (3, 60, {}, 0, 0),
    "images_and_masks": "no class folders in",
    "thumbnails": (3, 60, {}, 0, 0),
    "other_endings": (3, 60, {}, 0, 0),
    "link_to_itself": (3, 60, {}, 0, 0),
    "unicode_forms": (2, 40, {"train": 20, "test": 20}, 0, 0),
    "twins_across_splits": (3, 60, {"train": 48, "test": 12}, 0, 0),
    "wide_strips": (2, 40, {}, 0, 0),
    "unequal": (2, 500, {}, 0, 0),
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CASES.is_file():
        pytest.skip("the generators of layouts are not here")
    out = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, CASES, out, *EXPECTED], check=True, capture_output=True)
    return out


@pytest.mark.parametrize("case", EXPECTED)
def test_a_generated_layout(generated: Path, case: str) -> None:
    expected = EXPECTED[case]
    if isinstance(expected, str):
        text = refusal(generated / case)
        print(f"{case}: refused: {text}")
        assert expected in text
        return
    images = opened(generated / case)
    groups = 0 if images.groups_N is None else len(set(images.groups_N.tolist()))
    of_splits = {name: count for name, count in splits(images).items() if name}
    print(f"{case}: {counts(images)}, splits {of_splits}, {groups} groups; notes: {'; '.join(images.notes)[:200]}")
    assert (len(images.class_names), len(images), of_splits, groups, len(images.unlabelled)) == expected
