"""What a person sees of a sweep whose jobs run elsewhere: their lines, and one bar below on a terminal."""

from __future__ import annotations

import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from tl_sweep.run.progress import Bar, Epoch, duration


class Board(Bar):
    """Shows how many jobs are done, running, failed and left, how long that may take, and where each running one is."""

    def __init__(self, num_jobs: int) -> None:
        super().__init__(TextColumn("jobs"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        self.num_jobs = num_jobs
        self.running: dict[int, str] = {}
        self.done = self.failed = 0
        self.started_s = time.monotonic()
        self.said: set[str] = set()
        self.task = self.bar.add_task("", total=num_jobs, note="")

    def say(self, text: str, is_error: bool = False) -> None:
        """Print a job's line above the bar; a warning that several jobs give is given once."""
        if text.startswith("warning:"):
            if text in self.said:
                return
            self.said.add(text)
        print(text, file=sys.stderr if is_error else sys.stdout, flush=True)

    def started(self, place: int) -> None:
        self.running[place] = f"job {place + 1}"
        self._show()

    def epoch(self, place: int, epoch: Epoch) -> None:
        self.running[place] = f"{epoch.title} {epoch.done}/{epoch.total}"
        self._show()

    def ended(self, place: int, well: bool) -> None:
        del self.running[place]
        self.done += well
        self.failed += not well
        self._show()

    def _show(self) -> None:
        ended = self.done + self.failed
        left = self.num_jobs - ended - len(self.running)
        counts = f"{self.done} done, {len(self.running)} running, {self.failed} failed, {left} left"
        note = f"{counts}{self._time_left(ended)} | {'; '.join(self.running.values())}"
        self.bar.update(self.task, completed=ended, note=note)

    def _time_left(self, ended: int) -> str:
        if not ended:
            return ""
        left_s = (time.monotonic() - self.started_s) / ended * (self.num_jobs - ended)
        return f", about {duration(left_s)}"
