"""Solvers, rates and schedules, with values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config
from tl_sweep.models.build import build_model
from tl_sweep.models.stages import StagedModel
from tl_sweep.training import freeze
from tl_sweep.training.optimizer import make_optimizer, parameter_groups, plan_problems, warmup_then_cosine
from tl_sweep.training.rates import batch_size_of, head_lr_of, solver_of, weight_decay_of


@pytest.mark.parametrize(
    ("strategy", "optim", "solver"),
    [
        ("none", {}, "adamw"),
        ("all", {}, "lbfgs"),
        ("all", {"lr": 0.1}, "sgd"),
        ("all", {"name": "adamw"}, "adamw"),
        ("scratch", {"name": "sgd"}, "sgd"),
    ],
)
def test_solver(make_config: Callable[..., Config], strategy: str, optim: dict[str, object], solver: str) -> None:
    assert solver_of(make_config({"freeze": strategy}, optim=optim)) == solver


@pytest.mark.parametrize("wish", [{"augment": {"mixup": 0.2}}, {"model": {"dropout": 0.1}}], ids=["mixup", "dropout"])
def test_a_frozen_head_is_trained_where_it_cannot_be_solved(make_config: Callable[..., Config], wish: dict) -> None:
    assert solver_of(make_config({"freeze": "all"}, **wish)) == "sgd"


def test_lr_scale_multiplies_the_default_and_the_given_rate(make_config: Callable[..., Config]) -> None:
    assert head_lr_of(make_config(optim={"lr_scale": 3.0})) == pytest.approx(3e-3)
    assert head_lr_of(make_config(optim={"lr": 0.5, "lr_scale": 0.1})) == pytest.approx(0.05)
    assert head_lr_of(make_config({"freeze": "all"})) is None


@pytest.mark.parametrize(("model", "lr"), [("vgg16", 3e-4), ("vgg16_bn", 1e-3), ("squeezenet1_1", 3e-4)])
def test_a_network_without_normalisation_starts_from_scratch_at_a_lower_rate(
    make_config: Callable[..., Config], model: str, lr: float
) -> None:
    assert head_lr_of(make_config({"freeze": "scratch", "model": model})) == pytest.approx(lr)


def test_strategy_without_a_rate_for_the_optimiser(make_config: Callable[..., Config]) -> None:
    config = make_config({"optim": "sgd"}, freeze={"lr": {}})
    config.freeze.lr.pop("sgd")
    with pytest.raises(UserError, match=r"optim.lr: freeze=none has no default for optim=sgd; give optim.lr="):
        head_lr_of(config)


def test_weight_decay_defaults_differ_by_optimiser(make_config: Callable[..., Config]) -> None:
    assert weight_decay_of(make_config({"optim": "sgd"})) == 1e-4
    assert weight_decay_of(make_config({"optim": "adamw"})) == 1e-2
    assert weight_decay_of(make_config(optim={"weight_decay": 0.0})) == 0.0


@pytest.fixture
def small(make_config: Callable[..., Config]) -> StagedModel:
    return build_model(make_config().model, 4, 32, weights=None, head_seed=0)


def test_rates_of_groups(make_config: Callable[..., Config], small: StagedModel) -> None:
    phase = freeze.Phase(2, "all", 0.5, 1)
    freeze.enter(small, phase)
    config = make_config(optim={"lr": 0.8, "backbone_lr_scale": 0.1, "layer_decay": 0.5})
    rates = {group.name: group.lr for group in parameter_groups(small, phase, config)}
    assert rates == {
        "head": pytest.approx(0.8 * 0.5),
        "layer3": pytest.approx(0.8 * 0.5 * 0.1 * 0.5),
        "layer2": pytest.approx(0.8 * 0.5 * 0.1 * 0.25),
    }


@pytest.mark.parametrize("scale", [1.0, 0.3, 0.1])
def test_fine_tuning_grids_reach_the_usual_backbone_rates(
    make_config: Callable[..., Config], small: StagedModel, scale: float
) -> None:
    phase = freeze.Phase(0, "all", 1.0, 1)
    freeze.enter(small, phase)
    groups = parameter_groups(small, phase, make_config({"freeze": "none"}, optim={"lr_scale": scale}))
    assert [group.lr for group in groups if group.name != "head"] == pytest.approx([1e-4 * scale] * 8)


def test_groups_hold_every_learning_parameter_once(make_config: Callable[..., Config], small: StagedModel) -> None:
    phase = freeze.Phase(1, "all", 1.0, 1)
    learning = freeze.enter(small, phase)
    grouped = [
        id(parameter) for group in parameter_groups(small, phase, make_config()) for parameter in group.parameters
    ]
    assert sorted(grouped) == sorted(id(parameter) for parameter in learning.values())


def test_norms_and_biases_do_not_decay(make_config: Callable[..., Config], small: StagedModel) -> None:
    phase = freeze.Phase(0, "all", 1.0, 1)
    freeze.enter(small, phase)
    optimizer = make_optimizer(parameter_groups(small, phase, make_config(optim={"weight_decay": 0.3})), make_config())
    for group in optimizer.param_groups:
        decays = {parameter.ndim > 1 for parameter in group["params"]}
        assert decays == {group["weight_decay"] > 0}


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 0.5), (1, 1.0), (2, 1.0), (6, 0.5), (10, 0.0)], ids=lambda value: str(value)
)
def test_warmup_then_cosine(step: int, factor: float) -> None:
    assert warmup_then_cosine(step, 10, 0.2) == pytest.approx(factor)


def test_no_warmup_starts_at_the_peak() -> None:
    assert warmup_then_cosine(0, 10, 0.0) == 1.0


@pytest.mark.parametrize(
    ("strategy", "model", "optim", "message"),
    [
        ("bn_only", "vgg11", {}, "vgg11 has no normalisation layers to train"),
        ("none", "resnet18", {"name": "lbfgs"}, "optim=lbfgs: solves a head on frozen features; freeze=none trains"),
        ("gradual", "resnet18", {}, "epochs=2: freeze=gradual has 6 phases"),
    ],
)
def test_combinations_that_mean_nothing(
    make_config: Callable[..., Config], strategy: str, model: str, optim: dict[str, object], message: str
) -> None:
    problems = list(plan_problems(make_config({"freeze": strategy, "model": model}, optim=optim), 5))
    assert len(problems) == 1
    assert message in problems[0]


def test_sgd_has_momentum(make_config: Callable[..., Config], small: StagedModel) -> None:
    phase = freeze.Phase(0, "all", 1.0, 1)
    freeze.enter(small, phase)
    config = make_config({"optim": "sgd"}, optim={"momentum": 0.7})
    optimizer = make_optimizer(parameter_groups(small, phase, config), config)
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.7}


@pytest.mark.parametrize(("num_train", "size"), [(40, 8), (80, 8), (200, 20), (1611, 32)])
def test_batches_are_small_where_images_are_few(make_config: Callable[..., Config], num_train: int, size: int) -> None:
    assert batch_size_of(make_config(), num_train) == size
    assert batch_size_of(make_config(batch_size=50), num_train) == 50
