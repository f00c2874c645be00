"""What a run tells while it lives: into its own folder at once, and from there to MLflow."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path

from tl_sweep.base.errors import JobFailed
from tl_sweep.base.secrets import masked
from tl_sweep.tracking.delivery import Courier, Delivery, Destination
from tl_sweep.tracking.record import REASONS, Record, RunHeader

log = logging.getLogger("tl_sweep")


class Tracker:
    """Records one run in ``folder``; ``destination=None`` is the null twin, which tells nobody else.

    Only for the process that holds the run's lock.
    """

    def __init__(self, folder: Path, destination: Destination | None) -> None:
        self.record, self.destination = Record(folder), destination
        self._courier: Courier | None = None
        self._recorded: set[int] = set()
        self._is_open = False

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; empty as long as the store has not answered."""
        return "" if self._courier is None else self._courier.delivery.run_id

    def open(self, header: RunHeader) -> None:
        """Begin an attempt. What earlier ones recorded stays: a step is recorded once."""
        self.record.mend()
        self._recorded = self.record.steps()
        earlier = (event["id"] for event, _ in self.record.events() if event["event"] == "start")
        self.record.append(
            "start",
            id=next(earlier, uuid.uuid4().hex),
            destination=None if self.destination is None else self.destination.name,
            **vars(header),
        )
        self._is_open = True
        if self.destination is not None:
            self._courier = Courier(Delivery(self.record.folder, self.destination))
            self._courier.start()

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record a step's values, unless an attempt that was cut short has recorded them before."""
        if step not in self._recorded:
            self.record.append("metrics", step=step, values=dict(metrics))

    def tags(self, tags: Mapping[str, str]) -> None:
        self.record.append("tags", tags=dict(tags))

    def close(self, status: str, reason: str = "") -> None:
        """End the attempt, as ``FINISHED``, ``KILLED``, or for a ``reason`` as ``FAILED`` or ``PAUSED``; send what the
        store still lacks.

        Where even that cannot be written, the log says so, and the next start finds a run that was cut short.
        """
        if not self._is_open:
            return
        try:
            told = {REASONS[status]: masked(reason)[:1000]} if reason else {}
            self.record.append("end", status=status, **told)
        except JobFailed:
            log.exception("the end of the run cannot be recorded")
        if self._courier is not None and not self._courier.finish():
            log.warning("the tracking store has not all of this run yet; python -m tl_sweep.sync sends the rest")
