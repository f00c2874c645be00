"""Every strategy on every kind of network: what is frozen stays bit for bit, what learns moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from commands import Answer, table_lines
from configs import assembled
from torch import Tensor, nn

from tl_sweep.config.loading import conf_dir
from tl_sweep.config.schema import Config
from tl_sweep.run.assemble import Run
from tl_sweep.tracking.record import RunRecord
from tl_sweep.train import main
from tl_sweep.training.freeze import has_norm_layers
from tl_sweep.training.loop import fit

MakeConfig = Callable[..., Config]
Command = Callable[..., Answer]

# model option -> (image side in pixels, stages)
QUICK = {"resnet_small": (32, 4), "squeezenet1_1": (32, 4), "mobilenet_v3_small": (32, 5)}
SLOW = {"vgg11": (32, 5), "vgg16_bn": (32, 5), "convnext_tiny": (32, 5), "vit_b_16": (32, 5), "swin_t": (32, 5)}

# strategy -> leading stages that are frozen in every phase, of a network of n
FROZEN: dict[str, Callable[[int], int]] = {
    "none": lambda n: 0,
    "scratch": lambda n: 0,
    "early": lambda n: -(-n // 2),
    "all": lambda n: n,
    "lp_ft": lambda n: 0,
    "gradual": lambda n: 0,
    "depth": lambda n: 1,
}


@dataclass(frozen=True)
class Trained:
    """A short run: the tensors that it started and ended with, by name."""

    run: Run
    before: dict[str, Tensor]

    @property
    def after(self) -> dict[str, Tensor]:
        return self.run.state.model.module.state_dict()

    def moved(self) -> set[str]:
        return {name for name, tensor in self.after.items() if not torch.equal(tensor, self.before[name])}

    def parameters(self, stages: range) -> set[str]:
        return {name for stage in stages for name in self.run.state.model.stage_parameters(stage)}

    def statistics(self, stages: range) -> set[str]:
        """Buffers that follow the batch: running mean, running variance, and the count of batches."""
        buffers = {name for stage in stages for name in self.run.state.model.stage_buffers(stage)}
        return {name for name in buffers if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}


def trained(make_config: MakeConfig, model: str, strategy: str, **freeze: object) -> Trained:
    """Some epochs of two batches of five digits. No weight decay: it would move what has no gradient, too."""
    image_px = (QUICK | SLOW)[model][0]
    depth = {"frozen_stages": 1} if strategy == "depth" else {}
    config = make_config(
        {"model": model, "freeze": strategy, "augment": "none"},
        model={"weights": None},
        freeze=depth | freeze,
        data={"shots": 2, "image_size": image_px},
        optim={"weight_decay": 0.0},
        epochs=6,
        batch_size=5,
    )
    run = assembled(config)
    before = {name: tensor.clone() for name, tensor in run.state.model.module.state_dict().items()}
    for _ in fit(run.state, run.setup):
        pass
    return Trained(run, before)


def test_every_strategy_is_tried_here() -> None:
    assert {path.stem for path in (conf_dir() / "freeze").glob("*.yaml")} == {*FROZEN, "bn_only"}


EVERY_PAIR = [
    *((model, strategy) for model in QUICK for strategy in FROZEN),
    *(pytest.param(model, strategy, marks=pytest.mark.slow) for model in SLOW for strategy in ("none", "early", "all")),
]


@pytest.mark.parametrize(("model", "strategy"), EVERY_PAIR)
def test_frozen_stages_stand_still_and_the_others_move(make_config: MakeConfig, model: str, strategy: str) -> None:
    num_stages = (QUICK | SLOW)[model][1]
    outcome = trained(make_config, model, strategy)
    assert outcome.run.state.model.num_stages == num_stages
    learning = range(FROZEN[strategy](num_stages), num_stages + 1)  # the head is the last
    assert outcome.moved() == outcome.parameters(learning) | outcome.statistics(learning)


@pytest.mark.parametrize("model", ["resnet_small", "mobilenet_v3_small"])
def test_norm_layers_and_head_alone_learn(make_config: MakeConfig, model: str) -> None:
    outcome = trained(make_config, model, "bn_only")
    affine = {
        f"{name}.{kind}"
        for name, module in outcome.run.state.model.module.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for kind in ("weight", "bias")
    }
    everything = range(outcome.run.state.model.num_stages)
    head = set(outcome.run.state.model.head_parameters())
    assert outcome.moved() == affine | head | outcome.statistics(everything)


@pytest.mark.parametrize("strategy", ["none", "early", "bn_only"])
def test_batch_norm_keeps_its_statistics_when_told(make_config: MakeConfig, strategy: str) -> None:
    outcome = trained(make_config, "resnet_small", strategy, batch_norm="eval")
    assert outcome.moved() & outcome.statistics(range(4)) == set()
    assert "layer3.0.bn1.weight" in outcome.moved()  # its affine parameters learn all the same


def test_a_network_without_norm_layers_has_no_statistics(make_config: MakeConfig) -> None:
    model = assembled(make_config({"model": "squeezenet1_1"}, data={"image_size": 32})).state.model
    assert has_norm_layers(model.module) is False
    assert [name for stage in range(model.num_stages) for name in model.stage_buffers(stage)] == []


# --- a strategy of one's own: one file, and no line of code

MINE = """
name: mine
phases: [{frozen: all}, {frozen: "3", lr_scale: 0.5, share: 2}]
solver: adamw
lr: {adamw: 2e-3}
backbone_lr_scale: 0.1
"""


@pytest.fixture
def reported(command: Command, tmp_path: Path, store_uri: str) -> tuple[Answer, dict[str, RunRecord]]:
    """A sweep over ``mine`` and ``all``: what was printed, and the runs by strategy."""
    from tl_sweep.tracking.client import connect
    from tl_sweep.tracking.store import experiment_id, runs_of_sweep

    (tmp_path / "options" / "freeze").mkdir(parents=True)
    (tmp_path / "options" / "freeze" / "mine.yaml").write_text(MINE)
    answer = command(
        main,
        "-m",
        f"--config-dir={tmp_path / 'options'}",
        "hydra/launcher=basic",
        "freeze=mine,all",
        "model.weights=null",
        "data.shots=2",
        "epochs=3",
        "threads=1",
        f"tracking.uri={store_uri}",
        "tracking.experiment=mine",
    )
    client = connect(store_uri)
    (run, *_) = client.search_runs([experiment_id(client, store_uri, "mine")])
    runs = runs_of_sweep(store_uri, "mine", run.data.tags["sweep"])
    return answer, {run.tags["strategy"]: run for run in runs}


def test_a_strategy_of_ones_own_is_found_frozen_trained_and_reported(
    reported: tuple[Answer, dict[str, RunRecord]],
) -> None:
    answer, runs = reported
    assert (answer.code, answer.err) == (0, "")
    assert "[1/2] mine lr0.002 e3 n2 resnet_small s0: val" in answer.out
    assert [" mine " in line for line in table_lines(answer.out)].count(True) == 1
    mine = runs["mine"]
    assert mine.status == "FINISHED"
    assert mine.tags["trainable"] == "head x 1, 1 of 4 stages + head x 2"
    assert mine.params["freeze.backbone_lr_scale"] == "0.1"
    assert mine.metrics["lr/head"] == pytest.approx(mine.metrics["lr/layer3"] * 10)
    assert "lr/layer2" not in mine.metrics
    assert int(mine.tags["frozen.tensors"]) > 0
