"""A scheduler from outside the package: stops each job after one epoch, then lets the best one go on to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from commands import Answer
from scheduler_contract import SchedulerContract

from tl_sweep import compare, plan, train
from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import SCHEDULERS, Evaluate, Result, Scheduler, Trial
from tl_sweep.tracking.record import Record, folders_in, metric_lines

TINY = (
    "hydra/launcher=basic",
    "model.weights=null",
    "data.image_size=16",
    "data.shots=2",
    "epochs=3",
    "threads=1",
    "num_workers=1",
)
QUIET = ("tracking.uri=null", "freeze=none", "seed=0,1")
PAUSED = "after 1 of 3 epochs (hydra.sweeper.stop_after=1)"


class OneEpoch:
    def run(self, jobs: Sequence[Job], evaluate: Evaluate) -> list[Result]:
        return evaluate([Trial(job, stop_after=1) for job in jobs])


class BestOfOneEpoch:
    def run(self, jobs: Sequence[Job], evaluate: Evaluate) -> list[Result]:
        first = evaluate([Trial(job, stop_after=1) for job in jobs])
        best = max(first, key=lambda result: (result.status != "FAILED", result.val_acc))
        others = [result for result in first if result is not best]
        return others + (evaluate([Trial(best.job)]) if best.status == "PAUSED" else [best])


class Picky:
    """Runs the first job alone."""

    def run(self, jobs: Sequence[Job], evaluate: Evaluate) -> list[Result]:
        skipped = [Result(job, "SKIPPED", float("nan"), "one is enough") for job in jobs[1:]]
        return evaluate([Trial(jobs[0])]) + skipped


class Forgetful:
    def run(self, jobs: Sequence[Job], evaluate: Evaluate) -> list[Result]:
        return evaluate([Trial(jobs[0])])


OWN: dict[str, Callable[[], Scheduler]] = {
    "one_epoch": OneEpoch,
    "best_of_one_epoch": BestOfOneEpoch,
    "picky": Picky,
    "forgetful": Forgetful,
}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for name, scheduler in OWN.items():
        SCHEDULERS.register(name, scheduler)
    yield
    for name in OWN:
        SCHEDULERS.unregister(name)


class TestOneEpoch(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return OneEpoch()


class TestBestOfOneEpoch(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return BestOfOneEpoch()


class TestPicky(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return Picky()


def steps() -> list[list[float]]:
    return sorted([line["step"] for line in metric_lines(folder)] for folder in folders_in(Path("runs")))


def test_each_job_of_a_sweep_stops_after_one_epoch_and_goes_on_later(command: Callable[..., Answer]) -> None:
    answer = command(train.main, "-m", *TINY, *QUIET, "hydra.sweeper.search=one_epoch")
    assert (answer.code, answer.err) == (0, "")
    assert steps() == [[0], [0]]
    first, _ = (line for line in answer.out.splitlines() if line.startswith("["))
    assert " s0: val 0." in first
    assert f", paused {PAUSED}; about" in first
    assert "0 of 2 jobs finished" in answer.out
    assert "0 failed; 2 paused; sweep s" in answer.out
    assert {Record(folder).summary().status for folder in folders_in(Path("runs"))} == {"PAUSED"}
    listed = command(plan.main, *TINY, *QUIET, "jobs=true")
    assert "2 of 2 jobs to run" in listed.out
    assert listed.out.count(f"paused {PAUSED}") == 2
    compared = command(compare.main, "tracking.uri=null")
    for run in folders_in(Path("runs")):
        assert f"{run.name} ({PAUSED})" in compared.out + compared.err
    assert "not finished: paused" in compared.out + compared.err
    answer = command(train.main, "-m", *TINY, *QUIET)
    assert "grid: 2 jobs, 2 paused, to go on" in answer.out
    assert "2 of 2 jobs finished in" in answer.out
    assert steps() == [[0, 1, 2, 3]] * 2


def test_a_scheduler_may_go_on_with_what_it_paused(command: Callable[..., Answer]) -> None:
    answer = command(train.main, "-m", *TINY, *QUIET, "hydra.sweeper.search=best_of_one_epoch", "resume=force")
    assert "1 of 2 jobs finished in" in answer.out
    assert "0 failed; 1 paused; sweep s" in answer.out
    assert steps() == [[0], [0, 1, 2, 3]]
    assert [line[:5] for line in answer.out.splitlines() if line.startswith("[")] == ["[1/2]", "[2/2]", "[3/3]"]


def test_a_skipped_job_is_told_with_its_reason(command: Callable[..., Answer]) -> None:
    answer = command(train.main, "-m", *TINY, *QUIET, "hydra.sweeper.search=picky")
    assert answer.code == 0
    assert "1 of 2 jobs finished in" in answer.out
    assert "0 failed; 1 skipped; sweep s" in answer.out
    assert "left out: skipped: one is enough: " in answer.out


def test_a_scheduler_that_loses_a_job_is_told_so(command: Callable[..., Answer]) -> None:
    answer = command(train.main, "-m", *TINY, *QUIET, "hydra.sweeper.search=forgetful")
    assert answer.code == 1
    assert answer.err == (
        "error: hydra.sweeper.search=forgetful: a scheduler owes one result per job, and gave 1 for 2 jobs; what was "
        "run is kept, and the same command goes on\n"
    )


def test_an_unknown_scheduler_is_refused_before_anything_else(command: Callable[..., Answer]) -> None:
    answer = command(train.main, "-m", *TINY, *QUIET, "hydra.sweeper.search=whole_gird")
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.startswith("error: hydra.sweeper.search=whole_gird: there is none of that name; did you mean ")
    assert not Path("runs").exists()
