"""The row store: what is asked for is there and whole, whatever happens to the process, the file or the disk."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tl_sweep.array_store import entry
from tl_sweep.array_store.segments import Segment, StoreFull, read_contents
from tl_sweep.array_store.store import RowStore

WHAT = {"rows": "numbers"}


def keys_of(*numbers: int) -> np.ndarray:
    return np.array([[number] * 16 for number in numbers], dtype=np.uint8).reshape(-1, 16)


def rows_of(keys_N16: np.ndarray) -> np.ndarray:
    """(N, 2, 3) float32 that say which key they belong to."""
    return keys_N16[:, :1, None].astype(np.float32) + np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 10


class Computed:
    """A computation in chunks of two rows that notes what it was asked for."""

    def __init__(self, keys_N16: np.ndarray) -> None:
        self.keys_N16, self.places = keys_N16, list[int]()

    def __call__(self, places_M: np.ndarray) -> Iterator[np.ndarray]:
        for first in range(0, len(places_M), 2):
            chunk = places_M[first : first + 2]
            self.places += chunk.tolist()
            yield rows_of(self.keys_N16[chunk])


def ensured(folder: Path, *numbers: int, max_bytes: float = 1e9, what: dict[str, str] = WHAT) -> list[int]:
    """Have these rows; check every one of them; returns the places that had to be computed."""
    keys_N16 = keys_of(*numbers)
    with RowStore(folder, max_bytes) as store:
        entry, computed = store.entry(what), Computed(keys_N16)
        assert entry.ensure(keys_N16, computed) == len(computed.places)
        read = np.empty((len(numbers), 2, 3), np.float32)
        entry.table(keys_N16).read(np.arange(len(numbers)), read)
        np.testing.assert_array_equal(read, rows_of(keys_N16))
    return computed.places


def segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.rows"))


def test_rows_are_computed_once_and_only_what_is_missing(tmp_path: Path) -> None:
    assert ensured(tmp_path, 3, 1, 2) == [0, 1, 2]
    assert ensured(tmp_path, 1, 2, 3) == []
    assert ensured(tmp_path, 9, 2, 8, 9) == [0, 2]  # the same image twice is one row
    assert len(segment_files(tmp_path)) == 2


def test_rows_come_in_the_order_asked_for_from_several_segments(tmp_path: Path) -> None:
    ensured(tmp_path, 1, 2)
    ensured(tmp_path, 3, 4)
    keys_N16 = keys_of(4, 1, 3, 2)
    with RowStore(tmp_path, 1e9) as store:
        table = store.entry(WHAT).table(keys_N16)
        read = np.empty((3, 2, 3), np.float32)
        table.read(np.array([3, 0, 1]), read)
    np.testing.assert_array_equal(read, rows_of(keys_of(2, 4, 1)))


def test_another_description_is_another_entry(tmp_path: Path) -> None:
    ensured(tmp_path, 1)
    assert ensured(tmp_path, 1, what={"rows": "others"}) == [0]


def test_large_entries_are_written_in_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "SEGMENT_BYTES", 100)  # two rows of 40 bytes
    ensured(tmp_path, *range(5))
    assert [segment.rows for segment in read_contents(segment_files(tmp_path)[0].parent).segments] == [2, 2, 1]
    assert ensured(tmp_path, *range(5)) == []


# --- damage


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [shorten, flip_a_bit, Path.unlink], ids=["truncated", "flipped", "gone"])
def test_a_damaged_segment_is_noticed_and_rebuilt(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    ensured(tmp_path, 1, 2)
    ensured(tmp_path, 3)
    first = read_contents(segment_files(tmp_path)[0].parent).segments[0].file
    (path,) = tmp_path.glob(f"*/{first}")
    damage(path)  # type: ignore[operator]
    with RowStore(tmp_path, 1e9) as store:
        assert [path.name for path in store.damaged()] == [first]
    assert ensured(tmp_path, 1, 2, 3) == [0, 1]
    assert "is damaged; its rows are computed again" in caplog.text
    assert not path.exists()
    assert ensured(tmp_path, 1, 2, 3) == []


def test_a_broken_table_of_contents_is_an_empty_entry(tmp_path: Path) -> None:
    ensured(tmp_path, 1, 2)
    (contents,) = tmp_path.glob("*/entry.json")
    contents.write_text(contents.read_text()[:40])
    assert ensured(tmp_path, 1, 2) == [0, 1]
    assert len(segment_files(tmp_path)) == 1  # the orphan went


SLOW_WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_store import Computed, WHAT, keys_of
from tl_sweep.array_store.store import RowStore
keys_N16 = keys_of(*range(6))
computed = Computed(keys_N16)
def slowly(places_M):
    for number, chunk in enumerate(computed(places_M)):
        yield chunk
        print("chunk", number, flush=True)
        time.sleep({pause_s})
with RowStore(Path({folder!r}), 1e9) as store:
    print("computed", store.entry(WHAT).ensure(keys_N16, slowly), flush=True)
"""


