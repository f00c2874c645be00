"""A grid from the command line to its last line. Sweeps run in this process; two that race run in two."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Answer, answer_of, table_lines
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

import tl_sweep.sweep.grid
import tl_sweep.sweep.preflight
import tl_sweep.train
from tl_sweep.config.loading import conf_dir, parse
from tl_sweep.config.schema import Config, ModelConfig
from tl_sweep.models.build import build_model
from tl_sweep.run.context import Position
from tl_sweep.run.inputs import forget_images
from tl_sweep.sweep.grid import expand_arms
from tl_sweep.sweep.schedulers.contract import Result, Trial
from tl_sweep.sweep.trials import Trials
from tl_sweep.tracking.client import connect
from tl_sweep.tracking.record import folders_in
from tl_sweep.tracking.store import RunRecord, experiment_id, recorded_runs, runs_of_sweep
from tl_sweep.train import main

Command = Callable[..., Answer]
TINY = (
    "hydra/launcher=basic",
    "model.weights=null",
    "data.image_size=16",
    "data.shots=2",
    "epochs=1",
    "threads=1",
    "num_workers=1",
)
SWEEPS = {"quickstart": 120, "depth": 12, "grid": 189, "shots": 144}  # jobs of each file in conf/sweep


@pytest.fixture
def sweep(command: Command, store_uri: str, request: pytest.FixtureRequest) -> Callable[..., Answer]:
    """``sweep("freeze=none,all", …)``: tiny jobs, recorded under the test's own name."""
    where = (f"tracking.uri={store_uri}", f"tracking.experiment='{request.node.name}'")
    return lambda *arguments: command(main, "-m", *TINY, *where, *arguments)


@pytest.fixture
def recorded(store_uri: str, request: pytest.FixtureRequest) -> Callable[[str], list[RunRecord]]:
    """The runs of a sweep by its id, as the store has them."""
    return lambda sweep: runs_of_sweep(store_uri, request.node.name, sweep)


def sweep_of(answer: Answer) -> str:
    found = re.search(r"sweep (s[0-9a-f]{11})$", answer.out, re.MULTILINE)
    assert found, answer
    return found[1]


def table(out: str) -> dict[str, list[str]]:
    """Backbone and chosen setting by strategy, as the comparison has them."""
    lines = table_lines(out)
    names = ("backbone", "strategy", "(chosen )?setting")  # a heading may break
    starts = [next(re.finditer(name, lines[0])).start() for name in names]
    words = [[line[start:].split()[0] for start in starts] for line in lines[1:]]
    return {strategy: [backbone, setting] for backbone, strategy, setting in words}


# --- a sweep of which one job fails


def test_one_failure_stops_no_other_job_and_is_told_at_the_end(
    sweep: Callable[..., Answer], recorded: Callable[[str], list[RunRecord]]
) -> None:
    answer = sweep("optim=sgd", "optim.warmup=0", "optim.lr=0.01,1e30,0.02", "freeze=scratch", "batch_size=5")
    assert answer.code == 1
    assert answer.err == "error: 1 of 3 jobs failed\n"
    why = "the training loss is nan at epoch 1, step 2, head rate 1e+30"
    *_, ending, _, page = answer.out.splitlines()
    assert re.fullmatch(r"2 of 3 jobs finished in \d+ s; 1 failed; sweep s[0-9a-f]{11}", ending)
    own = Path("runs", f"{sweep_of(answer)}.html").absolute()
    assert page == f"the comparison as a page: {own}; as the newest: {Path('runs/report.html').absolute()}"
    assert "<html" in own.read_text()[:200]
    assert own.read_text() == Path("runs/report.html").read_text()
    assert answer.out.index("lr=0.0") < answer.out.index("failed") < answer.out.index("the training loss is nan")
    assert why in " ".join(answer.out.replace("│", " ").split())
    assert table(answer.out)["scratch"][1] in ("lr=0.01", "lr=0.02")
    assert "no baseline" not in answer.out
    by_rate = {run.params["optim.lr"]: run for run in recorded(sweep_of(answer))}
    assert {rate: run.status for rate, run in by_rate.items()} == {
        "0.01": "FINISHED",
        "1e+30": "FAILED",
        "0.02": "FINISHED",
    }
    assert why in by_rate["1e+30"].tags["error"]
    logs = [path.read_text() for path in Path("runs").glob("*/run.log")]
    (failed,) = (log for log in logs if "Traceback" in log)
    assert f"tl_sweep.base.errors.JobFailed: {why}" in failed
    assert sum("finished:" in log for log in logs) == 2


