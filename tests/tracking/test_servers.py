"""Real servers on this machine's own address: PostgreSQL, and MLflow's server with a login before it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tl_sweep.tracking import store
from tl_sweep.tracking.record import Record, folders_in

RIGHT, WRONG = "R1ght-S3cret/42", "Wr0ng-S3cret/42"  # a slash, which an address holds as %2F
IN_ADDRESS = {password: password.replace("/", "%2F") for password in (RIGHT, WRONG)}
NEEDS_ROOM = 120.0  # seconds that a server may take to start beside everything else


# --- addresses; no server needed


def test_artifacts_have_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", raising=False)
    postgres = "postgresql://me@host/db"
    assert store.artifacts_place(postgres) == (tmp_path / "mlartifacts").as_uri()
    assert store.artifacts_place(f"sqlite:///{tmp_path}/x/mlflow.db") == (tmp_path / "x" / "mlartifacts").as_uri()
    assert store.artifacts_place("http://127.0.0.1:5000") is None
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/artifacts")
    assert store.artifacts_place(postgres) == "s3://bucket/artifacts"


# --- PostgreSQL


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, newest first."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    return next(iter(places), None) or (Path(found).resolve().parent if found else None)


@dataclass(frozen=True)
class Postgres:
    """A private cluster in ``folder``, which root hands to the user postgres: its server refuses to run as root."""

    programs: Path
    folder: Path
    port: int

    def run(self, program: str, *words: str) -> str:
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        command = [str(self.programs / program), *words]
        password = {"PGPASSWORD": RIGHT, "PATH": os.environ["PATH"], "LC_ALL": "C"}
        with (self.folder / "said.txt").open("w+") as said:  # a pipe would stay open as long as the server runs
            done = subprocess.run(command, cwd=self.folder, env=password, stdout=said, stderr=said, **user)  # type: ignore[call-overload]
            said.seek(0)
            assert done.returncode == 0, said.read()
            said.seek(0)
            return str(said.read())

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -F"
        log = str(self.folder / "log.txt")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-o", options, "-l", log, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def ask(self, question: str, database: str = "postgres") -> list[str]:
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "keeper", "-d", database)
        return self.run("psql", *where, "-Atqc", question).splitlines()

    def uri(self, database: str, password: str = RIGHT) -> str:
        return f"postgresql://keeper:{IN_ADDRESS[password]}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        self.ask(f"CREATE DATABASE {name}")
        return self.uri(name)

    def dump(self, database: str) -> str:
        return self.run("pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "keeper", database)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL's programs are not installed")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("PostgreSQL's driver is not installed (extra: postgres)")
    folder = Path(tempfile.mkdtemp(prefix="tl_sweep-postgres-"))
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            shutil.rmtree(folder)
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    server = Postgres(place, folder, free_port())
    try:
        (folder / "password").write_text(RIGHT)
        (folder / "password").chmod(0o644)
        login = ("-A", "scram-sha-256", "-U", "keeper", "--pwfile", str(folder / "password"))
        server.run("initdb", "-D", str(folder / "data"), "-E", "UTF8", "-N", *login)
        (folder / "password").unlink()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


# --- commands


JOBS = ("model.weights=null", "data.shots=5", "epochs=2", "threads=1", "num_workers=1", "cache.enabled=false")


def start(folder: Path, *words: str, module: str = "tl_sweep.train", **variables: str) -> subprocess.Popen[str]:
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(folder), "COLUMNS": "500"} | variables
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, "-m", module, *words], cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def output(process: subprocess.Popen[str], code: int = 0) -> str:
    out, _ = process.communicate(timeout=600)
    assert process.returncode == code, out
    assert not holds_a_password(out)
    return out


def sweep(folder: Path, uri: str, *words: str, code: int = 0, **variables: str) -> str:
    return output(start(folder, "-m", "freeze=none,all", *JOBS, f"tracking.uri={uri}", *words, **variables), code)


def holds_a_password(text: str) -> bool:
    return any(form in text for pair in IN_ADDRESS.items() for form in pair)


def files_with_a_password(folder: Path) -> list[Path]:
    forms = [form.encode() for pair in IN_ADDRESS.items() for form in pair]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    return [path for path in files if any(form in path.read_bytes() for form in forms)]


def num_values(runs: Path) -> int:
    """How many values the records of these runs hold."""
    events = [event for run in folders_in(runs) for event, _ in Record(run).events()]
    return sum(len(event["values"]) for event in events if event["event"] == "metrics")


OURS = "experiment_id = (SELECT experiment_id FROM experiments WHERE name = 'tl_sweep')"  # not the reports'
NUM_STORED = "SELECT count(*), count(DISTINCT (run_uuid, key, step)) FROM metrics"


def assert_all_is_stored_once(postgres: Postgres, database: str, runs: Path) -> None:
    count = num_values(runs)
    assert count > 50
    assert postgres.ask(NUM_STORED, database) == [f"{count}|{count}"]
    statuses = postgres.ask(f"SELECT status FROM runs WHERE {OURS}", database)
    assert statuses == ["FINISHED"] * len(folders_in(runs))


@pytest.mark.slow
def test_a_sweep_on_postgresql_is_recorded_once_and_known_everywhere(postgres: Postgres, tmp_path: Path) -> None:
    uri = postgres.new_database("whole")
    assert "2 of 2 jobs finished in" in sweep(tmp_path, uri)
    assert "2 jobs, 2 finished before" in sweep(tmp_path, uri)
    assert "4 jobs, 2 finished before" in sweep(tmp_path, uri, "output.dir=other_runs", "seed=0,1")
    plan = ("freeze=none,all", *JOBS, f"tracking.uri={uri}", "output.dir=nothing_here", "seed=0,1,2")
    assert "2 of 6 jobs to run" in output(start(tmp_path, *plan, module="tl_sweep.plan"))
    assert "0 runs of" in output(start(tmp_path, f"tracking.uri={uri}", module="tl_sweep.sync"))
    assert len(postgres.ask(f"SELECT run_uuid FROM runs WHERE {OURS}", "whole")) == 4
    places = postgres.ask(f"SELECT artifact_location FROM experiments WHERE {OURS}", "whole")
    assert places == [(tmp_path / "mlartifacts").as_uri()]
    assert len(list(tmp_path.glob("mlartifacts/*/artifacts/predictions.parquet"))) == 4
    assert not (tmp_path / "mlruns").exists()
    assert files_with_a_password(tmp_path) == []
    assert not holds_a_password(postgres.dump("whole"))


@pytest.mark.slow
def test_the_password_may_come_from_the_environment(postgres: Postgres, tmp_path: Path) -> None:
    postgres.new_database("bare")
    uri = f"postgresql://keeper@127.0.0.1:{postgres.port}/bare"
    assert "no password supplied" in sweep(tmp_path, uri, code=1)
    assert "2 of 2 jobs finished in" in sweep(tmp_path, uri, PGPASSWORD=RIGHT)
    assert_all_is_stored_once(postgres, "bare", tmp_path / "runs")


@pytest.mark.slow
def test_postgresql_that_lets_nobody_in_stops_a_sweep_before_its_first_job(postgres: Postgres, tmp_path: Path) -> None:
    for uri, why in (
        (postgres.uri("postgres", WRONG), 'password authentication failed for user "keeper"'),
        (postgres.uri("nowhere"), 'database "nowhere" does not exist'),
    ):
        out = sweep(tmp_path, uri, code=1)
        assert out.startswith(f"error: tracking.uri=postgresql://keeper:***@127.0.0.1:{postgres.port}/")
        assert out.endswith(f"{why}\n")
        assert out.count("\n") == 1
    assert folders_in(tmp_path / "runs") == []


@pytest.mark.slow
def test_postgresql_that_stops_in_the_middle_has_everything_once_in_the_end(postgres: Postgres, tmp_path: Path) -> None:
    uri = postgres.new_database("stops")
    words = ("freeze=none", "seed=0,1", *JOBS[:1], "data.shots=20", "epochs=40", *JOBS[3:], f"tracking.uri={uri}")
    process = start(tmp_path, "-m", *words)
    wait_for_values(tmp_path / "runs", 40)
    postgres.stop()
    wait_for_values(tmp_path / "runs", num_values(tmp_path / "runs") + 40)
    postgres.start()
    out = output(process)
    assert out.count("warning: the tracking store") == 1
    output(start(tmp_path, f"tracking.uri={uri}", module="tl_sweep.sync"))
    assert_all_is_stored_once(postgres, "stops", tmp_path / "runs")


def wait_for_values(runs: Path, count: int) -> None:
    deadline_s = time.monotonic() + 300
    while num_values(runs) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


OPEN = """
import sys, mlflow
from tl_sweep.tracking.store import open_store
sys.stdin.readline()
open_store(sys.argv[1], "e")
"""


@pytest.mark.slow
def test_a_new_database_that_several_open_at_once(postgres: Postgres) -> None:
    uri = postgres.new_database("race")
    command = [sys.executable, "-c", OPEN, uri]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    time.sleep(15)  # for the imports, so that they start together
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    assert [process.communicate(timeout=300)[1] for process in processes] == [""] * 4
    assert postgres.ask("SELECT name FROM experiments ORDER BY 1", "race") == ["Default", "e"]


# --- MLflow's server with a login


@contextmanager
def mlflow_server(folder: Path, backend: str) -> Iterator[str]:
    """Yields its address. Its only user is admin."""
    folder.mkdir()
    port = free_port()
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
    stores = ["--backend-store-uri", backend, "--artifacts-destination", str(folder / "artifacts")]
    secrets = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "a key", "MLFLOW_AUTH_ADMIN_PASSWORD": RIGHT}
    command = [sys.executable, "-m", "mlflow", "server", *words, *stores]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | secrets, stdout=log, stderr=log)
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + NEEDS_ROOM
    while True:
        try:
            urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("flask_wtf") is None, reason="not installed: pip install 'mlflow[auth]'")
def test_an_mlflow_server_with_a_login(postgres: Postgres, tmp_path: Path) -> None:
    backend = postgres.new_database("served")
    by_name = {"MLFLOW_TRACKING_USERNAME": "admin"}
    with mlflow_server(tmp_path / "server", backend) as host:
        for uri, login in (
            (f"http://{host}", {}),
            (f"http://{host}", by_name | {"MLFLOW_TRACKING_PASSWORD": WRONG}),
            (f"http://admin:{IN_ADDRESS[WRONG]}@{host}", {}),
        ):
            out = sweep(tmp_path / "work", uri, code=1, **login)  # type: ignore[arg-type]
            assert out.startswith("error: tracking.uri=http://")
            assert "You are not authenticated" in out
            assert out.count("\n") == 1
        assert folders_in(tmp_path / "work" / "runs") == []
        by_environment = by_name | {"MLFLOW_TRACKING_PASSWORD": RIGHT}
        assert "2 of 2 jobs finished in" in sweep(tmp_path / "work", f"http://{host}", **by_environment)  # type: ignore[arg-type]
        assert "2 jobs, 2 finished before" in sweep(tmp_path / "work", f"http://{host}", **by_environment)  # type: ignore[arg-type]
        in_address = f"http://admin:{IN_ADDRESS[RIGHT]}@{host}"
        assert "4 jobs, 2 finished before" in sweep(tmp_path / "work", in_address, "seed=0,1")
    assert_all_is_stored_once(postgres, "served", tmp_path / "work" / "runs")
    assert len(list(tmp_path.glob("server/artifacts/*/*/artifacts/predictions.parquet"))) == 4
    assert files_with_a_password(tmp_path) == []
    assert not holds_a_password(postgres.dump("served"))
