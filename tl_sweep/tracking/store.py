"""What is asked of a tracking store, and what is told it: experiments, runs, artifacts."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.secrets import masked
from tl_sweep.tracking.client import (
    StoreAway,
    connect,
    connection,
    is_remote_database,
    store_errors,
    warn_away,
)
from tl_sweep.tracking.names import YES, Tag
from tl_sweep.tracking.record import REASONS, RunRecord
from tl_sweep.tracking.sqlite_file import make_whole, missing_database, sqlite_path

MIGRATION = 7_580_197  # the name of a lock in PostgreSQL: any number, the same for all


def prepare_store(uri: str | None, experiment: str) -> None:
    """``open_store``, where there is one; of a server that is away is said that each run's own delivery waits for it.

    Raises:
        UserError: the store cannot be opened, or refuses.
    """
    if uri is None:
        return
    try:
        open_store(uri, experiment)
    except StoreAway as away:
        warn_away(uri, away.__cause__ or away)


def open_store(uri: str, experiment: str) -> None:
    """Create the database's tables and the experiment, once, before any job.

    Raises:
        StoreAway: a server does not answer.
        UserError: the store cannot be opened, or refuses.
    """
    with store_errors(uri), _one_at_a_time(uri):
        experiment_id(connect(uri), uri, experiment)


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Racing migrations break a new SQLite file for good; on PostgreSQL all but one fail."""
    database = sqlite_path(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            make_whole(database, _migrate)
            yield
    elif uri.startswith("postgresql"):
        with connection(uri) as postgres:
            postgres.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATION})")  # until the connection ends
            yield
    else:
        yield


