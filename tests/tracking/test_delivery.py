"""From the run's folder to the store: nothing lost, nothing twice, whatever the store does meanwhile."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import Answer
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tl_sweep import sync
from tl_sweep.base.errors import JobFailed
from tl_sweep.config.schema import Config
from tl_sweep.run.context import Position
from tl_sweep.run.execute import run_once
from tl_sweep.tracking import delivery
from tl_sweep.tracking.client import connect
from tl_sweep.tracking.delivery import Delivery, Destination, Sent, count_waiting, send_waiting
from tl_sweep.tracking.record import Record, RunHeader, adopt, close_dead, folders_in, hold, put_aside
from tl_sweep.tracking.store import experiment_id
from tl_sweep.tracking.tracker import Tracker

DATA = {"name": "digits", "digest": "0123", "source_type": "local", "source": "{}", "profile": "{}"}
HEADER = RunHeader("a run", {"strategy": "none", "key": "k"}, {"seed": "0"}, DATA)


@pytest.fixture
def destination(store_uri: str) -> Destination:
    """An experiment of the test's own."""
    return Destination(store_uri, uuid.uuid4().hex)


@pytest.fixture
def runs_in(store_uri: str) -> Callable[[Destination], list[Any]]:
    def runs(destination: Destination) -> list[Any]:
        client = connect(store_uri)
        return list(client.search_runs([experiment_id(client, store_uri, destination.experiment)]))

    return runs


def recorded(folder: Path, destination: Destination | None, epochs: int = 3, status: str = "FINISHED") -> Record:
    """A run's record as a process leaves it that could reach no store."""
    folder.mkdir(parents=True)
    record = Record(folder)
    name = None if destination is None else destination.name
    record.append("start", id=uuid.uuid4().hex, destination=name, **vars(HEADER))
    for step in range(epochs):
        record.append("metrics", step=step, values={"val/acc": step / 10, "train/loss": 1.0 - step / 10})
    record.append("tags", tags={"colour": "red"})
    if status:
        record.append("end", status=status)
    return record


class Moody:
    """A client that fails before or after the call reached the store, as a server with trouble does."""

    def __init__(self, client: MlflowClient, share: float, seed: int) -> None:
        self.client, self.share, self.random = client, share, random.Random(seed)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.random.random() < self.share / 2:
                raise MlflowException("error code 500: before")
            answer = getattr(self.client, name)(*args, **kwargs)
            if self.random.random() < self.share / 2:
                raise MlflowException("error code 500: after")
            return answer

        return call


def history(uri: str, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient(uri).get_metric_history(run_id, name)]


# --- one run


