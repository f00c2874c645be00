"""What a scheduler is asked, what it may ask, and what it gets to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tl_sweep.base.registry import Registry
from tl_sweep.sweep.jobs import Job


@dataclass(frozen=True)
class Trial:
    """A job to run, or to go on with. stop_after: so many epochs of its whole schedule it pauses; None: it is run to
    its end. A run that has had them already pauses at once, and one whose schedule has no more of them finishes."""

    job: Job
    stop_after: int | None = None


@dataclass(frozen=True)
class Result:
    """What became of a job.

    status: FINISHED, PAUSED (it goes on in a later trial with more epochs), FAILED, or SKIPPED (the scheduler did not
    run it). val_acc: the validation accuracy that the run ended with, or would if it ended where it is paused; nan
    where it failed or was skipped. reason: why it was paused or skipped, or failed.
    """

    job: Job
    status: str
    val_acc: float
    reason: str = ""


Evaluate = Callable[[Sequence[Trial]], list[Result]]
"""Runs trials, as many side by side as the launcher does; returns their results in the order of the trials. It may be
called several times, each time with any of the jobs, each job at most once. A job that fails raises nothing."""


class Scheduler(Protocol):
    """One search over the jobs of a grid; made without arguments, used once.

    ``tests/support/scheduler_contract.py`` holds what every scheduler keeps to.
    """

    def run(self, jobs: Sequence[Job], evaluate: Evaluate) -> list[Result]:
        """Spend the sweep's time on ``jobs``: checked, each with a key of its own, not finished (an earlier sweep may
        have begun some), and in an order in which those that share images, backbone and frozen stages stand together.

        Returns the last result of each job, a skipped one's, too, in any order.
        """


SCHEDULERS: Registry[Callable[[], Scheduler]] = Registry(
    key="hydra.sweeper.search",
    group="tl_sweep.schedulers",
    own={"whole_grid": "tl_sweep.sweep.schedulers.whole_grid:WholeGrid"},
)