def test_a_job_that_ends_before_its_record_begins_is_listed(
    sweep: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tl_sweep.run.execute.run_once

    def lose_one(config: Config, folder: Path, position: Position) -> float:
        if config.seed == 1:
            raise MemoryError("none left")
        return original(config, folder, position)

    monkeypatch.setattr(tl_sweep.train, "run_once", lose_one)
    answer = sweep("freeze=all", "seed=0,1")
    assert answer.code == 1
    (line,) = (line for line in answer.out.splitlines() if line.startswith("left out: no run was recorded: "))
    assert line.endswith("freeze=all seed=1")
    assert "no run was recorded" in Path("runs/report.html").read_text()


def test_images_that_changed_since_they_were_checked_are_refused_by_name(
    sweep: Callable[..., Answer], image_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(image_root, tmp_path / "photos")
    evaluate = Trials.evaluate

    def change_one(self: Trials, trials: Sequence[Trial]) -> list[Result]:
        Image.new("RGB", (40, 48), "white").save(root / "red" / "00.png")
        forget_images()  # as a process of its own would never have known them
        return evaluate(self, trials)

    monkeypatch.setattr(Trials, "evaluate", change_one)
    where = ("data=image_folder", f"data.root='{root}'", "data.shots=null", "data.image_size=32")
    answer = sweep(*where, "freeze=all", "seed=0,1")
    assert (answer.code, answer.err) == (1, "error: 2 of 2 jobs failed\n")
    told = " ".join(answer.out.replace("│", " ").split())
    assert told.count("data: the images, or their labels, are not what the sweep checked; nothing was run") == 2
    assert folders_in(Path("runs")) == []


# --- a sweep of which all goes well


@pytest.fixture(scope="module")
def uneventful(tmp_path_factory: pytest.TempPathFactory, store_uri: str) -> tuple[Answer, list[str]]:
    """Two jobs; what was printed, and the calls of what belongs before the first job."""
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((tl_sweep.sweep.grid, "check_data"), (tl_sweep.sweep.preflight, "obtain_weights")):
            original = getattr(module, name)
            patch.setattr(module, name, lambda c, n=name, o=original: calls.append(f"{n} {len(c)}") or o(c))
        patch.chdir(tmp_path_factory.mktemp("uneventful"))
        answer = answer_of(main, "-m", *TINY, f"tracking.uri={store_uri}", "seed=0,1", "freeze=all")
    assert answer.code == 0
    return answer, calls


def test_lines_say_which_job_of_how_many_and_how_long_it_will_take(uneventful: tuple[Answer, list[str]]) -> None:
    first, second = (line for line in uneventful[0].out.splitlines() if line.startswith("["))
    measured = r"val [\d.]+, test [\d.]+, [\d.]+ s \(run \w{32}\)"
    assert re.fullmatch(rf"\[1/2\] all lbfgs n2 resnet_small s0: {measured}; about \d+ s left", first)
    assert re.fullmatch(rf"\[2/2\] all lbfgs n2 resnet_small s1: {measured}", second)


def test_no_bar_where_there_is_no_terminal(uneventful: tuple[Answer, list[str]]) -> None:
    assert uneventful[0].err == ""


def test_a_link_shows_the_chosen_runs_side_by_side(uneventful: tuple[Answer, list[str]]) -> None:
    assert re.search(r'#/compare-runs\?runs=\["\w{32}"\]&experiments=\["\d+"\]', uneventful[0].out)


def test_the_page_of_a_sweep_stays_when_another_one_ends(sweep: Callable[..., Answer]) -> None:
    first = sweep_of(sweep("freeze=all", "seed=0"))
    page = Path("runs", f"{first}.html").read_text()
    second = sweep_of(sweep("freeze=all", "seed=1"))
    assert Path("runs", f"{first}.html").read_text() == page
    assert Path("runs", f"{second}.html").read_text() == Path("runs/report.html").read_text() != page


def test_a_sweep_without_its_baseline_says_how_to_add_it(uneventful: tuple[Answer, list[str]], store_uri: str) -> None:
    words = shlex.join(["python", "-m", "tl_sweep.train", "-m", *TINY[1:], f"tracking.uri={store_uri}", "seed=0,1"])
    last = uneventful[0].out.splitlines()[-2]
    assert last == f"no baseline in this sweep; add it: {words} freeze=scratch"


def test_data_and_weights_are_looked_at_once_for_all_jobs(uneventful: tuple[Answer, list[str]]) -> None:
    assert uneventful[1] == ["check_data 2", "obtain_weights 2"]


# --- named sweeps


def jobs_of(name: str) -> list[list[str]]:
    sweeper = OmegaConf.load(conf_dir() / "sweep" / f"{name}.yaml").hydra.sweeper
    return expand_arms(sweeper.params, sweeper.get("arms", []), [], OverridesParser.create())


def test_every_named_sweep_is_counted_here() -> None:
    assert {path.stem for path in (conf_dir() / "sweep").glob("*.yaml")} == SWEEPS.keys()


@pytest.mark.parametrize(("name", "count"), SWEEPS.items())
def test_a_named_sweep_has_so_many_jobs(name: str, count: int) -> None:
    assert len(jobs_of(name)) == count


@pytest.mark.parametrize("name", SWEEPS)
def test_every_job_of_a_named_sweep_composes(name: str) -> None:
    jobs = {tuple(word for word in job if not word.startswith("seed=")) for job in jobs_of(name)}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        configs = [parse(compose("config", list(job))) for job in jobs]
    assert len({repr(config) for config in configs}) == len(jobs) > 1


@pytest.mark.parametrize("name", SWEEPS)
def test_a_named_sweep_is_a_claim_with_its_command(name: str) -> None:
    text = (conf_dir() / "sweep" / f"{name}.yaml").read_text()
    assert f"#   python -m tl_sweep.train sweep={name}" in text


def test_a_value_on_the_command_line_replaces_the_grids(
    command: Command, store_uri: str, recorded: Callable[[str], list[RunRecord]], request: pytest.FixtureRequest
) -> None:
    words = ("sweep=quickstart", *TINY, f"tracking.uri={store_uri}", f"tracking.experiment='{request.node.name}'")
    own = ("freeze=all", "seed=3", "data.shots=2")  # TINY's model.weights, too
    answer = command(main, *words, *own)  # -m is the sweep's own
    assert answer.code == 0
    (run,) = recorded(sweep_of(answer))
    assert (run.tags["strategy"], run.params["seed"], run.params["epochs"]) == ("all", "3", "1")


# --- weights that are not on this machine


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's own cache, empty, and hosts that refuse at once."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("tl_sweep.models.weights.fetch.urlopen", refuse)
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_missing_weights_are_all_named_before_the_first_job(command: Command, offline: Path) -> None:
    answer = command(main, "-m", "model=resnet18,squeezenet1_1", "freeze=none,early,all", "data.image_size=64")
    assert answer.code == 1
    assert answer.out == ""
    problems = [line.strip().removeprefix("error: ") for line in answer.err.splitlines()]
    assert len(problems) == 3
    for problem, name in zip(problems, ("resnet18-f37072fd.pth", "squeezenet1_1-b8a52dc0.pth"), strict=False):
        assert problem.startswith(f"{name} is not on this machine, and ")
        assert problem.endswith(f"put it at {offline}/{name}")
    assert problems[2].startswith("or else: a file you have, by its path")
    assert "model.weights=letters" in problems[2]
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("offline")
def test_the_baseline_alone_needs_no_weights(command: Command) -> None:
    words = [word for word in TINY if not word.startswith(("model.weights", "data.image_size"))]
    answer = command(main, "-m", "model=squeezenet1_1", "freeze=scratch", "seed=0", "tracking.uri=null", *words)
    assert (answer.code, answer.err) == (0, "")
    assert "1 of 1 jobs finished" in answer.out
    assert table(answer.out)["scratch"][0] == "squeezenet1_1"
    assert [path.name for path in Path().iterdir()] == ["runs"]


def test_weights_by_the_models_name(
    sweep: Callable[..., Answer], recorded: Callable[[str], list[RunRecord]], tmp_path: Path
) -> None:
    model = build_model(ModelConfig(name="resnet_small"), 4, 32, weights=None, head_seed=0)
    torch.save(model.module.state_dict(), tmp_path / "resnet_small.pth")
    by_name = 'model.weights="' + str(tmp_path) + '/${model.name}.pth"'
    answer = sweep("model=resnet_small", "freeze=all", by_name)
    assert answer.code == 0
    (run,) = recorded(sweep_of(answer))
    assert run.tags["init"] == run.params["model.weights"] == f"{tmp_path}/resnet_small.pth"
    assert len(run.tags["weights.sha256"]) == 64


def test_weights_of_another_network_are_refused_before_the_first_job(
    sweep: Callable[..., Answer], tmp_path: Path
) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    answer = sweep("model=resnet_small", "freeze=none,all", f"model.weights={tmp_path}/other.pth")
    assert answer.code == 1
    assert f"{tmp_path}/other.pth: weights of another network:" in answer.err
    assert not Path("runs").exists()


def test_broken_data_is_told_once_before_the_first_job(sweep: Callable[..., Answer], image_root: Path) -> None:
    answer = sweep("data=image_folder", f"data.root='{image_root}/red'", "freeze=none,all", "data.image_size=32")
    assert answer.code == 1
    assert answer.err.startswith(f"error: data.root: no class folders in {image_root}/red")
    assert len(answer.err.splitlines()) == 1
    assert not Path("runs").exists()


# --- two sweeps at the same moment


@pytest.mark.slow
def test_two_sweeps_that_start_at_the_same_moment_share_one_new_database(tmp_path: Path) -> None:
    options: dict[str, Any] = {"cwd": tmp_path, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
    options |= {"stdout": subprocess.PIPE, "text": True}
    words = [sys.executable, "-m", "tl_sweep.train", "-m", *TINY, "freeze=all"]
    running = [subprocess.Popen([*words, f"seed={seed},{seed + 1}"], **options) for seed in (0, 2)]
    outs = [process.communicate(timeout=400)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert all("2 of 2 jobs finished" in out for out in outs)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = connect(uri)
    runs = client.search_runs([experiment_id(client, uri, "tl_sweep")])
    assert sorted(run.data.params["seed"] for run in runs) == ["0", "1", "2", "3"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_command_that_the_verdict_prints_works_when_it_is_pasted(
    command: Command, store_uri: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    own = tmp_path / "my options" / "freeze"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text((conf_dir() / "freeze" / "all.yaml").read_text().replace("name: all", "name: mine"))
    experiment, output = request.node.name, tmp_path / "my runs"
    typed = [
        *(*TINY[1:], "-m", "hydra/launcher=basic", "freeze=mine,scratch", f"--config-dir={own.parent}"),
        *(f"output.dir={output}", f"tracking.uri={store_uri}", f"tracking.experiment={experiment}"),
    ]
    said = command(main, *typed).out
    printed = said[said.index("to settle it") :].splitlines()[1:3]
    for line in printed:
        answer = command(main, *shlex.split(line)[3:], "hydra/launcher=basic")
        assert "2 of 2 jobs finished in" in answer.out, answer
    runs = recorded_runs(store_uri, experiment)
    assert len(runs) == len(folders_in(output)) == 6
    assert {(run.tags["strategy"], run.params["seed"]) for run in runs} == {
        (name, seed) for name in ("mine", "scratch") for seed in "012"
    }
    assert {run.tags["config.dir"] for run in runs} == {str(own.parent)}


def test_the_command_for_a_missing_baseline_keeps_the_folder_of_ones_own_options(
    command: Command, tmp_path: Path
) -> None:
    own = tmp_path / "own" / "freeze"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text((conf_dir() / "freeze" / "all.yaml").read_text().replace("name: all", "name: mine"))
    words = ("freeze=mine", "tracking.uri=null", f"output.dir={tmp_path / 'runs'}", f"--config-dir={own.parent}")
    answer = command(main, "-m", *TINY, *words)
    (line,) = (line for line in answer.out.splitlines() if "no baseline in this sweep; add it: " in line)
    assert f"-m --config-dir {own.parent} model.weights=null" in line
    assert line.endswith("freeze=scratch")
