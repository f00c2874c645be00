"""Pages that are kept in a tracking store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tl_sweep.base.errors import UserError
from tl_sweep.tracking import reports
from tl_sweep.tracking.client import connect


def test_a_report_that_is_kept_twice_at_the_same_moment_is_kept_once(
    store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, experiment = tmp_path / "report.html", "reported twice"
    page.write_text("<html>")
    both_have_looked = threading.Barrier(2, timeout=60)
    original = reports.find_run

    def find(client: MlflowClient, where: str, own_id: str) -> str:
        found = original(client, where, own_id)
        both_have_looked.wait()
        return found

    monkeypatch.setattr(reports, "find_run", find)
    keep_report_of = partial(reports.keep_report, store_uri, experiment, "s0123", page)
    connect(store_uri).create_experiment(reports.REPORTS.format(experiment))
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(keep_report_of) for _ in range(2)]:
            future.result()
    client = MlflowClient(store_uri)
    where = client.get_experiment_by_name(reports.REPORTS.format(experiment)).experiment_id
    (kept,) = client.search_runs([where])
    assert [file.path for file in client.list_artifacts(kept.info.run_id)] == ["report.html"]


def test_a_report_that_another_command_deletes_meanwhile_leaves_that_ones(
    store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, experiment, client = tmp_path / "report.html", "reported elsewhere", MlflowClient(store_uri)
    page.write_text("<html>")
    reports.keep_report(store_uri, experiment, "s0123", page)
    where = client.get_experiment_by_name(reports.REPORTS.format(experiment)).experiment_id
    (kept,) = client.search_runs([where])
    ours = client.create_run(where, tags=kept.data.tags).info.run_id

    def find_and_lose(client: MlflowClient, where: str, own_id: str) -> str:
        client.delete_run(ours)
        return ours

    monkeypatch.setattr(reports, "find_run", find_and_lose)
    reports.keep_report(store_uri, experiment, "s0123", page)
    assert [run.info.run_id for run in client.search_runs([where])] == [kept.info.run_id]
    assert [file.path for file in client.list_artifacts(kept.info.run_id)] == ["report.html"]


def test_a_report_that_the_store_refuses_is_told(
    store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "report.html"
    page.write_text("<html>")

    def refuse(client: MlflowClient, run_id: str, path: str) -> None:
        raise MlflowException("no more room here")

    monkeypatch.setattr(MlflowClient, "log_artifact", refuse)
    with pytest.raises(UserError, match="no more room here"):
        reports.keep_report(store_uri, "reported and refused", "s0123", page)
