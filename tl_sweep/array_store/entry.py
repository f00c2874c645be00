"""The rows of one description: which are here, computing those that are not, reading them."""

from __future__ import annotations

import json
import logging
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from tl_sweep.array_store.segments import KEY_BYTES, Contents, Segment, StoreFull, is_whole, read_contents
from tl_sweep.base.atomic_files import atomic_write

log = logging.getLogger(__name__)

SEGMENT_BYTES = 2**28  # a killed writer loses at most this much work
MOST_SMALL = 64  # segments of less than half that; more are merged, since each one that is read costs an open file


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
    """Rows of one description, in ``folder``; the store that hands it out holds it against eviction.

    make_room: called with the bytes that are about to be written; raises StoreFull where they have no room.
    """

    def __init__(self, folder: Path, description: dict[str, Any], make_room: Callable[[float], None]) -> None:
        self.folder, self.description, self.make_room = folder, description, make_room
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
            raise StoreFull(f"{self.folder.parent}: {error.strerror or error}") from error
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
        self.make_room(len(keys_M16) * row_bytes)
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
            raise StoreFull(f"{self.folder.parent}: {error.strerror or error}") from error
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
            raise StoreFull(f"{self.folder.parent}: {error.strerror or error}") from error
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
