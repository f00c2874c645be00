"""Whole sweeps by each launcher: the same numbers from all of them, and what a dead worker costs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tl_sweep.tracking.record import Record, folders_in, metric_lines

TIMED = ("images_per_s", "seconds", "peak_memory_mb", "cache/")
WORDS = ("freeze=none,all", "seed=0,1", "data.shots=5", "epochs=2", "threads=1", "num_workers=1", "tracking.uri=null")
LAUNCHERS = {
    "one after the other": ("hydra.launcher.n_jobs=1",),
    "two at once": ("hydra.launcher.n_jobs=2",),
    "in one process": ("hydra/launcher=basic",),
    "on ray": ("hydra/launcher=ray",),
    "on slurm": ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1"),
}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra: ray)")


def has_cluster() -> bool:
    """Whether a SLURM controller answers."""
    asked = ["timeout", "5", "sinfo"]  # it waits long for one that is down
    return shutil.which("sbatch") is not None and subprocess.run(asked, capture_output=True).returncode == 0


needs_slurm = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None or not has_cluster(),
    reason="no SLURM cluster here (scripts/slurm_on_loopback.sh starts one), or no submitit (extra: slurm)",
)
OTHERS = ["two at once", pytest.param("on ray", marks=needs_ray), pytest.param("on slurm", marks=needs_slurm)]
pytestmark = pytest.mark.slow


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tl_sweep.train", "-m", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HOME": str(folder.parent)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> str:
    """What a command that ends well has printed."""
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return out


def numbers(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Every metric of every run, but for what measures time and memory."""
    return {
        run.name: [{k: v for k, v in line.items() if not k.startswith(TIMED)} for line in metric_lines(run)]
        for run in folders_in(folder / "runs")
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("reference") / "sweep"
    output(start(folder, *WORDS, *LAUNCHERS["one after the other"]))
    return numbers(folder)


@pytest.mark.parametrize("way", ["in one process", *OTHERS])
def test_every_launcher_gives_the_same_numbers(
    tmp_path: Path, reference: dict[str, list[dict[str, float]]], way: str
) -> None:
    out = output(start(tmp_path / "sweep", *WORDS, *LAUNCHERS[way]))
    assert "4 of 4 jobs finished" in out
    assert numbers(tmp_path / "sweep") == reference
    assert len(reference) == 4


def pid_of_first_job(folder: Path) -> int:
    deadline_s = time.monotonic() + 300
    while True:
        for run in folders_in(folder / "runs"):
            for event, _ in Record(run).events():
                return int(event["tags"]["pid"])
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.parametrize("way", OTHERS)
def test_a_job_whose_process_is_killed_is_tried_again_and_ends_with_the_same_numbers(tmp_path: Path, way: str) -> None:
    words = ("freeze=none", "seed=0,1", "data.shots=20", "epochs=12", *WORDS[4:])
    output(start(tmp_path / "whole", *words, *LAUNCHERS["one after the other"]))
    process = start(tmp_path / "killed", *words, *LAUNCHERS[way])
    os.kill(pid_of_first_job(tmp_path / "killed"), signal.SIGKILL)
    assert "trying it again" in output(process)
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def test_two_commands_with_one_job_run_it_once(tmp_path: Path) -> None:
    words = ("freeze=none", "seed=0", "data.shots=20", "epochs=12", *WORDS[4:])
    processes = [start(tmp_path / "sweep", *words) for _ in range(2)]
    outs = [output(process) for process in processes]
    assert sum("none lr0.001 e12 n20 resnet_small letters s0: val" in out for out in outs) == 1
    (run,) = folders_in(tmp_path / "sweep" / "runs")
    assert [line["step"] for line in metric_lines(run)] == list(range(13))
