"""Launchers: what a job gets, what it tells, and what its end costs the others."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import launched
import pytest
from configs import ROOT
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction

from tl_sweep import train
from tl_sweep.base.errors import UserError
from tl_sweep.config.loading import conf_dir
from tl_sweep.launch import pool
from tl_sweep.launch import slurm as slurm_launcher
from tl_sweep.launch.engine import Work
from tl_sweep.launch.job import JobSpec
from tl_sweep.launch.pool import PRELOADED, Pool, slots, threads_of_each, usable_cores, visible_gpus
from tl_sweep.launch.settings import ProcessesConfig, SlurmConfig

Launch = Callable[..., list[JobReturn]]


@pytest.fixture(scope="module", autouse=True)
def light_fork_server() -> Iterator[None]:
    """Only what these jobs need is preloaded: they compute nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pool,
            "PRELOADED",
            ["tl_sweep.launch.server_signals", "torch", "tl_sweep.launch.job"],
        )
        yield


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[TaskFunction, int], list[JobSpec]]]:
    """``specs(task, 3)``: jobs of ``task`` with seed 0, 1, 2, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert train  # its import stores the schema
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):

        def make(task: TaskFunction, count: int) -> list[JobSpec]:
            made = []
            for seed in range(count):
                node = compose("config", [f"seed={seed}"], return_hydra_config=True)
                HydraConfig.instance().set_config(node)
                context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks(node))
                made.append(JobSpec(context, task, node, [f"seed={seed}"], Singleton.get_state()))
            return made

        yield make
        HydraConfig.instance().cfg = None


@pytest.mark.parametrize("name", PRELOADED)
def test_what_the_fork_server_imports_is_there(name: str) -> None:
    assert importlib.util.find_spec(name) is not None  # the server itself says nothing of a name that is not


def values(returns: list[JobReturn]) -> list[Any]:
    return [returned.return_value for returned in returns]


def reasons(returns: list[JobReturn]) -> list[str]:
    assert {returned.status for returned in returns} == {JobStatus.FAILED}
    return [str(returned._return_value) for returned in returns]


Specs = Callable[[TaskFunction, int], list[JobSpec]]


def test_results_come_in_the_order_of_the_jobs_each_from_its_own_process(specs: Specs) -> None:
    told = values(Pool(ProcessesConfig(n_jobs=2)).run(specs(launched.tell_surroundings, 3)))
    assert [answer["seed"] for answer in told] == [0, 1, 2]
    assert len({answer["pid"] for answer in told} | {os.getpid()}) == 4


def test_a_job_gets_the_launchers_directory_and_environment_and_its_own(
    specs: Specs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = specs(launched.tell_surroundings, 1)
    monkeypatch.setenv("COLOUR", "red")
    (told,) = values(Pool(ProcessesConfig(env_set={"SHAPE": "round"})).run(made))
    assert (told["COLOUR"], told["SHAPE"], told["directory"]) == ("red", "round", str(tmp_path))


def test_cores_are_shared_out(specs: Specs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    told = values(Pool(ProcessesConfig(n_jobs=3)).run(specs(launched.tell_surroundings, 3)))
    assert [answer["threads"] for answer in told] == [2, 2, 2]


@pytest.mark.parametrize(("jobs", "asked", "threads"), [(1, None, None), (2, None, 4), (16, None, 1), (2, "3", None)])
def test_threads(monkeypatch: pytest.MonkeyPatch, jobs: int, asked: str | None, threads: int | None) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_of_each(jobs) == threads


@pytest.mark.parametrize(("count", "cores"), [(10, 10), (None, 1)])
def test_where_affinity_is_unknown_all_cores_are_usable(
    monkeypatch: pytest.MonkeyPatch, count: int | None, cores: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert usable_cores() == cores


def test_each_job_sees_the_gpu_of_its_slot(specs: Specs, monkeypatch: pytest.MonkeyPatch) -> None:
    made = specs(launched.tell_surroundings, 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    told = values(Pool(ProcessesConfig(jobs_per_gpu=2)).run(made))
    assert sorted(answer["CUDA_VISIBLE_DEVICES"] for answer in told) == ["5", "5", "GPU-7", "GPU-7"]


@pytest.mark.parametrize(
    ("visible", "limits", "expected"),
    [
        ("", ProcessesConfig(), [""]),
        ("", ProcessesConfig(n_jobs=3), ["", "", ""]),
        ("0,1", ProcessesConfig(), ["0", "1"]),
        ("0,1", ProcessesConfig(n_jobs=1), ["0"]),
        ("0,1,2", ProcessesConfig(gpus=2, jobs_per_gpu=2), ["0", "1", "0", "1"]),
        ("0,1", ProcessesConfig(gpus=0, n_jobs=2), ["", ""]),
    ],
)
def test_slots(monkeypatch: pytest.MonkeyPatch, visible: str, limits: ProcessesConfig, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert slots(limits) == expected
    assert visible_gpus() == [name for name in visible.split(",") if name]


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (ProcessesConfig(n_jobs=-1), "hydra.launcher.n_jobs=-1: must be at least 1"),
        (ProcessesConfig(n_jobs=0), "hydra.launcher.n_jobs=0: must be at least 1"),
        (ProcessesConfig(jobs_per_gpu=0), "hydra.launcher.jobs_per_gpu=0: must be at least 1"),
        (ProcessesConfig(gpus=-1), "hydra.launcher.gpus=-1: must be at least 0"),
    ],
)
def test_a_launcher_without_a_place_for_a_job_is_refused(limits: ProcessesConfig, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        Pool(limits)


def test_without_gpus_a_job_sees_none(specs: Specs, monkeypatch: pytest.MonkeyPatch) -> None:
    made = specs(launched.tell_surroundings, 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (told,) = values(Pool(ProcessesConfig(gpus=0)).run(made))
    assert told["CUDA_VISIBLE_DEVICES"] == ""


def test_lines_come_whole_and_a_common_warning_once(specs: Specs, capsys: pytest.CaptureFixture[str]) -> None:
    assert values(Pool(ProcessesConfig()).run(specs(launched.speak, 2))) == [0.0, 1.0]
    said = capsys.readouterr()
    assert said.out == "first line\nsecond line\nthe end\n" * 2
    assert said.err == "warning: the same\n"


# --- ends


def test_an_exception_fails_its_job_alone(specs: Specs) -> None:
    assert reasons(Pool(ProcessesConfig()).run(specs(launched.fail, 2))) == [
        "no such thing; mend it",
        "ZeroDivisionError: by zero",
    ]


def test_a_job_that_is_killed_is_tried_again(specs: Specs, capsys: pytest.CaptureFixture[str]) -> None:
    assert values(Pool(ProcessesConfig(n_jobs=2)).run(specs(launched.die_once, 3))) == [0.0, 1.0, 2.0]
    lines = capsys.readouterr().out.splitlines()
    why = "was killed by SIGKILL (the system does so when memory runs out): trying it again"
    assert sorted(lines) == [f"job {number} {why}" for number in (1, 2, 3)]


def test_a_job_is_not_tried_for_ever(specs: Specs) -> None:
    assert reasons(Pool(ProcessesConfig(max_retries=2)).run(specs(launched.die_always, 1))) == ["was killed by SIGSEGV"]
    assert reasons(Pool(ProcessesConfig(max_retries=0)).run(specs(launched.leave, 1))) == [
        "ended with exit code 3, without a word"
    ]


@pytest.mark.parametrize(("at_once", "reason"), [(2, None), (1, "MemoryError: ")])
def test_out_of_memory_is_tried_again_where_other_jobs_may_be_to_blame(
    specs: Specs, at_once: int, reason: str | None
) -> None:
    returns = Pool(ProcessesConfig(n_jobs=at_once)).run(specs(launched.run_out_of_memory, 2))
    if reason is None:
        assert values(returns) == [1.0, 1.0]
    else:
        assert reasons(returns) == [reason] * 2


def test_a_job_has_so_much_time(specs: Specs) -> None:
    started_s = time.monotonic()
    (reason,) = reasons(Pool(ProcessesConfig(timeout_s=4)).run(specs(launched.sleep, 1)))
    assert reason == "stopped after 4 s, its time limit; the same command goes on"
    assert time.monotonic() - started_s < 30


def wait_for(path: Path) -> int:
    """The process id that a job wrote down."""
    deadline_s = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return int(path.read_text())


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """What a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_stops_the_running_jobs_and_starts_no_other(specs: Specs, tmp_path: Path) -> None:
    made = specs(launched.sleep, 3)
    pids: list[int] = []

    def press() -> None:
        pids.extend(wait_for(tmp_path / f"asleep-{seed}") for seed in (0, 1))
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Pool(ProcessesConfig(n_jobs=2)).run(made)
    thread.join()
    assert not any(map(is_running, pids))
    assert not (tmp_path / "asleep-2").exists()


