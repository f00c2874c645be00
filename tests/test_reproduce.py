"""A recorded run, run again from its record, wherever it lies, with a tracking store and without."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Answer, Recorded
from configs import config_in

from tl_sweep import reproduce
from tl_sweep.run.context import Position
from tl_sweep.run.execute import run_once
from tl_sweep.run.key import key_of, run_folder
from tl_sweep.run.which import Places
from tl_sweep.sweep.preflight import make_ready
from tl_sweep.tracking.record import RECORD, Record

Command = Callable[..., Answer]


def test_a_run_is_reproduced_from_its_record(command: Command, small_run: Recorded) -> None:
    answer = command(reproduce.main, f"run={small_run.run_id}", f"tracking.uri={small_run.uri}")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"{small_run.run_id}: reproduced, every metric is equal"


def test_a_run_is_reproduced_where_there_is_no_store(command: Command, small_run: Recorded) -> None:
    answer = command(reproduce.main, f"run={small_run.folder}", "tracking.uri=null")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"{small_run.folder}: reproduced, every metric is equal"
    assert list(Path().iterdir()) == []


def test_a_run_that_is_run_again_is_recorded_under_its_own_key(small_run: Recorded, tmp_path: Path) -> None:
    reproduce.run_again(small_run.folder, tmp_path / "again", Places.of(small_run.config))
    found = Record(tmp_path / "again").summary()
    assert found is not None
    assert found.tags["key"] == key_of(small_run.config)


def test_a_run_that_comes_out_otherwise_is_told(command: Command, small_run: Recorded) -> None:
    folder = Path("runs/0123")
    folder.mkdir(parents=True)
    for name in ("config.yaml", RECORD):
        text = (small_run.folder / name).read_text()
        (folder / name).write_text(re.sub(r'"val/acc": [\d.]+', '"val/acc": 0.123', text, count=1))
    answer = command(reproduce.main, "run=0123")
    assert answer.code == 1
    *_, difference, last = answer.out.splitlines()
    assert re.fullmatch(r"step 0, val/acc: 0\.123 was recorded, [\d.]+ came out", difference)
    assert last == "0123: NOT reproduced"


def test_a_run_that_started_from_another_is_reproduced_from_elsewhere_and_without_a_store(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network with hidden layers, which the other run's record alone says whether it left out."""
    options = {"model": "mobilenet_v3_small", "freeze": "all"}
    source = config_in(tmp_path, None, options | {"freeze": "none"}, data={"shots": 2}, epochs=1)
    run_once(source, run_folder(source, key_of(source)), Position(key=key_of(source)))
    config = config_in(tmp_path, None, options, model={"weights": f"run:{key_of(source)}"}, data={"shots": 2})
    folder = run_folder(config, key_of(config))
    make_ready([config])
    run_once(config, folder, Position(key=key_of(config)))
    shutil.rmtree(tmp_path / "weights")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    answer = command(reproduce.main, f"run={folder}", "tracking.uri=null")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == f"{folder}: reproduced, every metric is equal"


def test_a_run_that_did_not_finish_cannot_be_reproduced(command: Command, small_run: Recorded) -> None:
    folder = Path("runs/0123")
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text((small_run.folder / "config.yaml").read_text())
    lines = (small_run.folder / RECORD).read_text().splitlines(keepends=True)
    (folder / RECORD).write_text("".join(lines[:2]))
    answer = command(reproduce.main, "run=0123")
    assert answer.code == 1
    assert answer.err.endswith("runs/0123: the run did not finish: there is nothing to compare with\n")


@pytest.fixture
def without_folder(small_run: Recorded, tmp_path: Path) -> Iterator[Recorded]:
    """A run whose folder is gone: the store alone has it."""
    small_run.folder.rename(tmp_path / "away")
    yield small_run
    (tmp_path / "away").rename(small_run.folder)


def test_a_run_without_its_folder_is_reproduced_from_the_store(command: Command, without_folder: Recorded) -> None:
    words = (f"run={without_folder.run_id}", f"tracking.uri={without_folder.uri}")
    answer = command(reproduce.main, *words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"{without_folder.run_id}: reproduced, every metric is equal"
    assert not without_folder.folder.exists()
