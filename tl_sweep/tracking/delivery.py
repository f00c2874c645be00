"""From the run's folder to a tracking store: in the background, as often as it takes, each event once."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tl_sweep.base.atomic_files import atomic_write, is_partial
from tl_sweep.base.errors import UserError
from tl_sweep.base.secrets import masked
from tl_sweep.tracking.client import StoreAway, connect, first_line, is_gone, store_errors, warn_away
from tl_sweep.tracking.metric_names import metric_names
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import REASONS, REPLACED, STATE, Record, RunRecord, folders_in, no_reasons, run_lock
from tl_sweep.tracking.store import experiment_id, find_run, search, stored_status

log = logging.getLogger("tl_sweep")

MOST_PER_BATCH = 1000  # metrics that MLflow takes in one call
SEND_EVERY_S = 1.0  # epochs on kept features take milliseconds, a call to the store takes more
HEARTBEAT_S = 60.0
LONGEST_PAUSE_S = 60.0  # between attempts at a store that does not answer
LAST_WORD_S = 30.0  # that a finished run waits for a store that answered so far


@dataclass(frozen=True)
class Destination:
    """A tracking store's address and an experiment in it."""

    uri: str
    experiment: str

    @property
    def name(self) -> str:
        return hashlib.sha256(f"{masked(self.uri)} {self.experiment}".encode()).hexdigest()[:12]


