"""Jobs in processes of their own, so many at once, each in a slot; what became of each is known at the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pickle import UnpicklingError

import cloudpickle
from hydra.core.utils import JobReturn

from tl_sweep.base.command_line import terminable
from tl_sweep.base.errors import UserError
from tl_sweep.launch.board import Board
from tl_sweep.launch.job import STOPPED, Failure, JobSpec, Success, Surroundings, Text, as_return, run_in_process
from tl_sweep.launch.settings import ProcessesConfig
from tl_sweep.run.progress import Epoch

LONGEST_TMPDIR_BYTES = 60  # multiprocessing adds about forty to it
PRELOADED = [  # signals first, then imports alone: neither OpenMP nor CUDA survives a fork; garbage last
    "tl_sweep.launch.server_signals",
    "torch",
    "torch._dynamo",
    "torchvision",
    "mlflow",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.artifact.artifact_repository_registry",
    "mlflow.store.artifact.local_artifact_repo",
    "sqlalchemy.dialects.sqlite",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "PIL.JpegImagePlugin",
    "sklearn.datasets",
    "torchmetrics.functional.classification",
    "tl_sweep.run.identity",
    "tl_sweep.run.execute",
    "tl_sweep.data.sources.registry",
    "tl_sweep.data.sources.embedded",
    "tl_sweep.data.sources.image_folder",
    "tl_sweep.tracking.tracker",
    "tl_sweep.run.finished",
    "tl_sweep.run.log_file",
    "tl_sweep.run.assemble",
    "tl_sweep.run.outcome",
    "tl_sweep.run.header",
    "tl_sweep.models.residual",
    "tl_sweep.models.sources.residual_networks",
    "tl_sweep.models.sources.torchvision_tables",
    "tl_sweep.training.resume",
    "tl_sweep.launch.job",
    "tl_sweep.launch.server_memory",
]
LOOK_EVERY_S = 0.5
GRACE_S = 30.0  # for a job that was asked to stop


@dataclass
class Running:
    """A job in its process. ``result`` is None until it has told."""

    place: int
    slot: str
    process: ForkServerProcess
    messages: Connection
    started_s: float
    had_company: bool
    result: Success | Failure | None = None
    timed_out: bool = False


class Pool:
    """Runs jobs side by side. A slot is the GPU that its job may see; empty where there is none."""

    def __init__(self, limits: ProcessesConfig) -> None:
        self.limits = limits
        self.slots = slots(limits)
        self.free = list(self.slots)
        self.hides_gpus = any(self.slots) or limits.gpus == 0
        self.running: list[Running] = []

    def run(self, specs: Sequence[JobSpec]) -> list[JobReturn]:
        """Every job, in the order of ``specs``; returns their results in that order.

        Raises:
            KeyboardInterrupt: once the running jobs have stopped; a second one kills them.
        """
        waiting = deque(range(len(specs)))
        tries = [0] * len(specs)
        returns: list[JobReturn | None] = [None] * len(specs)
        with Board(len(specs)) as self.board, terminable():
            try:
                while waiting or self.running:
                    while waiting and self.free:
                        place = waiting.popleft()
                        tries[place] += 1
                        self._start(place, specs[place])
                    for job in self._ended():
                        outcome, again = self._outcome(job)
                        if isinstance(outcome, Failure) and again and tries[job.place] <= self.limits.max_retries:
                            self.board.say(f"job {job.place + 1} {outcome.reason}: trying it again")
                            waiting.appendleft(job.place)
                            continue
                        returns[job.place] = as_return(specs[job.place], outcome)
                        self.board.ended(job.place, isinstance(outcome, Success))
            except KeyboardInterrupt:
                self._stop_all()
                raise
        return [returned for returned in returns if returned is not None]

    def _start(self, place: int, spec: JobSpec) -> None:
        slot = self.free.pop(0)
        here, there = multiprocessing.Pipe(duplex=False)
        environment = (
            dict(os.environ) | self.limits.env_set | ({"CUDA_VISIBLE_DEVICES": slot} if self.hides_gpus else {})
        )
        surroundings = Surroundings(os.getcwd(), environment, threads_of_each(len(self.slots)))
        process = fork_server().Process(target=run_in_process, args=(cloudpickle.dumps(spec), surroundings, there))
        process.start()
        there.close()
        for other in self.running:
            other.had_company = True
        self.running.append(Running(place, slot, process, here, time.monotonic(), bool(self.running)))
        self.board.started(place)

    def _ended(self) -> list[Running]:
        """The jobs that have ended since; shows what the others say meanwhile."""
        wait([job.messages for job in self.running if not job.messages.closed], LOOK_EVERY_S)
        for job in self.running:
            self._listen(job)
            too_long = self.limits.timeout_s is not None and time.monotonic() - job.started_s > self.limits.timeout_s
            if too_long and not job.timed_out:
                job.timed_out = True
                job.process.terminate()
            if too_long and time.monotonic() - job.started_s > (self.limits.timeout_s or 0) + GRACE_S:
                job.process.kill()
        ended = [job for job in self.running if job.messages.closed]
        for job in ended:
            job.process.join()
            self.running.remove(job)
            self.free.append(job.slot)
        return ended

    def _listen(self, job: Running) -> None:
        try:
            while not job.messages.closed and job.messages.poll():
                match job.messages.recv():
                    case Text(text, is_error):
                        self.board.say(text, is_error)
                    case Epoch() as epoch:
                        self.board.epoch(job.place, epoch)
                    case Success() | Failure() as result:
                        job.result = result
        except (EOFError, OSError, UnpicklingError):  # the process is gone, perhaps in the middle of a word
            job.messages.close()

    def _outcome(self, job: Running) -> tuple[Success | Failure, bool]:
        """What became of an ended job, and whether trying again makes sense."""
        match job.result:
            case Success() as success:
                return success, False
            case Failure() as failure:
                return failure, failure.out_of_memory and job.had_company
        code = job.process.exitcode or 0
        if job.timed_out:
            return Failure(
                f"stopped after {self.limits.timeout_s:g} s, its time limit; the same command goes on"
            ), False
        if code == STOPPED:
            return Failure("stopped by SIGTERM; the same command goes on"), False
        if code >= 0:
            return Failure(f"ended with exit code {code}, without a word"), True
        name = signal.Signals(-code).name
        why = " (the system does so when memory runs out)" if name == "SIGKILL" else ""
        return Failure(f"was killed by {name}{why}"), True

    def _stop_all(self) -> None:
        """Let the running jobs close their records; kill them if that takes too long, or at a second Ctrl-C."""
        print("stopping: running jobs close their records; once more kills them", file=sys.stderr, flush=True)
        try:
            for job in self.running:
                job.process.terminate()
            deadline_s = time.monotonic() + GRACE_S
            while self.running and time.monotonic() < deadline_s:
                self._ended()  # what they say meanwhile is shown
        finally:
            for job in self.running:
                job.process.kill()
                job.process.join()


def fork_server() -> multiprocessing.context.ForkServerContext:
    """The server that has imported everything; its socket lies where its address is short enough for one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with short_temporary_folder():
        forkserver.ensure_running()
    return context


