"""The command as a person types it: what is refused and how, what is shown, and the three ways to start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from commands import Answer

from tl_sweep import cache, compare, export, features, letters, predict, reproduce, sync
from tl_sweep.base.arguments import keys_of
from tl_sweep.train import main

Command = Callable[..., Answer]

KEYS_OF_OPTIM = (
    "optim.name, optim.lr, optim.lr_scale, optim.weight_decay, optim.momentum, optim.backbone_lr_scale, "
    "optim.layer_decay, optim.warmup, optim.label_smoothing, optim.clip_norm, optim.ema_decay, optim.l2"
)
STRATEGIES = "all, bn_only, depth, early, gradual, lp_ft, none, scratch"
NO_KEY = "groups: model, freeze, optim, objective, data, augment, sweep; keys: --help lists them"


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        (["freeze=eraly"], [f"freeze=eraly: no such option; did you mean 'early'? allowed: {STRATEGIES}"]),
        (["objective=coral"], ["objective=coral: no such option; allowed: cross_entropy"]),
        (
            ["objective.name=coral"],
            ["objective.name=coral: there is none of that name; allowed: cross_entropy"],
        ),
        (
            ["+objective.options.weight=0.5"],
            ["objective.options.weight=0.5: objective=cross_entropy does not read it"],
        ),
        (["-m", "freeze=none,eraly"], [f"freeze=eraly: no such option; did you mean 'early'? allowed: {STRATEGIES}"]),
        (["optim.lrr=1"], [f"optim.lrr: no such key; did you mean 'optim.lr'? allowed here: {KEYS_OF_OPTIM}"]),
        (["+optim.lrr=1"], [f"optim.lrr: no such key; did you mean 'optim.lr'? allowed here: {KEYS_OF_OPTIM}"]),
        (["modle=resnet18"], [f"modle: no such key; did you mean 'model'? {NO_KEY}"]),
        (["epoch=3"], [f"epoch: no such key; did you mean 'epochs'? {NO_KEY}"]),
        (["optim.lr=abc"], ["optim.lr=abc: Value 'abc' of type 'str' could not be converted to Float"]),
        (["epochs=1.5"], ["epochs=1.5: Value '1.5' of type 'float' could not be converted to Integer"]),
        (["model.weights=none"], ["model.weights='none': no such weights; did you mean null?"]),
        (
            ["epochs=0", "batch_size=1", "device=gpu"],
            [
                "epochs=0: must be at least 1",
                "batch_size=1: must be at least 2",
                "device=gpu: allowed: auto, cpu, cuda, mps; did you mean 'cpu'?",
            ],
        ),
        (
            ["-m", "epochs=1,0", "freeze=none,all"],
            ["epochs=0: must be at least 1  [2 of 4 jobs]"],
        ),
        (
            ["-m", "model=squeezenet1_1", "seed=0,1", "freeze=bn_only", "model.weights=null", "data.image_size=32"],
            ["freeze=bn_only: squeezenet1_1 has no normalisation layers to train  [2 of 2 jobs]"],
        ),
        (
            ["-m", "model=resnet_small", "model.weights=null", "freeze=lp_ft", "epochs=1", "seed=0,1"],
            ["epochs=1: freeze=lp_ft has 2 phases on this model, one epoch each  [2 of 2 jobs]"],
        ),
        (
            ["-m", "freeze=none,all", "freeze.frozen_stages=1"],
            [
                "freeze.frozen_stages=1: only freeze=depth reads it, not freeze=none  [2 of 2 jobs]",
            ],
        ),
        (
            ["epochs=1,2"],
            ["epochs=1,2: several values need -m"],
        ),
        (["data=image_folder", "data.root=/My Photos (2024)"], ["data.root: there is no folder /My Photos (2024)."]),
        (
            ["data=image_folder", "data.root='/My Photos (2024)'", "model.weights=null"],
            ["data.root: there is no folder /My Photos (2024)."],
        ),
        (["-m", "--cfg", "job"], ["--cfg shows the configuration of one run: leave out -m"]),
        (["--info", "--multirun"], ["--info shows the configuration of one run: leave out --multirun"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and "=" in value[0] else "",
)
def test_a_slip_is_answered_before_anything_starts(command: Command, arguments: list[str], problems: list[str]) -> None:
    answer = command(main, *arguments)
    first, *others = answer.err.removeprefix("error: ").splitlines()
    assert [first, *(line.strip() for line in others)] == problems
    assert answer.code == 1
    assert answer.out == ""
    assert list(Path().iterdir()) == []  # no run folder, no database


def test_the_configuration_is_shown(command: Command) -> None:
    answer = command(main, "--cfg", "job", "freeze=all", "optim.lr=0.5")
    assert answer.code == 0
    assert "freeze:\n  name: all\n" in answer.out
    assert "  lr: 0.5\n" in answer.out
    assert "hydra:" not in answer.out
    assert list(Path().iterdir()) == []


def test_where_the_configuration_comes_from_is_shown(command: Command) -> None:
    answer = command(main, "--info", "searchpath")
    assert answer.code == 0
    assert "provider=main" in re.sub(r"\W*\|\W*", " provider=", answer.out)


def test_help_lists_the_groups_and_their_options(command: Command) -> None:
    answer = command(main, "--help")
    assert answer.code == 0
    assert f"freeze: {STRATEGIES}" in answer.out
    assert "_self_" not in answer.out


def test_a_process_ends_with_one_and_without_a_traceback(tmp_path: Path) -> None:
    answer = started(tmp_path, sys.executable, "-m", "tl_sweep.train", "freeze=eraly")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        f"error: freeze=eraly: no such option; did you mean 'early'? allowed: {STRATEGIES}"
    ]


# --- the three ways to start a run, each in a process of its own, in some other folder

PYTHON_CALL = "import sys; from tl_sweep.train import main; sys.argv[1:] = {arguments!r}; main()"
TINY = ("model.weights=null", "epochs=1", "threads=1", "num_workers=1", "tracking.uri=null")


def started(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    quiet = {"OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(words, cwd=folder, env=quiet, capture_output=True, text=True, timeout=300)


def files_of_the_only_run(folder: Path) -> set[str]:
    (run,) = (path.parent for path in folder.glob("runs/*/record.jsonl"))
    return {path.name for path in run.iterdir()}


@pytest.mark.parametrize("way", ["module", "script", "call"])
def test_a_run_by_each_way_to_start_it(tmp_path: Path, image_root: Path, way: str) -> None:
    arguments = [*TINY, "data=image_folder", f"data.root='{image_root}'", "data.image_size=32", "freeze=all"]
    words = {
        "module": [sys.executable, "-m", "tl_sweep.train", *arguments],
        "script": [str(Path(sys.executable).with_name("tl-sweep")), *arguments],
        "call": [sys.executable, "-c", PYTHON_CALL.format(arguments=arguments)],
    }[way]
    answer = started(tmp_path, *words)
    assert answer.stderr == ""
    assert answer.returncode == 0
    (line,) = (line for line in answer.stdout.splitlines() if ": val " in line)
    assert re.fullmatch(r"all lbfgs resnet_small s0: val [\d.]+, test [\d.]+, [\d.]+ s", line)
    assert {"config.yaml", "checkpoint.safetensors", "record.jsonl", "run.log"} <= files_of_the_only_run(tmp_path)
    assert not (tmp_path / "mlflow.db").exists()  # tracking.uri=null


COMMANDS = (compare, sync, reproduce, predict, export, features, cache, letters)


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_command_tells_what_it_does_and_its_keys(command: Command, module: ModuleType) -> None:
    answer = command(module.main, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(str(module.__doc__).strip())
    told = {line.split()[0] for line in answer.out.partition("when not given:\n")[2].splitlines() if line[2] != " "}
    assert told == keys_of(module.Arguments).keys()