class Delivery:
    """What of one run's record a store has, and the sending of the rest.

    How far it came is kept beside the run. Sending again what a store already has changes nothing there: a run is
    looked up by its own id before it is created, and metrics carry the time at which they were measured.
    """

    def __init__(self, folder: Path, destination: Destination) -> None:
        self.folder, self.destination = folder, destination
        self.path = folder / STATE / f"sent-{destination.name}.json"
        self.files: list[str] = []  # those that the store has of the attempt whose end is being sent
        self._recall()

    @property
    def is_pending(self) -> bool:
        return next(Record(self.folder).events(self.offset), None) is not None

    def send(self) -> None:
        """Send every event that the store has not.

        Raises:
            MlflowException, OSError: the store failed; what was sent stays sent.
        """
        from mlflow.exceptions import MlflowException

        self.path.parent.mkdir(exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            self._recall()  # another process may have sent some meanwhile
            try:
                self._send_all()
            except MlflowException as error:
                if not self.run_id or not is_gone(error):
                    raise
                log.info("run %s is gone from the tracking store: it is recorded there anew", self.run_id)
                self.forget()
                self._send_all()

    def forget(self) -> None:
        """The store has nothing of this run, whatever was sent."""
        self.run_id, self.files = "", []
        self._keep(0)

    def _recall(self) -> None:
        """How far the sending came; a file that a crash left empty says nothing, and everything is sent again."""
        self.run_id, self.offset, self.experiment_id = "", 0, ""
        self.files = []
        with suppress(OSError, ValueError):
            sent = json.loads(self.path.read_text())
            self.run_id, self.offset, self.experiment_id = sent["run_id"], sent["offset"], sent["experiment_id"]
            self.files = sent["files"]

    def beat(self) -> None:
        """Tell the store that the run lives."""
        if self.run_id:
            self._client.set_tag(self.run_id, Tag.HEARTBEAT, str(int(time.time())))

    @cached_property
    def _client(self):  # type: ignore[no-untyped-def]
        return connect(self.destination.uri)

    def _send_all(self) -> None:
        for kind, group in groupby(Record(self.folder).events(self.offset), key=lambda pair: pair[0]["event"]):
            events, offsets = zip(*group, strict=True)
            if kind == "metrics":
                self._metrics(events)
            for event in events:
                match kind:
                    case "start":
                        self._start(event)
                    case "tags":
                        self._tags(event["tags"])
                    case "end":
                        self._end(event)
            self._keep(offsets[-1])

    def _start(self, event: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, Param

        client, where = self._client, self.destination
        self.experiment_id = experiment_id(client, where.uri, where.experiment)
        self.run_id = self.run_id or find_run(client, self.experiment_id, event["id"])
        if not self.run_id:
            tags = event["tags"] | {Tag.RUN_ID: event["id"]}
            self.run_id = client.create_run(self.experiment_id, event["time_ms"], tags, event["name"]).info.run_id
            self._keep(self.offset)
        else:
            client.update_run(self.run_id, status="RUNNING")
            self._tags(event["tags"] | no_reasons(client.get_run(self.run_id).data.tags))
        known = client.get_run(self.run_id).data.params  # never to be changed; an attempt may have other settings
        new = [Param(name, text) for name, text in event["params"].items() if name not in known]
        client.log_batch(self.run_id, params=new)
        client.log_inputs(self.run_id, [DatasetInput(Dataset(**event["data"]), tags=[])])

    def _metrics(self, events: Iterable[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(stored, event["values"][name], event["time_ms"], event["step"])
            for event in events
            for name, stored in metric_names(event["values"]).items()
            if math.isfinite(event["values"][name])
        ]
        for first in range(0, len(metrics), MOST_PER_BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[first : first + MOST_PER_BATCH])

    def _tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self.run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def _end(self, event: dict[str, Any]) -> None:
        for path in sorted(path for path in self.folder.iterdir() if path.is_file() and not is_partial(path)):
            if path.name not in self.files:
                self._client.log_artifact(self.run_id, str(path))
                self.files.append(path.name)
                self._keep(self.offset)
        self.files = []  # another attempt would send its own
        if reasons := {tag: masked(event[tag]) for tag in REASONS.values() if tag in event}:
            self._tags(reasons)
        self._client.set_terminated(self.run_id, stored_status(event["status"]), event["time_ms"])

    def _keep(self, offset: int) -> None:
        self.offset = offset
        self.path.parent.mkdir(exist_ok=True)
        sent = {name: getattr(self, name) for name in ("run_id", "offset", "experiment_id", "files")}
        with atomic_write(self.path) as file:
            file.write_text(json.dumps(sent))


class Courier(threading.Thread):
    """Sends a run's events while it trains; a store that fails costs the training nothing and is tried again."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(name="tracking", daemon=True)  # a store that hangs must not keep a finished run alive
        self.delivery = delivery
        self.failures = 0
        self._last_word = threading.Event()

    def run(self) -> None:
        beat_s = time.monotonic()
        while True:
            is_last = self._last_word.wait(self._pause_s())
            try:
                self.delivery.send()
                if time.monotonic() - beat_s >= HEARTBEAT_S:
                    self.delivery.beat()
                    beat_s = time.monotonic()
                self.failures = 0
            except Exception as error:  # whatever a store or the way to it can raise: the run must go on
                self._tell(error)
            if is_last:
                return

    def finish(self) -> bool:
        """Send what is left, if the store has answered so far; returns whether it has everything."""
        if not self.failures:
            self._last_word.set()
            self.join(LAST_WORD_S)
        return not self.is_alive() and not self.failures

    def _pause_s(self) -> float:
        return min(LONGEST_PAUSE_S, SEND_EVERY_S * 2**self.failures)

    def _tell(self, error: Exception) -> None:
        self.failures += 1
        log.warning("the tracking store failed (attempt %d): %s", self.failures, first_line(error))
        log.debug("in full", exc_info=error)
        if self.failures == 1:
            warn_away(self.delivery.destination.uri, error)


@dataclass
class Sent:
    """sent: runs that had something to send. alive: those that are being run, and send for themselves. refused: why
    the store would not take some."""

    sent: int = 0
    alive: int = 0
    refused: list[str] = field(default_factory=list)


def send_waiting(output_dir: Path, destination: Destination, *, everything: bool = False) -> Sent:
    """Send what earlier runs in ``output_dir`` could not.

    everything: also runs that were meant for another store, or for none, and those that the store has lost.

    Raises:
        StoreAway: the store does not answer; what was sent until then stays sent.
    """
    result = Sent()
    with store_errors(destination.uri):
        stored = search(destination.uri, destination.experiment, "") if everything else ()
        there = {run.tags.get(Tag.RUN_ID) for run in stored}
    for folder in (*folders_in(output_dir), *folders_in(output_dir / REPLACED)):
        delivery = Delivery(folder, destination)
        if everything and own_id(folder) not in there:
            delivery.forget()
        if not delivery.is_pending or not (everything or is_meant_for(folder, destination)):
            continue
        try:
            with run_lock(folder).acquire(timeout=0), store_errors(destination.uri):
                delivery.send()
                result.sent += 1
        except Timeout:
            result.alive += 1
        except StoreAway:
            raise
        except UserError as error:
            result.refused.append(f"{folder}: {error}")
    return result


def delivered_ids(folder: Path) -> set[str]:
    """The ids that stores have given to the run in ``folder``."""
    ids = set()
    for path in (folder / STATE).glob("sent-*.json"):
        with suppress(OSError, ValueError):  # a file that a crash left empty says nothing
            ids.add(str(json.loads(path.read_text())["run_id"]))
    return ids - {""}


def own_id(folder: Path) -> str:
    return next((event["id"] for event, _ in Record(folder).events() if event["event"] == "start"), "")


def is_meant_for(folder: Path, destination: Destination) -> bool:
    """Whether the run was started with this store as its own."""
    starts = (event for event, _ in Record(folder).events() if event["event"] == "start")
    return any(start["destination"] == destination.name for start in starts)


def known_run(folder: Path, destination: Destination | None) -> RunRecord | None:
    """What the folder's record says, with the store's id of the run if that has it; None: no run."""
    summary = Record(folder).summary()
    if summary is None or destination is None:
        return summary
    return replace(summary, run_id=Delivery(folder, destination).run_id)


def count_waiting(folders: Iterable[Path], destination: Destination) -> int:
    """How many of these runs have something that the store has not."""
    return sum(Delivery(folder, destination).is_pending for folder in folders)