def _migrate(uri: str) -> None:
    """Make MLflow's tables, and let go of the file."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.search_experiments(max_results=1)
    client._tracking_client.store.engine.dispose()


def experiment_id(client, uri: str, name: str) -> str:  # type: ignore[no-untyped-def]
    """The experiment's id; a new one keeps its artifacts where ``artifacts_place`` says."""
    from mlflow.exceptions import MlflowException

    known = known_experiment_id(client, name)
    if known is not None:
        return known
    try:
        return str(client.create_experiment(name, artifact_location=artifacts_place(uri)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return experiment_id(client, uri, name)  # another process was quicker


def known_experiment_id(client, name: str) -> str | None:  # type: ignore[no-untyped-def]
    """The experiment's id; None: there is none.

    Raises:
        UserError: it was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        return None
    if found.lifecycle_stage == "deleted":
        raise UserError(
            f"tracking.experiment={name}: was deleted in the store; restore it (mlflow experiments restore -x "
            f"{found.experiment_id}) or choose another name"
        )
    return str(found.experiment_id)


def artifacts_place(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts, for good; None: the server decides.

    ``mlartifacts`` beside a SQLite database. For a database behind a network: what ``MLFLOW_DEFAULT_ARTIFACT_ROOT``
    says, as it does for MLflow's own server, else ``mlartifacts`` in the working directory.
    """
    if is_remote_database(uri):
        return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or Path("mlartifacts").absolute().as_uri()
    database = sqlite_path(uri)
    return None if database is None else (database.parent / "mlartifacts").as_uri()


def find_run(client, experiment: str, own_id: str) -> str:  # type: ignore[no-untyped-def]
    """MLflow's id of the run whose own id this is; empty where the store has none. experiment: MLflow's id of it."""
    return next(iter(ids_of(client, experiment, own_id)), "")


def ids_of(client, experiment: str, own_id: str) -> list[str]:  # type: ignore[no-untyped-def]
    """MLflow's ids of the runs whose own id this is, in their order. experiment: MLflow's id of it."""
    return sorted(run.info.run_id for run in client.search_runs([experiment], f"tags.`{Tag.RUN_ID}` = '{own_id}'"))


def runs_of_sweep(uri: str, experiment: str, sweep: str) -> list[RunRecord]:
    """All runs that carry the tag of ``sweep``, oldest first; not those that were started over."""
    runs = search(uri, experiment, f"tags.`{Tag.sweep_of(sweep)}` = '{YES}'")
    return [run for run in runs if run.tags.get(Tag.REPLACED) != YES]


def recorded_runs(uri: str, experiment: str, sweep: str = "") -> list[RunRecord]:
    """All runs of the experiment, or of one sweep in it, oldest first; not those that were started over.

    Raises:
        StoreAway: a server does not answer.
        UserError: there is no such database or experiment, or the store refuses.
    """
    database = missing_database(uri)
    if database is not None:
        raise UserError(f"tracking.uri={masked(uri)}: there is no database {database}; say where the runs are recorded")
    with store_errors(uri):
        if known_experiment_id(connect(uri), experiment) is None:
            known = experiment_names(uri)
            near = did_you_mean(experiment, known)
            raise UserError(f"tracking.experiment={experiment}: not in {masked(uri)};{near} there: {', '.join(known)}")
        if sweep:
            return runs_of_sweep(uri, experiment, sweep)
        return [run for run in search(uri, experiment, "") if run.tags.get(Tag.REPLACED) != YES]


def experiment_names(uri: str) -> list[str]:
    names, token = [], None
    while True:
        page = connect(uri).search_experiments(page_token=token)
        names += [found.name for found in page]
        token = page.token
        if not token:
            return names


def finished_runs(uri: str, experiment: str, keys: Collection[str]) -> dict[str, RunRecord]:
    """The finished runs that have these keys (``tl_sweep.run.key``), by key. Changes nothing in the store.

    Raises:
        StoreAway: a server does not answer.
        UserError: the store cannot be opened, or refuses.
    """
    if missing_database(uri) is not None:
        return {}
    done = "attributes.status = 'FINISHED'"
    questions = [f"{done} and tags.`{Tag.KEY}` = '{key}'" for key in keys] if len(keys) < 4 else [done]
    with store_errors(uri):
        if known_experiment_id(connect(uri), experiment) is None:
            return {}
        runs = [run for question in questions for run in search(uri, experiment, question)]
    return {
        run.tags[Tag.KEY]: run for run in runs if run.tags.get(Tag.KEY) in keys and run.tags.get(Tag.REPLACED) != YES
    }


def search(uri: str, experiment: str, question: str) -> Iterator[RunRecord]:
    """Runs of the experiment that match MLflow's ``question``, oldest first."""
    client = connect(uri)
    ids, token = [experiment_id(client, uri, experiment)], None
    while True:
        page = client.search_runs(
            ids, question, max_results=1000, order_by=["attribute.start_time ASC"], page_token=token
        )
        yield from map(_record, page)
        token = page.token
        if not token:
            return


def set_tags(uri: str, run_id: str, tags: dict[str, str]) -> None:
    """Tag a run that has no folder here.

    Raises:
        StoreAway: a server does not answer.
        UserError: the store refuses.
    """
    with store_errors(uri):
        for name, text in tags.items():
            connect(uri).set_tag(run_id, name, text)


def compare_link(uri: str, experiment: str, run_ids: list[str]) -> str:
    """MLflow's page that shows runs side by side, on the server that ``make ui`` starts (or the one at ``uri``).

    Raises:
        StoreAway: a server does not answer.
        UserError: the store refuses.
    """
    with store_errors(uri):
        number = experiment_id(connect(uri), uri, experiment)
    server = masked(uri).rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    ids = json.dumps(run_ids, separators=(",", ":"))
    return f'{server}/#/compare-runs?runs={ids}&experiments=["{number}"]'


def _record(run) -> RunRecord:  # type: ignore[no-untyped-def]
    info, data = run.info, run.data
    started_s = info.start_time / 1000
    is_paused = info.status == stored_status("PAUSED") and data.tags.get(REASONS["PAUSED"])
    status = "PAUSED" if is_paused else info.status
    return RunRecord(info.run_id, status, dict(data.params), dict(data.tags), dict(data.metrics), started_s)


def stored_status(status: str) -> str:
    """In MLflow's words, which has none for a run that is paused: a tag says so."""
    return "KILLED" if status == "PAUSED" else status


def runs_named(uri: str, experiment: str, text: str) -> list[RunRecord]:
    """The run of this MLflow id, in whatever experiment; else those of ``experiment`` whose id or key begins so.

    Raises:
        StoreAway: a server does not answer.
        UserError: the store cannot be opened, or refuses.
    """
    from mlflow.exceptions import MlflowException

    with store_errors(uri):
        client = connect(uri)
        try:
            return [_record(client.get_run(text))]
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        if not text.isalnum() or known_experiment_id(client, experiment) is None:
            return []
        questions = (f"attributes.run_id LIKE '{text}%'", f"tags.`{Tag.KEY}` LIKE '{text}%'")
        found = {run.run_id: run for question in questions for run in search(uri, experiment, question)}
        return [run for run in found.values() if run.tags.get(Tag.REPLACED) != YES]


def download_artifact(uri: str, run_id: str, name: str, folder: Path) -> Path:
    """Bring the artifact ``name`` of a run into ``folder``.

    Raises:
        UserError: the run has no such artifact, or it is no longer where the store says.
    """
    from mlflow.exceptions import MlflowException

    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(connect(uri).download_artifacts(run_id, name, str(folder)))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"run={run_id}: its artifact {name} is missing; if the run's folder was moved, output.dir= says where it is"
        ) from error
