"""What an entry of the store consists of on disk: segments of rows, and the list of those that count.

An entry is a folder whose ``entry.json`` says what its rows are and lists its segments, with sizes and checksums; a
segment is a file of rows followed by their keys. A segment counts from the moment ``entry.json`` names it, so that a
killed writer leaves nothing but a file that the next one removes.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

KEY_BYTES = 16


class StoreFull(Exception):
    """The disk, or the store's share of it, has no room for the rows."""


@dataclass(frozen=True)
class Segment:
    """One file of an entry: ``rows`` keys, then as many rows. crc32: of the whole file."""

    file: str
    rows: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Contents:
    """``entry.json``. shape, dtype: of one row. seconds: what computing the rows took."""

    description: dict[str, Any]
    shape: tuple[int, ...] = ()
    dtype: str = ""
    seconds: float = 0.0
    segments: tuple[Segment, ...] = ()

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.segments)

    @property
    def bytes(self) -> int:
        return sum(segment.bytes for segment in self.segments)


def identity(description: dict[str, Any]) -> str:
    """The name of the entry whose rows are described so, 32 hex digits."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:32]


def read_contents(folder: Path) -> Contents | None:
    """What an entry holds by its own account; None where there is none, or none that makes sense."""
    try:
        said = json.loads((folder / "entry.json").read_text())
        segments = tuple(Segment(**segment) for segment in said.pop("segments"))
        contents = Contents(**{**said, "shape": tuple(said["shape"])}, segments=segments)
        row_bytes = math.prod(contents.shape) * np.dtype(contents.dtype).itemsize + KEY_BYTES
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return contents if all(segment.bytes == segment.rows * row_bytes for segment in segments) else None


def is_whole(folder: Path, segment: Segment) -> bool:
    """Whether a segment is what was written, to the last bit; it is read once as long as its time of change stays."""
    path = folder / segment.file
    try:
        stat = path.stat()
        return stat.st_size == segment.bytes and _crc32(path, stat.st_size, stat.st_mtime_ns) == segment.crc32
    except FileNotFoundError:
        return False


@lru_cache(maxsize=4096)
def _crc32(path: Path, size: int, mtime_ns: int) -> int:
    crc32 = 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            crc32 = zlib.crc32(block, crc32)
    return crc32
