"""What is remembered of files: facts about their content, as long as they are what they were."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tl_sweep.data.file_records import FileRecord, examine, scan


def image(path: Path, colour: str) -> Path:
    Image.new("RGB", (8, 8), colour).save(path, "PPM")
    return path


def counting(seen: list[Path]) -> Callable[[Path], FileRecord]:
    def look(path: Path) -> FileRecord:
        seen.append(path)
        return examine(path)

    return look


def test_a_file_replaced_with_equal_size_and_time_is_read_again(tmp_path: Path) -> None:
    old, new = image(tmp_path / "a.ppm", "red"), image(tmp_path / "b.ppm", "blue")
    os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    (before,) = scan([old], tmp_path / "kept")
    shutil.copy2(new, old)  # as cp -p and rsync -t do
    assert old.stat().st_size == new.stat().st_size
    assert old.stat().st_mtime_ns == new.stat().st_mtime_ns
    (after,) = scan([old], tmp_path / "kept")
    assert after.hash != before.hash


def test_a_file_that_stays_what_it_is_is_read_once_and_again_if_asked(tmp_path: Path) -> None:
    path, seen = image(tmp_path / "a.ppm", "red"), list[Path]()
    for verify in (False, False, True):
        scan([path], tmp_path / "kept", counting(seen), verify=verify)
    assert len(seen) == 2


@pytest.mark.parametrize("failure", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_failure_to_read_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: OSError) -> None:
    path = image(tmp_path / "a.ppm", "red")
    with monkeypatch.context() as patch:

        def fails(self: Path) -> bytes:
            raise failure

        patch.setattr(Path, "read_bytes", fails)
        assert scan([path], tmp_path / "kept")[0].problem == failure.strerror
    assert scan([path], tmp_path / "kept")[0].problem == ""


def test_memory_that_was_short_once_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path / "a.ppm", "red")
    with monkeypatch.context() as patch:

        def fails(*args: object, **kwargs: object) -> None:
            raise MemoryError

        patch.setattr(Image, "open", fails)
        assert scan([path], tmp_path / "kept")[0].problem == "there was no memory to decode it"
    assert scan([path], tmp_path / "kept")[0].problem == ""


def test_a_damaged_file_is_remembered_as_such(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.png", list[Path]()
    path.write_bytes(b"no image")
    for _ in range(2):
        assert scan([path], tmp_path / "kept", counting(seen))[0].problem == "not an image"
    assert len(seen) == 1
