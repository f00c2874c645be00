"""What was chosen, on fresh seeds: real runs of a tiny network."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Answer

from tl_sweep import confirm, train
from tl_sweep.tracking.record import Record, folders_in

Command = Callable[..., Answer]
TINY = ("model.weights=null", "data.shots=2", "epochs=1", "threads=1", "num_workers=1")
HERE = ("tracking.uri=null",)


@pytest.fixture
def sweep(command: Command) -> Answer:
    words = ("freeze=none,scratch", "optim.lr_scale=1,3", "seed=0,1,2", "hydra/launcher=basic")
    return command(train.main, "-m", *TINY, *HERE, *words)


def seeds_by_strategy() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for folder in folders_in(Path("runs")):
        record = Record(folder).summary()
        assert record is not None
        found.setdefault(record.params["freeze.name"], set()).add(record.params["seed"])
    return found


def test_the_best_row_and_its_baseline_are_trained_on_fresh_seeds_and_compared_alone(
    command: Command, sweep: Answer
) -> None:
    assert sweep.code == 0, sweep.err
    before = len(folders_in(Path("runs")))
    answer = command(confirm.main, "seeds=3", *HERE)
    assert answer.code == 0, answer.err
    commands = [line.strip() for line in answer.out.splitlines() if line.startswith("    python -m tl_sweep.train")]
    assert all(shlex.split(line)[-2:] == ["seed=3,4,5", "planned_seeds=3"] for line in commands[:1])
    trained = len(folders_in(Path("runs"))) - before
    assert trained in (3, 6)  # where scratch is the best of its task, it has nothing to beat
    assert all(seeds >= {"0", "1", "2"} for seeds in seeds_by_strategy().values())
    assert {seed for seeds in seeds_by_strategy().values() for seed in seeds} == set("012345")
    assert "of the runs with seed=3,4,5 alone" in answer.out
    assert answer.out.endswith("/runs/report.html\n")


def test_what_it_would_take_starts_nothing(command: Command, sweep: Answer) -> None:
    before = sorted(Path("runs").iterdir())
    answer = command(confirm.main, "seeds=4", "plan=true", *HERE)
    assert answer.code == 0, answer.err
    assert "seed=3,4,5,6 planned_seeds=4" in answer.out
    assert sorted(Path("runs").iterdir()) == before


def test_without_runs_there_is_nothing_to_confirm(command: Command) -> None:
    answer = command(confirm.main, *HERE)
    assert answer.code == 1
    assert "no runs are recorded there" in answer.err


def test_fewer_than_three_seeds_confirm_nothing(command: Command) -> None:
    answer = command(confirm.main, "seeds=2", *HERE)
    assert answer.code == 1
    assert "seeds=2" in answer.err
