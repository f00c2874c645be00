"""Pages that are kept in a tracking store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from mlflow import MlflowClient

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
