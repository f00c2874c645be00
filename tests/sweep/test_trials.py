"""What goes to a launcher with each job, and what its return means."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from configs import config_in
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from tl_sweep.base.errors import JobFailed, UserError
from tl_sweep.run.context import Paused
from tl_sweep.run.identity import Identity
from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import Result, Trial
from tl_sweep.sweep.trials import Trials, result_of


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(["seed=0"], config_in(tmp_path, None), Identity("12e4567890123456", "1234567890123456"))


def returned(value: object) -> JobReturn:
    failed = isinstance(value, Exception)
    result = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
    result.return_value = value
    return result


def test_where_it_stands_and_what_was_checked_reach_the_job_whatever_their_digits(job: Job) -> None:
    launched: list[tuple[int, list[list[str]]]] = []

    def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        launched.append((first, [list(words) for words in overrides]))
        return [returned(0.5) for _ in overrides]

    trials = Trials(launch, "sabc", 12.5)
    trials.evaluate([Trial(job, stop_after=2)])
    trials.evaluate([Trial(job)])
    assert [first for first, _ in launched] == [0, 1]
    (first,), (second,) = (
        [{o.key_or_group: o.value() for o in OverridesParser.create().parse_overrides(words)} for words in overrides]
        for _, overrides in launched
    )
    assert first == {
        "seed": 0,
        "hydra.sweeper.sweep_id": "sabc",
        "hydra.sweeper.num_jobs": 1,
        "hydra.sweeper.started_at_s": 12.5,
        "hydra.sweeper.key": "12e4567890123456",
        "hydra.sweeper.digests": "1234567890123456",
        "hydra.sweeper.stop_after": 2,
    }
    assert second == first | {"hydra.sweeper.num_jobs": 2, "hydra.sweeper.stop_after": None}


def test_nothing_is_launched_for_no_trials() -> None:
    assert Trials(lambda overrides, first: [], "sabc", 0.0).evaluate([]) == []


def test_results(job: Job) -> None:
    assert result_of(job, returned(0.5)) == Result(job, "FINISHED", 0.5)
    sent = pickle.loads(pickle.dumps(Paused(0.25, "after one")))  # as from another process
    assert result_of(job, returned(sent)) == Result(job, "PAUSED", 0.25, "after one")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (JobFailed("diverged"), "diverged"),
        (UserError("no data"), "UserError: no data"),
        (OSError("x"), "OSError: x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_its_reason(job: Job, error: Exception, reason: str) -> None:
    result = result_of(job, returned(error))
    assert (result.status, result.reason) == ("FAILED", reason)
    assert math.isnan(result.val_acc)
