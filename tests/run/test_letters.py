"""The embedded source: what is shipped, and what is trained here once."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Answer
from configs import assembled
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tl_sweep import letters as command_module
from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config
from tl_sweep.data.sources import glyphs
from tl_sweep.data.sources.embedded import Glyphs
from tl_sweep.data.sources.registry import SOURCES
from tl_sweep.run import letters, weights
from tl_sweep.run.weights import ensure_trained, obtain
from tl_sweep.training.evaluate import logits_of, loss_and_accuracy
from tl_sweep.training.loop import fit
from tl_sweep.training.prefix import Prefix

MakeConfig = Callable[..., Config]
SHIPPED = Path(command_module.__file__).parent / "weights"
SHIPPED_NAMES = ["letters-resnet_small.safetensors", "letters_clean-resnet_small.safetensors"]


# --- what is shipped


def test_shipped_files_are_those_that_were_made() -> None:
    lines = [line.split() for line in (SHIPPED / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums == {name: hashlib.sha256((SHIPPED / name).read_bytes()).hexdigest() for name in SHIPPED_NAMES}


def test_nothing_else_is_shipped_and_all_is_small() -> None:
    files = sorted(path.name for path in SHIPPED.iterdir())
    assert files == ["SHA256SUMS", *SHIPPED_NAMES]
    assert sum((SHIPPED / name).stat().st_size for name in files) <= 1.5e6


@pytest.mark.parametrize("source", ["letters", "letters_clean"])
def test_shipped_weights_say_what_they_are_and_fit(make_config: MakeConfig, source: str) -> None:
    path = SHIPPED / f"{source}-resnet_small.safetensors"
    with safe_open(path, "pt") as file:
        description = file.metadata()
    assert (description["source"], description["backbone"]) == (source, "resnet_small")
    assert float(description["test_acc"]) > letters.POOR_ACC
    run = assembled(make_config({"freeze": "all"}, model={"weights": source}))
    run.state.model.load()
    state = run.state.model.module.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_file(path).items())
    assert run.weights is not None
    assert run.weights.path == path


def accuracy(config: Config) -> float:
    """On the digits' test split."""
    run = assembled(config)
    for _ in fit(run.state, run.setup):
        pass
    logits_NK = logits_of(Prefix(run.state.model, 0, run.setup.compute), run.test)
    return loss_and_accuracy(logits_NK, run.test.labels_N)[1]


def test_features_of_letters_read_digits_and_random_ones_do_not(make_config: MakeConfig) -> None:
    options, data = {"freeze": "all", "augment": "none"}, {"image_size": 32, "shots": 10}
    learnt = accuracy(make_config(options, model={"weights": "letters"}, data=data))
    random = accuracy(make_config(options, model={"weights": None}, data=data))
    assert learnt > 0.8
    assert learnt > random + 0.1


def test_a_package_without_its_weights(make_config: MakeConfig) -> None:
    with pytest.raises(UserError, match="missing from the package, or of another recipe; install it again"):
        ensure_trained(make_config(), SHIPPED / "letters-of-another-name.safetensors")


def test_weights_of_another_recipe_are_not_taken(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_trained(make_config(), SHIPPED / "letters-resnet_small.safetensors")
    monkeypatch.setattr(weights, "RECIPE", letters.RECIPE + 1)
    with pytest.raises(UserError, match="of another recipe"):
        ensure_trained(make_config(), SHIPPED / "letters-resnet_small.safetensors")


# --- what is trained here


@pytest.fixture
def few_letters(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two clean letters, so that training takes a second."""
    images_NHW, labels_N, names = glyphs.letters_clean()
    kept = np.flatnonzero(labels_N < 2)
    few = Glyphs("letters_clean", lambda: (images_NHW[kept], labels_N[kept], names[:2]))
    monkeypatch.setattr(letters, "MOST_EPOCHS", 2)
    SOURCES.register("letters_clean", few)
    yield
    SOURCES.unregister("letters_clean")


@pytest.fixture
def other_backbone(make_config: MakeConfig) -> Config:
    return make_config({"model": "residual"}, model={"depth": 8, "weights": "letters_clean"})


@pytest.mark.usefixtures("few_letters")
def test_another_backbone_is_trained_once_and_says_how_well(
    other_backbone: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights" / "letters_clean-residual8.safetensors"
    first = obtain(other_backbone).file
    announced, accuracy = capsys.readouterr().out.splitlines()
    second = obtain(other_backbone).file
    assert announced == f"training residual8 on letters_clean, 2 epochs, once; kept in {path}"
    assert accuracy.startswith("source accuracy of residual8: ")
    assert "on 2 classes" in accuracy
    assert capsys.readouterr().out == ""
    assert first == second
    assert first is not None
    assert first.path == path
    with safe_open(path, "pt") as file:
        assert f"{float(file.metadata()['test_acc']):.3f}" in accuracy
    assert not {"fc.weight", "fc.bias"} & load_file(path).keys()


@pytest.mark.usefixtures("few_letters")
@pytest.mark.parametrize(("bar", "is_poor"), [(1.1, True), (0.0, False)], ids=["poor", "good"])
def test_poor_weights_are_called_so(
    other_backbone: Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bar: float,
    is_poor: bool,
) -> None:
    monkeypatch.setattr(letters, "POOR_ACC", bar)
    obtain(other_backbone)
    assert ("poor: expect little from these weights" in capsys.readouterr().out) is is_poor


def test_who_comes_second_waits_and_does_not_train(
    other_backbone: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, trained = tmp_path / "weights" / "a.safetensors", []

    def train_slowly(config: Config, path: Path) -> float:
        trained.append(config.data.name)
        time.sleep(0.3)
        save_file({"w": torch.zeros(1)}, path, metadata={"recipe": str(letters.RECIPE)})
        return 1.0

    monkeypatch.setattr(weights, "train_source", train_slowly)
    threads = [threading.Thread(target=ensure_trained, args=(other_backbone, path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trained == ["letters_clean"]


@pytest.mark.parametrize(("budget", "epochs"), [(1.0, 1), (math.inf, 7)], ids=["none", "plenty"])
def test_epochs_are_what_the_budget_affords(
    other_backbone: Config, monkeypatch: pytest.MonkeyPatch, budget: float, epochs: int
) -> None:
    monkeypatch.setattr(letters, "MOST_EPOCHS", 7)
    monkeypatch.setattr(letters, "BUDGET_FLOPS", min(budget, 1e30))
    assert letters.affordable_epochs(letters.source_config(other_backbone, "letters_clean", seed=0)) == epochs


@pytest.mark.parametrize(
    ("model", "image_px"),
    [("residual", 32), ("vgg11", 32), ("vit_b_16", 32), ("squeezenet1_1", 32), ("alexnet", 63), ("vit_h_14", 42)],
)
def test_the_source_is_seen_at_the_smallest_size_that_the_backbone_reads(
    make_config: MakeConfig, model: str, image_px: int
) -> None:
    chosen = {"name": model, "depth": 8 if model == "residual" else None}
    config = make_config({"model": "torchvision"}, model=chosen, data={"image_size": 112})
    assert letters.source_config(config, "letters", seed=0).data.image_size == image_px


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("source=digits", "allowed: letters, letters_clean"),
        ("seed=x", "a whole number is needed"),
        ("now", "unknown; keys: model, source, seed, out"),
    ],
)
def test_the_command_that_makes_them_refuses_slips(command: Callable[..., Answer], word: str, problem: str) -> None:
    answer = command(command_module.main, word)
    assert answer.code == 1
    assert answer.err == f"error: {word}: {problem}\n"
