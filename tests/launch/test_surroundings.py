"""Surroundings that other people have: a long TMPDIR, a terminal without umlauts, no home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TINY = ("data.shots=2", "epochs=1", "model.weights=null", "threads=1", "num_workers=1", "tracking.uri=null")


def typed(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "tl_sweep.train", *words]
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_sweep_in_a_temporary_folder_with_a_long_name(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 110)
    long.mkdir()
    answer = typed(tmp_path, "-m", *TINY, "freeze=all", "seed=0,1", TMPDIR=str(long))
    assert answer.stderr == ""
    assert "2 of 2 jobs finished" in answer.stdout


def test_a_terminal_without_umlauts_gets_question_marks(tmp_path: Path) -> None:
    answer = typed(tmp_path, "freeze=Übung", PYTHONIOENCODING="ascii")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: freeze=?bung: ")
    assert "Traceback" not in answer.stderr
