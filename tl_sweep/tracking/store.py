"""One MLflow run per job. Everything lies in the run's own folder first; MLflow gets a copy."""

from __future__ import annotations

import json
import logging
import math
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock

from tl_sweep.types import UserError

if TYPE_CHECKING:
    from mlflow.entities import Metric

log = logging.getLogger("tl_sweep")
MOST_PER_BATCH = 1000  # metrics that MLflow takes in one call
SEND_EVERY_S = 1.0  # at most: epochs on kept features take milliseconds, a call to the store takes more


@dataclass(frozen=True)
class RunHeader:
    """What is known of a run before it starts.

    data: MLflow's dataset entry: name, digest (the fingerprint), source (a path or URL) and profile (counts).
    """

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    data: dict[str, str]


class Tracker(Protocol):
    """What the command needs of a record keeper."""

    def open(self, header: RunHeader) -> str: ...
    def metrics(self, metrics: Mapping[str, float], step: int) -> None: ...
    def tags(self, tags: Mapping[str, str]) -> None: ...
    def close(self, status: str) -> None: ...


@dataclass
class LocalTracker:
    """Records into ``folder`` alone; also the null twin for ``tracking.uri=null``."""

    folder: Path

    def open(self, header: RunHeader) -> str:
        return ""

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        with (self.folder / "metrics.jsonl").open("a") as lines:
            lines.write(json.dumps({"step": step, "time_s": time.time(), **metrics}) + "\n")

    def tags(self, tags: Mapping[str, str]) -> None:
        pass

    def close(self, status: str) -> None:
        pass


class MlflowTracker(LocalTracker):
    """``LocalTracker`` and a run in the store at ``uri``; the folder's files become the run's artifacts."""

    def __init__(self, folder: Path, uri: str, experiment: str) -> None:
        super().__init__(folder)
        self.client = connect(uri)
        self.experiment_id = experiment_id(self.client, uri, experiment)
        self.run_id = ""
        self.lost = False
        self._waiting: list[Metric] = []
        self._sent_s = -math.inf  # the first goes out at once

    def open(self, header: RunHeader) -> str:
        from mlflow.entities import Dataset, DatasetInput, Param

        run = self.client.create_run(self.experiment_id, tags=header.tags, run_name=header.name)
        self.run_id = run.info.run_id
        self.client.log_batch(self.run_id, params=[Param(name, value) for name, value in header.params.items()])
        self.client.log_inputs(self.run_id, [DatasetInput(Dataset(**header.data), tags=[])])
        return self.run_id

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        super().metrics(metrics, step)
        now_ms = int(time.time() * 1000)
        self._waiting += [
            Metric(metric_name(name), value, now_ms, step) for name, value in metrics.items() if math.isfinite(value)
        ]
        if time.monotonic() - self._sent_s >= SEND_EVERY_S:
            self._send_metrics()

    def _send_metrics(self) -> None:
        for first in range(0, len(self._waiting), MOST_PER_BATCH):
            batch = self._waiting[first : first + MOST_PER_BATCH]
            self._send(partial(self.client.log_batch, self.run_id, metrics=batch))
        self._waiting, self._sent_s = [], time.monotonic()

    def tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        if self.run_id:
            self._send(partial(self.client.log_batch, self.run_id, tags=[RunTag(*tag) for tag in tags.items()]))

    def close(self, status: str) -> None:
        if self.run_id:  # else it ended before it was opened
            self._send_metrics()
            self._send(partial(self.client.log_artifacts, self.run_id, str(self.folder)))
            self._send(partial(self.client.set_terminated, self.run_id, status))

    def _send(self, call: Callable[[], object]) -> None:
        """Training outlives its store: after a failure the rest of the run is in its folder alone, and that is said."""
        from mlflow.exceptions import MlflowException

        if self.lost:
            return
        try:
            call()
        except (MlflowException, OSError) as error:
            self.lost = True
            log.exception("the tracking store failed")
            reason = str(error).partition("\n")[0][:200]
            print(f"warning: the tracking store failed ({reason}); the run goes on in {self.folder}", file=sys.stderr)


def make_tracker(folder: Path, uri: str | None, experiment: str) -> Tracker:
    return LocalTracker(folder) if uri is None else MlflowTracker(folder, uri, experiment)


def metric_name(name: str) -> str:
    """``name`` with what MLflow refuses in a metric's name (as a class name may have it) replaced by ``-``."""
    return "".join(letter if letter.isalnum() or letter in "_-. :/" else "-" for letter in name)


