"""What changes when a file does."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class FileState(NamedTuple):
    """Size and time of change do not tell a file that was replaced by one of equal size and time (``cp -p``,
    ``rsync -t``, a restored backup): its inode, or the time at which the system last touched it, does."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


GONE = FileState(-1, -1, -1, -1)


def state_of(path: Path) -> FileState:
    """``GONE`` where it cannot be asked for."""
    try:
        stat = path.stat()
    except OSError:
        return GONE
    return FileState(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
