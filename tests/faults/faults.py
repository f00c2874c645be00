"""Break real sweeps in real ways, and count what was lost:  make test-faults

    python tests/faults/faults.py [only=name,name] [seed=0] [log=faults.jsonl] [table=docs/reliability.md]

Every fault is a real process and a real signal, server or file system; moments are drawn from ``seed``, which is
printed. Weights are compared by hash with a run that nothing happened to. Each result is a line of ``log``; ``table``
is written from all lines of the log. Exit code 1 if anything was lost. Linux; what needs root says so where it lacks.
"""

from __future__ import annotations

import csv
import ctypes
import hashlib
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from PIL import Image

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.tracking.client import connect
from tl_sweep.tracking.record import STATE, Record, folders_in, metric_lines


@dataclass(frozen=True)
class Arguments:
    only: tuple[str, ...] = argument((), "names of faults; not given: all")
    seed: int = argument(0, "of when each strikes")
    log: Path = argument(Path("faults.jsonl"), "where results are kept")
    table: Path | None = argument(None, "the document whose table is written anew; null: none")


TIMED = ("images_per_s", "seconds", "peak_memory_mb", "cache/")
JOB = ("data.shots=null", "data.fraction=0.2", "freeze=none", "threads=1", "num_workers=1")  # half a second per epoch
# a second in whole
HEAD = ("-m", "data.shots=2", "freeze=all", "model.weights=null", "threads=1", "num_workers=1", "epochs=1")
PATIENCE_S = 900
PR_CAPBSET_DROP = 24  # of prctl(2)


@dataclass(frozen=True)
class Result:
    """fault: what was done. tried: how often. lost: empty, or what. seen: what a person would want to know."""

    fault: str
    tried: str
    lost: str
    seen: str
    seed: int = 0
    date: str = ""


class Lost(Exception):
    """Something that should have survived did not."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Lost(what)


# --- processes


def start(folder: Path, *words: str, module: str = "tl_sweep.train", env: dict[str, str] | None = None,
          before: Callable[[], None] | None = None) -> subprocess.Popen[str]:  # fmt: skip
    """A command in a session of its own, so that it can be killed whole."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
        if before is not None:
            before()

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "out.txt").open("a") as out:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=folder,
            env=os.environ | {"HOME": str(folder), "OMP_NUM_THREADS": "1"} | (env or {}),
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )


def finish(process: subprocess.Popen[str], code: int = 0) -> None:
    require(process.wait(PATIENCE_S) == code, f"exit code {process.returncode}, not {code}")


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[Any]) -> bool:
    """Whether it came true while the process lived."""
    while process.poll() is None:
        if holds():
            return True
        time.sleep(0.05)
    return False


def starts(folder: Path) -> list[dict[str, str]]:
    """The tags of each attempt of each run in ``folder``."""
    return [
        event["tags"]
        for run in folders_in(folder / "runs")
        for event, _ in Record(run).events()
        if event["event"] == "start"
    ]


# --- what is compared


def weights(run: Path) -> str:
    return hashlib.sha256((run / "checkpoint.safetensors").read_bytes()).hexdigest()


def curves(run: Path) -> list[dict[str, float]]:
    return [{k: v for k, v in line.items() if not k.startswith(TIMED)} for line in metric_lines(run)]


def require_equal(folder: Path, reference: Path) -> None:
    """Every run of ``reference`` is there once, with the same weights and the same curves."""
    mine, theirs = folders_in(folder / "runs"), folders_in(reference / "runs")
    require([run.name for run in mine] == [run.name for run in theirs], f"runs {len(mine)}, not {len(theirs)}")
    for run, other in zip(mine, theirs, strict=True):
        summary = Record(run).summary()
        require(summary is not None and summary.status == "FINISHED", f"{run.name} is not finished")
        require(weights(run) == weights(other), f"other weights in {run.name}")
        require(curves(run) == curves(other), f"other curves in {run.name}")


