"""A file is there as a whole or not at all, with the permissions of any new file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tl_sweep.base.atomic_files import LEFTOVER_S, atomic_write, is_partial, partial_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.json"


def test_the_content_is_there_when_the_block_ends(path: Path) -> None:
    with atomic_write(path) as file:
        file.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def write_half_and_raise(path: Path, error: type[BaseException]) -> None:
    with atomic_write(path) as file:
        file.write_text("ne")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_raises_leaves_what_was_there(path: Path, error: type[BaseException]) -> None:
    path.write_text("old")
    with pytest.raises(error):
        write_half_and_raise(path, error)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from tl_sweep.base.atomic_files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write_text("ne")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_what_was_there_and_what_it_left_goes_later(path: Path) -> None:
    path.write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -9
    assert path.read_text() == "old"
    (leftover,) = partial_files(path.parent)
    assert is_partial(leftover)
    with atomic_write(path) as file:  # it might still be written to
        file.write_text("new")
    assert leftover.exists()
    long_ago_s = time.time() - LEFTOVER_S - 1
    os.utime(leftover, (long_ago_s, long_ago_s))
    with atomic_write(path) as file:
        file.write_text("newer")
    assert path.read_text() == "newer"
    assert list(path.parent.iterdir()) == [path]


def test_partial_files_are_found_by_the_name_that_they_would_get(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.json") as a, atomic_write(tmp_path / "b.json") as b:
        assert set(partial_files(tmp_path)) == {a, b}
        assert partial_files(tmp_path, "a.*") == [a]


def test_of_two_writers_at_once_the_last_to_end_wins_as_a_whole(path: Path) -> None:
    with atomic_write(path) as slow:
        slow.write_text("slow, ")
        with atomic_write(path) as fast:
            fast.write_text("fast")
        assert path.read_text() == "fast"
        slow.write_text("slow, and as a whole")
    assert path.read_text() == "slow, and as a whole"


def write_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("new"),
    "bytes": lambda path: path.write_bytes(b"new"),
    "an array": write_array,
    "a file of the writer's own": lambda path: save_file({"zero": torch.zeros(3)}, path),
}


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=lambda mask: f"{mask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("writer", WRITERS)
def test_permissions_follow_the_umask(path: Path, umask: int, writer: str) -> None:
    with atomic_write(path) as file:
        WRITERS[writer](file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_link_stays_and_leads_to_the_new_content(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    path.write_text("old")
    with atomic_write(link) as file:
        file.write_text("new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_what_is_no_regular_file_is_written_to_and_stays(tmp_path: Path) -> None:
    with atomic_write(Path(os.devnull)) as file:
        assert file == Path(os.devnull)
        file.write_text("nothing")
    assert not Path(os.devnull).is_file()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "none" / "kept.json"):
        pass
