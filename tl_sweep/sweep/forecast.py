"""What the unfinished jobs of a grid will take, going by finished runs that are like them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from tl_sweep.base.secrets import masked
from tl_sweep.comparison.model_selection import FEWEST_SEEDS, value_of
from tl_sweep.config.keys import keys_with
from tl_sweep.config.schema import local_path, text_of
from tl_sweep.models.catalog import architecture_label
from tl_sweep.run.key import title
from tl_sweep.run.progress import duration
from tl_sweep.sweep.jobs import Grid, Job
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.record import DAMAGED, Record, RunRecord, folders_in


@dataclass(frozen=True)
class Past:
    """A finished run: what it was, what it took per epoch, and what it left on the disk."""

    record: RunRecord
    s_per_epoch: float
    bytes: int


@dataclass(frozen=True)
class Cost:
    seconds: float
    bytes: float


def print_plan(grid: Grid, *, list_jobs: bool = False) -> None:
    """The grid by backbone and strategy, with what is done and what the rest will take; list_jobs: then each to run."""
    console = Console(width=None if Console().is_terminal else 160)
    past = [run for folder in {local_path(job.config.output.dir) for job in grid.jobs} for run in finished_in(folder)]
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in grid.jobs:
        groups[architecture_label(job.config.model), job.config.freeze.name].append(job)
    table = Table("backbone", "strategy", "jobs", "finished", "cut short", "failed", "to run", "about")
    total, unknown = Cost(0, 0), 0
    for (backbone, strategy), jobs in groups.items():
        left = [job for job in jobs if job.status != "FINISHED"]
        costs = [cost_of(job, past) for job in left]
        known = [cost for cost in costs if cost is not None]
        part = Cost(sum(cost.seconds for cost in known), sum(cost.bytes for cost in known))
        total = Cost(total.seconds + part.seconds, total.bytes + part.bytes)
        unknown += len(left) - len(known)
        counts = [len(jobs), *(sum(job.status in states for job in jobs) for states in STATES), len(left)]
        table.add_row(backbone, strategy, *map(str, counts), described(part, len(left), len(known)))
    for note in grid.notes():
        console.print(note, highlight=False)
    console.print(table)
    left = grid.unfinished()
    for job in left if list_jobs else ():
        console.print(f"  {_state(job):9} {title(job.config)}: {masked(' '.join(job.overrides))}", markup=False)
    estimate = f": {described(total, len(left), len(left) - unknown)}, one after the other" if left else ""
    console.print(f"{len(left)} of {len(grid.jobs)} jobs to run{estimate}", highlight=False)
    if unknown:
        console.print(f"unknown: no finished run in output.dir is like {unknown} of them", highlight=False)
    if len({job.config.seed for job in grid.jobs}) < FEWEST_SEEDS:
        console.print(f"fewer than {FEWEST_SEEDS} seeds give no verdict on methods: seed=0,1,2", highlight=False)


def described(cost: Cost, jobs: int, known: int) -> str:
    """What jobs take: ``unknown`` where no finished run is like any of them."""
    if not known:
        return "unknown" if jobs else "–"
    return describe_cost(cost) + (f", and {jobs - known} of unknown cost" if known < jobs else "")


STATES = (("FINISHED",), ("KILLED", "RUNNING", "PAUSED"), ("FAILED", DAMAGED))


def finished_in(output_dir: Path) -> list[Past]:
    found = []
    for folder in folders_in(output_dir):
        record = Record(folder).summary()
        if record is not None and record.status == "FINISHED":
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            found.append(Past(record, record.metrics[Metric.SECONDS] / int(record.params["epochs"]), size))
    return found


def cost_of(job: Job, past: Iterable[Past]) -> Cost | None:
    """By finished runs of the same backbone, strategy and images per epoch; None where there is none."""
    same_work = {name: text_of(attrgetter(name)(job.config)) for name in keys_with(costs=True)}
    alike = [
        run
        for run in past
        if run.record.tags[Tag.BACKBONE] == architecture_label(job.config.model)
        and run.record.tags[Tag.STRATEGY] == job.config.freeze.name
        and all(value_of(run.record, key) == value for key, value in same_work.items())
    ]
    if not alike:
        return None
    return Cost(job.config.epochs * fmean(run.s_per_epoch for run in alike), fmean(run.bytes for run in alike))


def describe_cost(cost: Cost) -> str:
    return f"about {duration(cost.seconds)}, {cost.bytes / 1e6:.3g} MB"


def _state(job: Job) -> str:
    paused = job.record.tags[Tag.PAUSED] if job.record is not None and job.status == "PAUSED" else ""
    return f"paused {paused}" if paused else job.status.lower() or "to run"
