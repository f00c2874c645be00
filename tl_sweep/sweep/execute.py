"""One sweep in this process: grid → what its jobs need → scheduler → conclusion."""

from __future__ import annotations

import time

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

from tl_sweep.base.errors import JobFailed
from tl_sweep.sweep.grid import Compose, in_full, lay_out, sweep_id
from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import SCHEDULERS, Result
from tl_sweep.sweep.trials import Trials, return_of


def run_sweep(
    combinations: list[list[str]], compose: Compose, launcher: Launcher, search: str, arguments: list[str]
) -> list[JobReturn]:
    """Run what of the grid is not finished yet, as the scheduler ``search`` has it; returns one ``JobReturn`` per job.

    compose: a job's configuration. arguments: of the command, for the last lines; with the flags that they need.

    Raises:
        ConfigError, UserError: some job could not start; none was started.
        JobFailed: some jobs failed, after the others ran.
    """
    from tl_sweep.sweep.conclusion import conclude
    from tl_sweep.sweep.lifecycle import get_ready

    scheduler = SCHEDULERS[search]()
    started_at_s, grid = time.time(), lay_out(combinations, compose)
    sweep = sweep_id([in_full(combination, grid.starts) for combination in combinations])
    grid = get_ready(grid, sweep, here=not getattr(launcher, "elsewhere", False))
    jobs, trials = grid.unfinished(), Trials(launcher.launch, sweep, started_at_s)
    results = _one_each(jobs, scheduler.run(jobs, trials.evaluate) if jobs else [], search)
    conclude(grid, sweep, arguments, results, started_at_s)
    failed = sum(result.status == "FAILED" for result in results)
    if failed:
        raise JobFailed(f"{failed} of {len(grid.jobs)} jobs failed")
    return [return_of(job, trials.returns) for job in grid.jobs]


def _one_each(jobs: list[Job], results: list[Result], search: str) -> list[Result]:
    """The results in the order of ``jobs``, if they are what the scheduler owes."""
    of_job = {result.job.key: result for result in results}
    if of_job.keys() != {job.key for job in jobs} or len(results) != len(jobs):
        raise JobFailed(
            f"hydra.sweeper.search={search}: a scheduler owes one result per job, and gave {len(results)} for "
            f"{len(jobs)} jobs; what was run is kept, and the same command goes on"
        )
    return [of_job[job.key] for job in jobs]
