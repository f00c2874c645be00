"""What several test files share: small configurations, runs recorded once, and commands run in process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, missing, started
from commands import Answer, Recorded, answer_of, record
from configs import config_in
from PIL import Image

from tl_sweep.config.schema import Config


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once per process is said once per test."""
    monkeypatch.setattr("tl_sweep.tracking.client._warned", set())


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """``config_in`` for this test's own folder and a database that does not exist yet."""
    return partial(config_in, tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for every test that does not look at the database itself: making one takes seconds."""
    from tl_sweep.tracking.store import prepare_store

    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    prepare_store(uri, "tl_sweep")
    return uri


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
