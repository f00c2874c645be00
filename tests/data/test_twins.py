"""One picture in several files: found, kept in one split, and told from pictures that are only alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import record
from configs import config_in
from PIL import Image, ImageEnhance

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import DataConfig
from tl_sweep.data import twins
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import open_data
from tl_sweep.data.splits import split
from tl_sweep.tracking.names import Metric
from tl_sweep.tracking.record import Record

TRASHNET = Path(__file__).parents[2].parent / "shared/assets/data/trashnet_160"
Change = Callable[[Image.Image], Image.Image]


def picture(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A scene of its own: soft spots with edges in them."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    for _ in range(12):
        left, top = int(rng.integers(0, size[0] - 20)), int(rng.integers(0, size[1] - 20))
        width, height = rng.integers(5, 20, 2).tolist()
        soft.paste(tuple(rng.integers(0, 256, 3).tolist()), (left, top, left + width, top + height))
    return soft


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def with_comment(path: Path, other: Path) -> None:
    """The same JPEG with a comment in it: other bytes, the same pixels."""
    content = path.read_bytes()
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(content[:2] + b"\xff\xfe\x00\x07hello" + content[2:])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten different pictures in each of two classes."""
    for seed in range(20):
        save(picture(seed), tmp_path / "photos" / "ab"[seed % 2] / f"{seed}.jpg", quality=92)
    return tmp_path / "photos"


def opened(root: Path, **options: object) -> ImageSet:
    config = DataConfig(name="image_folder", root=str(root), subset_seed=0, **options)  # type: ignore[arg-type]
    return open_data(config, root.parent / "memory")


def pairs(images: ImageSet) -> set[tuple[str, str, str]]:
    return {(*sorted((images.ids[one], images.ids[other])), kind) for one, other, kind in images.twin_pairs}  # type: ignore[misc]


def test_different_pictures_are_no_twins(root: Path) -> None:
    images = opened(root)
    assert images.twin_pairs == ()
    assert not any("picture" in note and "pixels are cut away" not in note for note in images.notes)


def test_a_comment_and_another_lossless_container_are_the_same_pixels(root: Path) -> None:
    with_comment(root / "a/0.jpg", root / "a/commented.jpg")
    save(Image.open(root / "b/1.jpg"), root / "b/contained.png")
    images = opened(root)
    assert pairs(images) == {
        ("a/0.jpg", "a/commented.jpg", "identical pixels"),
        ("b/1.jpg", "b/contained.png", "identical pixels"),
    }
    assert images.notes[0].startswith(
        "2 pair(s) of files show one picture (identical pixels), kept in one split: a/0.jpg"
    )


