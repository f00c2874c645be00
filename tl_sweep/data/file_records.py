"""What is known of each file's content (hash, decodable or not), remembered as long as the file stays what it is."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from tl_sweep.base.errors import UserError
from tl_sweep.base.file_state import state_of
from tl_sweep.base.preprocessing import PLAIN, Reading
from tl_sweep.data.fit import to_rgb
from tl_sweep.data.likeness import SMALL_PX, small
from tl_sweep.data.readers.contract import MissingPackage, StoredPicture
from tl_sweep.data.readers.registry import read_picture
from tl_sweep.data.readers.shades import eight_bit

HASH_BYTES = 16
LOCK_TIMEOUT_S = 60
CHUNK = 64  # files that a thread takes at a time: handing each over costs a third of looking at a small one
TABLE = "contents_4"  # its number is raised where another look at a file finds more, or something else
SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS {TABLE}"
    "(path TEXT, reading TEXT, size INT, mtime_ns INT, ctime_ns INT, inode INT, hash BLOB, problem TEXT, facts TEXT,"
    " PRIMARY KEY (path, reading))"
)
TURNED_OR_CLEAR = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "transparency")  # of Image.info
WHERE = "path=? AND reading=? AND size=? AND mtime_ns=? AND ctime_ns=? AND inode=?"
TwinPair = tuple[int, int, str]  # two places in a set, and how alike they are
TWINS = "twins_1"  # of whole sets of contents
TWINS_SCHEMA = f"CREATE TABLE IF NOT EXISTS {TWINS}(contents BLOB PRIMARY KEY, pairs TEXT) WITHOUT ROWID"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a picture without training on it.

    width_px, height_px: as stored. mode: Pillow's, or type and number of bands. mean, deviation: of its gray values on
    [0, 1], at a reduced size. bits: of a value. low, high: the smallest and the largest value, of more than eight bits.
    floating: its values are floats. bands, pages: how many the file has. traits: what is special
    about it (tl_sweep.data.readers.contract).
    small: by which pictures that are alike are found (``tl_sweep.data.likeness``).
    """

    width_px: int
    height_px: int
    mode: str
    mean: float
    deviation: float
    bits: int = 8
    low: float = 0.0
    high: float = 255.0
    floating: bool = False
    bands: int = 3
    pages: int = 1
    small: str = ""
    traits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileRecord:
    """hash: of the file's bytes (for an archive of images: one after the other). problem: empty, or why it cannot be
    decoded. lasting: it is a fact about the content; a failure to read it (permission, network, memory) is none. facts:
    None where it was not decoded."""

    hash: bytes
    problem: str = ""
    lasting: bool = True
    facts: Facts | None = None


def content_hash(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=HASH_BYTES).digest()


def examine(path: Path, reading: Reading = PLAIN) -> FileRecord:
    """Reads and decodes one image file whole, as a job will: what passes can be decoded in every job."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return FileRecord(b"", error.strerror or str(error), lasting=False)
    try:
        facts = _facts(read_picture(content, path.suffix.lower(), reading), reading)
    except MemoryError:
        return FileRecord(content_hash(content), "there was no memory to decode it", lasting=False)
    except MissingPackage as missing:
        return FileRecord(content_hash(content), str(missing), lasting=False)
    except Exception as error:  # PIL raises nearly every type there is for a broken file
        cause = "not an image" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        return FileRecord(content_hash(content), cause)
    return FileRecord(content_hash(content), facts=facts)


def _facts(picture: StoredPicture, reading: Reading) -> Facts:
    """A look at the whole picture, a large JPEG at an eighth of its size."""
    with eight_bit(picture, reading) as image:
        image.draft(None, (2 * SMALL_PX, 2 * SMALL_PX))
        gray = _plain(image).convert("L")
    stored = (picture.width_px, picture.height_px, picture.mode, *_mean_and_deviation(np.asarray(gray)))
    others: dict[str, Any] = {"bands": picture.bands, "pages": picture.pages, "traits": picture.traits}
    if not isinstance(picture.pixels, Image.Image):
        low, high = float(picture.pixels.min()), float(picture.pixels.max())
        floating = bool(np.issubdtype(picture.pixels.dtype, np.floating))
        others |= {"bits": picture.bits, "low": low, "high": high, "floating": floating}
    return Facts(*stored, small=small(gray), **others)


def _mean_and_deviation(gray_HW: np.ndarray) -> tuple[float, float]:
    """On [0, 1], in whole numbers: quicker than numpy's, and a picture of one shade has a deviation of 0."""
    values = gray_HW.ravel().astype(np.int64)
    count, total, squares = len(values), int(values.sum()), int(values.dot(values))
    return total / count / 255, math.sqrt(squares * count - total * total) / count / 255


