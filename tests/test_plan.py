"""Grids: what means nothing is dropped, what means the same is merged, what is done is not done again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import Answer, table_lines
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tl_sweep import plan, train
from tl_sweep.config.loading import conf_dir
from tl_sweep.config.schema import ConfigError
from tl_sweep.sweep.forecast import Cost, describe_cost
from tl_sweep.sweep.grid import lay_out
from tl_sweep.sweep.jobs import Grid
from tl_sweep.tracking.record import folders_in
from tl_sweep.tracking.store import runs_of_sweep

Sweep = Callable[..., Answer]
TINY = ("model.weights=null", "data.image_size=16", "data.shots=2", "epochs=1", "threads=1", "num_workers=1")


@pytest.fixture
def laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Grid]:
    """``laid_out("freeze=none seed=0", "freeze=all")``: a grid of these combinations."""
    monkeypatch.chdir(tmp_path)
    assert train  # its import stores the schema

    def compose_words(words: list[str]) -> DictConfig:
        return compose("config", words)

    def lay(*combinations: str) -> Grid:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return lay_out([[*TINY, *shlex.split(words)] for words in combinations], compose_words)

    return lay


def overrides(grid: Grid) -> list[str]:
    return [" ".join(job.overrides[len(TINY) :]) for job in grid.jobs]


# --- dropped


def test_a_combination_that_means_nothing_is_dropped_and_told(laid_out: Callable[..., Grid]) -> None:
    grid = laid_out("model=squeezenet1_1 freeze=bn_only data.image_size=32", "freeze=bn_only")
    assert overrides(grid) == ["freeze=bn_only"]
    assert grid.notes() == [
        "1 of 2 combinations dropped: freeze=bn_only: squeezenet1_1 has no normalisation layers to train"
    ]


def test_values_that_exclude_each_other_are_dropped(laid_out: Callable[..., Grid]) -> None:
    grid = laid_out(
        "data.fraction=0.5", "data.shots=null data.fraction=0.5", "freeze=all optim=lbfgs augment.mixup=0.5"
    )
    assert overrides(grid) == ["data.shots=null data.fraction=0.5"]
    assert sorted(grid.dropped) == [
        "data.shots=2 and data.fraction=0.5: give one of them",
        "optim=lbfgs: mixed images (augment.mixup, augment.cutmix) need optim=sgd or adamw",
    ]


def test_a_mistake_is_refused_even_where_other_combinations_mean_something(laid_out: Callable[..., Grid]) -> None:
    with pytest.raises(ConfigError, match=r"^epochs=0: must be at least 1  \[1 of 2 jobs\]$"):
        laid_out("epochs=0", "epochs=2")


def test_a_grid_of_which_nothing_is_left_is_refused(laid_out: Callable[..., Grid]) -> None:
    with pytest.raises(ConfigError, match=r"^epochs=1: freeze=lp_ft has 2 phases on this model, one epoch each"):
        laid_out("freeze=lp_ft", "freeze=lp_ft seed=1")


# --- ignored and merged


def test_a_key_that_a_strategy_does_not_read_is_ignored(laid_out: Callable[..., Grid]) -> None:
    words = [f"freeze={name} freeze.frozen_stages={k}" for name in ("depth", "scratch") for k in (0, 1, 2)]
    grid = laid_out(*words)
    assert overrides(grid) == [*words[:3], "freeze=scratch"]
    assert grid.notes() == [
        "freeze.frozen_stages is not read by 3 of 6 combinations",
        "2 of 6 combinations mean the same as another one and run once",
    ]


def test_a_key_that_no_combination_reads_is_a_mistake(laid_out: Callable[..., Grid]) -> None:
    with pytest.raises(ConfigError, match=r"freeze\.frozen_stages=1: only freeze=depth reads it"):
        laid_out("freeze=none freeze.frozen_stages=1", "freeze=all freeze.frozen_stages=1")


def test_a_baseline_runs_once_per_backbone(laid_out: Callable[..., Grid]) -> None:
    kinds = [
        f"freeze={freeze} model.weights={weights}" for freeze in ("scratch", "all") for weights in ("null", "letters")
    ]
    grid = laid_out(*(f"{words} optim.lr_scale={scale}" for words in kinds for scale in (1, 3)))
    assert sorted(overrides(grid)) == [
        "freeze=all model.weights=letters",
        "freeze=all model.weights=null",
        "freeze=scratch model.weights=null optim.lr_scale=1",
        "freeze=scratch model.weights=null optim.lr_scale=3",
    ]
    assert grid.merged == 4


def test_a_rate_is_a_rate_however_it_is_said(laid_out: Callable[..., Grid]) -> None:
    grid = laid_out("optim.lr=3e-4", "optim.lr=1e-4 optim.lr_scale=3", "optim.lr=1e-4")
    assert overrides(grid) == ["optim.lr=3e-4", "optim.lr=1e-4"]


# --- the same command again


@pytest.fixture
def sweep(command: Sweep, store_uri: str, request: pytest.FixtureRequest) -> Sweep:
    where = (f"tracking.uri={store_uri}", f"tracking.experiment='{request.node.name}'", "hydra/launcher=basic")
    return lambda *arguments: command(train.main, "-m", *TINY, *where, *arguments)


def test_the_same_command_again_runs_nothing_and_prints_the_same_table(
    sweep: Sweep, store_uri: str, request: pytest.FixtureRequest
) -> None:
    first, second = sweep("freeze=all,none"), sweep("freeze=none,all")
    assert (first.code, second.code) == (0, 0)
    assert "grid: 2 jobs, 2 finished before" in second.out
    assert "2 of 2 jobs finished (2 of them before) in" in second.out
    tables = [table_lines(answer.out) for answer in (first, second)]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 3
    name = re.search(r"sweep (s[0-9a-f]{11})$", first.out, re.MULTILINE)
    assert name is not None
    assert len(runs_of_sweep(store_uri, request.node.name, name[1])) == 2


def test_a_larger_grid_runs_what_is_missing_and_shows_all(
    sweep: Sweep, store_uri: str, request: pytest.FixtureRequest
) -> None:
    sweep("freeze=all", "seed=0,1")
    answer = sweep("freeze=all", "seed=0,1,2")
    assert "grid: 3 jobs, 2 finished before" in answer.out
    assert len([line for line in answer.out.splitlines() if line.startswith("all lbfgs")]) == 1
    name = re.search(r"sweep (s[0-9a-f]{11})$", answer.out, re.MULTILINE)
    assert name is not None
    assert len(runs_of_sweep(store_uri, request.node.name, name[1])) == 3  # those from before belong to it, too


def test_force_runs_all_of_them_again_and_keeps_the_old_ones_aside(
    sweep: Sweep, store_uri: str, request: pytest.FixtureRequest
) -> None:
    sweep("freeze=all", "seed=0,1")
    answer = sweep("freeze=all", "seed=0,1", "resume=force")
    assert "2 of 2 jobs finished in" in answer.out
    assert (len(folders_in(Path("runs"))), len(folders_in(Path("runs/replaced")))) == (2, 2)
    name = re.search(r"sweep (s[0-9a-f]{11})$", answer.out, re.MULTILINE)
    assert name is not None
    assert len(runs_of_sweep(store_uri, request.node.name, name[1])) == 2


def test_a_run_that_another_machine_finished_is_known_from_the_store(sweep: Sweep) -> None:
    sweep("freeze=all", "seed=0,1", "output.dir=there")
    answer = sweep("freeze=all", "seed=0,1", "output.dir=here")
    assert "grid: 2 jobs, 2 finished before" in answer.out
    assert folders_in(Path("here")) == []


def test_a_single_run_again_says_so(command: Sweep) -> None:
    words = (*TINY, "freeze=all", "tracking.uri=null")
    first, second = command(train.main, *words), command(train.main, *words)
    assert first.out.startswith("all lbfgs n2 resnet_small s0: val")
    (folder,) = folders_in(Path("runs"))
    assert second.out == f"finished before: {folder.absolute()}; resume=force runs it again\n"


# --- plan


def test_plan_prints_the_grid_and_starts_nothing(command: Sweep) -> None:
    command(train.main, *TINY, "freeze=all", "tracking.uri=null")
    (_,) = folders_in(Path("runs"))
    before = sorted(Path().rglob("*"))
    answer = command(
        plan.main, *TINY, "freeze=all,none", "optim.lr_scale=1,3", "jobs=true", "tracking.uri=sqlite:///new.db"
    )
    assert (answer.code, answer.err) == (0, "")
    assert sorted(Path().rglob("*")) == before
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in answer.out.splitlines() if line[:1] == "│"
    ]
    assert [row[:7] for row in rows] == [
        ["resnet_small", "all", "1", "1", "0", "0", "0"],
        ["resnet_small", "none", "2", "0", "0", "0", "2"],
    ]
    assert "optim.lr_scale is not read by 2 of 4 combinations" in answer.out
    assert "1 of 4 combinations mean the same as another one and run once" in answer.out
    assert "  to run    none lr0.003 e1 n2 resnet_small s0: " in answer.out
    assert answer.out.splitlines()[-3:] == [
        "2 of 3 jobs to run: unknown, one after the other",
        "unknown: no finished run in output.dir is like 2 of them",
        "fewer than 3 seeds give no verdict on methods: seed=0,1,2",
    ]


def test_plan_goes_by_finished_runs_that_are_alike(command: Sweep) -> None:
    command(train.main, *TINY, "freeze=all", "tracking.uri=null")
    answer = command(plan.main, *TINY, "freeze=all", "seed=range(1,51)", "tracking.uri=null")
    last = answer.out.splitlines()[-1]
    assert re.fullmatch(r"50 of 50 jobs to run: about \d+ (s|min), [\d.]+ MB, one after the other", last)
    assert "to run    all" not in answer.out  # jobs=true lists them


def test_plan_refuses_weights_that_train_would_refuse(command: Sweep, tmp_path: Path) -> None:
    page = tmp_path / "page.pth"
    page.write_text("<html></html>")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for name, reason in (("page.pth", "no file of weights alone"), ("other.pth", "weights of another network")):
        answer = command(plan.main, *TINY, "freeze=all", f"model.weights={tmp_path / name}")
        assert answer.code == 1
        assert reason in answer.err
        assert "weights_only" not in answer.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(42.4, 1.5e6), "about 42 s, 1.5 MB"),
        (Cost(600, 1234e6), "about 10 min, 1.23e+03 MB"),
        (Cost(9000, 0), "about 2.5 h, 0 MB"),
    ],
)
def test_costs(cost: Cost, text: str) -> None:
    assert describe_cost(cost) == text


def test_a_number_of_seeds_is_planned_beforehand(command: Sweep) -> None:
    answer = command(plan.main, *TINY, "freeze=all", "seeds=4", "tracking.uri=null")
    assert (answer.code, answer.err) == (0, "")
    first, *_ = answer.out.splitlines()
    assert first.startswith("it is decided by running it: python -m tl_sweep.train -m model.weights=null")
    assert first.endswith("planned_seeds=4 'seed=range(4)'")
    assert "│ 4 " in answer.out


@pytest.mark.parametrize("number", ["2", "0,1", "x", ""])
def test_what_is_no_number_of_seeds_is_refused(command: Sweep, number: str) -> None:
    answer = command(plan.main, *TINY, "freeze=all", f"seeds={number}")
    assert (answer.code, answer.err) == (1, f"error: seeds={number}: allowed: a number of seeds, 3 or more\n")


def test_a_slip_in_a_plan_is_answered_as_in_a_sweep(command: Sweep) -> None:
    answer = command(plan.main, "freeze=eraly")
    assert answer.code == 1
    assert answer.err.startswith("error: freeze=eraly: no such option; did you mean 'early'?")


def test_plan_tells_what_it_does(command: Sweep) -> None:
    for word in ("--help", "-h"):
        answer = command(plan.main, word)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out == f"{plan.__doc__}\n"


def test_jobs_is_true_or_false(command: Sweep) -> None:
    answer = command(plan.main, *TINY, "freeze=all", "jobs=yes")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "error: jobs=yes: allowed: true, false\n"