def start_writer(folder: Path, pause_s: float) -> subprocess.Popen[str]:
    script = SLOW_WRITER.format(tests=str(Path(__file__).parent), folder=str(folder), pause_s=pause_s)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_killed_writer_leaves_nothing_half_valid(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, pause_s=60)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "chunk 0\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert len(segment_files(tmp_path)) == 1  # the half-written one
    (kept,) = RowStore(tmp_path, 1e9).entries()
    assert kept.contents is None  # it is seen, and nothing of it counts
    assert ensured(tmp_path, *range(6)) == list(range(6))
    assert len(segment_files(tmp_path)) == 1
    assert RowStore(tmp_path, 1e9).damaged() == []


def test_what_a_killed_writer_left_is_pruned(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, pause_s=60)
    assert writer.stdout is not None
    writer.stdout.readline()
    assert RowStore(tmp_path, 0).prune(0) == []  # it is at work
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert len(RowStore(tmp_path, 0).prune(0)) == 1
    assert segment_files(tmp_path) == []


def test_an_interrupted_writer_cleans_up(tmp_path: Path) -> None:
    def stopped(places_M: np.ndarray) -> Iterator[np.ndarray]:
        yield rows_of(keys_of(0, 1))
        raise KeyboardInterrupt

    with RowStore(tmp_path, 1e9) as store, pytest.raises(KeyboardInterrupt):
        store.entry(WHAT).ensure(keys_of(*range(6)), stopped)
    assert segment_files(tmp_path) == []


def test_many_small_segments_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "MOST_SMALL", 3)
    for number in range(9):
        ensured(tmp_path, number)
    assert len(segment_files(tmp_path)) <= 4
    assert ensured(tmp_path, *reversed(range(9))) == []
    assert RowStore(tmp_path, 1e9).damaged() == []


def test_a_reader_survives_a_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "MOST_SMALL", 1)
    ensured(tmp_path, 1)
    with RowStore(tmp_path, 1e9) as store:
        table = store.entry(WHAT).table(keys_of(1))
        ensured(tmp_path, 2)  # merges; the file that the reader maps is gone
        read = np.empty((1, 2, 3), np.float32)
        table.read(np.array([0]), read)
        np.testing.assert_array_equal(read, rows_of(keys_of(1)))
        assert store.entry(WHAT).ensure(keys_of(1, 2, 3), Computed(keys_of(1, 2, 3))) == 1