CHANGES: dict[str, Change] = {
    "stored anew": lambda image: image,
    "half the size": lambda image: image.resize((60, 45), Image.Resampling.LANCZOS),
    "twice the size": lambda image: image.resize((240, 180), Image.Resampling.BICUBIC),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "a quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "gray": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_near_identical(root: Path, change: str) -> None:
    if change == "half the size":  # of which the shorter side would be too small to tell
        save(picture(0, (240, 180)), root / "a/0.jpg", quality=92)
        changed = picture(0, (240, 180)).resize((120, 90), Image.Resampling.LANCZOS)
    else:
        changed = CHANGES[change](picture(0))
    save(changed, root / "a/copy.rf.0a1b.jpg", quality=70)
    assert pairs(opened(root)) == {("a/0.jpg", "a/copy.rf.0a1b.jpg", "near-identical")}


def test_pictures_that_share_a_background_are_no_twins(root: Path) -> None:
    shadow = Image.linear_gradient("L").resize((120, 90)).convert("RGB")
    for place, (left, top) in enumerate(((20, 20), (70, 50))):
        scene = shadow.copy()
        scene.paste(picture(100 + place, (30, 25)), (left, top))
        save(scene, root / "a" / f"table{place}.png")
    assert opened(root).twin_pairs == ()


def test_constant_and_tiny_pictures_are_never_nearly_the_same(root: Path) -> None:
    for shade in (90, 91):
        save(Image.new("RGB", (120, 90), (shade, shade, shade)), root / "a" / f"plain{shade}.png")
    for quality in (60, 90):
        save(picture(50, (40, 30)), root / "b" / f"tiny{quality}.jpg", quality=quality)
    assert opened(root).twin_pairs == ()


def test_equal_pixels_are_found_however_the_file_is_reduced(root: Path) -> None:
    """A large JPEG is looked at through its own frequencies, a PNG by its pixels."""
    noise = np.random.default_rng(0).normal(0, 25, (900, 1200, 3))
    noisy = np.clip(np.asarray(picture(7, (1200, 900))) + noise, 0, 255).astype(np.uint8)
    jpeg = save(Image.fromarray(noisy), root / "a/large.jpg", quality=80)
    save(Image.open(jpeg), root / "a/contained.png")
    assert pairs(opened(root)) == {("a/contained.png", "a/large.jpg", "identical pixels")}


def test_twins_stand_in_one_split(root: Path) -> None:
    for seed in range(20):
        save(picture(seed).transpose(Image.Transpose.FLIP_LEFT_RIGHT), root / "ab"[seed % 2] / f"copy{seed}.jpg")
    images = opened(root)
    assert len(images.twin_pairs) == 20
    parts = split(images, DataConfig(name="image_folder", subset_seed=0))
    for part in (parts.train, parts.val, parts.test):
        names = {images.ids[index].replace("copy", "") for index in part}
        assert len(part) == 2 * len(names)


def test_twins_of_the_given_test_split_are_left_out_of_training(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for seed in range(20):
        save(picture(seed), root / ("test" if seed < 6 else "train") / "ab"[seed % 2] / f"{seed}.jpg", quality=92)
    for seed in range(6):
        with_comment(
            root / "test" / "ab"[seed % 2] / f"{seed}.jpg", root / "train" / "ab"[seed % 2] / f"copy{seed}.jpg"
        )
    images = opened(root)
    parts = split(images, DataConfig(name="image_folder", subset_seed=0))
    assert {images.ids[index] for index in parts.test} == {f"test/{'ab'[seed % 2]}/{seed}.jpg" for seed in range(6)}
    assert not any("copy" in images.ids[index] for index in (*parts.train, *parts.val))
    assert parts.notes[0].startswith("6 image(s) left out: the same picture as one in the source's own")


def test_the_same_pixels_under_two_labels_are_dropped_or_refused(root: Path) -> None:
    with_comment(root / "a/0.jpg", root / "b/wrong.jpg")
    images = opened(root)
    assert len(images) == 19
    expected = "2 images are the same, pixel by pixel, across classes and were dropped: a/0.jpg = b/wrong.jpg"
    assert expected in images.notes
    with pytest.raises(UserError, match=r"remove the wrong ones, or drop all with data\.duplicates=drop"):
        opened(root, duplicates="refuse")


def test_near_identical_pictures_under_two_labels_are_said(root: Path) -> None:
    save(picture(0), root / "b/other.jpg", quality=60)
    images = opened(root)
    assert len(images) == 21
    assert "1 of them stand in different classes: which label is right? a/0.jpg ~ b/other.jpg" in images.notes


def test_one_of_each_picture_is_kept_on_request(root: Path) -> None:
    with_comment(root / "a/0.jpg", root / "a/commented.jpg")
    save(picture(0), root / "a/again.jpg", quality=60)
    images = opened(root, near_duplicates="drop")
    assert len(images) == 20
    assert images.notes[0].startswith("2 further files of a picture that is there dropped: ")
    assert images.fingerprint != opened(root, near_duplicates="ignore").fingerprint


def test_nobody_looks_where_it_is_not_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_comment(root / "a/0.jpg", root / "a/commented.jpg")
    monkeypatch.setattr(twins, "find_twins", lambda *_: pytest.fail("asked to ignore them"))
    assert opened(root, near_duplicates="ignore").twin_pairs == ()


def test_twins_are_part_of_the_fingerprint(root: Path) -> None:
    with_comment(root / "a/0.jpg", root / "a/commented.jpg")
    assert opened(root).fingerprint != opened(root, near_duplicates="ignore").fingerprint


def test_what_was_judged_is_not_judged_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_comment(root / "a/0.jpg", root / "a/commented.jpg")
    save(picture(2), root / "a/again.jpg", quality=60)
    first = opened(root)
    monkeypatch.setattr(twins, "_look", lambda *_: pytest.fail("these contents were seen before"))
    assert opened(root).twin_pairs == first.twin_pairs


@pytest.mark.skipif(not TRASHNET.is_dir(), reason="the TrashNet photographs are not here")
def test_real_photographs(tmp_path: Path) -> None:
    images = open_data(DataConfig(name="image_folder", root=str(TRASHNET), subset_seed=0), tmp_path)
    assert len(images.twin_pairs) == 28
    assert {kind for *_, kind in images.twin_pairs} == {"near-identical"}


def test_twins_in_training_gain_nothing(tmp_path: Path, store_uri: str) -> None:
    """A test set half of whose images stand in training under other bytes gives the accuracy of training without them;
    where twins are ignored, it gains."""
    from sklearn.datasets import load_digits

    digits = load_digits()

    def digit(index: int) -> Image.Image:
        pixels_HW = (digits.images[index] * 15.9375).astype(np.uint8)
        return Image.fromarray(pixels_HW).resize((64, 64), Image.Resampling.BICUBIC)

    for index in range(300):
        part = "train" if index < 100 else "test"
        for name in ("apart", "twins"):
            save(digit(index), tmp_path / name / part / str(digits.target[index]) / f"{index}.png")
    for index in range(100, 300, 2):
        copy = tmp_path / "twins/train" / str(digits.target[index]) / f"copy{index}.jpg"
        save(digit(index), copy, quality=90)

    def test_acc(name: str, near_duplicates: str) -> float:
        data = {"root": str(tmp_path / name), "image_size": 32, "shots": None, "near_duplicates": near_duplicates}
        options = {"data": "image_folder", "freeze": "all", "augment": "none"}
        run = record(config_in(tmp_path, store_uri, options, data=data), tmp_path / f"{name} {near_duplicates}")
        summary = Record(run.folder).summary()
        assert summary is not None
        return summary.metrics[Metric.TEST_ACC]

    apart = test_acc("apart", "group")
    assert test_acc("twins", "ignore") > apart + 0.02
    assert test_acc("twins", "group") == apart
