"""The way to a tracking store: MLflow's client, on a database or behind a server; what it raises, in our terms."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from tl_sweep.base.errors import UserError
from tl_sweep.base.secrets import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy import Connection

ANSWER_S = 5  # that a call waits for a server
# What PostgreSQL says to somebody whom it does not let in; its driver gives no code for that.
LOCKED_OUT = re.compile(
    "authentication failed|no password supplied|does not exist|no pg_hba.conf entry|permission denied"
)
LOCKED = re.compile("database (table )?is locked")  # SQLite's words for another program's lock
RACE_LOST = re.compile("IntegrityError|UniqueViolation")
AT_ONCE_S = 2.0  # a failure that took longer is not tried again at once: the server hangs


class StoreAway(UserError):
    """A server that does not answer, or has trouble of its own, or a database that is locked: worth waiting for."""


def connect(uri: str):  # type: ignore[no-untyped-def]  # MlflowClient: not imported at the top, it takes seconds
    """A client of the store at ``uri`` that gives up on a dead server after seconds, not minutes."""
    settings = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 0,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": ANSWER_S,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": True,  # it would be with the password
        "PGCONNECT_TIMEOUT": ANSWER_S,
    }
    for name, value in settings.items():
        os.environ.setdefault(name, str(value))
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs what it raises, with a traceback
    if is_remote_database(uri):
        with connection(uri):  # fails at once where MLflow would try for minutes
            pass
    return PatientClient(MlflowClient(tracking_uri=uri, registry_uri=uri), uri)


class PatientClient:
    """MLflow's client, with calls that fail at once tried again at once, where it was the server's trouble, or where
    another process wrote the same row in the same moment (two first runs on one data set), which is then there.

    Not ``create_run``: a run created twice could not be told from two. MLflow's own repetition knows no exception.
    """

    def __init__(self, client: MlflowClient, uri: str) -> None:
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return method if name == "create_run" else partial(patiently, method, self._uri)


def patiently(method: Callable[..., Any], uri: str, *args: Any, **kwargs: Any) -> Any:
    for pause_s in (0.1, 0.3, 0.9):
        started_s = time.monotonic()
        try:
            return method(*args, **kwargs)
        except Exception as error:
            is_quick = time.monotonic() - started_s <= AT_ONCE_S
            if not RACE_LOST.search(str(error)) and not (is_away(uri, error) and is_quick):
                raise
        time.sleep(pause_s)
    return method(*args, **kwargs)


def is_remote_database(uri: str) -> bool:
    """Whether it is a database behind a network, with no MLflow server before it."""
    return uri.partition("://")[0].partition("+")[0] in ("postgresql", "mysql", "mssql")


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Inside, whatever a store or the way to it raises is a ``StoreAway``, or a ``UserError`` if it refused."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        package = "'tl-sweep[postgres]'" if uri.startswith("postgres") else error.name
        raise UserError(f"tracking.uri={masked(uri)}: its driver is missing: pip install {package}") from error
    except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        kind = StoreAway if is_away(uri, error) else UserError
        raise kind(f"tracking.uri={masked(uri)}: {_trouble(error)}") from error


def _trouble(error: Exception) -> str:
    if LOCKED.search(str(error)):
        return "another program keeps the database locked, perhaps one that shows or copies it; once that ends, go on"
    return f"the tracking store cannot be opened: {first_line(error)}"


def is_away(uri: str, error: Exception) -> bool:
    """Whether it was a server that did not answer, or had trouble of its own, or a lock; not one that refused."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    if is_remote_database(uri):
        is_wrapped = isinstance(error, MlflowException) and error.error_code == "TEMPORARILY_UNAVAILABLE"
        return (is_wrapped or isinstance(error, OperationalError)) and not LOCKED_OUT.search(str(error))
    if LOCKED.search(str(error)):
        return True
    refused = isinstance(error, MlflowException) and 400 <= error.get_http_status_code() < 500
    return uri.startswith("http") and not refused


def is_gone(error: MlflowException) -> bool:
    """Whether the store says that the run was deleted."""
    return error.error_code == "RESOURCE_DOES_NOT_EXIST" or "must be in the 'active' state" in str(error)


_warned: set[str] = set()


def warn_away(uri: str, error: BaseException) -> None:
    """Say that the store fails and what that means, once per process."""
    if uri not in _warned:
        _warned.add(uri)
        text = (
            f"warning: the tracking store {masked(uri)} fails ({first_line(error)}); nothing is lost: runs go on in "
            "their folders, and what waits is sent by the next run or by python -m tl_sweep.sync"
        )
        print(text, file=sys.stderr, flush=True)


def first_line(error: BaseException) -> str:
    """Of an error's text, without passwords."""
    return masked(str(error)).strip().partition("\n")[0][:400]


@contextmanager
def connection(uri: str) -> Iterator[Connection]:
    """A connection to the database, without MLflow.

    Raises:
        UserError: the address cannot be read.
    """
    from sqlalchemy import create_engine, make_url

    try:
        is_clear = "@" not in (make_url(uri).host or "")
    except ValueError:  # of the port
        is_clear = False
    if not is_clear:  # it is not shown: half of a password may stand anywhere
        raise UserError("tracking.uri: cannot be read; in a password write / as %2F, @ as %40 and : as %3A")
    engine = create_engine(uri, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as opened:
            yield opened
    finally:
        engine.dispose()
