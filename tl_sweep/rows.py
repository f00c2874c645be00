"""Rows of numbers on disk, each under a 16-byte key: computed once, shared by jobs and sweeps, never half-valid.

A store is a folder of entries. An entry is a folder whose ``entry.json`` says what its rows are and lists its segments,
with sizes and checksums; a segment is a file of keys followed by rows. A segment counts from the moment ``entry.json``
names it, so that a killed writer leaves nothing but a file that the next one removes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

KEY_BYTES = 16
SEGMENT_BYTES = 2**28  # a killed writer loses at most this much work
HEAD_ROOM = 0.9  # of the free disk: more than this is not asked for


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
    """What an entry holds by its own account; None where there is none, or none that can be read."""
    try:
        said = json.loads((folder / "entry.json").read_text())
        segments = tuple(Segment(**segment) for segment in said.pop("segments"))
        return Contents(**{**said, "shape": tuple(said["shape"])}, segments=segments)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


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


@dataclass(frozen=True)
class Table:
    """Rows in the order in which they were asked for, read from disk as they are needed."""

    contents: Contents
    maps: tuple[np.ndarray, ...]
    segment_N: np.ndarray
    row_N: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.contents.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.contents.dtype)

    def read(self, indices_B: np.ndarray, into_B: np.ndarray) -> None:
        """Copy the rows at these places of the order into an array (B, *shape)."""
        segment_B, row_B = self.segment_N[indices_B], self.row_N[indices_B]
        if len(self.maps) == 1:
            np.take(self.maps[0], row_B, axis=0, out=into_B, mode="clip")
            return
        for segment in np.unique(segment_B):
            here_B = segment_B == segment
            into_B[here_B] = self.maps[segment][row_B[here_B]]


class Entry:
    """Rows of one description, held against eviction until ``close``."""

    def __init__(self, store: RowStore, description: dict[str, Any]) -> None:
        self.store, self.description = store, description
        self.name = identity(description)
        self.folder = store.folder / self.name
        self.contents = Contents(description)
        self._keys: dict[bytes, tuple[int, int]] = {}
        self._maps: list[np.ndarray] = []
        self._known: list[Segment] = []
        self._reload()

    def missing(self, keys_N16: np.ndarray) -> np.ndarray:
        """Places of the keys that are not here yet, the first one of each."""
        _, first_N = np.unique(keys_N16, axis=0, return_index=True)
        return np.array([place for place in np.sort(first_N) if keys_N16[place].tobytes() not in self._keys], dtype=int)

    def ensure(self, keys_N16: np.ndarray, compute: Callable[[np.ndarray], Iterator[np.ndarray]]) -> int:
        """Have every key's row; ``compute`` yields chunks of rows for the places it is given. Returns how many it was.

        Another process that computes rows of this entry is waited for, and its rows are used.

        Raises:
            StoreFull: there is no room; what was here stays.
        """
        if not len(self.missing(keys_N16)):
            return 0
        with FileLock(f"{self.folder}.lock"):
            self._reload()
            missing = self.missing(keys_N16)
            self._remove_strays()
            chunks = compute(missing)
            done = 0
            while done < len(missing):
                done += self._append(keys_N16[missing[done:]], chunks)
            self._reload()
        return len(missing)

    def table(self, keys_N16: np.ndarray) -> Table:
        """The rows of these keys, all of which must be here."""
        places_N2 = np.array([self._keys[key.tobytes()] for key in keys_N16], dtype=np.int64).reshape(-1, 2)
        return Table(self.contents, tuple(self._maps), places_N2[:, 0], places_N2[:, 1])

    @property
    def row_seconds(self) -> float:
        """What computing one row took, on average; 0 where none is known."""
        return self.contents.seconds / self.contents.rows if self.contents.rows else 0.0

    def _append(self, keys_M16: np.ndarray, chunks: Iterator[np.ndarray]) -> int:
        """Write the next segment; returns its rows. Called with the lock held."""
        started_s = time.perf_counter()
        rows = next(chunks)
        row_bytes = rows[0].nbytes + KEY_BYTES
        wanted = min(len(keys_M16), max(1, SEGMENT_BYTES // row_bytes))
        self.store.make_room(len(keys_M16) * row_bytes)
        path = self.folder / f"{uuid.uuid4().hex}.rows"
        shape, dtype = rows.shape[1:], rows.dtype.str
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                # The rows come first, since how many fill a segment is known only at its end; their keys follow.
                crc32, count = 0, 0
                while True:
                    block = np.ascontiguousarray(rows).data.cast("B") if rows.size else b""
                    file.write(block)
                    crc32, count = zlib.crc32(block, crc32), count + len(rows)
                    if count >= wanted:
                        break
                    rows = next(chunks)
                keys = np.ascontiguousarray(keys_M16[:count]).tobytes()
                file.write(keys)
                crc32 = zlib.crc32(keys, crc32)
            segment = Segment(path.name, count, path.stat().st_size, crc32)
            spent_s = self.contents.seconds + time.perf_counter() - started_s
            segments = (*self.contents.segments, segment)
            self._write(Contents(self.description, shape, dtype, spent_s, segments))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StoreFull(f"{self.store.folder}: {error.strerror or error}") from error
        return count

    def _write(self, contents: Contents) -> None:
        partial = self.folder / "entry.json.partial"
        partial.write_text(json.dumps(asdict(contents), indent=1))
        partial.replace(self.folder / "entry.json")
        self.contents = contents

    def _reload(self) -> None:
        """Read ``entry.json`` again; a segment that is not whole counts as absent."""
        contents = read_contents(self.folder) or Contents(self.description)
        whole = []
        for segment in contents.segments:
            if is_whole(self.folder, segment):
                whole.append(segment)
            else:
                log.warning("cache: %s of %s is damaged; its rows are computed again", segment.file, self.folder)
        kept = sum(segment.rows for segment in whole) / max(1, contents.rows)
        self.contents = replace(contents, seconds=contents.seconds * kept, segments=tuple(whole))
        if whole[: len(self._known)] != self._known:
            self._known, self._maps, self._keys = [], [], {}
        for segment in whole[len(self._known) :]:
            path, shape = self.folder / segment.file, (segment.rows, *contents.shape)
            rows = np.memmap(path, dtype=contents.dtype, mode="r", shape=shape)
            keys = np.memmap(path, dtype=f"V{KEY_BYTES}", mode="r", offset=rows.nbytes, shape=(segment.rows,))
            self._keys.update((key.tobytes(), (len(self._maps), row)) for row, key in enumerate(keys))
            self._maps.append(rows)
            self._known.append(segment)

    def _remove_strays(self) -> None:
        """Segments that ``entry.json`` does not name, of killed writers, and damaged ones."""
        named = {segment.file for segment in self.contents.segments}
        for path in self.folder.glob("*.rows"):
            if path.name not in named:
                path.unlink(missing_ok=True)


class RowStore:
    """Entries under one folder, at most ``max_bytes`` in all: the least recently used make room, never one in use.

    A context manager: entries that were opened are held in use until its end.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._entries: dict[str, Entry] = {}
        self._held: list[FileLock] = []

    def __enter__(self) -> RowStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.clear()
        for lock in self._held:
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()
        self._held.clear()

    @cached_property
    def _door(self) -> FileLock:
        """Held for a moment, by whoever takes an entry into use or evicts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "door.lock")

    def entry(self, description: dict[str, Any]) -> Entry:
        """The entry of these rows, empty where nobody has computed any."""
        name = identity(description)
        if name not in self._entries:
            with self._door:
                held = FileLock(self.folder / f"{name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.use")
                held.acquire()
                self._held.append(held)
                with suppress(FileNotFoundError):
                    os.utime(self.folder / name / "entry.json")
            self._entries[name] = Entry(self, description)
        return self._entries[name]

    def entries(self) -> list[tuple[Path, Contents]]:
        """Folder and contents of every entry, the least recently used first."""
        found = [(path.parent, read_contents(path.parent)) for path in self.folder.glob("*/entry.json")]
        known = [(folder, contents) for folder, contents in found if contents is not None]
        return sorted(known, key=lambda pair: (pair[0] / "entry.json").stat().st_mtime)

    def free_bytes(self) -> float:
        """What could still be written: the least of the free disk and what eviction can make of ``max_bytes``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return min(HEAD_ROOM * shutil.disk_usage(self.folder).free, self.max_bytes)

    def make_room(self, wanted_bytes: float) -> None:
        """Evict until ``wanted_bytes`` more fit.

        Raises:
            StoreFull: they cannot.
        """
        with self._door:
            held = self.entries()
            total = sum(contents.bytes for _, contents in held)
            for folder, contents in held:
                if total + wanted_bytes <= self.max_bytes:
                    break
                if self.evict(folder):
                    total -= contents.bytes
        if total + wanted_bytes > self.max_bytes:
            raise StoreFull(f"{self.folder}: {wanted_bytes / 1e9:.2g} GB more would exceed cache.max_gb")
        if wanted_bytes > HEAD_ROOM * shutil.disk_usage(self.folder).free:
            raise StoreFull(f"{self.folder}: not enough free disk for {wanted_bytes / 1e9:.2g} GB")

    def evict(self, folder: Path) -> bool:
        """Remove an entry unless somebody uses it; says whether it is gone. Called with the door held."""
        for use in self.folder.glob(f"{folder.name}.*.use"):
            try:
                FileLock(use, timeout=0).acquire().lock.release()
            except Timeout:
                return False
            use.unlink(missing_ok=True)  # left by a process that was killed
        shutil.rmtree(folder)
        return True

    def prune(self, max_bytes: float) -> list[Path]:
        """Evict, least recently used first, down to ``max_bytes``; returns what was removed."""
        removed = []
        with self._door:
            held = self.entries()
            total = sum(contents.bytes for _, contents in held)
            for folder, contents in held:
                if total > max_bytes and self.evict(folder):
                    total -= contents.bytes
                    removed.append(folder)
        return removed

    def damaged(self) -> Iterable[tuple[Path, Segment]]:
        """Every segment that is not what was written; all are read whole."""
        for folder, contents in self.entries():
            yield from ((folder, segment) for segment in contents.segments if not is_whole(folder, segment))