def require_in_store(folder: Path, uri: str) -> None:
    """The store has every run of ``folder`` once, finished, with each step of each metric once."""
    client = connect(uri)
    experiment = client.get_experiment_by_name("tl_sweep")
    require(experiment is not None, "no experiment in the store")
    stored = client.search_runs([experiment.experiment_id], max_results=50_000)
    by_key = {run.data.tags["key"]: run for run in stored}
    local = folders_in(folder / "runs")
    require(len(by_key) == len(stored) == len(local), f"{len(stored)} runs in the store, {len(local)} in folders")
    for run in local:
        mine = by_key[run.name]
        require(mine.info.status == "FINISHED", f"{run.name} is {mine.info.status} in the store")
        for name in ("val/acc", "train/loss", "test/acc"):
            steps = [int(line["step"]) for line in metric_lines(run) if name in line]
            seen = sorted(point.step for point in client.get_metric_history(mine.info.run_id, name))
            require(seen == steps, f"{name} of {run.name}: steps {seen}, not {steps}")


# --- faults; each gets an empty folder and a source of random moments


def kill_a_job(folder: Path, moments: random.Random) -> tuple[str, str]:
    """kill -9 of a job at random moments, resumed each time"""
    words = ("-m", *JOB, "epochs=60", "hydra.launcher.max_retries=1000")
    finish(start(folder / "whole", *words))
    process, kills, killed = start(folder / "killed", *words), 0, 0
    while kills < 20 and wait_until(lambda killed=killed: len(starts(folder / "killed")) > killed, process):  # type: ignore[misc]
        killed = len(starts(folder / "killed"))
        pid = int(starts(folder / "killed")[-1]["pid"])
        time.sleep(moments.uniform(0, 2.5))
        if process.poll() is None and Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)
            kills += 1
    finish(process)
    require(kills == 20, f"only {kills} kills before the run was done")
    require_equal(folder / "killed", folder / "whole")
    require_in_store(folder / "killed", f"sqlite:///{folder}/killed/mlflow.db")
    return f"{kills} kills of one run", "same weights and curves as without; one run in MLflow"


def kill_the_sweep(folder: Path, moments: random.Random) -> tuple[str, str]:
    """kill -9 of a whole sweep (launcher, fork server, two jobs), resumed by the same command"""
    words = ("-m", *JOB, "freeze=scratch,none,early", "seed=0,1", "epochs=12", "hydra.launcher.n_jobs=2")
    finish(start(folder / "whole", *words))
    kills = 0
    for _ in range(5):
        before = len(starts(folder / "killed"))
        process = start(folder / "killed", *words)
        if wait_until(lambda before=before: len(starts(folder / "killed")) > before, process):  # type: ignore[misc]
            time.sleep(moments.uniform(0, 5))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    finish(start(folder / "killed", *words))
    require(kills == 5, f"only {kills} kills before the sweep was done")
    require_equal(folder / "killed", folder / "whole")
    require_in_store(folder / "killed", f"sqlite:///{folder}/killed/mlflow.db")
    return f"{kills} kills of a sweep of 6 jobs", "every job exactly once in MLflow, same weights"


def kill_the_launcher(folder: Path, moments: random.Random) -> tuple[str, str]:
    """kill -9 of the launcher alone: its jobs must not live on"""
    process = start(folder, "-m", *JOB, "epochs=200", "seed=0,1", "hydra.launcher.n_jobs=2")
    require(wait_until(lambda: len(starts(folder)) == 2, process), "the jobs did not start")
    pids = [int(tags["pid"]) for tags in starts(folder)]
    time.sleep(moments.uniform(0, 2))
    process.kill()
    deadline_s = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        require(time.monotonic() < deadline_s, "a job outlived its launcher by a minute")
        time.sleep(0.1)
    statuses = {str(Record(run).summary().status) for run in folders_in(folder / "runs")}  # type: ignore[union-attr]
    require(statuses == {"KILLED"}, f"recorded as {statuses}")
    return "1", "both jobs closed their records as KILLED and ended"