# --- on another machine: submitit's own processes here stand for a cluster's


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[JobReturn]]:
    """``run_in_queue`` with submitit's local executor in the place of its SLURM executor."""
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit, "SlurmExecutor", submitit.LocalExecutor)
    submitted: list[Any] = []
    submit = slurm_launcher.SlurmEngine.submit

    def submit_and_remember(engine: slurm_launcher.SlurmEngine, works: Sequence[Work]) -> list[Any]:
        submitted.extend(jobs := submit(engine, works))
        return jobs

    monkeypatch.setattr(slurm_launcher.SlurmEngine, "submit", submit_and_remember)
    monkeypatch.setattr(
        slurm_launcher.SlurmEngine, "_queued", lambda engine: {job.job_id for job in submitted if not job.done()}
    )
    monkeypatch.setattr(slurm_launcher, "_state_of", lambda job_id: "FAILED")
    monkeypatch.setattr(slurm_launcher, "ASK_EVERY_S", 0.2)
    monkeypatch.setattr(slurm_launcher, "LOOK_EVERY_S", 0.05)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT)]))

    def launch(specs: list[JobSpec], **settings: Any) -> list[JobReturn]:
        return slurm_launcher.run_in_queue(
            specs, SlurmConfig(submitit_folder=str(tmp_path / "slurm"), signal_delay_s=30, **settings)
        )

    return launch


