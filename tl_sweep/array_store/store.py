"""Rows of numbers on disk, each under a 16-byte key: computed once, shared by jobs and sweeps, never half-valid.

A store is a folder of entries. An entry is a folder whose ``entry.json`` says what its rows are and lists its segments,
with sizes and checksums; a segment is a file of keys followed by rows. A segment counts from the moment ``entry.json``
names it, so that a killed writer leaves nothing but a file that the next one removes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from tl_sweep.base.atomic_files import atomic_write

log = logging.getLogger(__name__)

KEY_BYTES = 16
SEGMENT_BYTES = 2**28  # a killed writer loses at most this much work
MOST_SMALL = 64  # segments of less than half that; more are merged, since each one that is read costs an open file
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
    """What an entry holds by its own account; None where there is none, or none that makes sense."""
    try:
        said = json.loads((folder / "entry.json").read_text())
        segments = tuple(Segment(**segment) for segment in said.pop("segments"))
        contents = Contents(**{**said, "shape": tuple(said["shape"])}, segments=segments)
        row_bytes = math.prod(contents.shape) * np.dtype(contents.dtype).itemsize + KEY_BYTES
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return contents if all(segment.bytes == segment.rows * row_bytes for segment in segments) else None


@dataclass(frozen=True)
class Kept:
    """One entry's folder as it lies on the disk. contents: None after a writer was killed before its first segment."""

    folder: Path
    contents: Contents | None
    bytes: int
    used_at_s: float


