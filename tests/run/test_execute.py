"""A run that is asked to stop after some epochs is paused, and goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tl_sweep.config.schema import Config
from tl_sweep.run.context import Paused, Position
from tl_sweep.run.execute import run_once
from tl_sweep.tracking.names import MEASURED, Tag
from tl_sweep.tracking.record import STATE, Record, metric_lines
from tl_sweep.tracking.store import runs_of_sweep

MakeConfig = Callable[..., Config]
ONE = Position(stop_after=1, key="0123", sweep_id="sfirst")


@pytest.fixture(params=["none", "gradual"])
def config(make_config: MakeConfig, request: pytest.FixtureRequest) -> Config:
    epochs = {"none": 3, "gradual": 6}[request.param]
    return make_config({"freeze": request.param}, epochs=epochs, tracking={"uri": None})


def results(folder: Path) -> list[dict[str, float]]:
    return [{n: v for n, v in line.items() if not n.startswith(MEASURED)} for line in metric_lines(folder)]


def test_paused_and_continued_is_bit_for_bit_what_is_not_paused(config: Config, tmp_path: Path) -> None:
    run_once(config, tmp_path / "whole", Position())
    paused = run_once(config, tmp_path / "paused", ONE)
    assert isinstance(paused, Paused)
    assert paused.reason == f"after 1 of {config.epochs} epochs (hydra.sweeper.stop_after=1)"
    assert paused == metric_lines(tmp_path / "whole")[0]["val/acc"]
    run_once(config, tmp_path / "paused", Position(stop_after=2))
    run_once(config, tmp_path / "paused", Position())
    assert results(tmp_path / "paused") == results(tmp_path / "whole")
    expected, found = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "paused"))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_its_state_is_kept_however_short_its_epochs(config: Config, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tl_sweep.training.resume.SHARE", 0.0)
    run_once(config, tmp_path / "run", Position(stop_after=2))
    assert max(path.name[:12] for path in (tmp_path / "run" / STATE).glob("epoch-*")) == "epoch-000002"


def test_what_has_had_its_epochs_pauses_at_once(config: Config, tmp_path: Path) -> None:
    first, second = (run_once(config, tmp_path / "run", Position(stop_after=epochs)) for epochs in (2, 1))
    assert first == second
    assert [line["step"] for line in metric_lines(tmp_path / "run")] == [0, 1]


def test_a_schedule_that_has_no_more_epochs_is_finished(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(epochs=2, tracking={"uri": None})
    assert not isinstance(run_once(config, tmp_path / "run", Position(stop_after=2)), Paused)
    assert Record(tmp_path / "run").summary().status == "FINISHED"


def test_a_head_that_is_solved_has_no_epoch_to_stop_after(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config({"freeze": "all"}, epochs=3, tracking={"uri": None})
    assert not isinstance(run_once(config, tmp_path / "run", ONE), Paused)


def test_record_and_store_say_that_it_is_paused_and_why_and_then_that_it_is_not(
    make_config: MakeConfig, store_uri: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = make_config(epochs=2, tracking={"uri": store_uri, "experiment": request.node.name})
    why = "after 1 of 2 epochs (hydra.sweeper.stop_after=1)"
    run_once(config, tmp_path / "run", ONE)
    (stored,) = runs_of_sweep(store_uri, request.node.name, "sfirst")
    for run in (Record(tmp_path / "run").summary(), stored):
        assert (run.status, run.tags[Tag.PAUSED], run.tags[Tag.KEY]) == ("PAUSED", why, "0123")
    run_once(config, tmp_path / "run", Position(sweep_id="sfirst"))
    (stored,) = runs_of_sweep(store_uri, request.node.name, "sfirst")
    for run in (Record(tmp_path / "run").summary(), stored):
        assert (run.status, run.tags[Tag.PAUSED]) == ("FINISHED", "")