@pytest.mark.parametrize("seed", range(5))
def test_a_store_that_fails_most_of_the_time_has_everything_once(
    tmp_path: Path,
    destination: Destination,
    runs_in: Callable[[Destination], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    record = recorded(tmp_path / "run", destination)
    moody = Moody(connect(destination.uri), 0.7, seed)
    monkeypatch.setattr(delivery, "connect", lambda _: moody)
    attempts = 0
    while Delivery(record.folder, destination).is_pending:  # each time as if by a new process
        attempts += 1
        try:
            Delivery(record.folder, destination).send()
        except MlflowException as error:
            assert "error code 500" in str(error)  # noqa: PT017
    assert attempts > 1
    (run,) = runs_in(destination)
    assert (run.info.status, run.data.params, run.data.tags["colour"]) == ("FINISHED", {"seed": "0"}, "red")
    assert history(destination.uri, run.info.run_id, "val/acc") == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_steps_and_times_are_those_of_the_run(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination)
    times_ms = {event["step"]: event["time_ms"] for event, _ in record.events() if event["event"] == "metrics"}
    start, *_, end = (event["time_ms"] for event, _ in record.events())
    time.sleep(0.05)
    Delivery(record.folder, destination).send()
    (run,) = runs_in(destination)
    points = MlflowClient(destination.uri).get_metric_history(run.info.run_id, "val/acc")
    assert {point.step: point.timestamp for point in points} == times_ms
    assert (run.info.start_time, run.info.end_time) == (start, end)


def test_another_attempt_goes_on_in_the_same_run(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination, status="FAILED")
    Delivery(record.folder, destination).send()
    tracker = Tracker(record.folder, destination)
    tracker.open(HEADER)
    tracker.metrics({"val/acc": 99.0}, 2)  # this step is recorded: it was only trained again
    tracker.metrics({"val/acc": 0.3}, 3)
    tracker.close("FINISHED")
    (run,) = runs_in(destination)
    assert run.info.status == "FINISHED"
    assert history(destination.uri, run.info.run_id, "val/acc") == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]


def test_an_attempt_with_other_execution_settings_goes_on_all_the_same(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination, status="KILLED")
    Delivery(record.folder, destination).send()
    tracker = Tracker(record.folder, destination)
    tracker.open(replace(HEADER, params={"seed": "0.0", "num_workers": "4"}, tags={"threads": "7"}))
    tracker.close("FINISHED")
    (run,) = runs_in(destination)
    assert (run.info.status, run.data.tags["threads"]) == ("FINISHED", "7")
    assert run.data.params == {"seed": "0", "num_workers": "4"}  # MLflow never changes a parameter


def test_a_run_that_was_deleted_in_the_store_is_recorded_anew_once_it_has_news(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    for name in "ab":
        recorded(tmp_path / name, destination)
    send_waiting(tmp_path, destination)
    connect(destination.uri).delete_run(Delivery(tmp_path / "a", destination).run_id)
    for name in "ab":
        Record(tmp_path / name).append("tags", tags={"late": "yes"})
    assert send_waiting(tmp_path, destination) == Sent(sent=2)
    assert [run.data.tags["late"] for run in runs_in(destination)] == ["yes", "yes"]


def test_a_run_that_the_store_refuses_does_not_keep_the_others_back(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    for name in "abc":
        recorded(tmp_path / name, destination)
    Record(tmp_path / "b").append("tags", tags={"x" * 300: "yes"})  # longer than a name may be
    result = send_waiting(tmp_path, destination)
    assert (result.sent, len(result.refused)) == (2, 1)
    assert result.refused[0].startswith(f"{tmp_path / 'b'}: tracking.uri=")
    assert len(runs_in(destination)) == 3  # it is there, up to that


def test_a_file_that_a_crash_left_empty_means_sending_again(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination)
    delivery = Delivery(record.folder, destination)
    delivery.send()
    delivery.path.write_text("")
    Delivery(record.folder, destination).send()
    (run,) = runs_in(destination)
    assert len(history(destination.uri, run.info.run_id, "val/acc")) == 3


def test_what_a_killed_writer_left_is_not_sent(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination)
    (record.folder / "whole.txt").write_text("whole")
    (record.folder / ".whole.txt.0123abcd.partial").write_text("who")
    Delivery(record.folder, destination).send()
    (run,) = runs_in(destination)
    sent = MlflowClient(destination.uri).list_artifacts(run.info.run_id)
    assert [file.path for file in sent] == ["record.jsonl", "whole.txt"]


def test_a_store_that_lost_the_run_gets_it_anew(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination)
    first = Delivery(record.folder, destination)
    first.send()
    connect(destination.uri).delete_run(first.run_id)
    state = json.loads(first.path.read_text())
    first.path.write_text(json.dumps(state | {"run_id": "0" * 32}))
    record.append("tags", tags={"late": "yes"})
    Delivery(record.folder, destination).send()
    (run,) = runs_in(destination)
    assert run.data.tags["late"] == "yes"
    assert len(history(destination.uri, run.info.run_id, "val/acc")) == 3


def test_training_does_not_wait_for_a_store_that_hangs(
    tmp_path: Path, destination: Destination, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_, **__: time.sleep(1) or self._fail()

        def _fail(self) -> None:
            raise ConnectionError("no answer")

    monkeypatch.setattr(delivery, "connect", lambda _: Slow())
    monkeypatch.setattr(delivery, "SEND_EVERY_S", 0.01)
    tracker = Tracker(tmp_path, destination)
    tracker.open(HEADER)
    time.sleep(0.1)  # the courier is at it
    started_s = time.monotonic()
    for step in range(50):
        tracker.metrics({"val/acc": 0.5}, step)
    assert time.monotonic() - started_s < 0.9
    time.sleep(1.2)
    tracker.close("FINISHED")
    assert capsys.readouterr().err.count("warning: the tracking store") == 1
    assert len(Record(tmp_path).steps()) == 50
    assert Delivery(tmp_path, destination).is_pending


# --- many runs


def test_what_waits_is_sent_by_the_next_run_but_not_what_lives_or_belongs_elsewhere(
    tmp_path: Path, destination: Destination
) -> None:
    mine, living = recorded(tmp_path / "mine", destination), recorded(tmp_path / "living", destination, status="")
    recorded(tmp_path / "elsewhere", replace(destination, experiment="other"))
    recorded(tmp_path / "nowhere", None)
    with hold(living.folder):
        assert send_waiting(tmp_path, destination) == Sent(sent=1, alive=1)
    assert not Delivery(mine.folder, destination).is_pending
    assert count_waiting(folders_in(tmp_path), destination) == 3


def test_sync_fills_a_new_store_and_does_nothing_twice(
    tmp_path: Path,
    command: Callable[..., Answer],
    destination: Destination,
    runs_in: Callable[[Destination], list[Any]],
) -> None:
    for name in "abc":
        recorded(tmp_path / "runs" / name, None)
    words = (
        f"output.dir={tmp_path / 'runs'}",
        f"tracking.uri={destination.uri}",
        f"tracking.experiment={destination.experiment}",
    )
    outs = [command(sync.main, *words).out.split()[0] for _ in range(2)]
    assert outs == ["3", "0"]
    runs = runs_in(destination)
    assert len(runs) == 3
    connect(destination.uri).delete_run(runs[0].info.run_id)
    connect(destination.uri).delete_run(runs[1].info.run_id)
    assert command(sync.main, *words).out.split()[0] == "2"


def test_sync_says_when_there_is_nothing_or_no_server(tmp_path: Path, command: Callable[..., Answer]) -> None:
    answer = command(sync.main, f"output.dir={tmp_path / 'none'}")
    assert (answer.code, answer.err) == (
        1,
        f"error: output.dir={tmp_path / 'none'}: there is no such folder; say where the runs are\n",
    )
    recorded(tmp_path / "runs" / "a", None)
    answer = command(sync.main, f"output.dir={tmp_path / 'runs'}", "tracking.uri=http://me:secret@127.0.0.1:9")
    assert answer.code == 1
    assert answer.err.startswith("error: tracking.uri=http://me:***@127.0.0.1:9: the tracking store cannot be opened:")
    assert "secret" not in answer.err


# --- what processes leave that were killed


def test_a_run_whose_process_is_gone_is_closed_and_one_that_lives_is_not(tmp_path: Path) -> None:
    dead, living = recorded(tmp_path / "dead", None, status=""), recorded(tmp_path / "living", None, status="")
    with hold(living.folder):
        assert close_dead(tmp_path) == [dead.folder]
    assert (dead.summary().status, living.summary().status) == ("KILLED", "RUNNING")


def test_a_run_that_is_put_aside_is_closed(tmp_path: Path) -> None:
    record = recorded(tmp_path / "run", None, status="")
    with record.path.open("ab") as file:
        file.write(b'{"event": "me')
    summary = Record(put_aside(record.folder)).summary()
    assert summary is not None
    assert (summary.status, summary.tags["replaced"]) == ("KILLED", "yes")


def test_a_finished_run_belongs_to_every_sweep_that_asked_for_it(tmp_path: Path) -> None:
    record = recorded(tmp_path / "run", None)
    for sweep in ("s1", "s2", "s1", ""):
        adopt(record.folder, sweep)
    tags = [event["tags"] for event, _ in record.events() if event["event"] == "tags"]
    assert tags == [{"colour": "red"}, {"sweep.s1": "yes"}, {"sweep.s2": "yes"}]


def test_a_disk_that_is_full_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = recorded(tmp_path / "run", None, status="")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tl_sweep.tracking.record.os.fsync", full)
    with pytest.raises(JobFailed, match=r"record\.jsonl cannot be written: No space left on device; mend"):
        record.append("end", status="FINISHED")


@pytest.mark.parametrize("rest", [b'{"event": "metrics", "st', b"\0\0\0\0", b""])
def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path, rest: bytes) -> None:
    record = recorded(tmp_path / "run", None, status="")
    with record.path.open("ab") as file:
        file.write(rest)
    assert record.steps() == {0, 1, 2}
    record.mend()
    record.append("metrics", step=3, values={})
    assert record.steps() == {0, 1, 2, 3}


def test_a_clock_that_jumps_back_confuses_nothing(
    tmp_path: Path,
    destination: Destination,
    runs_in: Callable[[Destination], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = time.time()
    times_s = iter([now_s, now_s + 10, now_s - 86400, now_s - 86390, now_s - 86380, now_s - 86370])
    monkeypatch.setattr("tl_sweep.tracking.record.time.time", lambda: next(times_s))
    record = recorded(tmp_path / "run", destination)
    monkeypatch.undo()
    Delivery(record.folder, destination).send()
    (run,) = runs_in(destination)
    assert run.data.metrics["val/acc"] == 0.2
    assert sorted(history(destination.uri, run.info.run_id, "val/acc")) == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_a_run_that_is_put_aside_says_so_in_the_store(
    tmp_path: Path, destination: Destination, runs_in: Callable[[Destination], list[Any]]
) -> None:
    record = recorded(tmp_path / "run", destination)
    Delivery(record.folder, destination).send()
    assert put_aside(record.folder) == tmp_path / "replaced" / "run-1"
    recorded(tmp_path / "run", destination)
    assert put_aside(record.folder) == tmp_path / "replaced" / "run-2"
    send_waiting(tmp_path, destination)
    assert [run.data.tags["replaced"] for run in runs_in(destination)] == ["yes", "yes"]


# --- secrets


def test_no_password_is_written_down(
    tmp_path: Path, make_config: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "http://me:s3cret@127.0.0.1:9"
    config = make_config(epochs=1, data={"shots": 2}, tracking={"uri": uri})
    run_once(config, tmp_path / "run", Position(overrides=(f"tracking.uri={uri}",)))
    said = capsys.readouterr()
    assert "http://me:***@127.0.0.1:9" in said.err
    assert "s3cret" not in said.out + said.err
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(written) > 8
    assert [path.name for path in written if b"s3cret" in path.read_bytes()] == []