def terminate(folder: Path, moments: random.Random) -> tuple[str, str]:
    """SIGTERM and Ctrl-C of a sweep, resumed by the same command"""
    words = ("-m", *JOB, "seed=0,1", "epochs=12", "hydra.launcher.n_jobs=2")
    finish(start(folder / "whole", *words))
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        before = len(starts(folder / "stopped"))
        process = start(folder / "stopped", *words)
        wait_until(lambda before=before: len(starts(folder / "stopped")) >= before + 2, process)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 2))
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        finish(process, code)
        for run in folders_in(folder / "stopped" / "runs"):
            summary = Record(run).summary()
            require(summary is not None and summary.status in ("KILLED", "FINISHED"), "a record was left open")
    finish(start(folder / "stopped", *words))
    require_equal(folder / "stopped", folder / "whole")
    require_in_store(folder / "stopped", f"sqlite:///{folder}/stopped/mlflow.db")
    return "1 each", "records closed as KILLED, exit codes 143 and 130; same weights in the end"


def open_a_new_database(folder: Path, moments: random.Random) -> tuple[str, str]:
    """8 processes open a database that does not exist yet"""
    code = "import sys; from tl_sweep.tracking.store import open_store; open_store(sys.argv[1], 'tl_sweep')"
    for number in range(3):
        uri = f"sqlite:///{folder}/{number}/mlflow.db"
        processes = [subprocess.Popen([sys.executable, "-c", code, uri]) for _ in range(8)]
        require([process.wait(300) for process in processes] == [0] * 8, "a process failed")
        require(len(connect(uri).search_experiments()) == 2, "not one experiment besides the default one")
    return "3 × 8 processes", "one database, one experiment"


def many_at_once(folder: Path, moments: random.Random) -> tuple[str, str]:
    """4 jobs at once × 50 runs on SQLite"""
    words = ("-m", "freeze=all", "model.weights=null", "data.shots=2", "epochs=1", "seed=range(200)", "num_workers=1")
    started_s = time.monotonic()
    finish(start(folder, *words, "hydra.launcher.n_jobs=4"))
    took_s = time.monotonic() - started_s
    require(len(folders_in(folder / "runs")) == 200, "runs are missing")
    require_in_store(folder, f"sqlite:///{folder}/mlflow.db")
    started_s = time.monotonic()
    finish(start(folder, *words))
    again_s = time.monotonic() - started_s
    return (
        "200 runs",
        f"all in MLflow; {took_s:.0f} s, {took_s / 200:.2f} s per job; the same command again {again_s:.1f} s",
    )


