"""A table that says what each picture shows, and maybe its split and group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import listing
from tl_sweep.data.imageset import LeftOut
from tl_sweep.data.layouts.listing import Listing, Place
from tl_sweep.data.layouts.lists import Index
from tl_sweep.data.layouts.rows import TABLES, Rows, read_table
from tl_sweep.data.layouts.understood import Labelled, Understood
from tl_sweep.data.layouts.words import split_of

FILE = (
    "file_name",
    "filename",
    "file",
    "image_id",
    "image",
    "img",
    "image_name",
    "image_path",
    "filepath",
    "path",
    "id",
)
LABEL = ("label", "labels", "class", "class_name", "target", "category", "dx", "diagnosis", "breed", "species", "y")
SPLIT = ("split", "set", "subset", "partition")
STEMS = ("train", "labels", "label", "train_labels", "metadata", "annotations", "index", "data")
NOT_IN_TABLE = "not in the table"
MOST_CLASSES = 0.5  # distinct numbers per row from which they are measured, not named
FEWEST_MEASURED = 20


@dataclass(frozen=True)
class Columns:
    """Their names; label empty: one column per class (``one_hot``). split, group: empty where there is none."""

    file: str
    label: str
    one_hot: tuple[str, ...]
    split: str
    group: str


def tables_beside(found: Listing) -> list[Place]:
    """The tables that usually have the labels: of ``train.csv``, ``labels.csv`` … beside the pictures the first, of
    ``metadata.csv`` in the folders of splits all."""
    tables = [place for place in found.others if Path(place[-1]).suffix.lower() in TABLES]
    here = {Path(place[-1]).stem.lower(): place for place in tables if len(place) == 1}
    for stem in STEMS:
        if stem in here:
            return [here[stem]]
    return [place for place in tables if len(place) == 2 and Path(place[-1]).stem.lower() == "metadata"]


def by_tables(tables: Sequence[Path], found: Listing, config: DataConfig) -> Understood:
    """What the rows say of the pictures below ``found.root``.

    Raises:
        UserError: columns that cannot be told, rows that name no picture or contradict each other, numbers that are
            measured instead of classes.
    """
    index, images, unlabelled, notes = Index(found.pictures), {}, [], []  # type: ignore[var-annotated]
    for table in tables:
        rows = read_table(table)
        columns = _columns(table, rows, index, config)
        notes += [f"{table.name}: {note}" for note in rows.notes]
        for place, row in _placed(table, rows, columns.file, index, config.skip_unreadable, notes):
            label = _label(table, row, columns)
            image = Labelled(place, label, _split(table, row, columns), row.get(columns.group, ""))
            if not label:
                unlabelled.append(place)
            elif images.setdefault(place, image) != image:
                both = f"{images[place].label!r} and {label!r}"
                raise UserError(f"data.table: {table} says two things of {'/'.join(place)}: {both}; keep one row")
    _require_classes(images)
    return _understood(tables, found, list(images.values()), unlabelled, notes, config.group)


def _understood(
    tables: Sequence[Path],
    found: Listing,
    images: list[Labelled],
    unlabelled: list[Place],
    notes: list[str],
    group: str | None,
) -> Understood:
    order = {place: number for number, place in enumerate(found.pictures)}
    images.sort(key=lambda image: order[image.place])
    if not any(image.split for image in images):
        images = _by_folder(images)
    known = {image.place for image in images} | set(unlabelled)
    rest = [place for place in found.pictures if place not in known]
    to_predict = [place for place in rest if any(split_of(folder) in ("test", "unlabelled") for folder in place[:-1])]
    left_out = [LeftOut("/".join(place), NOT_IN_TABLE) for place in rest if place not in to_predict]
    names = listing([table.name for table in tables])
    by = group if group and "(" not in group else None
    return Understood(
        images,
        names,
        [*unlabelled, *to_predict],
        left_out,
        list(dict.fromkeys(notes)),
        grouped_by=by,
        read=_read(tables, found),
    )


def _read(tables: Sequence[Path], found: Listing) -> tuple[Place, ...]:
    return tuple(place for place in found.others if found.path(place) in tables)


def _by_folder(images: list[Labelled]) -> list[Labelled]:
    """Splits from the folders of the pictures, where these are several."""
    splits = [next((word for word in map(split_of, image.place[:-1]) if word), "") for image in images]
    if len(set(splits)) < 2 or not set(splits) <= {"train", "val", "test"}:
        return images
    return [Labelled(image.place, image.label, split, image.group) for image, split in zip(images, splits, strict=True)]


def _columns(table: Path, rows: Rows, index: Index, config: DataConfig) -> Columns:
    names = {name.lower(): name for name in rows.columns}
    file = _named(table, rows, "file_column", config.file_column) or _of_files(rows, names, index)
    if not file:
        remedy = "name the one with the files by data.file_column"
        raise UserError(f"data.table: no column of {table} names pictures: {listing(rows.columns)}; {remedy}")
    label = _named(table, rows, "label_column", config.label_column) or _usual(names, LABEL, but=file)
    one_hot = () if label else _one_hot(rows, file)
    if not label and not one_hot:
        remedy = "name the one with the classes by data.label_column"
        raise UserError(f"data.table: which column of {table} is the class? {listing(rows.columns)}; {remedy}")
    group = config.group if config.group and "(" not in config.group else ""
    split = _named(table, rows, "split_column", config.split_column) or _usual(names, SPLIT, but=label)
    return Columns(file, label, one_hot, split, _named(table, rows, "group", group))


def _named(table: Path, rows: Rows, key: str, column: str | None) -> str:
    if column and column not in rows.columns:
        near = did_you_mean(column, rows.columns)
        raise UserError(f"data.{key}={column}: {table} has no such column;{near} it has {listing(rows.columns)}")
    return column or ""


def _usual(names: dict[str, str], words: Sequence[str], but: str) -> str:
    return next((names[word] for word in words if word in names and names[word] != but), "")


def _of_files(rows: Rows, names: dict[str, str], index: Index) -> str:
    """The usual column, else the first whose first rows name pictures."""
    usual = [names[word] for word in FILE if word in names]
    for column in (*usual, *rows.columns):
        if rows.values and all(index.find(row[column]) for row in rows.values[:3]):
            return column
    return usual[0] if usual else ""


def _one_hot(rows: Rows, file: str) -> tuple[str, ...]:
    """The columns of which each row has a 1 in one and a 0 in the others."""
    numbers = {"0", "1", "0.0", "1.0"}
    columns = tuple(name for name in rows.columns if name != file and {row[name] for row in rows.values} <= numbers)
    whole = all(sum(float(row[name]) for name in columns) == 1 for row in rows.values)
    return columns if len(columns) > 1 and whole else ()


def _placed(
    table: Path, rows: Rows, column: str, index: Index, skip: bool, notes: list[str]
) -> list[tuple[Place, dict[str, str]]]:
    placed = [(index.find(row[column]), row) for row in rows.values]
    missing = [row[column] for place, row in placed if place is None]
    if missing and not skip:
        remedy = "data.root names their folder, data.skip_unreadable=true leaves them out"
        what = f"{len(missing)} of {len(placed)} rows of {table} name no picture, or several"
        raise UserError(f"data.table: {what}: {listing(missing, 5)}; {remedy}")
    if missing:
        notes.append(f"{len(missing)} rows of {table.name} name no picture and were left out: {listing(missing, 3)}")
    return [(place, row) for place, row in placed if place is not None]


def _label(table: Path, row: dict[str, str], columns: Columns) -> str:
    return row[columns.label] if columns.label else next(name for name in columns.one_hot if float(row[name]) == 1)


def _split(table: Path, row: dict[str, str], columns: Columns) -> str:
    if not columns.split or not row[columns.split]:
        return ""
    split = split_of(row[columns.split])
    if split not in ("train", "val", "test"):
        value = f"{columns.split}={row[columns.split]}"
        raise UserError(f"data.table: {table}: {value} is no split; train, val or test (or another data.split_column)")
    return split


def _require_classes(images: dict[Place, Labelled]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for image in images.values():
        counts[image.label] += 1
    many = len(counts) > max(FEWEST_MEASURED, MOST_CLASSES * len(images))
    if many and all(_is_number(label) for label in counts):
        what = f"{len(counts)} different numbers for {len(images)} pictures are measured, not classes"
        raise UserError(f"data.table: {what}; data.label_column names another column")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
