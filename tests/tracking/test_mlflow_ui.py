"""Side by side in MLflow's own pages: its real server on a finished sweep, seen in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Browser
from commands import Answer
from shoot_ui import served, show_comparison, show_runs

from tl_sweep.tracking.store import recorded_runs
from tl_sweep.train import main

pytestmark = pytest.mark.slow
TINY = ("hydra/launcher=basic", "model.weights=null", "data.shots=2", "epochs=1", "threads=1", "num_workers=1")


def test_runs_are_listed_by_name_and_the_printed_link_shows_them_side_by_side(
    browser: Browser, command: Callable[..., Answer]
) -> None:
    answer = command(main, "-m", *TINY, "freeze=scratch,all")
    assert answer.code == 0, answer.err
    printed = re.search(r"http://127.0.0.1:5000(/#/compare-runs\?runs=.*)$", answer.out, re.MULTILINE)
    assert printed
    experiment = printed[1].rpartition("experiments=")[2].strip('[]"')
    uri = f"sqlite:///{Path('mlflow.db').absolute()}"
    runs = recorded_runs(uri, "tl_sweep")
    with served(uri) as address:
        listed = show_runs(browser, address, experiment, ["scratch lr0.001 e1 n2", "all lbfgs n2"])
        beside = show_comparison(browser, address + printed[1], ["best/val_acc", "freeze.name", "Comparing 2 Runs"])
        picture = browser.screenshot()
    assert "2 matching runs" in listed
    assert all(run.run_id in beside for run in runs)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000  # an empty page is smaller