def server_gone(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the tracking server is away for a whole run"""
    uri = f"http://127.0.0.1:{free_port()}"
    words = (*JOB, "epochs=10")
    started_s = time.monotonic()
    finish(start(folder / "whole", *words, "tracking.uri=null"))
    alone_s = time.monotonic() - started_s
    started_s = time.monotonic()
    finish(start(folder / "away", *words, f"tracking.uri={uri}"))
    away_s = time.monotonic() - started_s
    said = (folder / "away" / "out.txt").read_text().count("warning: the tracking store")
    with mlflow_server(folder, uri):
        finish(start(folder / "away", f"tracking.uri={uri}", module="tl_sweep.sync"))
        require_in_store(folder / "away", uri)
    require_equal(folder / "away", folder / "whole")
    return (
        "1",
        f"{away_s:.0f} s (without a store {alone_s:.0f} s), {said} warnings; python -m tl_sweep.sync sent all of it",
    )


def server_restarted(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the tracking server is killed in the middle of an epoch, and comes back"""
    uri = f"http://127.0.0.1:{free_port()}"
    with mlflow_server(folder, uri):
        process = start(folder / "run", *JOB, "epochs=40", f"tracking.uri={uri}")
        require(wait_until(lambda: bool(runs_with_metrics(folder / "run")), process), "no epoch was recorded")
        time.sleep(moments.uniform(0, 3))
    time.sleep(3)
    with mlflow_server(folder, uri):
        finish(process)
        finish(start(folder / "run", f"tracking.uri={uri}", module="tl_sweep.sync"))
        require_in_store(folder / "run", uri)
    return "1", "the run went on; every step once in the end"


def server_with_trouble(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the tracking server answers 500 half of the time, before or after having done what it was asked"""
    server, proxy = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    with mlflow_server(folder, server), troubled_proxy(proxy, server, moments) as answers:
        finish(start(folder / "run", *JOB, "epochs=40", f"tracking.uri={proxy}"))
        for _ in range(60):
            synced = start(folder / "run", f"tracking.uri={proxy}", module="tl_sweep.sync")
            if synced.wait(PATIENCE_S) == 0:
                break
        require(synced.returncode == 0, "sync never got through")
        require_in_store(folder / "run", server)
    return "1", f"{answers.count(500)} of {len(answers)} answers were 500; every step once in the end"


def disk_full(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the disk fills up while a state is written"""
    small = folder / "full" / "runs"
    words = (*JOB, "epochs=12", "tracking.uri=null")
    finish(start(folder / "whole", *words))
    with mounted(small, "size=7m"):
        finish(start(folder / "full", *words), 1)
        reason = re.search(
            r"error: .*cannot be written: No space left on device.*", (folder / "full" / "out.txt").read_text()
        )
        require(reason is not None, "the reason was not told")
        states = [path for run in folders_in(small) for path in (run / STATE).glob("epoch-*")]
        require(bool(states), "no state was left")
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        finish(start(folder / "full", *words))
        require_equal(folder / "full", folder / "whole")
    return (
        "1",
        "failed with that reason, the state before stayed; with room again, the same command ended with equal weights",
    )


def damaged_state(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the newest state of a killed run is truncated, changed or emptied"""
    words = (*JOB, "epochs=14", "tracking.uri=null")
    finish(start(folder / "whole", *words))
    for number, damage in enumerate(("truncated", "changed", "emptied")):
        here = folder / damage
        process = start(here, *words)
        wait_until(lambda here=here: len(list(here.glob("runs/*/state/epoch-*"))) == 2, process)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 1))
        process.kill()
        process.wait()
        newest = max(here.glob("runs/*/state/epoch-*"))
        content = newest.read_bytes()
        middle = moments.randrange(len(content))
        newest.write_bytes([content[:middle], content[:middle] + b"\0!" + content[middle + 2 :], b""][number])
        finish(start(here, *words))
        log = next(here.glob("runs/*/run.log")).read_text()
        require("is damaged: taking the state before it" in log, f"{damage}: it was not noticed")
        require_equal(here, folder / "whole")
    return "3", "noticed and said; gone on from the state before; same weights"


def clock_jumps_back(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the clock jumps back by a day in the middle of a run that is then killed and resumed"""
    words = (*JOB, "epochs=20")
    finish(start(folder / "whole", *words))
    custom = folder / "custom"
    custom.mkdir()
    (custom / "sitecustomize.py").write_text(
        "import time\nreal, begun = time.time, time.monotonic()\n"
        "time.time = lambda: real() - (86400 if time.monotonic() - begun > 12 else 0)\n"
    )
    process = start(folder / "jumped", *words, env={"PYTHONPATH": str(custom)})
    require(wait_until(lambda: len(runs_with_metrics(folder / "jumped", 6)) > 0, process), "no six epochs")
    time.sleep(moments.uniform(0, 2))
    process.kill()
    process.wait()
    finish(start(folder / "jumped", *words, env={"PYTHONPATH": str(custom)}))
    require_equal(folder / "jumped", folder / "whole")
    require_in_store(folder / "jumped", f"sqlite:///{folder}/jumped/mlflow.db")
    return "1", "same weights and curves; every step once in MLflow"


def out_of_memory(folder: Path, moments: random.Random) -> tuple[str, str]:
    """a job eats all memory that its sweep may have (RLIMIT_AS)"""
    words = (
        "-m",
        "data.shots=null",
        "freeze=scratch",
        "threads=1",
        "epochs=1",
        "data.image_size=32,1024",
        "batch_size=256",
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (24 * 2**30, 24 * 2**30))

    finish(start(folder, *words, before=limit), 1)
    statuses = sorted(str(Record(run).summary().status) for run in folders_in(folder / "runs"))  # type: ignore[union-attr]
    require(statuses == ["FAILED", "FINISHED"], f"recorded as {statuses}")
    out = (folder / "out.txt").read_text()
    require("1 of 2 jobs failed" in out, "the failure was not told")
    require("memory" in out, "the reason was not told")
    return "1", "that job alone failed, with the reason; the other one finished"


def read_only(folder: Path, moments: random.Random) -> tuple[str, str]:
    """the working directory is read-only"""
    with mounted(folder / "ro", "size=1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(folder / "ro")], check=True)
        answer = subprocess.run(
            [sys.executable, "-m", "tl_sweep.train", "-m", "seed=0,1", *JOB],
            cwd=folder / "ro",
            env=os.environ | {"HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    require(answer.returncode == 1, f"exit code {answer.returncode}")
    require(answer.stderr.startswith("error: output.dir=") and "Traceback" not in answer.stderr, answer.stderr[:300])
    return "1", answer.stderr.splitlines()[0].replace(str(folder), "…")


def is_being_made(place: Path) -> bool:
    return any(place.glob(".mlflow.db.making-*"))


def kill_while_the_database_is_made(folder: Path, moments: random.Random) -> tuple[str, str]:
    """kill -9 of a first sweep while it makes mlflow.db"""
    kills = 5
    for attempt in range(kills):
        place = folder / str(attempt)
        first = start(place, *HEAD, "seed=0")
        require(wait_until(partial(is_being_made, place), first), "the database was never being made")
        time.sleep(moments.uniform(0, 1.5))
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        finish(start(place, *HEAD, "seed=0"))
        require_in_store(place, f"sqlite:///{place / 'mlflow.db'}")
    return f"{kills} kills", "the next command made it and ran"


def damaged_line(folder: Path, moments: random.Random) -> tuple[str, str]:
    """a line of one run's record is damaged"""
    finish(start(folder, *HEAD, "seed=0,1,2", "tracking.uri=null"))
    damaged = moments.choice(folders_in(folder / "runs"))
    lines = (damaged / "record.jsonl").read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2][: len(lines[-2]) // 2] + b"\n"
    (damaged / "record.jsonl").write_bytes(b"".join(lines))
    finish(start(folder, "tracking.uri=null", "page=null", module="tl_sweep.compare"))
    said = (folder / "out.txt").read_text()
    require("its record is damaged" in said and damaged.name in said, "the run is not named")
    require("Traceback" not in said, "a traceback")
    finish(start(folder, *HEAD, "seed=0,1,2", "tracking.uri=null"))
    require("3 of 3 jobs finished (2 of them before)" in (folder / "out.txt").read_text(), "it was not run again")
    return "1", "that run alone is left out, by name; the same sweep runs it again"


def photographs(root: Path) -> Path:
    """Twelve small images in each of two classes, of one size in bytes."""
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (root / name).mkdir(parents=True)
        for number in range(12):
            picture = Image.new("RGB", (32, 32), colour)
            picture.putpixel((number, 0), (number, 255, 0))
            picture.save(root / name / f"{number:02}.bmp")
    return root


def image_of_equal_size_and_time(folder: Path, moments: random.Random) -> tuple[str, str]:
    """an image is replaced by another one of equal size and time of change"""
    root = photographs(folder / "photos")
    own = ("-m", f"data.root={root}", "data.image_size=32", *HEAD[2:], "tracking.uri=null")
    finish(start(folder, *own))
    replaced, other = root / "red" / f"{moments.randrange(12):02}.bmp", folder / "other.bmp"
    Image.new("RGB", (32, 32), (200, 9, 9)).save(other)
    before = replaced.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.copy2(other, replaced)
    after = replaced.stat()
    require((after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns), "not of equal size and time")
    finish(start(folder, *own))
    require(len(folders_in(folder / "runs")) == 2, "the run on the old image was taken for it")
    return "1", "noticed: another run, on the image as it is"


def data_changes_during_a_sweep(folder: Path, moments: random.Random) -> tuple[str, str]:
    """an image is added while a sweep runs"""
    root = photographs(folder / "photos")
    own = (f"data.root={root}", "data.image_size=32", "model.weights=null", "freeze=none", "threads=1", "epochs=20")
    sweep = start(folder, "-m", *own, "seed=0,1", "hydra.launcher.n_jobs=1", "tracking.uri=null")
    require(wait_until(lambda: bool(runs_with_metrics(folder)), sweep), "the first job never trained")
    Image.new("RGB", (32, 32), (9, 200, 9)).save(root / "red" / "added.bmp")
    finish(sweep, code=1)
    said = (folder / "out.txt").read_text()
    require("1 of 2 jobs failed" in said, "the change was not noticed")
    require("not what the sweep checked" in said, "the reason was not told")
    return "1", "the job that began before ends; the next one fails, and says that the images are others"


def without_privilege() -> None:
    """From here on root is held to the permissions of files, too (its CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH go)."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def image_that_cannot_be_read_for_a_while(folder: Path, moments: random.Random) -> tuple[str, str]:
    """an image cannot be read when a sweep starts, and can later, untouched; with data.skip_unreadable=true"""
    images = 4
    for attempt in range(images):
        place = folder / str(attempt)
        root = photographs(place / "photos")
        own = (f"data.root={root}", "data.image_size=32", *HEAD[2:], "tracking.uri=null")
        (root / "red" / f"{moments.randrange(12):02}.bmp").chmod(0)
        finish(start(place, *own, before=without_privilege), code=1)
        require("1 unreadable image(s)" in (place / "out.txt").read_text(), "it was not refused")
        finish(start(place, *own, "data.skip_unreadable=true", before=without_privilege))
        require("1 unreadable image(s) skipped" in (place / "out.txt").read_text(), "it was not said")
        finish(start(place, *own, "data.skip_unreadable=true"))
        sizes = sorted(images_in(run) for run in folders_in(place / "runs"))
        require(sizes == [23, 24], f"runs on {sizes} images")
        require("Traceback" not in (place / "out.txt").read_text(), "a traceback")
    return f"{images} images", "refused, or skipped and said; once it can be read, another run has it"


def images_in(run: Path) -> int:
    split = json.loads((run / "split.json").read_text())
    return sum(len(split[part]) for part in ("train", "val", "test"))


def moved_folder(folder: Path, moments: random.Random) -> tuple[str, str]:
    """runs, database and artifacts are moved together; then the database is deleted"""
    moves, place, sweep = 3, folder / "here", (*HEAD, "seed=0,1,2")
    finish(start(place, *sweep))
    picture = photographs(folder / "photos") / "red" / "00.bmp"
    words = ("run=best", str(picture), "format=csv", "out=classes.csv")
    finish(start(place, *words, module="tl_sweep.predict"))
    expected = (place / "classes.csv").read_text()
    for _ in range(moves):
        (place / "classes.csv").unlink()
        place = place.rename(folder / f"{moments.randrange(10**6)}")
        finish(start(place, "page=null", "out=rows.csv", module="tl_sweep.compare"))
        (row,) = csv.DictReader((place / "rows.csv").open())
        require(len(row["runs"].split()) == 3, "compare leaves runs out")
        finish(start(place, *words, module="tl_sweep.predict"))
        require((place / "classes.csv").read_text() == expected, "predict answers otherwise")
        finish(start(place, *sweep))
        said = (place / "out.txt").read_text()
        require("3 of 3 jobs finished (3 of them before)" in said, "runs were run again")
        require_in_store(place, f"sqlite:///{place / 'mlflow.db'}")
    for file in place.glob("mlflow.db*"):
        file.unlink()
    finish(start(place, "page=null", module="tl_sweep.compare"), code=1)
    require("tl_sweep.sync" in (place / "out.txt").read_text(), "sync is not named")
    finish(start(place, module="tl_sweep.sync"))
    require_in_store(place, f"sqlite:///{place / 'mlflow.db'}")
    require("Traceback" not in (place / "out.txt").read_text(), "a traceback")
    return f"{moves} moves", "compare, predict and the same sweep as before; tl_sweep.sync made the database anew"


FAULTS = (
    kill_a_job,
    kill_the_sweep,
    kill_the_launcher,
    terminate,
    open_a_new_database,
    many_at_once,
    server_gone,
    server_restarted,
    server_with_trouble,
    disk_full,
    damaged_state,
    clock_jumps_back,
    out_of_memory,
    read_only,
    kill_while_the_database_is_made,
    damaged_line,
    image_of_equal_size_and_time,
    data_changes_during_a_sweep,
    image_that_cannot_be_read_for_a_while,
    moved_folder,
)

# --- surroundings


def runs_with_metrics(folder: Path, epochs: int = 1) -> list[Path]:
    return [run for run in folders_in(folder / "runs") if len(Record(run).steps()) >= epochs]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, uri: str) -> Iterator[None]:
    """A real server on this machine's own address; killed at the end."""
    store = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/artifacts"]
    where = ["--host", "127.0.0.1", "--port", uri.rpartition(":")[2], "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", *store, *where]
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        require(wait_until(lambda: answers(uri), process), "the server did not start")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(uri: str) -> bool:
    try:
        with urlopen(f"{uri}/health", timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def troubled_proxy(address: str, server: str, moments: random.Random) -> Iterator[list[int]]:
    """Passes requests on to ``server``; half of the answers are 500, as often before passing on as after it."""
    given: list[int] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            dice = moments.random()
            status, answer = 500, b"{}"
            if dice > 0.25:
                status, answer = self.passed_on(body)
            if dice > 0.75:
                status, answer = 500, b"{}"
            given.append(status)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def passed_on(self, body: bytes) -> tuple[int, bytes]:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
            asked = Request(f"{server}{self.path}", data=body or None, headers=headers, method=self.command)
            try:
                with urlopen(asked, timeout=30) as answer:
                    return answer.status, answer.read()
            except HTTPError as error:
                return error.code, error.read()

        def log_message(self, *_: object) -> None:
            pass

    host, _, port = address.removeprefix("http://").partition(":")
    with ThreadingHTTPServer((host, int(port)), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield given
        finally:
            proxy.shutdown()
            thread.join()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory; needs root."""
    folder.mkdir(parents=True)
    answer = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if answer.returncode:
        raise UserError(f"cannot mount a small file system: {answer.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- report


def write_table(log: Path, path: Path) -> None:
    """The newest result of each fault, as the fault table."""
    newest = {result["fault"]: result for result in map(json.loads, log.read_text().splitlines())}
    rows = [f"| {r['fault']} | {r['tried']} | {r['lost'] or 'nothing'} | {r['seen']} |" for r in newest.values()]
    dates = sorted({result["date"] for result in newest.values()})
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    text = path.read_text() if path.exists() else "# Reliability\n\n<!-- faults -->\n"
    table = "\n".join(
        [
            f"Measured {' to '.join({dates[0]: 0, dates[-1]: 0})} on a shared virtual machine, {machine}, no GPU.",
            "",
            "| fault | tried | lost | what was seen |",
            "|---|---|---|---|",
            *rows,
        ]
    )
    before, mark, _ = text.partition("<!-- faults -->\n")
    path.write_text(f"{before}{mark}\n{table}\n")


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        wanted = arguments.only or [fault.__name__ for fault in FAULTS]
        log, seed, failures = arguments.log, arguments.seed, 0
        for fault in FAULTS:
            if fault.__name__ not in wanted:
                continue
            folder = Path(tempfile.mkdtemp(prefix=f"{fault.__name__}-"))
            started_s, tried, lost, seen = time.monotonic(), "1", "", ""
            try:
                tried, seen = fault(folder, random.Random(f"{fault.__name__} {seed}"))
            except Lost as what:
                lost, seen, failures = str(what), f"kept in {folder}", failures + 1
            result = Result(str(fault.__doc__), tried, lost, seen, seed, time.strftime("%Y-%m-%d"))
            with log.open("a") as lines:
                lines.write(json.dumps(asdict(result)) + "\n")
            took = f"{time.monotonic() - started_s:.0f} s, seed {seed}"
            print(
                f"{'LOST: ' + lost if lost else 'nothing lost'} | {fault.__doc__} | {tried} | {seen} | {took}",
                flush=True,
            )
            if not lost:
                shutil.rmtree(folder)
        if arguments.table:
            write_table(log, arguments.table)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
