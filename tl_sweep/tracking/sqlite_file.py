"""A SQLite database of MLflow's: made whole under another name, so that one that was interrupted is never met."""

from __future__ import annotations

import secrets
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

PREFIX = "sqlite:///"


def sqlite_path(uri: str) -> Path | None:
    """The database's file; None for any other store."""
    return Path(uri.removeprefix(PREFIX)).absolute() if uri.startswith(PREFIX) else None


def missing_database(uri: str) -> Path | None:
    """The SQLite database at this address, if it is not there: MLflow would make one."""
    database = sqlite_path(uri)
    return None if database is None or database.exists() else database


def make_whole(database: Path, migrate: Callable[[str], None]) -> None:
    """Make the database unless it is there. Only for who holds its lock.

    A migration that is interrupted leaves a file that MLflow refuses for ever. So it runs under another name, which
    becomes ``database`` at its end; a half-made file of an older version of this program is set aside, and said.

    migrate: makes MLflow's tables in the database at an address, and lets go of it.

    Raises:
        OSError, sqlite3.Error: the folder cannot be written, or the file is no database.
    """
    match _state(database):
        case "whole":
            return
        case "half-made":
            aside = database.with_name(f"{database.name}.half-made-{secrets.token_hex(2)}")
            database.rename(aside)
            print(
                f"warning: {database} was left half-made by a command that was stopped; no run was in it. It is now "
                f"{aside.name}, and a new one is made",
                file=sys.stderr,
                flush=True,
            )
    for leftover in database.parent.glob(f".{database.name}.making-*"):
        leftover.unlink()
    partial = database.with_name(f".{database.name}.making-{secrets.token_hex(4)}")
    migrate(f"{PREFIX}{partial}")
    with closing(sqlite3.connect(partial)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # written ahead: calls are about twice as fast
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    partial.replace(database)


def _state(database: Path) -> str:
    """``absent`` (also of a file without tables), ``half-made`` or ``whole``.

    MLflow's first experiment is the last thing that making its tables leads to. A file that is no database fails here
    at once, where MLflow would try for an hour.
    """
    if not database.exists():
        return "absent"
    with closing(sqlite3.connect(database)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return "absent"
        if "experiments" not in tables or not connection.execute("SELECT count(*) FROM experiments").fetchone()[0]:
            return "half-made" if tables & {"experiments", "alembic_version"} else "whole"
        return "whole"
