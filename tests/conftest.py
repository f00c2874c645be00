"""What several test files share: small configurations, runs recorded once, and commands run in process."""

from __future__ import annotations

import io
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, missing, started
from PIL import Image

from tl_sweep.config.schema import Config, compose

ASSETS = Path(__file__).parents[1].parent / "shared" / "assets"


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once per process is said once per test."""
    monkeypatch.setattr("tl_sweep.tracking.store._warned", set())


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """``config_in`` for this test's own folder and a database that does not exist yet."""
    return partial(config_in, tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")


def config_in(folder: Path, uri: str | None, options: dict[str, str] | None = None, **values: Any) -> Config:
    """Five labelled digits per class at 32 px on our small net from random weights; options by group, values nested."""
    chosen = {"model": "resnet_small", "freeze": "none", "optim": "auto", "data": "digits", "augment": "light"}
    base = {
        "model": {"weights": None},
        "data": {"shots": 5},
        "epochs": 2,
        "threads": 1,
        "num_workers": 1,
        "output": {"dir": str(folder / "runs")},
        "weights": {"dir": str(folder / "weights")},
        "cache": {"dir": str(folder / "rows")},
        "tracking": {"uri": uri},
    }
    return compose(chosen | (options or {}), merged(base, values))


def merged(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``values`` over ``base``, nested dictionaries key by key."""
    both = dict(base)
    for name, value in values.items():
        inner = both.get(name)
        both[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for every test that does not look at the database itself: making one takes seconds."""
    from tl_sweep.tracking.store import prepare_store

    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    prepare_store(uri, "tl_sweep")
    return uri


@dataclass(frozen=True)
class Recorded:
    """A run that ended well: what it was told, where it lies, what it returned."""

    config: Config
    folder: Path
    uri: str
    run_id: str
    val_acc: float


def record(config: Config, folder: Path) -> Recorded:
    """Train, test and record in process, as one job of a sweep of its own."""
    from tl_sweep.run.log_file import log_to
    from tl_sweep.tracking.store import runs_of_sweep
    from tl_sweep.train import Position, run_job

    folder.mkdir(parents=True)
    sweep, uri = uuid.uuid4().hex[:12], config.tracking.uri
    assert uri is not None
    with log_to(folder / "run.log"):
        val_acc = run_job(config, folder, Position(sweep_id=sweep, overrides=("epochs=2", "seed=0")))
    (run,) = runs_of_sweep(uri, config.tracking.experiment, sweep)
    return Recorded(config, folder, uri, run.run_id, val_acc)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, store_uri: str) -> Recorded:
    """Two epochs of our small net on digits."""
    folder = tmp_path_factory.mktemp("small run")
    return record(config_in(folder, store_uri), folder / "run")


@pytest.fixture(scope="session")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images in each of three classes, told apart by their colour."""
    root, rng = tmp_path_factory.mktemp("My Photos (2024)"), np.random.default_rng(0)
    for colour, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir()
        for number in range(12):
            pixels_HWC = rng.integers(0, 100, (40, 48, 3), dtype=np.uint8)
            pixels_HWC[..., colour] += 150
            Image.fromarray(pixels_HWC).save(root / name / f"{number:02d}.png")
    return root


@dataclass(frozen=True)
class Answer:
    """What a command left behind: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def answer_of(main: Callable[[], None], *arguments: str) -> Answer:
    """Run a command's ``main`` in this process and folder."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["command", *arguments])
        patch.setenv("HYDRA_FULL_ERROR", "0")
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def table_lines(out: str) -> list[str]:
    """The lines of a comparison's table as printed, its header first."""
    lines = out.splitlines()
    rule = next(place for place, line in enumerate(lines) if line.strip("─ ") == "" and "─" in line)
    ends = [place for place, line in enumerate(lines) if place > rule + 1 and (":" in line or "job" in line)]
    return [line for line in (lines[rule - 1], *lines[rule + 1 : ends[0]]) if line.strip()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, where it is installed."""
    if missing():
        pytest.skip(f"{' and '.join(missing())} not found: apt-get install chromium chromium-driver")
    with started() as browser:
        yield browser


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """``command(main, "freeze=all", …)`` runs a command's ``main`` in this process, in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return answer_of


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine; yields its address. It serves ``tmp_path / "site"``."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "site").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site"))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()
