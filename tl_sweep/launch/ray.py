"""Jobs as Ray tasks: a worker or a machine that dies costs its job alone, which is tried again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn

from tl_sweep.base.errors import UserError
from tl_sweep.launch.engine import Work, run_here, run_remotely
from tl_sweep.launch.job import Failure, JobSpec, Success
from tl_sweep.launch.settings import RayConfig

LOOK_EVERY_S = 1.0
STOP_WITHIN_S = 30.0


def run_on_cluster(specs: Sequence[JobSpec], settings: RayConfig) -> list[JobReturn]:
    """Every job as one task; returns their results in the order of ``specs``.

    Raises:
        UserError: Ray is not installed, or there is no cluster at ``address``.
        KeyboardInterrupt: once the running jobs have been asked to stop.
    """
    with cluster(settings) as ray:
        engine = RayEngine(ray, settings)
        return run_remotely(specs, engine, settings.env_set, int(settings.num_cpus), settings.max_retries)


class RayEngine:
    """A handle is a reference to the task's result."""

    def __init__(self, ray: Any, settings: RayConfig) -> None:
        self.ray = ray
        shares = {"num_cpus": settings.num_cpus, "num_gpus": settings.num_gpus}
        self.task = ray.remote(**shares, max_retries=0)(run_here)
        self.submitted: list[Any] = []

    def submit(self, works: Sequence[Work]) -> list[Any]:
        references = [self.task.remote(work) for work in works]
        self.submitted += references
        return references

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        ended: list[Any] = self.ray.wait(list(handles), timeout=LOOK_EVERY_S)[0]
        return ended

    def outcome(self, handle: Any) -> tuple[Success | Failure, bool]:
        try:
            outcome: Success | Failure = self.ray.get(handle)
            return outcome, False
        except self.ray.exceptions.RayTaskError as error:
            return Failure(f"{type(error.cause).__name__}: {error.cause}"), False
        except self.ray.exceptions.RayError as error:
            return Failure(f"lost its worker ({type(error).__name__})"), True

    def said(self, handle: Any) -> list[str]:
        return []  # Ray prints what its workers print

    def stop(self) -> None:
        for reference in self.submitted:
            self.ray.cancel(reference)  # a KeyboardInterrupt in the task; nothing where it has ended
        if self.submitted:
            self.ray.wait(self.submitted, num_returns=len(self.submitted), timeout=STOP_WITHIN_S)


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
