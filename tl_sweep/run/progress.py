"""What a person sees while jobs run: a bar per run on a terminal, a line per job everywhere."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from tl_sweep.tracking.names import Metric

if TYPE_CHECKING:
    from tl_sweep.run.context import Paused, Position
    from tl_sweep.training.state import EpochRecord


progress_log = logging.getLogger("tl_sweep.run.progress")  # records have an ``epoch``: for whoever shows several jobs
progress_log.propagate = False
progress_log.setLevel(logging.INFO)
progress_log.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Epoch:
    """How far a job's training is."""

    title: str
    done: int
    total: int


class Bar:
    """A bar on stderr while it is entered; none where that is not a terminal."""

    def __init__(self, *columns: ProgressColumn) -> None:
        self.bar = Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
            redirect_stdout=sys.stdout.isatty(),  # else what goes to a file would land on the terminal
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()


class EpochProgress(Bar):
    """A bar over the epochs of one job."""

    def __init__(self, title: str, epochs: int, position: Position) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        self.title, self.epochs = title, epochs
        self.task = self.bar.add_task(f"{place(position)}{title}", total=epochs, note="")

    def show(self, record: EpochRecord) -> None:
        note = f"val acc {record.metrics[Metric.VAL_ACC]:.3f}"
        self.bar.update(self.task, completed=record.epoch + 1, note=note)
        progress_log.info("", extra={"epoch": Epoch(self.title, record.epoch + 1, self.epochs)})


def duration(seconds: float) -> str:
    """``42 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds <= 5400 else f"{seconds / 3600:.1f} h"


def place(position: Position) -> str:
    """``[3/12] ``; empty for a single run."""
    return f"[{position.job}/{position.num_jobs}] " if position.num_jobs > 1 else ""


def job_line(title: str, position: Position, metrics: dict[str, float], run_id: str) -> str:
    """The job's line: ``[3/12] early lr0.001 e10 resnet18 s0: val 0.912, test 0.903, 12.1 s; about 2 min left``."""
    line = (
        f"{place(position)}{title}: val {metrics[Metric.BEST_VAL_ACC]:.3f}, test {metrics[Metric.TEST_ACC]:.3f}, "
        f"{metrics[Metric.SECONDS]:.1f} s" + (f" (run {run_id})" if run_id else "")
    )
    return line + _time_left(position)


def paused_line(title: str, position: Position, paused: Paused, run_id: str) -> str:
    """``[3/12] early lr0.001 e10 resnet18 s0: val 0.712, paused after 2 of 10 epochs``, and why."""
    line = f"{place(position)}{title}: val {paused:.3f}, paused {paused.reason}"
    return line + (f" (run {run_id})" if run_id else "") + _time_left(position)


def _time_left(position: Position) -> str:
    """From the sweep's mean time per job so far; jobs that run side by side make it a guess on the safe side."""
    done, total = position.job, position.num_jobs
    if done >= total:
        return ""
    left_s = (time.time() - position.started_at_s) / done * (total - done)
    return f"; about {duration(left_s)} left"
