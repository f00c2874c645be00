"""A scheduler's trials as jobs of Hydra's: what is handed to the launcher, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hydra.core.utils import JobReturn, JobStatus

from tl_sweep.base.errors import JobFailed
from tl_sweep.run.context import Paused
from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import Result, Trial
from tl_sweep.tracking.names import Metric

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]


@dataclass
class Trials:
    """Evaluates trials by ``launch``, a launcher's method. returns: the last one of each job, by its key."""

    launch: Launch
    sweep: str
    started_at_s: float
    returns: dict[str, JobReturn] = field(default_factory=dict)
    num_launched: int = 0

    def evaluate(self, trials: Sequence[Trial]) -> list[Result]:
        if not trials:
            return []
        first, self.num_launched = self.num_launched, self.num_launched + len(trials)
        returns = self.launch([[*trial.job.overrides, *self._where(trial)] for trial in trials], first)
        self.returns |= {trial.job.key: returned for trial, returned in zip(trials, returns, strict=True)}
        return [result_of(trial.job, returned) for trial, returned in zip(trials, returns, strict=True)]

    def _where(self, trial: Trial) -> list[str]:
        """Where the job stands and what was checked, as overrides, which reach it through any launcher."""
        return [
            f"hydra.sweeper.sweep_id={self.sweep}",
            f"hydra.sweeper.num_jobs={self.num_launched}",
            f"hydra.sweeper.started_at_s={self.started_at_s}",
            f"hydra.sweeper.key='{trial.job.identity.key}'",  # in quotes: 12e45 would be a number
            f"hydra.sweeper.digests='{trial.job.identity.digests}'",
            f"hydra.sweeper.stop_after={'null' if trial.stop_after is None else trial.stop_after}",
        ]


def result_of(job: Job, returned: JobReturn) -> Result:
    """What a job's return means."""
    if returned.status != JobStatus.COMPLETED:
        error = returned._return_value
        reason = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"
        return Result(job, "FAILED", math.nan, reason)
    if isinstance(returned.return_value, Paused):
        return Result(job, "PAUSED", float(returned.return_value), returned.return_value.reason)
    return Result(job, "FINISHED", returned.return_value)


def return_of(job: Job, returns: dict[str, JobReturn]) -> JobReturn:
    """What Hydra gets for a job: its last trial's return, or what it would have got where the job finished before."""
    if job.key in returns:
        return returns[job.key]
    returned = JobReturn(overrides=job.overrides)
    if job.record is not None and job.status == "FINISHED":
        returned.status = JobStatus.COMPLETED
        returned.return_value = job.record.metrics[Metric.BEST_VAL_ACC]
    return returned
