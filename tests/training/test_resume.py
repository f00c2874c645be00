"""Runs that were cut short go on and end as if nothing had happened: same weights, same curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from configs import assembled
from safetensors.torch import load_file

from tl_sweep.base.errors import JobFailed
from tl_sweep.config.schema import Config
from tl_sweep.run.context import Position
from tl_sweep.run.execute import run_once
from tl_sweep.tracking.record import STATE, Record, metric_lines
from tl_sweep.training import resume
from tl_sweep.training.loop import fit
from tl_sweep.training.resume import Checkpoints, put_back, snapshot
from tl_sweep.training.state import EpochRecord, Setup, TrainState

MakeConfig = Callable[..., Config]
TIMED = ("images_per_s", "seconds", "peak_memory_mb", "cache/")

RUNS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "none": ({"freeze": "none"}, {}),
    "early": ({"freeze": "early"}, {}),
    "all, solved": ({"freeze": "all"}, {}),
    "all, by steps": ({"freeze": "all", "optim": "sgd"}, {}),
    "scratch": ({"freeze": "scratch"}, {"model": {"weights": None}}),
    "lp_ft": ({"freeze": "lp_ft"}, {"epochs": 4}),
    "gradual": ({"freeze": "gradual"}, {"epochs": 6}),
    "bn_only": ({"freeze": "bn_only"}, {}),
    "average of weights": ({"freeze": "none"}, {"optim": {"ema_decay": 0.9}}),
    "momentum, dropout": ({"freeze": "none", "optim": "sgd"}, {"model": {"dropout": 0.5, "weights": "letters"}}),
    "mixed images": ({"freeze": "none"}, {"augment": {"mixup": 0.5}}),
    "patience": ({"freeze": "none"}, {"data": {"shots": None, "fraction": 1.0}, "patience": 1}),
}


QUICK = ("early", "all, solved", "lp_ft", "average of weights", "momentum, dropout")


@pytest.fixture(
    params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in RUNS], ids=list(RUNS)
)
def config(make_config: MakeConfig, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(resume, "SHARE", 1e9)  # keep every state, however short the epochs
    options, values = RUNS[request.param]
    base: dict[str, Any] = {"epochs": 3, "model": {"weights": "letters"}, "tracking": {"uri": None}}
    return make_config(options, **{**base, **values})


def without_times(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if not name.startswith(TIMED)} for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint.safetensors")


def stop_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run is stopped when it has told of so many epochs."""

    def few(state: TrainState, setup: Setup) -> Iterator[EpochRecord]:
        for number, record in enumerate(fit(state, setup)):
            if number == epochs:
                raise KeyboardInterrupt
            yield record

    monkeypatch.setattr("tl_sweep.training.loop.fit", few)


