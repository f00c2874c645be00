"""Jobs on an engine that has its own machines and queue (Ray, SLURM): what of it is the same for every engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import cloudpickle
from hydra.core.utils import JobReturn

from tl_sweep.base.command_line import terminable
from tl_sweep.base.errors import UserError
from tl_sweep.launch.board import Board
from tl_sweep.launch.job import Failure, JobSpec, Success, as_return, run

Handle = TypeVar("Handle")


@dataclass(frozen=True)
class Work:
    """A job on its way to another machine.

    pickled_spec: a ``JobSpec`` by cloudpickle. directory: where it runs, by its path. env_set: environment variables.
    num_threads: of torch.
    """

    pickled_spec: bytes
    directory: str
    env_set: dict[str, str]
    num_threads: int


class Engine(Protocol, Generic[Handle]):
    """What has machines. A handle stands for one attempt at a job."""

    def submit(self, works: Sequence[Work]) -> list[Handle]: ...

    def wait(self, handles: Sequence[Handle]) -> list[Handle]:
        """Those that have ended; none after about a second."""

    def outcome(self, handle: Handle) -> tuple[Success | Failure, bool]:
        """What became of an attempt that has ended, and whether trying again makes sense: where not the job failed but
        what it ran on."""

    def said(self, handle: Handle) -> list[str]:
        """Lines that an ended attempt has printed, unless the engine has shown them already."""

    def stop(self) -> None:
        """End all attempts, letting them close their records; returns when they have."""


def run_remotely(
    specs: Sequence[JobSpec], engine: Engine[Handle], env_set: dict[str, str], num_threads: int, max_retries: int
) -> list[JobReturn]:
    """Every job as one task of the engine's; returns their results in the order of ``specs``.

    Raises:
        UserError: the engine does not take the jobs.
        KeyboardInterrupt: once the running jobs have been asked to stop.
    """
    works = [Work(cloudpickle.dumps(spec), os.getcwd(), env_set, num_threads) for spec in specs]
    tries, returns = [1] * len(specs), {}
    with Board(len(specs)) as board, terminable():
        try:
            running = dict(zip(engine.submit(works), range(len(specs)), strict=True))
            for place in running.values():
                board.started(place)
            while running:
                for handle in engine.wait(list(running)):
                    place = running.pop(handle)
                    outcome, again = engine.outcome(handle)
                    for line in engine.said(handle):
                        board.say(line)
                    if isinstance(outcome, Failure) and again and tries[place] <= max_retries:
                        board.say(f"job {place + 1} {outcome.reason}: trying it again")
                        tries[place] += 1
                        try:
                            (handle,) = engine.submit([works[place]])
                            running[handle] = place
                            continue
                        except UserError as refused:
                            outcome = Failure(f"{outcome.reason}; {refused}")
                    returns[place] = as_return(specs[place], outcome)
                    board.ended(place, isinstance(outcome, Success))
        except BaseException:
            engine.stop()
            raise
    return [returns[place] for place in range(len(specs))]


def run_here(work: Work) -> Success | Failure:
    """On the machine that the engine chose: in the same directory, by its path."""
    import torch

    os.makedirs(work.directory, exist_ok=True)
    os.chdir(work.directory)
    os.environ.update(work.env_set)
    torch.set_num_threads(max(1, work.num_threads))
    return run(work.pickled_spec)
