"""What happens before the first job of a sweep and after its last one."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace

from tl_sweep.base.errors import UserError
from tl_sweep.compare import PAGE, publish, study_of, with_link
from tl_sweep.comparison.analysis import Question, nothing
from tl_sweep.comparison.study import Excluded
from tl_sweep.config.schema import Config, local_path
from tl_sweep.report.ending import Ending, print_ending
from tl_sweep.run.key import params_of, run_folder
from tl_sweep.sweep.grid import Grid, Job, recall_from_store
from tl_sweep.sweep.preflight import make_ready
from tl_sweep.tracking.delivery import Destination, count_waiting, known_run, send_waiting
from tl_sweep.tracking.record import adopt, close_dead, hold
from tl_sweep.tracking.store import StoreAway, set_tags, warn_away


def get_ready(grid: Grid, sweep: str) -> Grid:
    """Say what there is to do, bring what it needs into place, and let the finished runs belong to this sweep, too.

    Raises:
        ConfigError, UserError: something cannot be had; nothing was started.
    """
    for note in grid.notes():
        print(f"grid: {note}", flush=True)
    if grid.unfinished():
        make_ready([job.config for job in grid.unfinished()])
        grid = recall_from_store(grid)
    for job in grid.jobs:
        _adopt(job, sweep)
    tidy([job.config for job in grid.jobs])
    print(f"grid: {_counts(grid)}", flush=True)
    return grid


def tidy(configs: list[Config]) -> None:
    """Close the records of runs whose process is gone, and send what waits.

    A store that does not answer, or refuses a run, is no reason to stop: what waits stays where it is.
    """
    for output_dir in {local_path(config.output.dir) for config in configs}:
        close_dead(output_dir)
    for output_dir, destination in {(local_path(config.output.dir), destination_of(config)) for config in configs}:
        if destination is None:
            continue
        try:
            refused = send_waiting(output_dir, destination).refused
        except StoreAway as away:
            warn_away(destination.uri, away.__cause__ or away)
            continue
        if refused:
            print(f"warning: the tracking store refuses {len(refused)} runs; {refused[0]}", file=sys.stderr, flush=True)


def conclude(
    grid: Grid, sweep: str, arguments: list[str], failures: list[tuple[str, str]], started_at_s: float
) -> None:
    """Send what still waits, print the sweep's last lines, and write the page of its comparison."""
    tidy([job.config for job in grid.jobs])
    config = grid.jobs[0].config
    where = destination_of(config)
    folders = [run_folder(job.config, job.key) for job in grid.jobs]
    found = [known_run(folder, where) or job.record for folder, job in zip(folders, grid.jobs, strict=True)]
    runs = [  # in this sweep's words: a run that was made by another command may spell its settings otherwise
        replace(run, params=params_of(job.config)) for run, job in zip(found, grid.jobs, strict=True) if run is not None
    ]
    try:
        study = study_of(runs, Question(sweep), config.tracking.uri, local_path(config.weights.dir))
        if where is not None and study.rows:
            study = with_link(study, where.uri, where.experiment)
    except UserError as error:  # the sweep itself is done, and is said to be
        print(f"warning: its runs cannot be compared: {error}", file=sys.stderr, flush=True)
        study = nothing(sweep)
    unrecorded = tuple(" ".join(job.overrides) for run, job in zip(found, grid.jobs, strict=True) if run is None)
    if unrecorded:
        study = replace(study, excluded=(*study.excluded, Excluded("no run was recorded", unrecorded)))
    print_ending(
        Ending(
            sweep=sweep,
            arguments=arguments,
            num_jobs=len(grid.jobs),
            study=study,
            failures=failures,
            before=len(grid.jobs) - len(grid.unfinished()),
            seconds=time.time() - started_at_s,
            has_baseline=any(not job.config.freeze.pretrained for job in grid.jobs),
        )
    )
    if study.rows:
        page = local_path(config.output.dir) / PAGE
        try:
            publish(study, page, config.tracking.uri, config.tracking.experiment)
            print(f"the comparison as a page: {page}", flush=True)
        except UserError as error:  # the sweep itself is done, and said
            print(f"warning: {error}", file=sys.stderr, flush=True)
    waiting = 0 if where is None else count_waiting(folders, where)
    if waiting:
        print(f"{waiting} runs are not whole in the tracking store yet: python -m tl_sweep.sync sends the rest")


def destination_of(config: Config) -> Destination | None:
    tracking = config.tracking
    return None if tracking.uri is None else Destination(tracking.uri, tracking.experiment)


def _adopt(job: Job, sweep: str) -> None:
    if job.record is None or job.status != "FINISHED":
        return
    folder = run_folder(job.config, job.key)
    if folder.is_dir():
        with hold(folder):
            adopt(folder, sweep)
    elif job.config.tracking.uri is not None:
        with suppress(StoreAway):  # the run stays what it is; the table has it all the same
            set_tags(job.config.tracking.uri, job.record.run_id, {f"sweep.{sweep}": "yes"})


def _counts(grid: Grid) -> str:
    words = {
        "FINISHED": "finished before",
        "FAILED": "to be tried again",
        "KILLED": "cut short, to go on",
        "RUNNING": "cut short or being run",
    }
    states = Counter(words[job.status] for job in grid.jobs if job.status)
    parts = [f"{count} {state}" for state, count in states.items()]
    return ", ".join([f"{len(grid.jobs)} jobs", *parts])
