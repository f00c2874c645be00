"""What tells that a file is no longer the one it was."""

from __future__ import annotations

import os
from pathlib import Path

from tl_sweep.base.file_state import GONE, state_of


def test_a_file_that_was_not_touched_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    first = state_of(tmp_path / "a")
    (tmp_path / "a").read_text()
    assert state_of(tmp_path / "a") == first
    assert first.size == 3


def test_a_file_of_equal_size_and_time_in_its_place_is_another(tmp_path: Path) -> None:
    kept, new = tmp_path / "kept", tmp_path / "new"
    kept.write_text("one")
    new.write_text("two")
    first = state_of(kept)
    os.utime(new, ns=(first.mtime_ns, first.mtime_ns))
    os.replace(new, kept)
    assert state_of(kept)[:2] == first[:2]
    assert state_of(kept) != first


def test_a_file_that_is_not_there_or_cannot_be_asked_for_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    assert state_of(tmp_path / "b") == GONE
    assert state_of(tmp_path / "a" / "b") == GONE  # a file is no folder
    assert state_of(tmp_path / "a") != GONE
