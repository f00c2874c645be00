"""An objective that is no part of the package: one class here, registered, with a module and a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from commands import Answer
from configs import assembled
from matplotlib.axes import Axes
from objective_contract import ObjectiveContract
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from tl_sweep import plan
from tl_sweep.config.schema import Config
from tl_sweep.tracking.record import Record, metric_lines
from tl_sweep.train import main
from tl_sweep.training.examples import Examples
from tl_sweep.training.loop import batches_like, fit
from tl_sweep.training.objectives.contract import Objective, Step
from tl_sweep.training.objectives.registry import OBJECTIVES

MakeConfig = Callable[..., Config]


class Auxiliary(Objective):
    """A second linear layer learns the labels, too, and agrees with the head on a second stream of images."""

    reads = ("weight",)

    def modules(self, feature_dim: int, num_classes: int) -> dict[str, nn.Module]:
        return {"second_head": nn.Sequential(nn.BatchNorm1d(feature_dim), nn.Linear(feature_dim, num_classes))}

    def streams(self, sets: Mapping[str, Examples]) -> dict[str, Examples]:
        return {"again": sets["train"]}

    def loss(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        second = step.modules["second_head"]
        features_BD, logits_BK = step.network(step.streams["again"])
        auxiliary = self.cross_entropy(second(step.features_BD), step.targets)
        distance = F.mse_loss(second(features_BD).float(), logits_BK.float())
        loss = self.cross_entropy(step.logits_BK, step.targets) + self.options["weight"] * (auxiliary + distance)
        return loss, {"auxiliary_loss": auxiliary, "progress": torch.tensor(step.progress)}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    OBJECTIVES.register("auxiliary", Auxiliary)
    yield
    OBJECTIVES.unregister("auxiliary")


class TestAuxiliary(ObjectiveContract):
    name = "auxiliary"
    options: ClassVar[dict[str, float]] = {"weight": 0.5}


def auxiliary(make_config: MakeConfig, weight: float = 0.5, freeze: str = "early") -> Config:
    return make_config({"freeze": freeze}, objective={"name": "auxiliary", "options": {"weight": weight}}, epochs=2)


def test_what_it_measures_is_recorded(make_config: MakeConfig) -> None:
    run = assembled(auxiliary(make_config))
    records = list(fit(run.state, run.setup))
    assert 0 < records[0].metrics["train/auxiliary_loss"] < records[0].metrics["train/loss"]
    assert [record.metrics["train/progress"] for record in records] == pytest.approx([0.2, 0.7])  # five steps each
    assert records[0].metrics["grad_norm/objective"] > 0
    assert records[0].metrics["lr/objective"] == records[0].metrics["lr/head"]


def test_its_modules_do_not_change_what_the_network_starts_from(make_config: MakeConfig) -> None:
    plain, mine = assembled(make_config({"freeze": "early"})), assembled(auxiliary(make_config))
    theirs = mine.state.model.module.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in plain.state.model.module.state_dict().items())


@pytest.mark.parametrize("freeze", ["early", "all"])
def test_without_weight_the_network_learns_as_without_it(make_config: MakeConfig, freeze: str) -> None:
    """Another stream of images disturbs neither the order of the training images nor what is drawn for them."""
    plain = assembled(make_config({"freeze": freeze, "optim": "adamw"}))
    mine = assembled(replace(auxiliary(make_config, 0.0, freeze), optim=plain.setup.config.optim))
    (first, *_), (second, *_) = (fit(run.state, run.setup) for run in (plain, mine))
    assert first.metrics["train/loss"] == second.metrics["train/loss"]
    assert first.metrics["grad_norm/head"] == second.metrics["grad_norm/head"]


def test_a_whole_run_by_command(
    command: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[str] = []  # what the picture of the curves calls them
    legend = Axes.legend
    monkeypatch.setattr(
        Axes,
        "legend",
        lambda axes: [losses.extend(axes.get_legend_handles_labels()[1]), legend(axes)],
    )
    words = ["model.weights=null", "data.shots=5", "data.image_size=32", "freeze=early", "epochs=2", "threads=1"]
    words += [f"output.dir={tmp_path}/runs", f"cache.dir={tmp_path}/rows", "tracking.uri=null", "num_workers=1"]
    answer = command(main, "objective.name=auxiliary", "+objective.options.weight=0.5", *words)
    assert answer.code == 0, answer.err
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/record.jsonl"))
    assert Record(folder).summary().params["objective.options.weight"] == "0.5"
    assert "train/auxiliary_loss" in metric_lines(folder)[0]
    assert losses == ["train: auxiliary", "val: cross-entropy (nats)", "train", "val"]
    exported = load_file(folder / "checkpoint.safetensors")
    assert exported
    assert not [name for name in exported if name.startswith("objective")]


def test_in_a_grid_what_one_objective_does_not_read_is_ignored(command: Callable[..., Answer]) -> None:
    words = ["objective.name=cross_entropy,auxiliary", "+objective.options.weight=0.1,0.5", "freeze=early"]
    answer = command(plan.main, *words, "model.weights=null", "data.shots=2", "tracking.uri=null")
    assert answer.code == 0, answer.err
    assert "objective.options.weight is not read by 2 of 4 combinations" in answer.out
    assert "3 of 3 jobs to run" in answer.out
    assert "1 of 4 combinations mean the same as another one" in answer.out


def test_in_a_grid_what_it_cannot_be_solved_by_is_dropped(command: Callable[..., Answer]) -> None:
    words = ["objective.name=auxiliary", "+objective.options.weight=0.5", "freeze=all", "optim=lbfgs,sgd"]
    answer = command(plan.main, *words, "model.weights=null", "data.shots=2", "tracking.uri=null")
    assert answer.code == 0, answer.err
    assert "1 of 2 combinations dropped: optim=lbfgs: solves cross-entropy alone; objective=auxiliary" in answer.out
    assert "1 of 1 jobs to run" in answer.out


@pytest.mark.parametrize("count", [3, 10, 25])
def test_a_stream_gives_as_many_images_as_each_batch_has(count: int) -> None:
    order = [np.arange(4), np.arange(4), np.arange(3)]
    cut = batches_like(order, count, np.random.default_rng(0))
    assert [len(places) for places in cut] == [4, 4, 3]
    seen = np.bincount(np.concatenate(cut), minlength=count)
    assert seen.max() - seen.min() <= 1  # no image again before all the others