@pytest.mark.parametrize("moment", ["before it looks at a file", "between looking and opening"])
def test_who_opens_an_entry_while_it_is_merged_finds_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, moment: str
) -> None:
    ensured(tmp_path, 1)
    ensured(tmp_path, 2)
    original, merged = entry.is_whole, list[bool]()

    def merge() -> None:
        if not merged:
            merged.append(True)
            monkeypatch.setattr(entry, "MOST_SMALL", 1)
            ensured(tmp_path, 3)

    def while_merging(folder: Path, segment: Segment) -> bool:
        if moment == "before it looks at a file":
            merge()
        found = original(folder, segment)
        merge()
        return found

    monkeypatch.setattr(entry, "is_whole", while_merging)
    assert ensured(tmp_path, 1, 2, 3) == []
    assert merged
    assert len(segment_files(tmp_path)) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_two_processes_at_once_compute_each_row_once(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, pause_s=0.1) for _ in range(2)]
    said = [writer.communicate(timeout=60)[0].splitlines()[-1] for writer in writers]
    assert sorted(said) == ["computed 0", "computed 6"]
    assert ensured(tmp_path, *range(6)) == []


# --- room

ROW_BYTES = 6 * 4 + 16


def test_the_least_recently_used_makes_room(tmp_path: Path) -> None:
    for name in ("a", "b"):
        ensured(tmp_path, 1, 2, what={"rows": name})
        time.sleep(0.02)
    ensured(tmp_path, 1, what={"rows": "a"})  # used again: b is older now
    total = sum(kept.bytes for kept in RowStore(tmp_path, 1e9).entries())
    ensured(tmp_path, 1, 2, what={"rows": "c"}, max_bytes=total + 10)
    with RowStore(tmp_path, 1e9) as store:
        assert {kept.contents.description["rows"] for kept in store.entries()} == {"a", "c"}


def test_what_is_in_use_is_never_evicted(tmp_path: Path) -> None:
    ensured(tmp_path, 1, 2, what={"rows": "a"})
    with RowStore(tmp_path, 1e9) as store:
        store.entry({"rows": "a"})
        with pytest.raises(StoreFull, match=r"cache\.max_gb and the disk leave"):
            ensured(tmp_path, 1, 2, what={"rows": "b"}, max_bytes=3 * ROW_BYTES)
        assert store.prune(0) == []
    with RowStore(tmp_path, 1e9) as store:
        assert len(store.prune(0)) == 1
        assert store.entries() == []
    assert not list(tmp_path.glob("*.use"))


def test_nothing_is_evicted_for_what_can_never_fit(tmp_path: Path) -> None:
    ensured(tmp_path, 1, 2, what={"rows": "a"})
    with pytest.raises(StoreFull, match="are wanted, "):
        ensured(tmp_path, *range(9), what={"rows": "b"}, max_bytes=4 * ROW_BYTES)
    assert ensured(tmp_path, 1, 2, what={"rows": "a"}) == []


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_store import big_rows, keys_of
from tl_sweep.array_store.store import RowStore, StoreFull
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with RowStore(Path({folder!r}), 1e9) as store:
    try:
        store.entry({{"rows": "big"}}).ensure(keys_of(*range(9)), big_rows)
    except StoreFull as full:
        print(full)
"""


def test_a_write_that_fails_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    script = LIMITED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{tmp_path}: File too large\n"
    assert segment_files(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def big_rows(places_M: np.ndarray) -> Iterator[np.ndarray]:
    yield from (np.ones((1, 10_000), np.float32) for _ in places_M)


def test_a_full_disk_says_so_and_what_was_there_stays(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensured(small_disk, 1, 2)
    monkeypatch.setattr(RowStore, "make_room", lambda store, wanted_bytes: None)  # it fills up meanwhile
    with RowStore(small_disk, 1e9) as store, pytest.raises(StoreFull, match="No space left on device"):
        store.entry({"rows": "big"}).ensure(keys_of(*range(9)), big_rows)
    assert len(segment_files(small_disk)) == 1
    assert ensured(small_disk, 1, 2) == []


def test_a_disk_that_is_seen_to_be_too_small_is_not_filled(small_disk: Path) -> None:
    with RowStore(small_disk, 1e9) as store, pytest.raises(StoreFull, match="and the disk leave"):
        store.entry({"rows": "big"}).ensure(keys_of(*range(9)), big_rows)
    assert segment_files(small_disk) == []
