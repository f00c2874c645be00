"""What is known of each file's content (hash, decodable or not), remembered as long as the file stays what it is."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from tl_sweep.base.errors import UserError
from tl_sweep.base.file_state import state_of

HASH_BYTES = 16
LOCK_TIMEOUT_S = 60
CHUNK = 64  # files that a thread takes at a time: handing each over costs a third of looking at a small one
TABLE = "contents_2"  # its number is raised where another look at a file finds more, or something else
SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS {TABLE}"
    "(path TEXT PRIMARY KEY, size INT, mtime_ns INT, ctime_ns INT, inode INT, hash BLOB, problem TEXT, facts TEXT)"
)
WHERE = "path=? AND size=? AND mtime_ns=? AND ctime_ns=? AND inode=?"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a picture without training on it.

    width_px, height_px: as stored. mode: Pillow's. mean, deviation: of its gray values on [0, 1], at a reduced size.
    """

    width_px: int
    height_px: int
    mode: str
    mean: float
    deviation: float


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


def examine(path: Path) -> FileRecord:
    """Reads and decodes one image file whole, as far as needed to know that it is not cut short."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return FileRecord(b"", error.strerror or str(error), lasting=False)
    try:
        with Image.open(io.BytesIO(content)) as image:
            facts = _facts(image)
    except MemoryError:
        return FileRecord(content_hash(content), "there was no memory to decode it", lasting=False)
    except Exception as error:  # PIL raises nearly every type there is for a broken file
        cause = "not an image" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        return FileRecord(content_hash(content), cause)
    return FileRecord(content_hash(content), facts=facts)


def _facts(image: Image.Image) -> Facts:
    """A look at the whole picture, a JPEG at an eighth of its size."""
    (width_px, height_px), mode = image.size, image.mode
    image.draft(None, (1, 1))
    image.load()
    gray_HW = np.asarray(image.convert("L"))
    return Facts(width_px, height_px, mode, float(gray_HW.mean()) / 255, float(gray_HW.std()) / 255)


def scan(
    paths: Sequence[Path],
    data_dir: Path,
    examine: Callable[[Path], FileRecord] = examine,
    *,
    verify: bool = False,
) -> list[FileRecord]:
    """One record per file; one that is what it was (size, times, inode) is not read again, unless ``verify`` asks for
    it. Failures to read are not remembered.

    Raises:
        UserError: what was found cannot be kept.
    """
    keys = [(os.path.abspath(path), *state_of(path)) for path in paths]
    with _memory(data_dir) as memory:
        records = [None if verify else _recall(memory, key) for key in keys]
        unknown = [index for index, record in enumerate(records) if record is None]
        examined = dict(zip(unknown, _examine_all([paths[index] for index in unknown], examine), strict=True))
        lasting = ((*keys[index], *_row(record)) for index, record in examined.items() if record.lasting)
        memory.executemany(f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lasting)
        memory.commit()
    return [record or examined[index] for index, record in enumerate(records)]


def _recall(memory: sqlite3.Connection, key: tuple[str, int, int, int, int]) -> FileRecord | None:
    row = memory.execute(f"SELECT hash, problem, facts FROM {TABLE} WHERE {WHERE}", key).fetchone()
    return _record(*row) if row else None


def _row(record: FileRecord) -> tuple[bytes, str, str | None]:
    return record.hash, record.problem, json.dumps(astuple(record.facts)) if record.facts else None


def _record(content: bytes, problem: str, facts: str | None) -> FileRecord:
    return FileRecord(content, problem, facts=Facts(*json.loads(facts)) if facts else None)


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
            yield memory
    except (sqlite3.Error, OSError) as error:
        raise UserError(f"cannot keep file records in {file}: {error}; choose another weights.dir") from error
