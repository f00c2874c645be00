"""Images that are files: what a source understood of them before any is opened, and the set found in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tl_sweep.base.preprocessing import PLAIN, Reading
from tl_sweep.data.decode import listing
from tl_sweep.data.file_records import content_hash, examine, scan
from tl_sweep.data.imageset import Found, LeftOut, hash_rows
from tl_sweep.data.readers.registry import read_image
from tl_sweep.data.reading import notes_on_reading, pixel_terms, settled

NAMED = 3  # files that a note names of each reason


@dataclass(frozen=True)
class LabelledFiles:
    """Files and their labels, as a layout or a table gives them. N files.

    ids: unique and lasting, such as a path below the root. labels: places in ``class_names``. splits: ``train``,
    ``val`` or ``test``, empty where it is ours to split. groups: what must stay in one split, of each file; empty:
    nothing is known. labels_from: where the labels came from, for people. left_out: files that were seen and not
    taken, and why. unlabelled: images without a label, which ``predict`` may be asked about. notes: what else was
    understood.
    """

    paths: Sequence[Path]
    ids: Sequence[str]
    labels: Sequence[int]
    splits: Sequence[str]
    class_names: Sequence[str]
    groups: Sequence[str] = ()
    labels_from: str = ""
    left_out: tuple[LeftOut, ...] = ()
    unlabelled: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    grouped_by: str | None = None


def found_files(files: LabelledFiles, data_dir: Path, asked: Reading = PLAIN, verify: bool = False) -> Found:
    """Each file is read and decoded once, and remembered in ``data_dir``. asked: how, as far as the user said it.

    Raises:
        UserError: what was found cannot be kept.
    """
    said = json.dumps(asked.described()) if asked.described() else ""
    records = scan(files.paths, data_dir, partial(examine, reading=asked), reading=said, verify=verify)
    facts = tuple(record.facts for record in records)
    reading = settled(asked, facts)
    return Found(
        class_names=tuple(files.class_names),
        ids=tuple(files.ids),
        labels_N=np.asarray(files.labels, dtype=np.int64),
        splits_N=np.asarray(files.splits, dtype="U5"),
        hashes_N=hash_rows([record.hash for record in records]),
        open_image=lambda index: open_unchanged(files.paths[index], records[index].hash, reading),
        problems={index: record.problem for index, record in enumerate(records) if record.problem},
        notes=(*files.notes, *notes_of(files.left_out), *notes_on_reading(reading, files.ids, facts)),
        groups_N=np.asarray(files.groups) if files.groups else None,
        grouped_by=files.grouped_by,
        labels_from=files.labels_from,
        left_out=files.left_out,
        unlabelled=files.unlabelled,
        facts=facts,
        reading=reading,
        terms=pixel_terms(reading, facts),
    )


def by_reason(left_out: Iterable[LeftOut]) -> dict[str, list[str]]:
    """The names of the files that were left out for each reason, in order."""
    names: dict[str, list[str]] = {}
    for file in left_out:
        names.setdefault(file.reason, []).append(file.name)
    return names


def notes_of(left_out: Iterable[LeftOut]) -> list[str]:
    """A line per reason: how many, why, and the first of them."""
    reasons = by_reason(left_out)
    return [f"{len(names)} file(s) left out: {why} ({listing(names, NAMED)})" for why, names in reasons.items()]


def open_unchanged(path: Path, known_hash: bytes, reading: Reading = PLAIN) -> Image.Image:
    """The image in a file, whose content must be what was hashed.

    Raises:
        ValueError: it is not.
    """
    content = path.read_bytes()
    if content_hash(content) != known_hash:
        raise ValueError("the file changed since it was read")
    return read_image(content, path.suffix.lower(), reading)
