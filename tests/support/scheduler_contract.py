"""What every scheduler keeps to: a test class that each one's own tests inherit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from configs import config_in

from tl_sweep.run.identity import Identity
from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import Result, Scheduler, Trial

EPOCHS = 3
STATES = {"FINISHED", "PAUSED", "FAILED", "SKIPPED"}


class Evaluation:
    """Answers trials as a sweep does, without training: a job's accuracy follows from its place and its epochs."""

    def __init__(self, jobs: Sequence[Job], failing: Sequence[str] = ()) -> None:
        self.accuracy = {job.key: 0.5 + 0.01 * place for place, job in enumerate(jobs)}
        self.failing = failing
        self.had = dict.fromkeys(self.accuracy, 0)
        self.calls: list[list[Trial]] = []

    def __call__(self, trials: Sequence[Trial]) -> list[Result]:
        self.calls.append(list(trials))
        return [self._result(trial) for trial in trials]

    def _result(self, trial: Trial) -> Result:
        key = trial.job.key
        if key in self.failing:
            return Result(trial.job, "FAILED", math.nan, "it diverged")
        self.had[key] = max(self.had[key], min(EPOCHS, trial.stop_after or EPOCHS))
        status = "FINISHED" if self.had[key] == EPOCHS else "PAUSED"
        return Result(trial.job, status, self.accuracy[key] - 0.1 / self.had[key])

    @property
    def order(self) -> list[tuple[str, int | None]]:
        return [(trial.job.key, trial.stop_after) for call in self.calls for trial in call]


class SchedulerContract:
    """Inherit it, and give the fixture ``scheduler``."""

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        raise NotImplementedError

    @pytest.fixture
    def jobs(self, tmp_path: Path) -> list[Job]:
        """Two strategies, three seeds."""
        choices = [(freeze, seed) for freeze in ("none", "early") for seed in range(3)]
        return [
            Job(
                [f"freeze={freeze}", f"seed={seed}"],
                config_in(tmp_path, None, {"freeze": freeze}, seed=seed, epochs=EPOCHS),
                Identity(f"{place:016x}", ""),
            )
            for place, (freeze, seed) in enumerate(choices)
        ]

    def test_every_job_has_one_result(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        results = scheduler.run(jobs, Evaluation(jobs))
        assert sorted(result.job.key for result in results) == [job.key for job in jobs]
        assert {result.status for result in results} <= STATES

    def test_results_are_what_evaluating_gave_last(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        evaluation = Evaluation(jobs)
        for result in scheduler.run(jobs, evaluation):
            trials = [trial for call in evaluation.calls for trial in call if trial.job.key == result.job.key]
            assert (result.status == "SKIPPED") == (not trials)
            if trials:
                assert (result.status == "FINISHED") == (evaluation.had[result.job.key] == EPOCHS)

    def test_what_is_skipped_or_paused_has_a_known_reason(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        results = scheduler.run(jobs, Evaluation(jobs))
        assert [result for result in results if result.status == "SKIPPED" and not result.reason] == []

    def test_a_job_is_evaluated_at_most_once_per_budget(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        evaluation = Evaluation(jobs)
        scheduler.run(jobs, evaluation)
        assert max(Counter(evaluation.order).values()) == 1
        for call in evaluation.calls:  # side by side, two of one job would wait for each other
            assert len({trial.job.key for trial in call}) == len(call)

    def test_a_job_gets_more_epochs_each_time(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        evaluation = Evaluation(jobs)
        scheduler.run(jobs, evaluation)
        for job in jobs:
            budgets = [math.inf if limit is None else limit for key, limit in evaluation.order if key == job.key]
            assert budgets == sorted(set(budgets))
            assert all(budget >= 1 for budget in budgets)

    def test_the_order_is_the_same_each_time(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        first, second = Evaluation(jobs), Evaluation(jobs)
        scheduler.run(jobs, first)
        type(scheduler)().run(jobs, second)
        assert first.calls == second.calls

    @pytest.mark.parametrize("count", [1, 3, 6])
    def test_jobs_that_fail_cost_no_other_its_result(self, scheduler: Scheduler, jobs: list[Job], count: int) -> None:
        failing = [job.key for job in jobs[:count]]
        results = {result.job.key: result for result in scheduler.run(jobs, Evaluation(jobs, failing))}
        assert results.keys() == {job.key for job in jobs}
        for key, result in results.items():
            assert result.status in ({"FAILED", "SKIPPED"} if key in failing else STATES - {"FAILED"})

    def test_one_job_is_a_sweep_too(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        assert len(scheduler.run(jobs[:1], Evaluation(jobs[:1]))) == 1
