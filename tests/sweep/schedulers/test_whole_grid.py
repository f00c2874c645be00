"""The whole grid, as every scheduler and in particular."""

from __future__ import annotations

import pytest
from scheduler_contract import Evaluation, SchedulerContract

from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import SCHEDULERS, Scheduler


class TestWholeGrid(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return SCHEDULERS["whole_grid"]()

    def test_every_job_is_run_to_its_end_in_one_call(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        evaluation = Evaluation(jobs)
        assert {result.status for result in scheduler.run(jobs, evaluation)} == {"FINISHED"}
        assert [[(trial.job, trial.stop_after) for trial in call] for call in evaluation.calls] == [
            [(job, None) for job in jobs]
        ]
