"""Rows of numbers on disk, each under a 16-byte key: computed once, shared by jobs and sweeps, never half-valid.

A store is a folder of entries (tl_sweep.array_store.entry), one for each description of rows.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tl_sweep.array_store.entry import Entry
from tl_sweep.array_store.segments import Contents, StoreFull, identity, is_whole, read_contents

HEAD_ROOM = 0.9  # of the free disk: more than this is not asked for


@dataclass(frozen=True)
class EntryOnDisk:
    """One entry's folder as it lies on the disk. contents: None after a writer was killed before its first segment."""

    folder: Path
    contents: Contents | None
    bytes: int
    used_at_s: float


def look_at(folder: Path) -> EntryOnDisk:
    """What is really there, named in ``entry.json`` or not."""
    sizes, used_at_s = 0, 0.0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process is at work in there
            stat = path.stat()
            sizes, used_at_s = sizes + stat.st_size, max(used_at_s, stat.st_mtime)
    return EntryOnDisk(folder, read_contents(folder), sizes, used_at_s)


class RowStore:
    """Entries under one folder, at most ``max_bytes`` in all: the least recently used make room, never one in use.

    A context manager: entries that were opened are held in use until its end.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._entries: dict[str, Entry] = {}
        self._held: list[FileLock] = []
        self._said: set[str] = set()

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

        A folder that cannot be written (another user's) is read all the same, and that is said once.

        Raises:
            StoreFull: the folder cannot be written, and nobody has computed any of these rows.
        """
        name = identity(description)
        if name not in self._entries:
            try:
                self._take_into_use(name)
            except StoreFull as reason:
                if not (self.folder / name / "entry.json").is_file():
                    raise
                self._say_once(f"warning: cache.dir: {reason}: what is there is read, nothing is added")
            self._entries[name] = Entry(self.folder / name, description, self.make_room)
        return self._entries[name]

    def _take_into_use(self, name: str) -> None:
        """So that nobody evicts the entry."""
        with self._door():
            held = FileLock(self.folder / f"{name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.use")
            held.acquire()
            self._held.append(held)
            with suppress(OSError):  # it is not there yet, or another user's
                os.utime(self.folder / name / "entry.json")

    def _say_once(self, warning: str) -> None:
        if warning not in self._said:
            self._said.add(warning)
            print(warning, file=sys.stderr, flush=True)

    def entries(self) -> list[EntryOnDisk]:
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
