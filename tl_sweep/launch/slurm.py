"""Jobs as array tasks of SLURM's, by submitit: killed or lost ones are submitted again, those that run out of time go
on from their last epoch.

submitit submits and brings the results; which jobs are still there is asked of ``squeue``, which knows of suspended and
requeued ones, and needs no accounting.
"""

from __future__ import annotations

import re
import subprocess
import time
import uuid
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import local_path
from tl_sweep.launch.engine import Work, run_here, run_remotely
from tl_sweep.launch.job import Failure, JobSpec, Success
from tl_sweep.launch.settings import SlurmConfig

LOOK_EVERY_S = 1.0
ASK_EVERY_S = 15.0  # the queue; clusters dislike being asked more often
GONE_AFTER = 2  # times that the queue did not have a job whose result is not there: a shared disk may be late
MOST_PER_ARRAY = 1000  # SLURM's own limit is 1,001 unless it is configured
STOP_WITHIN_S = 60.0


def run_in_queue(specs: Sequence[JobSpec], settings: SlurmConfig) -> list[JobReturn]:
    """Every job as one task of an array; returns their results in the order of ``specs``.

    Raises:
        UserError: submitit is not installed, this machine is not part of a SLURM cluster, or SLURM refuses the jobs.
        KeyboardInterrupt: once the running jobs have been asked to stop.
    """
    engine = SlurmEngine(settings)
    return run_remotely(specs, engine, settings.env_set, settings.cpus_per_task, settings.max_retries)


class Attempt:
    """What runs on a node. Called again by submitit, with the same arguments, after it was requeued."""

    def __call__(self, work: Work) -> Success | Failure:
        return run_here(work)

    def checkpoint(self, work: Work) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, work)


class SlurmEngine:
    """A handle is submitit's job. All jobs of a sweep have one name, by which the queue is asked."""

    def __init__(self, settings: SlurmConfig) -> None:
        try:
            import submitit
        except ImportError as error:
            hint = "submitit is not installed; pip install 'tl-sweep[slurm]'"
            raise UserError(f"hydra/launcher=submitit_slurm: {hint}") from error
        folder = local_path(settings.submitit_folder).absolute()
        try:
            self.executor = submitit.SlurmExecutor(folder, max_num_timeout=settings.max_num_timeout)
        except RuntimeError as error:  # there is no srun
            raise UserError(f"hydra/launcher=submitit_slurm: {error}") from error
        self.name = f"{settings.name}-{uuid.uuid4().hex[:8]}"
        self.executor.update_parameters(**_parameters(settings, self.name))
        self.missed: dict[str, int] = {}
        self.asked_s = time.monotonic()

    def submit(self, works: Sequence[Work]) -> list[Any]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        parts = [works[first : first + MOST_PER_ARRAY] for first in range(0, len(works), MOST_PER_ARRAY)]
        try:
            return [job for part in parts for job in self.executor.map_array(Attempt(), part)]
        except (FailedJobError, FailedSubmissionError) as error:
            raise UserError(f"hydra/launcher=submitit_slurm: SLURM refused the jobs: {error}") from error

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        ended = [job for job in handles if job.paths.result_pickle.exists()]
        if not ended and time.monotonic() - self.asked_s > ASK_EVERY_S:
            self.asked_s = time.monotonic()
            queued = self._queued()
            if queued is not None:
                for job in handles:
                    self.missed[job.job_id] = 0 if job.job_id in queued else self.missed.get(job.job_id, 0) + 1
                ended = [job for job in handles if self.missed[job.job_id] >= GONE_AFTER]
        if not ended:
            time.sleep(LOOK_EVERY_S)
        return ended

    def outcome(self, handle: Any) -> tuple[Success | Failure, bool]:
        if handle.paths.result_pickle.exists():
            error = handle.exception()
            if error is not None:  # what went wrong around the job, in submitit's words
                return Failure(f"{error}; its log: {handle.paths.stderr}"), False
            outcome: Success | Failure = handle.result()
            return outcome, False
        state = _state_of(handle.job_id)
        return Failure(f"was ended by SLURM ({state}); its log: {handle.paths.stderr}"), state != "CANCELLED"

    def said(self, handle: Any) -> list[str]:
        return [line for line in (handle.stdout() or "").splitlines() if not line.startswith("submitit ")]

    def stop(self) -> None:
        subprocess.run(["scancel", "--me", f"--name={self.name}"], check=False)  # SIGTERM; SIGKILL after a while
        deadline_s = time.monotonic() + STOP_WITHIN_S
        while self._queued() != set() and time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_S)

    def _queued(self) -> set[str] | None:
        """Ids of the jobs that wait, run, are suspended or about to end; None where SLURM does not answer."""
        command = ["squeue", "--noheader", "--me", f"--name={self.name}", "--array", "--format=%F %K %A"]
        answer = subprocess.run(command, capture_output=True, text=True)
        return set(map(_job_id, answer.stdout.splitlines())) if answer.returncode == 0 else None


def _job_id(line: str) -> str:
    """As submitit writes it: ``12_3`` for task 3 of array 12, ``12`` for a job of its own."""
    array, task, job = line.split()
    return f"{array}_{task}" if task.isdigit() else job


def _state_of(job_id: str) -> str:
    """SLURM's word for how the job ended; it forgets after some minutes."""
    answer = subprocess.run(["scontrol", "show", "job", job_id], capture_output=True, text=True)
    found = re.search(r"JobState=(\w+)", answer.stdout)
    return found[1] if found else "no longer known there"


def _parameters(settings: SlurmConfig, name: str) -> dict[str, Any]:
    """In submitit's words for sbatch."""
    given = {
        "job_name": name,
        "partition": settings.partition,
        "account": settings.account,
        "time": settings.timeout_min,
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": settings.cpus_per_task,
        "gpus_per_node": settings.gpus_per_node,
        "mem": None if settings.mem_gb is None else f"{round(1024 * settings.mem_gb)}MB",
        "array_parallelism": settings.array_parallelism,
        "signal_delay_s": settings.signal_delay_s,
        "setup": settings.setup or None,
        "srun_args": [f"--cpus-per-task={settings.cpus_per_task}"],  # srun does not take it from sbatch
        "additional_parameters": {"requeue": True, **settings.additional_parameters},
    }
    return {name: value for name, value in given.items() if value is not None}
