"""One's own images in folders: layouts, bad input, duplicates, groups, and what is remembered."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_source_contract import DataSourceContract
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import open_data
from tl_sweep.data.splits import split

TRASHNET = Path(__file__).parents[3].parent / "shared/assets/data/trashnet_160"
PREPROCESSING = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", image_px=14)


def save(path: Path, seed: int) -> Path:
    """A small image of noise: equal seeds give identical files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, cats and dogs, of five different images each."""
    for seed in range(10):
        save(tmp_path / "my photos" / ("cats", "dogs")[seed % 2] / f"{seed}.png", seed)
    return tmp_path / "my photos"


class TestContract(DataSourceContract):
    @pytest.fixture
    def config(self, root: Path) -> DataConfig:
        (root / "cats" / "cut short.png").write_bytes((root / "cats" / "0.png").read_bytes()[:-40])
        return DataConfig(name="image_folder", root=str(root))

    @pytest.fixture
    def impossible(self, tmp_path: Path) -> DataConfig:
        return DataConfig(name="image_folder", root=str(tmp_path / "nowhere"))


def opened(root: Path, **options: Any) -> ImageSet:
    config = DataConfig(name="image_folder", root=str(root), **options)
    return open_data(config, root.parent / "memory")


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(UserError) as error:
        opened(root, **options)
    return str(error.value)


def test_a_folder_per_class(root: Path) -> None:
    images = opened(root)
    assert images.class_names == ("cats", "dogs")
    assert images.ids[:2] == ("cats/0.png", "cats/2.png")
    assert images.labels_N.tolist() == [0] * 5 + [1] * 5
    assert images.own_split_N.tolist() == [""] * 10
    assert images.notes == ()


def test_pixels_are_those_of_the_file(root: Path) -> None:
    images_BCWW = opened(root).decode(np.array([7, 0]), PREPROCESSING, num_workers=2)
    assert images_BCWW.shape == (2, 3, 16, 16)
    save(root.parent / "alone.png", 5)  # dogs/5.png is number 7
    with Image.open(root.parent / "alone.png") as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert (images_BCWW[0].numpy() == expected).all()


def test_nested_files_any_case_and_hidden_files(root: Path) -> None:
    save(root / "cats" / "paris" / "11.PNG", 11)
    save(root / "cats" / ".hidden.png", 12)
    (root / ".git").mkdir()
    (root / "dogs" / "readme.txt").write_text("which dogs")
    images = opened(root)
    assert len(images) == 11
    assert "cats/paris/11.PNG" in images.ids
    assert images.notes == (
        "1 file(s) left out: .txt is no image (dogs/readme.txt)",
        "1 file(s) left out: a hidden or system file (cats/.hidden.png)",
    )


@pytest.mark.parametrize("val_name", ["val", "valid", "validation"])
def test_given_splits_are_kept(tmp_path: Path, val_name: str) -> None:
    for seed in range(12):
        part = ("train", "train", val_name, "test")[seed // 2 % 4]
        save(tmp_path / "data" / part / "ab"[seed % 2] / f"{seed}.png", seed)
    images = opened(tmp_path / "data")
    parts = split(images, DataConfig(name="image_folder", subset_seed=0))
    assert images.class_names == ("a", "b")
    for name, indices in (("train", parts.train), ("val", parts.val), ("test", parts.test)):
        assert set(images.own_split_N[indices]) == {name}
    assert sum(len(part) for part in (parts.train, parts.val, parts.test)) == 12


def test_validation_is_cut_from_train_where_absent(tmp_path: Path) -> None:
    for seed in range(20):
        save(tmp_path / "data" / ("test" if seed >= 16 else "train") / "ab"[seed % 2] / f"{seed}.png", seed)
    images = opened(tmp_path / "data")
    parts = split(images, DataConfig(name="image_folder", subset_seed=0))
    assert set(images.own_split_N[parts.val]) == {"train"}
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [12, 4, 4]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for seed in range(6):
        save(tmp_path / "data" / ("train", "car")[seed % 2] / f"{seed}.png", seed)
    assert opened(tmp_path / "data").class_names == ("car", "train")


def test_foreign_folder_beside_train(tmp_path: Path) -> None:
    save(tmp_path / "data" / "train" / "a" / "0.png", 0)
    save(tmp_path / "data" / "holdout" / "0.png", 1)
    assert "has train/ with class folders, but also holdout" in refusal(tmp_path / "data")


def test_no_root_is_given() -> None:
    with pytest.raises(UserError, match=r"data\.root is missing: data=image_folder needs data.root=<folder"):
        open_data(DataConfig(name="image_folder"), Path("memory"))


def test_a_missing_root_suggests_its_neighbour(root: Path) -> None:
    text = refusal(root.parent / "my fotos")
    assert text == f"data.root: there is no folder {root.parent / 'my fotos'}. did you mean 'my photos'?"


def test_an_unknown_data_set_suggests_a_name() -> None:
    with pytest.raises(
        UserError, match=r"data.name=cifar01: there is none of that name; did you mean 'cifar10'\? allowed: digits, "
    ):
        open_data(DataConfig(name="cifar01"), Path("memory"))


def test_a_root_without_class_folders(tmp_path: Path) -> None:
    save(tmp_path / "data" / "0.png", 0)
    assert f"no class folders in {tmp_path / 'data'}" in refusal(tmp_path / "data")


def test_class_folders_without_any_image(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "b").mkdir()
    assert f"data.root: no images under {tmp_path / 'data'}" in refusal(tmp_path / "data")


def test_every_empty_class_is_named(root: Path) -> None:
    (root / "eels").mkdir()
    (root / "bats").mkdir()
    assert "no image in class bats, eels" in refusal(root)


def test_a_class_that_only_the_test_folder_has(tmp_path: Path) -> None:
    for seed, place in enumerate(("train/a", "train/b", "test/a", "test/c")):
        save(tmp_path / "data" / place / "0.png", seed)
    text = refusal(tmp_path / "data")
    assert "no image in class c of" in text
    assert "train" in text


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    save(tmp_path / "data" / "only" / "0.png", 0)
    assert refusal(tmp_path / "data") == "data=image_folder: found 1 class (only), two are needed"


def break_two(root: Path) -> None:
    (root / "cats" / "0.png").write_text("not an image")
    whole = (root / "dogs" / "1.png").read_bytes()
    (root / "dogs" / "1.png").write_bytes(whole[: len(whole) // 2])


def test_unreadable_files_are_listed_and_refused(root: Path) -> None:
    break_two(root)
    text = refusal(root)
    assert "2 unreadable image(s): cats/0.png (not an image), dogs/1.png (" in text
    assert "truncated" in text
    assert text.endswith("data.skip_unreadable=true")


def test_a_truncated_jpeg_is_found(root: Path) -> None:
    path = root / "cats" / "big.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    assert "cats/big.jpg (image file is truncated" in refusal(root)


def test_unreadable_files_are_skipped_listed_and_counted(root: Path) -> None:
    break_two(root)
    images = opened(root, skip_unreadable=True)
    assert len(images) == 8
    assert "cats/0.png" not in images.ids
    assert images.notes[0].startswith("2 unreadable image(s) skipped: cats/0.png (not an image), dogs/1.png (")


def test_a_class_left_empty_by_skipping(root: Path) -> None:
    for path in (root / "dogs").iterdir():
        path.write_text("not an image")
    assert "no image in class dogs" in refusal(root, skip_unreadable=True)


def test_identical_files_in_two_classes_are_dropped_listed_and_counted(root: Path) -> None:
    save(root / "dogs" / "copy of 0.png", 0)
    images = opened(root)
    assert len(images) == 9
    assert images.notes == ("2 images are identical across classes and were dropped: cats/0.png = dogs/copy of 0.png",)


def test_identical_files_in_two_classes_are_refused_on_request(root: Path) -> None:
    save(root / "dogs" / "copy of 0.png", 0)
    text = refusal(root, duplicates="refuse")
    assert "2 images are identical across classes: cats/0.png = dogs/copy of 0.png" in text
    assert "data.duplicates=drop" in text


def test_identical_files_of_one_class_are_kept_in_one_split(root: Path) -> None:
    for copy in range(3):
        save(root / "cats" / f"copy{copy}.png", 0)
    images = opened(root)
    parts = split(images, DataConfig(name="image_folder", subset_seed=0))
    copies = {images.ids.index(name) for name in ("cats/0.png", "cats/copy0.png", "cats/copy1.png", "cats/copy2.png")}
    assert any(copies <= set(part.tolist()) for part in (parts.train, parts.val, parts.test))


def test_imbalance_is_reported(root: Path) -> None:
    for seed in range(20, 30):
        save(root / "cats" / f"{seed}.png", seed)
    assert opened(root).notes == ("classes are unequal: from 5 (dogs) to 15 (cats) images",)


def test_groups_from_a_pattern(root: Path) -> None:
    assert opened(root, group=r"/(\d)").groups_N.tolist() == [*"02468", *"13579"]


def test_groups_from_a_column(root: Path) -> None:
    rows = [f"{folder}/{n}.png,p{n // 4}" for n in range(10) for folder in [("cats", "dogs")[n % 2]]]
    (root / "metadata.csv").write_text("\n".join(["file,patient", *rows]))
    assert opened(root, group="patient").groups_N.tolist() == ["p0", "p0", "p1", "p1", "p2"] * 2


@pytest.mark.parametrize(
    ("group", "text"),
    [
        pytest.param(r"(\d", "not a regular expression", id="broken pattern"),
        pytest.param(r"(\d)(.)", "one pair of capturing parentheses is needed, not 2", id="two captures"),
        pytest.param(r"(\d\d)", "no group for 10 image(s): cats/0.png", id="no match"),
        pytest.param("pateint", "no column 'pateint', only file, patient. did you mean 'patient'?", id="column typo"),
        pytest.param("patient", "no group for 9 image(s): cats/2.png", id="file without a row"),
    ],
)
def test_groups_that_cannot_be_read(root: Path, group: str, text: str) -> None:
    (root / "metadata.csv").write_text("file,patient\ncats/0.png,p0\n")
    assert text in refusal(root, group=group)


def test_a_column_needs_a_table(root: Path) -> None:
    assert f"a column needs {root / 'metadata.csv'}" in refusal(root, group="patient")


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or read_bytes(path))
    return read


def test_a_second_opening_reads_no_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = count_reads(monkeypatch)
    first = opened(root).fingerprint
    assert len(read) == 10
    read.clear()
    assert opened(root).fingerprint == first
    assert read == []


def test_a_changed_file_is_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = opened(root).fingerprint
    save(root / "cats" / "0.png", 99)
    read = count_reads(monkeypatch)
    assert opened(root).fingerprint != before
    assert read == [root / "cats" / "0.png"]


def test_a_broken_file_stays_known_as_broken(root: Path) -> None:
    break_two(root)
    assert refusal(root) == refusal(root)


def test_records_that_cannot_be_kept_are_an_error(root: Path) -> None:
    (root.parent / "memory").write_text("a file where a folder should be")
    assert "cannot keep file records in" in refusal(root)


@pytest.mark.skipif(not TRASHNET.is_dir(), reason="the TrashNet photographs are not here")
def test_real_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DataConfig(name="image_folder", root=str(TRASHNET), subset_seed=0)
    first = open_data(config, tmp_path)
    read = count_reads(monkeypatch)
    assert open_data(config, tmp_path).fingerprint == first.fingerprint
    assert read == []
    assert len(first) == 2527 - 6
    assert first.notes[0].startswith("6 images are identical across classes and were dropped: glass/")
    assert first.notes[0].count(" = ") == 3
    assert first.notes[1] == "classes are unequal: from 137 (trash) to 594 (paper) images"


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "testing"), ("TRAIN", "Val", "test")], ids=" ".join)
def test_split_folders_by_any_spelling(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        for index in range(6):
            for label in ("a", "b"):
                save(tmp_path / name / label / f"{index}.png", seed=100 * number + 10 * index + (label == "b"))
    images = opened(tmp_path)
    assert images.class_names == ("a", "b")
    assert {"train", "test"} <= set(images.own_split_N.tolist())


def test_split_folders_without_training(tmp_path: Path) -> None:
    for name in ("val", "test"):
        save(tmp_path / name / "a" / "0.png", seed=1)
    assert "has test, val with class folders, but no train/" in refusal(tmp_path)


def test_a_name_in_two_unicode_forms_is_one_class(root: Path) -> None:
    one_letter, with_accent = "caf\u00e9", "cafe\u0301"
    for seed, name in enumerate((one_letter, with_accent), start=20):
        save(root / name / f"{seed}.png", seed)
    images = opened(root)
    sizes = dict(zip(images.class_names, np.bincount(images.labels_N).tolist(), strict=True))
    assert sizes == {one_letter: 2, "cats": 5, "dogs": 5}
    assert "1 class name(s) stand there in two Unicode forms; each is one class" in images.notes


def test_a_split_may_have_another_unicode_form_of_a_name(tmp_path: Path) -> None:
    for seed, folder in enumerate(
        ("train/caf\u00e9", "train/b", "val/cafe\u0301", "val/b", "test/cafe\u0301", "test/b")
    ):
        save(tmp_path / "photos" / folder / "a.png", seed)
    images = opened(tmp_path / "photos")
    assert sorted(images.class_names) == ["b", "caf\u00e9"]
    assert np.bincount(images.labels_N).tolist() == [3, 3]
