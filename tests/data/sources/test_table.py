"""Classes from tables, as programs and competitions write them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from data_source_contract import DataSourceContract
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import open_data

ROWS = [(f"{n}.png", ("owl", "wren")[n % 2]) for n in range(8)]


def pictures(root: Path, *places: str) -> Path:
    for number, place in enumerate(places):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((9, 9), 60 + number).save(path)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return pictures(tmp_path / "birds", *(f"photos/{name}" for name, _ in ROWS))


def write(
    path: Path, rows: Sequence[tuple[str, ...]], header: tuple[str, ...], sep: str = ",", encoding: str = "utf-8"
) -> Path:
    path.write_bytes("\n".join(sep.join(row) for row in [header, *rows]).encode(encoding))
    return path


def opened(table: Path, **options: object) -> ImageSet:
    config = DataConfig(name="table", table=str(table), **options)  # type: ignore[arg-type]
    return open_data(config, table.parent.parent / "memory")


def refusal(table: Path, **options: object) -> str:
    with pytest.raises(UserError) as error:
        opened(table, **options)
    return str(error.value)


def of_ids(images: ImageSet) -> dict[str, str]:
    return {Path(name).name: images.class_names[label] for name, label in zip(images.ids, images.labels_N, strict=True)}


class TestContract(DataSourceContract):
    @pytest.fixture
    def config(self, root: Path) -> DataConfig:
        return DataConfig(name="table", table=str(write(root / "labels.csv", ROWS, ("file", "label"))))

    @pytest.fixture
    def impossible(self, tmp_path: Path) -> DataConfig:
        return DataConfig(name="table", table=str(tmp_path / "nowhere.csv"))


def as_jsonl(path: Path) -> None:
    path.write_text("\n".join(json.dumps({"file_name": f"photos/{name}", "label": label}) for name, label in ROWS))


def as_parquet(path: Path) -> None:
    pd.DataFrame(ROWS, columns=["image_id", "class"]).to_parquet(path)


ONE_HOT = [(name, str(int(label == "owl")), str(int(label == "wren"))) for name, label in ROWS]
FORMATS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "commas": ("a.csv", lambda path: write(path, ROWS, ("filename", "class"))),
    "tabs": ("a.tsv", lambda path: write(path, ROWS, ("filename", "class"), sep="\t")),
    "semicolons and UTF-16, as Excel": ("a.csv", lambda p: write(p, ROWS, ("File", "Label"), ";", "utf-16")),
    "a byte order mark": ("a.csv", lambda path: write(path, ROWS, ("file", "label"), encoding="utf-8-sig")),
    "Windows paths": ("a.csv", lambda p: write(p, [(f"photos\\{n}", c) for n, c in ROWS], ("path", "target"))),
    "paths from here": ("a.csv", lambda p: write(p, [(f"./photos/{n}", c) for n, c in ROWS], ("path", "target"))),
    "paths of another machine": ("a.csv", lambda p: write(p, [(f"/x/photos/{n}", c) for n, c in ROWS], ("path", "y"))),
    "names without a suffix": ("a.csv", lambda p: write(p, [(n[:-4], c) for n, c in ROWS], ("id", "breed"))),
    "columns of no usual name": ("a.csv", lambda p: write(p, [(c, n) for n, c in ROWS], ("label", "bird photo"))),
    "one column per class": ("a.csv", lambda p: write(p, ONE_HOT, ("image", "owl", "wren"))),
    "JSON lines": ("a.jsonl", as_jsonl),
    "parquet": ("a.parquet", as_parquet),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMATS)
def test_a_table_is_read_whatever_wrote_it(root: Path, case: str) -> None:
    name, make = FORMATS[case]
    make(root / name)
    images = opened(root / name)
    assert of_ids(images) == dict(ROWS)
    assert images.labels_from == name
    assert images.left_out == ()


def test_splits_and_groups_have_columns(root: Path) -> None:
    rows = [
        (name, label, ("train", "train", "valid", "test")[n // 2], f"p{n // 2}") for n, (name, label) in enumerate(ROWS)
    ]
    table = write(root / "labels.csv", rows, ("file", "label", "split", "patient"))
    images = opened(table, group="patient")
    assert Counter(images.own_split_N.tolist()) == {"train": 4, "val": 2, "test": 2}
    assert images.groups_N is not None
    assert Counter(images.groups_N.tolist()) == {"p0": 2, "p1": 2, "p2": 2, "p3": 2}
    assert opened(table).groups_N is None


def test_a_table_beside_flat_pictures_is_found(tmp_path: Path) -> None:
    root = pictures(tmp_path / "kaggle", *(f"train/{name}" for name, _ in ROWS), "test/a.png", "test/b.png")
    write(root / "train.csv", ROWS, ("id", "label"))
    images = open_data(DataConfig(name="image_folder", root=str(root)), tmp_path / "memory")
    assert (of_ids(images), len(images.unlabelled)) == (dict(ROWS), 2)


def test_metadata_in_the_folders_of_splits(tmp_path: Path) -> None:
    root = pictures(tmp_path / "hub", *(f"{part}/{name}" for part in ("train", "test") for name, _ in ROWS))
    for part in ("train", "test"):
        write(root / part / "metadata.csv", [(f"{part}/{name}", label) for name, label in ROWS], ("file_name", "label"))
    images = open_data(DataConfig(name="image_folder", root=str(root)), tmp_path / "memory")
    assert Counter(images.own_split_N.tolist()) == {"train": 8, "test": 8}


def test_pictures_without_a_row_or_a_label_are_accounted_for(root: Path) -> None:
    rows = [*ROWS[:6], (ROWS[6][0], "")]
    images = opened(write(root / "labels.csv", rows, ("file", "label")))
    assert len(images) == 6
    assert [path.name for path in images.unlabelled] == ["6.png"]
    assert [(one.name, one.reason) for one in images.left_out] == [("photos/7.png", "not in the table")]


@pytest.mark.parametrize(
    ("rows", "header", "options", "text"),
    [
        ([*ROWS, ("0.png", "wren")], ("file", "label"), {}, "says two things of photos/0.png: 'owl' and 'wren'"),
        ([*ROWS, ("9.png", "owl")], ("file", "label"), {}, "1 of 9 rows of"),
        (ROWS, ("file", "what"), {}, "is the class? file, what; name the one with the classes by data.label_column"),
        (ROWS, ("file", "label"), {"label_column": "labl"}, "no such column; did you mean 'label'? it has file, label"),
        (ROWS, ("file", "label"), {"group": "patient"}, "data.group=patient:"),
        ([("x", "y")], ("one", "two"), {}, "names pictures: one, two; name the one with the files by data.file_column"),
        ([(*row, "fold 1") for row in ROWS], ("file", "label", "split"), {}, "split=fold 1 is no split; train, val"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    root: Path, rows: Sequence[tuple[str, ...]], header: tuple[str, ...], options: dict[str, object], text: str
) -> None:
    assert text in refusal(write(root / "labels.csv", rows, header), **options)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"file,label\n0.png,\x00\n", "is no text, or in UTF-16 without a byte order mark"),
        (b"file,label,label\n0.png,owl,wren\n", "the column 'label' stands there twice"),
        (b"", "no column of"),
    ],
)
def test_what_is_no_table_is_refused(root: Path, content: bytes, text: str) -> None:
    (root / "labels.csv").write_bytes(content)
    assert text in refusal(root / "labels.csv")


def test_a_table_beside_is_read_by_the_columns_that_its_refusal_names(tmp_path: Path) -> None:
    root = pictures(tmp_path / "kaggle", *(f"images/{name}" for name, _ in ROWS))
    write(root / "labels.csv", ROWS, ("file", "what"))
    config = DataConfig(name="image_folder", root=str(root))
    with pytest.raises(UserError, match=r"name the one with the classes by data\.label_column"):
        open_data(config, tmp_path / "memory")
    config.label_column = "what"
    assert of_ids(open_data(config, tmp_path / "memory")) == dict(ROWS)


def test_a_table_of_groups_does_not_hide_what_is_wrong_with_folders(tmp_path: Path) -> None:
    root = pictures(tmp_path / "clinic", *(f"{label}/{name}" for name, label in ROWS), "stray.png")
    write(root / "metadata.csv", [(f"{label}/{name}", "p1") for name, label in ROWS], ("file", "patient"))
    with pytest.raises(UserError, match=r"stand beside the class folders: stray\.png"):
        open_data(DataConfig(name="image_folder", root=str(root)), tmp_path / "memory")


def test_rows_without_a_picture_may_be_left_out(root: Path) -> None:
    images = opened(write(root / "labels.csv", [*ROWS, ("9.png", "owl")], ("file", "label")), skip_unreadable=True)
    assert (len(images), any("1 rows of labels.csv name no picture" in note for note in images.notes)) == (8, True)


def test_what_is_measured_is_no_class(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(40)]
    root = pictures(tmp_path / "sizes", *names)
    table = write(root / "labels.csv", [(name, f"{n / 7:.3f}") for n, name in enumerate(names)], ("file", "target"))
    assert "40 different numbers for 40 pictures are measured, not classes" in refusal(table)


def test_two_files_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    root = pictures(tmp_path / "twice", *(f"{folder}/{name}" for folder in "xy" for name, _ in ROWS))
    assert "8 of 8 rows" in refusal(write(root / "labels.csv", ROWS, ("file", "label")))


def test_an_archive_is_refused_with_the_command_that_unpacks_it(tmp_path: Path) -> None:
    (tmp_path / "my photos.zip").write_bytes(b"PK")
    config = DataConfig(name="image_folder", root=str(tmp_path / "my photos.zip"))
    with pytest.raises(UserError, match=r"is an archive; unpack it: unzip '.*my photos\.zip' -d 'my photos'"):
        open_data(config, tmp_path / "memory")