@contextmanager
def short_temporary_folder() -> Iterator[None]:
    """Inside, ``tempfile`` works in ``/tmp`` where its own folder (``TMPDIR``) is too long for the address of a socket,
    which has at most 108 bytes on Linux (104 on macOS); jobs have ``TMPDIR`` as it is."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TMPDIR_BYTES:
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = before


def slots(limits: ProcessesConfig) -> list[str]:
    """The GPU of each place where a job can run, or empty strings.

    Raises:
        UserError: there would be none.
    """
    wanted = {"n_jobs": limits.n_jobs, "jobs_per_gpu": limits.jobs_per_gpu}
    for name, value in wanted.items():
        if value is not None and value < 1:
            raise UserError(f"hydra.launcher.{name}={value}: must be at least 1")
    if limits.gpus is not None and limits.gpus < 0:
        raise UserError(f"hydra.launcher.gpus={limits.gpus}: must be at least 0")
    gpus = visible_gpus()[: limits.gpus]
    if gpus:
        places = [gpu for _ in range(limits.jobs_per_gpu) for gpu in gpus]
        return places[: limits.n_jobs]
    return [""] * (limits.n_jobs or 1)


def visible_gpus() -> list[str]:
    """Names under which CUDA knows the GPUs that this process may use; CUDA itself is not touched."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def threads_of_each(num_jobs: int) -> int | None:
    """The machine's cores shared out; None: torch's own choice, for one job at a time or where the user has said."""
    if num_jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, usable_cores() // num_jobs)


def usable_cores() -> int:
    """Cores that this process may use; where the system cannot say that (macOS), all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