def test_a_run_that_is_stopped_after_each_epoch_ends_like_one_that_is_not(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    position = Position(started_at_s=0.0)
    run_once(config, whole, position)
    stops = 0
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        while True:
            try:
                run_once(config, pieces, position)
                break
            except KeyboardInterrupt:
                stops += 1
    assert (
        stops == len(metric_lines(whole)) - 2
    )  # the last attempt trains the last epoch and ends; one line is the test's
    assert without_times(metric_lines(pieces)) == without_times(metric_lines(whole))
    expected, found = weights(whole), weights(pieces)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert not list((pieces / STATE).glob("epoch-*"))


@pytest.fixture
def plain(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(resume, "SHARE", 1e9)
    return make_config(epochs=4, tracking={"uri": None})


ALONE = Position()


def begun(
    config: Config, folder: Path, epochs: int, monkeypatch: pytest.MonkeyPatch, position: Position = ALONE
) -> None:
    """A run that was stopped after so many epochs."""
    with monkeypatch.context() as patch:
        stop_after(epochs, patch)
        with pytest.raises(KeyboardInterrupt):
            run_once(config, folder, position)


def steps_trained(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, position: Position = ALONE) -> int:
    """Epochs that going on with the run trains."""
    trained = 0

    def counted(*arguments: Any) -> Any:
        nonlocal trained
        trained += 1
        return original(*arguments)

    from tl_sweep.training import loop

    original = loop.train_epoch
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", counted)
        run_once(config, folder, position)
    return trained


def test_two_states_are_kept(plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(plain, tmp_path / "run", 3, monkeypatch)
    names = sorted(path.name[:12] for path in (tmp_path / "run" / STATE).iterdir() if path.suffix == ".pt")
    assert names == ["epoch-000002", "epoch-000003"]


def test_a_finished_run_leaves_no_state_of_a_killed_writer(tmp_path: Path) -> None:
    other = tmp_path / ".sent-1234.json.0123abcd.partial"  # may be being written
    for path in (tmp_path / "epoch-000001-00.pt", tmp_path / ".epoch-000002-00.pt.0123abcd.partial", other):
        path.touch()
    Checkpoints(tmp_path).remove()
    assert list(tmp_path.iterdir()) == [other]


def test_only_what_is_missing_is_trained(plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(plain, tmp_path / "run", 3, monkeypatch)
    assert steps_trained(plain, tmp_path / "run", monkeypatch) == 1


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_a_damaged_state_gives_way_to_the_one_before(
    plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    run_once(plain, tmp_path / "whole", Position())
    begun(plain, tmp_path / "run", 3, monkeypatch)
    newest = max((tmp_path / "run" / STATE).glob("epoch-*"))
    content = newest.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    newest.write_bytes({"truncated": content[:middle], "changed": changed, "empty": b""}[damage])
    assert steps_trained(plain, tmp_path / "run", monkeypatch) == 2
    assert f"{newest} is damaged: taking the state before it" in (tmp_path / "run" / "run.log").read_text()
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_without_a_whole_state_a_run_starts_from_the_beginning(
    plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(plain, tmp_path / "run", 3, monkeypatch)
    for path in (tmp_path / "run" / STATE).glob("epoch-*"):
        path.write_bytes(b"")
    assert steps_trained(plain, tmp_path / "run", monkeypatch) == 4
    assert [line["step"] for line in metric_lines(tmp_path / "run")] == [0, 1, 2, 3, 4]


def test_a_state_that_cannot_be_written_fails_the_run_and_leaves_the_one_before(
    plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(plain, tmp_path / "run", 2, monkeypatch)
    before = sorted((tmp_path / "run" / STATE).glob("epoch-*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_write", full)
        with pytest.raises(JobFailed, match="the state after epoch 3 cannot be written: No space left on device; the"):
            run_once(plain, tmp_path / "run", Position())
    assert sorted((tmp_path / "run" / STATE).glob("epoch-*")) == before
    assert steps_trained(plain, tmp_path / "run", monkeypatch) == 2


def test_very_short_epochs_are_not_kept_one_by_one(make_config: MakeConfig, tmp_path: Path) -> None:
    run = assembled(make_config(epochs=1))
    for _ in fit(run.state, run.setup):
        pass
    checkpoints = Checkpoints(tmp_path)
    checkpoints.saved_s -= 1
    checkpoints.save(run.state, run.setup, 0.0)
    assert len(list(tmp_path.iterdir())) == 1
    run.state.epoch += 1
    checkpoints.cost_s = 1.0  # a state that takes a second is not written every second
    checkpoints.save(run.state, run.setup, 0.0)
    assert len(list(tmp_path.iterdir())) == 1
    checkpoints.saved_s -= 1 / resume.SHARE
    checkpoints.save(run.state, run.setup, 0.0)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_snapshot_put_back_is_the_same_snapshot(config: Config) -> None:
    run, fresh = assembled(config), assembled(config)
    next(iter(fit(run.state, run.setup)))
    saved = snapshot(run.state, run.setup)
    put_back(fresh.state, fresh.setup, saved)
    again = snapshot(fresh.state, fresh.setup)
    assert {name: again[name] for name in resume.COUNTERS} == {name: saved[name] for name in resume.COUNTERS}
    assert all(torch.equal(again["tensors"][name], tensor) for name, tensor in saved["tensors"].items())


# --- what resume= says


def ids(folder: Path) -> list[str]:
    """The run's own id at each of its attempts."""
    return [event["id"] for event, _ in Record(folder).events() if event["event"] == "start"]


@pytest.mark.parametrize(
    ("resume", "ended_well", "trained"),
    [
        ("auto", True, 0),
        ("auto", False, 2),
        ("never", True, 0),
        ("never", False, 4),
        ("force", True, 4),
        ("force", False, 4),
    ],
)
def test_what_is_done_again(
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plain: Config,
    resume: str,
    ended_well: bool,
    trained: int,
) -> None:
    if ended_well:
        run_once(plain, tmp_path / "run", Position())
    else:
        begun(plain, tmp_path / "run", 2, monkeypatch)
    (first,) = ids(tmp_path / "run")
    config = make_config(epochs=4, tracking={"uri": None}, resume=resume)
    trained_now = 0
    from tl_sweep.training import loop

    original = loop.train_epoch

    def counted(*arguments: Any) -> Any:
        nonlocal trained_now
        trained_now += 1
        return original(*arguments)

    monkeypatch.setattr(loop, "train_epoch", counted)
    run_once(config, tmp_path / "run", Position(started_at_s=2e12))
    assert trained_now == trained
    assert Record(tmp_path / "run").summary().status == "FINISHED"
    assert (ids(tmp_path / "run")[-1] == first) is (trained != 4)
    assert (tmp_path / "replaced").exists() is (trained == 4)


def test_what_this_very_command_began_is_not_started_over(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Config
) -> None:
    ours = Position(started_at_s=1.5, sweep_id="s1")
    begun(plain, tmp_path / "run", 3, monkeypatch, ours)
    config = make_config(epochs=4, tracking={"uri": None}, resume="force")
    assert steps_trained(config, tmp_path / "run", monkeypatch, ours) == 1


@pytest.mark.parametrize(
    "later", [Position(started_at_s=2.5, sweep_id="s1"), Position(started_at_s=1.5, sweep_id="s2"), Position()]
)
def test_another_command_starts_over_whatever_the_clock_said(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Config, later: Position
) -> None:
    """The run of an earlier command is recorded as begun now, which is after ``later`` began by its own clock."""
    begun(plain, tmp_path / "run", 3, monkeypatch, Position(started_at_s=1.5, sweep_id="s1"))
    config = make_config(epochs=4, tracking={"uri": None}, resume="force")
    assert steps_trained(config, tmp_path / "run", monkeypatch, later) == 4


def test_a_failed_run_is_tried_again_and_forgets_why_it_failed(
    plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise JobFailed("out of ideas")

    with monkeypatch.context() as patch:
        patch.setattr("tl_sweep.run.outcome.test_and_save", broken)
        with pytest.raises(JobFailed):
            run_once(plain, tmp_path / "run", Position())
    failed = Record(tmp_path / "run").summary()
    assert (failed.status, failed.tags["error"]) == ("FAILED", "out of ideas")
    run_once(plain, tmp_path / "run", Position())
    ended = Record(tmp_path / "run").summary()
    assert (ended.status, ended.tags["error"]) == ("FINISHED", "")


def test_test_predictions_are_made_once(plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("tl_sweep.run.outcome.save_checkpoint", broken)
        with pytest.raises(KeyboardInterrupt):
            run_once(plain, folder, Position())
    made_ns = (folder / "predictions.parquet").stat().st_mtime_ns
    run_once(plain, folder, Position())
    assert (folder / "predictions.parquet").stat().st_mtime_ns == made_ns
    run_once(plain, tmp_path / "other", Position())
    assert without_times(metric_lines(folder)) == without_times(metric_lines(tmp_path / "other"))


def test_of_many_classes_a_run_that_was_cut_short_after_its_test_has_equal_metrics(
    plain: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the largest probabilities were written down: the network is asked again."""

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    run_once(plain, tmp_path / "other", Position())
    monkeypatch.setattr("tl_sweep.tracking.predictions.MANY_CLASSES", 5)
    with monkeypatch.context() as patch:
        patch.setattr("tl_sweep.run.outcome.save_checkpoint", broken)
        with pytest.raises(KeyboardInterrupt):
            run_once(plain, tmp_path / "run", Position())
    run_once(plain, tmp_path / "run", Position())
    assert "top" in pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert without_times(metric_lines(tmp_path / "run")) == without_times(metric_lines(tmp_path / "other"))