def _plain(image: Image.Image) -> Image.Image:
    """The image itself where nothing has to be done to it but to decode it, which is nearly always and quicker."""
    as_it_is = image.mode in ("L", "RGB") and image.info.keys().isdisjoint(TURNED_OR_CLEAR)
    return image if as_it_is else to_rgb(image)


def scan(
    paths: Sequence[Path],
    data_dir: Path,
    examine: Callable[[Path], FileRecord] = examine,
    *,
    reading: str = "",
    verify: bool = False,
) -> list[FileRecord]:
    """One record per file; one that is what it was (size, times, inode) is not read again, unless ``verify`` asks for
    it. Failures to read are not remembered. reading: what ``examine`` depends on besides the file.

    Raises:
        UserError: what was found cannot be kept.
    """
    keys = [(os.path.abspath(path), reading, *state_of(path)) for path in paths]
    with _memory(data_dir) as memory:
        records = [None if verify else _recall(memory, key) for key in keys]
        unknown = [index for index, record in enumerate(records) if record is None]
        examined = dict(zip(unknown, _examine_all([paths[index] for index in unknown], examine), strict=True))
        lasting = ((*keys[index], *_row(record)) for index, record in examined.items() if record.lasting)
        memory.executemany(f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", lasting)
        memory.commit()
    return [record or examined[index] for index, record in enumerate(records)]


def twins_of(contents: bytes, find: Callable[[], list[TwinPair]], data_dir: Path) -> list[TwinPair]:
    """What ``find`` says of a set of files; what was said of these contents once is remembered.

    Raises:
        UserError: what was found cannot be kept.
    """
    with _memory(data_dir) as memory:
        row = memory.execute(f"SELECT pairs FROM {TWINS} WHERE contents=?", (contents,)).fetchone()
        if row:
            return [(one, other, kind) for one, other, kind in json.loads(row[0])]
        found = find()
        memory.execute(f"INSERT OR REPLACE INTO {TWINS} VALUES (?, ?)", (contents, json.dumps(found)))
        memory.commit()
    return found


def _recall(memory: sqlite3.Connection, key: tuple[str, str, int, int, int, int]) -> FileRecord | None:
    row = memory.execute(f"SELECT hash, problem, facts FROM {TABLE} WHERE {WHERE}", key).fetchone()
    return _record(*row) if row else None


def _row(record: FileRecord) -> tuple[bytes, str, str | None]:
    return record.hash, record.problem, json.dumps(astuple(record.facts)) if record.facts else None


def _record(content: bytes, problem: str, facts: str | None) -> FileRecord:
    return FileRecord(content, problem, facts=_facts_again(*json.loads(facts)) if facts else None)


def _facts_again(*values: Any) -> Facts:
    """From JSON, which knows no tuples."""
    *others, traits = values
    return Facts(*[*others, tuple(traits)])


def _examine_all(paths: Sequence[Path], examine: Callable[[Path], FileRecord]) -> Iterable[FileRecord]:
    if not paths:
        return
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor() as pool:
        records = pool.map(lambda chunk: [examine(path) for path in chunk], chunks)
        yield from track(
            chain.from_iterable(records),
            description=f"reading {len(paths)} files",
            total=len(paths),
            transient=True,
            disable=not sys.stderr.isatty(),
            console=Console(stderr=True),
        )


@contextmanager
def _memory(data_dir: Path) -> Iterator[sqlite3.Connection]:
    file = data_dir / "files.sqlite3"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=LOCK_TIMEOUT_S)) as memory:
            memory.execute(SCHEMA)
            memory.execute(TWINS_SCHEMA)
            yield memory
    except (sqlite3.Error, OSError) as error:
        raise UserError(f"cannot keep file records in {file}: {error}; choose another weights.dir") from error
