"""Jobs as Ray tasks: a worker or a machine that dies costs its job alone, which is tried again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cloudpickle
from hydra.core.utils import JobReturn

from hydra_plugins.tl_sweep_processes._board import Board
from hydra_plugins.tl_sweep_processes._job import Failure, JobSpec, Success, as_return, run
from hydra_plugins.tl_sweep_ray import RayConfig
from tl_sweep.command import terminable
from tl_sweep.types import UserError

LOOK_EVERY_S = 1.0


def run_on_cluster(specs: Sequence[JobSpec], settings: RayConfig) -> list[JobReturn]:
    """Every job as one task; returns their results in the order of ``specs``.

    Raises:
        UserError: Ray is not installed, or there is no cluster at ``address``.
        KeyboardInterrupt: once the running jobs have been asked to stop.
    """
    with cluster(settings) as ray, Board(len(specs)) as board, terminable():
        remote = ray.remote(num_cpus=settings.num_cpus, num_gpus=settings.num_gpus, max_retries=0)(run_on_worker)

        def submit(place: int) -> Any:
            board.started(place)
            return remote.remote(cloudpickle.dumps(specs[place]), os.getcwd(), settings.env_set, int(settings.num_cpus))

        running = {submit(place): place for place in range(len(specs))}
        tries, returns = [1] * len(specs), {}
        try:
            while running:
                for reference in ray.wait(list(running), timeout=LOOK_EVERY_S)[0]:
                    place = running.pop(reference)
                    outcome, again = outcome_of(ray, reference)
                    if isinstance(outcome, Failure) and again and tries[place] <= settings.max_retries:
                        board.say(f"job {place + 1} {outcome.reason}: trying it again")
                        tries[place] += 1
                        running[submit(place)] = place
                        continue
                    returns[place] = as_return(specs[place], outcome)
                    board.ended(place, isinstance(outcome, Success))
        except KeyboardInterrupt:
            for reference in running:
                ray.cancel(reference)  # a KeyboardInterrupt in the task
            ray.wait(list(running), num_returns=len(running), timeout=30)
            raise
    return [returns[place] for place in range(len(specs))]


def run_on_worker(pickled_spec: bytes, directory: str, env_set: dict[str, str], num_threads: int) -> Success | Failure:
    """On a worker: in the same directory, by its path, with ``env_set`` and as many threads as its share of CPUs."""
    import torch

    os.makedirs(directory, exist_ok=True)
    os.chdir(directory)
    os.environ.update(env_set)
    torch.set_num_threads(max(1, num_threads))
    return run(pickled_spec)


def outcome_of(ray: Any, reference: Any) -> tuple[Success | Failure, bool]:
    """What became of a task, and whether trying again makes sense: where not the job failed but what it ran on."""
    try:
        outcome: Success | Failure = ray.get(reference)
        return outcome, False
    except ray.exceptions.RayTaskError as error:
        return Failure(f"{type(error.cause).__name__}: {error.cause}"), False
    except ray.exceptions.RayError as error:
        return Failure(f"lost its worker ({type(error).__name__})"), True


@contextmanager
def cluster(settings: RayConfig) -> Iterator[Any]:
    """Ray, connected; a private cluster ends with the sweep."""
    try:
        import ray
    except ImportError as error:
        raise UserError("hydra/launcher=ray: Ray is not installed; pip install 'tl-sweep[ray]'") from error
    private: dict[str, Any] = (
        {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if settings.address is None else {}
    )
    try:
        ray.init(address=settings.address or "local", logging_level=logging.ERROR, **private)
    except ConnectionError as error:
        raise UserError(f"hydra.launcher.address={settings.address}: no Ray cluster there: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()
