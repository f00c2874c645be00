"""One job in its own process: from the launcher's description to what is sent back to it."""

from __future__ import annotations

import io
import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import parent_process
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from tl_sweep.base.errors import JobFailed, UserError
from tl_sweep.run.progress import progress_log

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
STOPPED = 143  # exit code of a job that was asked to stop, and did


@dataclass(frozen=True)
class JobSpec:
    """What Hydra needs to run a job in another process. The task must be a function that can be imported."""

    context: HydraContext
    task: TaskFunction
    config: DictConfig
    overrides: list[str]
    singletons: Any


@dataclass(frozen=True)
class Surroundings:
    """Where a job runs: directory, environment, threads of torch (None: torch's own choice)."""

    directory: str
    environment: dict[str, str]
    num_threads: int | None


@dataclass(frozen=True)
class Text:
    """Something that the job printed."""

    text: str
    is_error: bool


@dataclass(frozen=True)
class Success:
    """The job's value."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """Why the job ended early."""

    reason: str
    out_of_memory: bool = False


class Messages:
    """The way to the launcher; jobs print from several threads."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.lock = connection, threading.RLock()

    def send(self, message: object) -> None:
        with self.lock, suppress(BrokenPipeError):  # nobody listens any more: the process is about to be ended
            self.connection.send(message)


def run_in_process(pickled_spec: bytes, surroundings: Surroundings, connection: Connection) -> None:
    """The process's whole life. Sends what the job prints, its epochs, and a ``Success`` or a ``Failure``.

    pickled_spec: a ``JobSpec`` by cloudpickle, since Hydra's singletons hold functions that have no name.
    """
    os.environ.clear()
    os.environ.update(surroundings.environment)  # before anything touches CUDA
    os.chdir(surroundings.directory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher, which ends its jobs by SIGTERM
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which the fork server ignores
    threading.Thread(target=_end_with_parent, daemon=True).start()
    messages = Messages(connection)
    senders = Sender(messages, is_error=False), Sender(messages, is_error=True)
    sys.stdout, sys.stderr = senders
    progress_log.addHandler(EpochSender(messages))
    if surroundings.num_threads is not None:
        import torch

        torch.set_num_threads(surroundings.num_threads)
    try:
        outcome = run(pickled_spec)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    finally:
        for sender in senders:
            sender.finish()
    messages.send(outcome)


def run(pickled_spec: bytes) -> Success | Failure:
    """Run a job in this process, whatever launcher brought it here."""
    setup_globals()
    spec: JobSpec = pickle.loads(pickled_spec)
    Singleton.set_state(spec.singletons)
    returned = run_job(
        hydra_context=spec.context,
        task_function=spec.task,
        config=spec.config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    if returned.status == JobStatus.COMPLETED:
        return Success(returned.return_value)
    error = returned._return_value  # as text: not every exception survives pickling
    reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return Failure(reason, isinstance(error, MemoryError) or any(words in reason.lower() for words in NO_MEMORY))


def make_specs(
    context: HydraContext, task: TaskFunction, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobSpec]:
    """What Hydra would run for these overrides; ``first`` is the number of the first job."""
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    specs = []
    for number, overrides in enumerate(job_overrides, start=first):
        node = context.config_loader.load_sweep_config(config, list(overrides))
        OmegaConf.set_readonly(node, False)
        OmegaConf.set_struct(node, False)
        node.hydra.job.id, node.hydra.job.num = str(number), number
        specs.append(JobSpec(context, task, node, list(overrides), Singleton.get_state()))
    return specs


def as_return(spec: JobSpec, outcome: Success | Failure) -> JobReturn:
    """What Hydra wants to know."""
    status = JobStatus.COMPLETED if isinstance(outcome, Success) else JobStatus.FAILED
    returned = JobReturn(overrides=spec.overrides, cfg=spec.config, status=status)
    returned.return_value = outcome.value if isinstance(outcome, Success) else JobFailed(outcome.reason)
    return returned


def _end_with_parent() -> None:
    """A launcher that was killed takes its jobs along: they close their records and stop."""
    launcher = parent_process()
    if launcher is not None:
        launcher.join()
        os.kill(os.getpid(), signal.SIGTERM)


class Sender(io.TextIOBase):
    """What a job prints, sent to the launcher line by line."""

    def __init__(self, messages: Messages, is_error: bool) -> None:
        self.messages, self.is_error = messages, is_error
        self.line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self.messages.lock:
            *whole, self.line = (self.line + text).split("\n")
            for line in whole:
                self.messages.send(Text(line, self.is_error))
        return len(text)

    def finish(self) -> None:
        """Send a last line that has no end."""
        if self.line:
            self.write("\n")


class EpochSender(logging.Handler):
    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.send(record.epoch)  # type: ignore[attr-defined]
