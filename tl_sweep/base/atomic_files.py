"""A file is there as a whole or not at all, whoever is killed meanwhile."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
LEFTOVER_S = 3600.0  # nobody pauses for so long while writing: whoever wrote a partial file of this age was killed


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a path beside ``path`` to write to by any means; it becomes ``path`` when the block ends without an error.

    Until then, and if the block raises, whatever stood at ``path`` stays as it is. Of several writers at once the last
    to end wins, with its whole file. The content is on the disk before it gets its name; permissions are those of any
    new file (the umask), whatever the block did. A symbolic link stays one, and the file it leads to is replaced. What
    is no regular file (a pipe, /dev/null) is written to directly.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    _remove_leftovers(path.parent)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        partial.open("xb").close()
        mode = partial.stat().st_mode
        yield partial
        with partial.open("rb+") as file:  # some writers make a file of their own there: open what is there now
            os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is one that is being written, or that a killed writer has left."""
    return path.name.startswith(".") and path.suffix == PARTIAL


def partial_files(folder: Path, name: str = "*") -> list[Path]:
    """Those in ``folder`` of files whose name matches the pattern ``name``."""
    return list(folder.glob(f".{name}.*{PARTIAL}"))


def _remove_leftovers(folder: Path) -> None:
    oldest_s = time.time() - LEFTOVER_S
    for path in partial_files(folder):
        try:
            if path.stat().st_mtime < oldest_s:
                path.unlink()
        except FileNotFoundError:  # its writer has ended, or another one has removed it
            pass
