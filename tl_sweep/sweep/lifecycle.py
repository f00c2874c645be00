"""What happens before the first job of a sweep and after its last one."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress

from tl_sweep.config.schema import Config, local_path
from tl_sweep.run.context import destination_of
from tl_sweep.run.key import run_folder
from tl_sweep.sweep.grid import recall_from_store
from tl_sweep.sweep.jobs import Grid, Job
from tl_sweep.sweep.preflight import make_ready
from tl_sweep.tracking.client import StoreAway, warn_away
from tl_sweep.tracking.delivery import send_waiting
from tl_sweep.tracking.names import YES, Tag
from tl_sweep.tracking.record import DAMAGED, adopt, close_dead, hold
from tl_sweep.tracking.store import set_tags


def get_ready(grid: Grid, sweep: str, *, here: bool = True) -> Grid:
    """Say what there is to do, bring what it needs into place, and let the finished runs belong to this sweep, too.

    Raises:
        ConfigError, UserError: something cannot be had; nothing was started.
    """
    for note in grid.notes():
        print(f"grid: {note}", flush=True)
    if grid.unfinished():
        make_ready([job.config for job in grid.unfinished()], here=here)
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


def _adopt(job: Job, sweep: str) -> None:
    if job.record is None or job.status != "FINISHED":
        return
    folder = run_folder(job.config, job.key)
    if folder.is_dir():
        with hold(folder):
            adopt(folder, sweep)
    elif job.config.tracking.uri is not None:
        with suppress(StoreAway):  # the run stays what it is; the table has it all the same
            set_tags(job.config.tracking.uri, job.record.run_id, {Tag.sweep_of(sweep): YES})


def _counts(grid: Grid) -> str:
    words = {
        "FINISHED": "finished before",
        "FAILED": "to be tried again",
        DAMAGED: "with a damaged record, to be tried again",
        "KILLED": "cut short, to go on",
        "PAUSED": "paused, to go on",
        "RUNNING": "cut short or being run",
    }
    states = Counter(words[job.status] for job in grid.jobs if job.status)
    parts = [f"{count} {state}" for state, count in states.items()]
    return ", ".join([f"{len(grid.jobs)} jobs", *parts])