def test_in_a_queue_each_job_has_its_own_process_and_results_come_in_order(
    specs: Specs, slurm: Callable[..., list[JobReturn]], tmp_path: Path
) -> None:
    told = values(slurm(specs(launched.tell_surroundings, 2), cpus_per_task=1, env_set={"SHAPE": "round"}))
    assert [answer["seed"] for answer in told] == [0, 1]
    assert [answer["SHAPE"] for answer in told] == ["round"] * 2
    assert [answer["threads"] for answer in told] == [1, 1]
    assert [answer["directory"] for answer in told] == [str(tmp_path)] * 2
    assert len({answer["pid"] for answer in told} | {os.getpid()}) == 3


def test_in_a_queue_what_a_job_prints_is_shown(
    specs: Specs, slurm: Callable[..., list[JobReturn]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert values(slurm(specs(launched.speak, 1))) == [0.0]
    assert capsys.readouterr().out.startswith("first line\nsecond line\nthe end")


def test_in_a_queue_a_killed_job_is_submitted_again_and_one_that_fails_is_not(
    specs: Specs, slurm: Callable[..., list[JobReturn]], capsys: pytest.CaptureFixture[str]
) -> None:
    (returned,) = slurm(specs(launched.die_once, 1), max_retries=1)
    assert returned.return_value == 0.0
    assert "trying it again" in capsys.readouterr().out
    (reason,) = reasons(slurm(specs(launched.die_always, 1), max_retries=0))
    assert reason.startswith("was ended by SLURM (FAILED); its log: ")
    assert reasons(slurm(specs(launched.fail, 1), max_retries=1)) == ["no such thing; mend it"]
    assert capsys.readouterr().out == ""


def test_without_a_cluster_the_sweep_is_refused(specs: Specs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="srun"):
        slurm_launcher.run_in_queue(specs(launched.fail, 1), SlurmConfig())
