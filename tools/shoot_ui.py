"""Pictures of MLflow's own pages with a finished sweep:  python tools/shoot_ui.py SWEEP_ID OUT_DIR [TRACKING_URI]

Starts MLflow's server on a free port of 127.0.0.1 and looks at it in headless Chromium (Debian's chromium and
chromium-driver). Writes mlflow-runs.png, the list of runs, and mlflow-compare.png, the chosen runs side by side.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import Browser, started

from tl_sweep.comparison.analysis import Question
from tl_sweep.config.schema import OutputConfig, TrackingConfig, WeightsConfig, local_path
from tl_sweep.run.finished import Files
from tl_sweep.sweep.conclusion import study_of
from tl_sweep.tracking.names import Metric
from tl_sweep.tracking.store import compare_link, recorded_runs

SIZE = (1500, 900)
DEADLINE_S = 120
CLOSE_ASSISTANT = """
    for (const button of document.querySelectorAll("button"))
        if (/^close/i.test(button.getAttribute("aria-label") || "")) button.click();
"""


@contextmanager
def served(uri: str) -> Iterator[str]:
    """MLflow's server on the store at ``uri``; yields its address.

    Raises:
        TimeoutError: it does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "mlflow", *words], **quiet, start_new_session=True) as server:
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, 15)  # its workers, too


def wait_until_it_answers(address: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{address} does not answer")


def show_runs(browser: Browser, address: str, experiment_id: str, words: list[str]) -> str:
    """The list of runs; returns its text once it has ``words``."""
    browser.size(*SIZE)
    order = "orderByKey=metrics.%60best%2Fval_acc%60&orderByAsc=false"
    browser.open(f"{address}/#/experiments/{experiment_id}/runs?compareRunsMode=TABLE&{order}")
    text = browser.wait_for(words)
    browser.run(CLOSE_ASSISTANT)
    return text


def show_comparison(browser: Browser, link: str, words: list[str]) -> str:
    """The page that the printed link leads to; returns its text once it has ``words``."""
    browser.size(*SIZE)
    browser.open(link)
    text = browser.wait_for(words)
    browser.run(CLOSE_ASSISTANT)
    return text


def main(sweep: str, out: str, uri: str = str(TrackingConfig.uri)) -> None:
    runs = recorded_runs(uri, TrackingConfig.experiment, sweep)
    files = Files(uri, local_path(str(WeightsConfig.dir)), local_path(str(OutputConfig.dir)))
    study = study_of(runs, Question(sweep), files)
    link = compare_link(uri, TrackingConfig.experiment, [row.run_ids[0] for row in study.rows])
    experiment_id = link.rpartition("experiments=")[2].strip('[]"')
    with served(uri) as address, started() as browser:
        pages = {
            "mlflow-runs": lambda: show_runs(browser, address, experiment_id, ["scratch lr"]),
            "mlflow-compare": lambda: show_comparison(
                browser, address + link[link.index("/#") :], [Metric.BEST_VAL_ACC]
            ),
        }
        for name, show in pages.items():
            show()
            time.sleep(3)  # charts are drawn after the texts
            (Path(out) / f"{name}.png").write_bytes(browser.screenshot())


if __name__ == "__main__":
    main(*sys.argv[1:])