def look_at(folder: Path) -> Kept:
    """What is really there, named in ``entry.json`` or not."""
    sizes, used_at_s = 0, 0.0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process is at work in there
            stat = path.stat()
            sizes, used_at_s = sizes + stat.st_size, max(used_at_s, stat.st_mtime)
    return Kept(folder, read_contents(folder), sizes, used_at_s)


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
        with self._alone():
            self._reload()
            missing = self.missing(keys_N16)
            self._remove_strays()
            chunks = compute(missing)
            done = 0
            while done < len(missing):
                done += self._append(keys_N16[missing[done:]], chunks)
            self._reload()
            if sum(segment.bytes < SEGMENT_BYTES / 2 for segment in self._known) > MOST_SMALL:
                self._merge()
        return len(missing)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The only writer of this entry."""
        lock = FileLock(f"{self.folder}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("cache: waiting for another process that computes rows of %s", self.folder)
            lock.acquire()
        except OSError as error:
            raise StoreFull(f"{self.store.folder}: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()

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
        first, took_s = _timed(chunks)
        row_bytes = first[0].nbytes + KEY_BYTES
        self.store.make_room(len(keys_M16) * row_bytes)
        wanted = min(len(keys_M16), max(1, SEGMENT_BYTES // row_bytes))
        spent_s = [took_s]

        def blocks() -> Iterator[np.ndarray]:
            rows, count = first, 0
            while True:
                yield rows
                count += len(rows)
                if count >= wanted:
                    return
                rows, took_s = _timed(chunks)
                spent_s.append(took_s)

        segment = self._write_segment(blocks(), keys_M16)
        self._write(
            Contents(
                self.description,
                first.shape[1:],
                first.dtype.str,
                self.contents.seconds + sum(spent_s),
                (*self.contents.segments, segment),
            )
        )
        return segment.rows

    def _write_segment(self, blocks: Iterator[np.ndarray], keys_M16: np.ndarray) -> Segment:
        """A new file of these rows and of as many keys; the keys follow, since the rows are counted on the way."""
        path = self.folder / f"{uuid.uuid4().hex}.rows"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                crc32, count = 0, 0
                for rows in blocks:
                    content = np.ascontiguousarray(rows).tobytes()
                    file.write(content)
                    crc32, count = zlib.crc32(content, crc32), count + len(rows)
                keys = np.ascontiguousarray(keys_M16[:count]).tobytes()
                file.write(keys)
            return Segment(path.name, count, path.stat().st_size, zlib.crc32(keys, crc32))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StoreFull(f"{self.store.folder}: {error.strerror or error}") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _merge(self) -> None:
        """Make one segment of the small ones. Called with the lock held."""
        small = [number for number, segment in enumerate(self._known) if segment.bytes < SEGMENT_BYTES / 2]
        by_place = {place: key for key, place in self._keys.items()}
        keys = b"".join(by_place[number, row] for number in small for row in range(self._known[number].rows))
        blocks = (self._maps[number] for number in small)
        merged = self._write_segment(blocks, np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES))
        large = [segment for number, segment in enumerate(self._known) if number not in small]
        self._write(replace(self.contents, segments=(*large, merged)))
        self._reload()
        self._remove_strays()

    def _write(self, contents: Contents) -> None:
        try:
            with atomic_write(self.folder / "entry.json") as file:
                file.write_text(json.dumps(asdict(contents), indent=1))
        except OSError as error:
            raise StoreFull(f"{self.store.folder}: {error.strerror or error}") from error
        self.contents = contents

    def _reload(self) -> None:
        """Read ``entry.json`` again; a segment that is not whole counts as absent.

        It may be read without the lock: where another process merges segments meanwhile, the small ones are gone, and
        what replaces them stands in a newer ``entry.json``.
        """
        contents = self._listed()
        opened = self._open_all(contents)
        while len(opened) < len(contents.segments) and (newer := self._listed()) != contents:
            contents, opened = newer, self._open_all(newer)
        whole = list(opened)
        for segment in contents.segments:
            if segment not in opened:
                log.warning("cache: %s of %s is damaged; its rows are computed again", segment.file, self.folder)
        kept = sum(segment.rows for segment in whole) / max(1, contents.rows)
        self.contents = replace(contents, seconds=contents.seconds * kept, segments=tuple(whole))
        if whole[: len(self._known)] != self._known:
            self._known, self._maps, self._keys = [], [], {}
        for segment in whole[len(self._known) :]:
            rows, keys = opened[segment]
            self._keys.update((key.tobytes(), (len(self._maps), row)) for row, key in enumerate(keys))
            self._maps.append(rows)
            self._known.append(segment)

    def _listed(self) -> Contents:
        return read_contents(self.folder) or Contents(self.description)

    def _open_all(self, contents: Contents) -> dict[Segment, tuple[np.ndarray, np.ndarray]]:
        """The rows and keys of each segment that is there and whole, memory-mapped."""
        opened: dict[Segment, tuple[np.ndarray, np.ndarray]] = {}
        for segment in contents.segments:
            path, shape = self.folder / segment.file, (segment.rows, *contents.shape)
            with suppress(FileNotFoundError):  # gone since it was looked at
                if is_whole(self.folder, segment):
                    rows = np.memmap(path, dtype=contents.dtype, mode="r", shape=shape)
                    keys = np.memmap(path, dtype=f"V{KEY_BYTES}", mode="r", offset=rows.nbytes, shape=(segment.rows,))
                    opened[segment] = rows, keys
        return opened

    def _remove_strays(self) -> None:
        """Segments that ``entry.json`` does not name, of killed writers, and damaged ones."""
        named = {segment.file for segment in self.contents.segments}
        for path in self.folder.glob("*.rows"):
            if path.name not in named:
                path.unlink(missing_ok=True)


def _timed(chunks: Iterator[np.ndarray]) -> tuple[np.ndarray, float]:
    started_s = time.perf_counter()
    return next(chunks), time.perf_counter() - started_s


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

    @contextmanager
    def _door(self) -> Iterator[None]:
        """Held for a moment, by whoever takes an entry into use or evicts."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "door.lock"):
                yield
        except OSError as error:
            raise StoreFull(f"{self.folder}: {error.strerror or error}") from error

    def entry(self, description: dict[str, Any]) -> Entry:
        """The entry of these rows, empty where nobody has computed any.

        Raises:
            StoreFull: the folder cannot be written.
        """
        name = identity(description)
        if name not in self._entries:
            with self._door():
                held = FileLock(self.folder / f"{name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.use")
                held.acquire()
                self._held.append(held)
                with suppress(FileNotFoundError):
                    os.utime(self.folder / name / "entry.json")
            self._entries[name] = Entry(self, description)
        return self._entries[name]

    def entries(self) -> list[Kept]:
        """Every entry, the least recently used first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            (look_at(path) for path in self.folder.iterdir() if path.is_dir()), key=lambda kept: kept.used_at_s
        )

    def room_bytes(self) -> float:
        """What could still be written: whatever is not in use may go for it."""
        held = self.entries()
        evictable = sum(kept.bytes for kept in held if not self._in_use(kept.folder))
        in_use = sum(kept.bytes for kept in held) - evictable
        self.folder.mkdir(parents=True, exist_ok=True)
        return min(self.max_bytes - in_use, HEAD_ROOM * shutil.disk_usage(self.folder).free + evictable)

    def make_room(self, wanted_bytes: float) -> None:
        """Evict until ``wanted_bytes`` more fit; nothing is evicted for what can never fit.

        Raises:
            StoreFull: they cannot.
        """
        with self._door():
            room_bytes = self.room_bytes()
            if wanted_bytes > room_bytes:
                raise StoreFull(
                    f"{self.folder}: {wanted_bytes / 1e9:.2g} GB are wanted, cache.max_gb and the disk leave "
                    f"{max(0, room_bytes) / 1e9:.2g} GB"
                )
            held = self.entries()
            total = sum(kept.bytes for kept in held)
            for kept in held:
                free_bytes = HEAD_ROOM * shutil.disk_usage(self.folder).free
                if total + wanted_bytes <= self.max_bytes and wanted_bytes <= free_bytes:
                    break
                if self._evict(kept.folder):
                    total -= kept.bytes

    def prune(self, max_bytes: float) -> list[Path]:
        """Evict what was never finished, then the least recently used down to ``max_bytes``; returns what is gone."""
        removed = []
        with self._door():
            held = self.entries()
            total = sum(kept.bytes for kept in held)
            for kept in held:
                if (total > max_bytes or kept.contents is None) and self._evict(kept.folder):
                    total -= kept.bytes
                    removed.append(kept.folder)
        return removed

    def damaged(self) -> list[Path]:
        """Every file that is not what was written; all are read whole."""
        with self._door():
            return [
                kept.folder / segment.file
                for kept in self.entries()
                for segment in (kept.contents.segments if kept.contents else ())
                if not is_whole(kept.folder, segment)
            ]

    def _evict(self, folder: Path) -> bool:
        """Remove an entry unless somebody uses it; says whether it is gone. Called with the door held."""
        if self._in_use(folder):
            return False
        for use in self.folder.glob(f"{folder.name}.*.use"):
            use.unlink(missing_ok=True)  # left by a process that was killed
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    def _in_use(self, folder: Path) -> bool:
        """Whether any process holds the entry; a mark whose process died does not count."""
        for use in self.folder.glob(f"{folder.name}.*.use"):
            try:
                with FileLock(use, timeout=0):
                    pass
            except Timeout:
                return True
        return False