def connect(uri: str):  # type: ignore[no-untyped-def]  # MlflowClient: not imported at the top, it takes seconds
    """A client of the store at ``uri`` that gives up on a dead server after seconds, not minutes."""
    for name, value in {"MAX_RETRIES": "2", "BACKOFF_FACTOR": "1", "TIMEOUT": "5"}.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    from mlflow import MlflowClient

    for chatty in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def sqlite_path(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).absolute() if uri.startswith(prefix) else None


def prepare_store(uri: str | None, experiment: str) -> None:
    """Create the database and the experiment, once, before any job: racing migrations break a new SQLite file for good.

    Raises:
        UserError: the store cannot be reached or opened.
    """
    if uri is None:
        return
    from mlflow.exceptions import MlflowException

    database = sqlite_path(uri)
    try:
        if database is None:
            experiment_id(connect(uri), uri, experiment)
            return
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            _open_without_mlflow(database)
            experiment_id(connect(uri), uri, experiment)
    except (MlflowException, OSError, sqlite3.Error) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"tracking.uri={uri}: the tracking store cannot be opened: {reason}") from error


def experiment_id(client, uri: str, name: str) -> str:  # type: ignore[no-untyped-def]
    """The experiment's id; a new one in a SQLite store keeps its artifacts beside the database, in ``mlartifacts``."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            raise UserError(f"tracking.experiment={name}: was deleted in the store; restore it or choose another name")
        return str(found.experiment_id)
    database = sqlite_path(uri)
    location = None if database is None else (database.parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _open_without_mlflow(database: Path) -> None:
    """Fail at once where MLflow would try for an hour; a new database writes ahead, which makes calls twice as fast."""
    is_new = not database.exists()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL" if is_new else "PRAGMA schema_version")


@dataclass(frozen=True)
class RunRecord:
    """A run as the reports see it. ``params`` are the flattened configuration."""

    run_id: str
    status: str
    params: dict[str, str]
    tags: dict[str, str] = field(repr=False)
    metrics: dict[str, float] = field(repr=False)


def runs_of_sweep(uri: str, experiment: str, sweep: str, since_s: float = 0.0) -> list[RunRecord]:
    """All runs that carry the tag of ``sweep`` and started at ``since_s`` (Unix time) or later, oldest first."""
    client = connect(uri)
    ids = [experiment_id(client, uri, experiment)]
    found, token = [], None
    while True:
        page = client.search_runs(
            ids,
            f"tags.`sweep.{sweep}` = 'yes' and attributes.start_time >= {int(1000 * since_s)}",
            max_results=1000,
            order_by=["attribute.start_time ASC"],
            page_token=token,
        )
        found += [_record(run) for run in page]
        token = page.token
        if not token:
            return found


def compare_link(uri: str, experiment: str, run_ids: list[str]) -> str:
    """MLflow's page that shows runs side by side, on the server that ``make ui`` starts (or the one at ``uri``)."""
    server = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    ids = json.dumps(run_ids, separators=(",", ":"))
    return f'{server}/#/compare-runs?runs={ids}&experiments=["{experiment_id(connect(uri), uri, experiment)}"]'


def _record(run) -> RunRecord:  # type: ignore[no-untyped-def]
    return RunRecord(
        run.info.run_id, run.info.status, dict(run.data.params), dict(run.data.tags), dict(run.data.metrics)
    )


def read_run(uri: str, run_id: str) -> RunRecord:
    """One run.

    Raises:
        UserError: there is no such database, or no such run in the store.
    """
    from mlflow.exceptions import MlflowException

    database = sqlite_path(uri)
    if database is not None and not database.exists():  # MLflow would make one
        raise UserError(f"tracking.uri={uri}: there is no database {database}; say where the run was recorded")
    try:
        return _record(connect(uri).get_run(run_id))
    except MlflowException as error:
        raise UserError(f"run={run_id}: no such run in {uri}; `mlflow ui` lists them") from error


def download(uri: str, run_id: str, name: str, folder: Path) -> Path:
    """Bring the artifact ``name`` of a run into ``folder``.

    Raises:
        UserError: the run has no such artifact.
    """
    from mlflow.exceptions import MlflowException

    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(connect(uri).download_artifacts(run_id, name, str(folder)))
    except (MlflowException, OSError) as error:
        raise UserError(f"run={run_id}: its artifact {name} is missing; did the run finish?") from error
