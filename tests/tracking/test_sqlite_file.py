"""MLflow's SQLite database is made whole or not at all."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tl_sweep.tracking.sqlite_file import make_whole
from tl_sweep.tracking.store import open_store, recorded_runs

HALF = "CREATE TABLE experiments (experiment_id INTEGER, name TEXT)"


def quick_migration(uri: str) -> None:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        connection.execute(HALF)
        connection.execute("INSERT INTO experiments VALUES (0, 'Default')")
        connection.commit()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_database_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    seen = []

    def migrate(uri: str) -> None:
        quick_migration(uri)
        seen.append(names(tmp_path))

    make_whole(tmp_path / "mlflow.db", migrate)
    assert not any("mlflow.db" in there for there in seen)
    assert names(tmp_path) == ["mlflow.db"]


def test_a_migration_that_is_interrupted_leaves_nothing_that_is_met_later(tmp_path: Path) -> None:
    def interrupted(uri: str) -> None:
        quick_migration(uri)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_whole(tmp_path / "mlflow.db", interrupted)
    assert not (tmp_path / "mlflow.db").exists()
    make_whole(tmp_path / "mlflow.db", quick_migration)
    assert names(tmp_path) == ["mlflow.db"]


def test_a_half_made_database_is_set_aside_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute(HALF)
    make_whole(tmp_path / "mlflow.db", quick_migration)
    (aside,) = (name for name in names(tmp_path) if "half-made" in name)
    assert (
        f"was left half-made by a command that was stopped; no run was in it. It is now {aside}"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("content", [b"", b"no database"], ids=["empty", "foreign"])
def test_what_is_no_half_made_database_is_not_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    if content:
        with pytest.raises(sqlite3.Error):
            make_whole(tmp_path / "mlflow.db", quick_migration)
        assert (tmp_path / "mlflow.db").read_bytes() == content
    else:
        make_whole(tmp_path / "mlflow.db", quick_migration)
    assert names(tmp_path) == ["mlflow.db"]


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.3, 0.8, 1.5])
def test_a_command_that_is_killed_while_it_makes_the_database_costs_nothing(tmp_path: Path, after_s: float) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code = f"from tl_sweep.tracking.store import open_store; print('now', flush=True); open_store({uri!r}, 'x')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        deadline_s = time.monotonic() + 60
        while not [*tmp_path.glob(".mlflow.db.making-*"), *tmp_path.glob("mlflow.db")]:
            assert time.monotonic() < deadline_s, "the database was never being made"
            time.sleep(0.01)
        time.sleep(after_s)
        first.send_signal(signal.SIGKILL)
    open_store(uri, "x")
    assert recorded_runs(uri, "x") == []
    assert not list(tmp_path.glob("*half-made*"))  # under its name it was whole, or was not there
