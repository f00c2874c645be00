"""A store that another user has made, and that this one may only read. Needs root, to become somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tl_sweep.array_store.store import RowStore

WHAT = {"rows": "of a test"}
KEYS_N16 = np.arange(32, dtype=np.uint8).reshape(2, 16)
NOBODY = 65534
READ = """
import mmap, os, sys  # before it is somebody else, who may not read where Python is
from pathlib import Path
import numpy as np
from tl_sweep.array_store.segments import StoreFull
from tl_sweep.array_store.store import RowStore
os.setuid({nobody})
keys_N16 = np.arange(48, dtype=np.uint8).reshape(3, 16)
with RowStore(Path({folder!r}), 1e9) as store:
    entry = store.entry({what!r})
    print("missing", entry.missing(keys_N16).tolist())
    try:
        entry.ensure(keys_N16, lambda places: iter([np.zeros((1, 4), np.float32)]))
    except StoreFull as reason:
        print("full", reason)
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """pytest's own folders are for their user's eyes alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
def test_what_is_there_is_read_and_that_nothing_is_added_is_said(public_folder: Path) -> None:
    folder = public_folder / "rows"
    with RowStore(folder, 1e9) as store:
        store.entry(WHAT).ensure(KEYS_N16, lambda places: iter([np.ones((2, 4), np.float32)]))
    code = READ.format(nobody=NOBODY, folder=str(folder), what=WHAT)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["missing [2]", f"full {folder}: Permission denied"]
    assert answer.stderr == (
        f"warning: cache.dir: {folder}: Permission denied: what is there is read, nothing is added\n"
    )
