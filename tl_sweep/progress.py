"""What a person sees while jobs run: a bar per run on a terminal, a line per job everywhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from tl_sweep.train import Position
    from tl_sweep.training.loop import EpochRecord


class EpochProgress:
    """A bar over the epochs of one job, on stderr; none where that is not a terminal."""

    def __init__(self, title: str, epochs: int, position: Position) -> None:
        self.title, self.position = title, position
        self.started_s = time.time()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.bar.add_task(f"{self._place()}{title}", total=epochs, note="")

    def __enter__(self) -> EpochProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def show(self, record: EpochRecord) -> None:
        note = f"val acc {record.metrics['val/acc']:.3f}"
        self.bar.update(self.task, completed=record.epoch + 1, note=note)

    def finished(self, metrics: dict[str, float], run_id: str) -> None:
        """The job's line: ``[3/12] early lr0.001 resnet18 s0: val 0.912, test 0.903, 12.1 s; about 2 min left``."""
        line = (
            f"{self._place()}{self.title}: val {metrics['best/val_acc']:.3f}, test {metrics['test/acc']:.3f}, "
            f"{metrics['seconds']:.1f} s" + (f" (run {run_id})" if run_id else "")
        )
        print(line + self._time_left(), flush=True)

    def _place(self) -> str:
        return f"[{self.position.job}/{self.position.num_jobs}] " if self.position.num_jobs > 1 else ""

    def _time_left(self) -> str:
        """From the sweep's mean time per job so far; jobs that run side by side make it a guess on the safe side."""
        done, total = self.position.job, self.position.num_jobs
        if done >= total:
            return ""
        left_s = (time.time() - self.position.started_at_s) / done * (total - done)
        return f"; about {left_s:.0f} s left" if left_s < 90 else f"; about {left_s / 60:.0f} min left"
