"""The way to a store: patience with a server, and what goes wrong on it, in words for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from tl_sweep.base.errors import UserError
from tl_sweep.tracking import client
from tl_sweep.tracking.client import PatientClient, connect, connection, patiently, store_errors


def test_a_call_that_fails_at_once_is_tried_again_at_once_but_no_run_is_created_twice() -> None:
    calls: list[str] = []

    class Failing:
        def __getattr__(self, name: str) -> Callable[[], str]:
            def call() -> str:
                calls.append(name)
                if calls.count(name) < 3:
                    raise ConnectionError("reset")
                return "done"

            return call

    patient: Any = PatientClient(cast(Any, Failing()), "http://127.0.0.1:9")
    assert patient.log_batch() == "done"
    with pytest.raises(ConnectionError):
        patient.create_run()
    assert calls == ["log_batch"] * 3 + ["create_run"]


def test_a_row_that_another_process_wrote_first_is_asked_for_again() -> None:
    errors = [MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name", error_code=1)]

    def call() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert patiently(call, "sqlite:///mlflow.db") == "there"


def test_a_server_that_hangs_or_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, at_once_s in ((ConnectionError("timed out"), -1.0), (MlflowException("no", error_code=1000), 9.0)):
        calls: list[Exception] = []

        def call(error: Exception = error, calls: list[Exception] = calls) -> None:
            calls.append(error)
            raise error

        monkeypatch.setattr(client, "AT_ONCE_S", at_once_s)
        with pytest.raises(type(error)):
            patiently(call, "http://127.0.0.1:9")
        assert len(calls) == 1


@pytest.mark.parametrize("uri", ["postgresql://me:s3@cret@host/db", "postgresql://me:se/c@host:ret/db"])
def test_an_address_that_cannot_be_read_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(UserError, match="in a password write / as %2F") as refused:
        connection(uri).__enter__()
    assert "s3" not in str(refused.value)
    assert "ret" not in str(refused.value).replace("secret", "")


def test_a_missing_driver_is_named_with_the_extra_that_has_it() -> None:
    error = ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
    with pytest.raises(UserError, match=r"its driver is missing: pip install 'tl-sweep\[postgres\]'"):  # noqa: SIM117
        with store_errors("postgresql://me@host/db"):
            raise error


def test_patience_with_a_server_is_counted_in_seconds(monkeypatch: pytest.MonkeyPatch, store_uri: str) -> None:
    names = [f"MLFLOW_HTTP_REQUEST_{name}" for name in ("MAX_RETRIES", "TIMEOUT")]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    connect(store_uri)
    assert [mlflow.environment_variables.__dict__[name].get() for name in names] == [0, 5]
