"""Plans: which stages, in which phase, for how long."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tl_sweep.base.errors import JobFailed, UserError
from tl_sweep.config.schema import Config
from tl_sweep.models.build import build_model
from tl_sweep.models.stages import StagedModel
from tl_sweep.training import freeze
from tl_sweep.training.freeze import Phase, make_plan, share_out


def plan(config: Config, num_stages: int, epochs: int) -> list[tuple[int, str, float, int]]:
    return [(p.frozen_stages, p.parameters, p.lr_scale, p.epochs) for p in make_plan(config.freeze, num_stages, epochs)]


@pytest.mark.parametrize(
    ("strategy", "phases"),
    [
        ("none", [(0, "all", 1.0, 12)]),
        ("early", [(3, "all", 1.0, 12)]),
        ("all", [(5, "all", 1.0, 12)]),
        ("scratch", [(0, "all", 1.0, 12)]),
        ("bn_only", [(0, "norm", 1.0, 12)]),
        ("lp_ft", [(5, "all", 1.0, 6), (0, "all", 0.1, 6)]),
        ("gradual", [(frozen, "all", 1.0, 2) for frozen in (5, 4, 3, 2, 1, 0)]),
    ],
)
def test_plan_of_five_stages_and_twelve_epochs(
    make_config: Callable[..., Config], strategy: str, phases: list[tuple[int, str, float, int]]
) -> None:
    assert plan(make_config({"freeze": strategy}), 5, 12) == phases


def test_depth_freezes_as_told(make_config: Callable[..., Config]) -> None:
    config = make_config({"freeze": "depth"}, freeze={"frozen_stages": 4})
    assert plan(config, 5, 3) == [(4, "all", 1.0, 3)]


def test_more_frozen_stages_than_there_are(make_config: Callable[..., Config]) -> None:
    config = make_config({"freeze": "depth"}, freeze={"frozen_stages": 6})
    with pytest.raises(UserError, match="freeze=depth: 6 stages are to be frozen, the model has 5"):
        make_plan(config.freeze, 5, 3)


def test_fewer_epochs_than_phases(make_config: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match="epochs=5: freeze=gradual has 6 phases"):
        make_plan(make_config({"freeze": "gradual"}).freeze, 5, 5)


@pytest.mark.parametrize(
    ("epochs", "weights", "shares"),
    [(10, [1.0, 1.0], [5, 5]), (11, [1.0, 1.0], [6, 5]), (10, [1.0, 3.0], [3, 7]), (3, [1.0, 100.0, 1.0], [1, 1, 1])],
)
def test_epochs_are_shared_out(epochs: int, weights: list[float], shares: list[int]) -> None:
    assert share_out(epochs, weights) == shares


@pytest.fixture
def small(make_config: Callable[..., Config]) -> StagedModel:
    torch.manual_seed(0)
    return build_model(make_config().model, 4, 32, weights=None, head_seed=0)


def test_enter_sets_exactly_the_phases_parameters(small: StagedModel) -> None:
    learning = freeze.enter(small, Phase(2, "all", 1.0, 1))
    required = {name for name, parameter in small.module.named_parameters() if parameter.requires_grad}
    wanted = {*small.stage_parameters(2), *small.stage_parameters(3), *small.head_parameters()}
    assert required == set(learning) == wanted


def test_norm_phase_trains_affine_parameters_and_head_only(small: StagedModel) -> None:
    learning = freeze.enter(small, Phase(0, "norm", 1.0, 1))
    assert set(learning) - set(small.head_parameters()) == {
        f"{name}.{kind}"
        for name, module in small.module.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("policy", ["train", "eval"])
def test_frozen_stages_stay_in_eval_mode_and_others_follow_the_policy(small: StagedModel, policy: str) -> None:
    freeze.set_training_mode(small, Phase(2, "all", 1.0, 1), policy)
    modes = {
        small.stage_of(f"{name}.weight"): module.training
        for name, module in small.module.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    assert modes == {0: False, 1: False, 2: policy == "train", 3: policy == "train"}


def test_frozen_and_moving_tensors_partition_the_model(small: StagedModel) -> None:
    phase = Phase(2, "norm", 1.0, 1)
    frozen, moving = set(freeze.frozen_tensors(small, phase)), set(freeze.moving_tensors(small, (phase,)))
    assert frozen | moving == set(small.module.state_dict())
    assert not frozen & moving


def test_moving_tensors_are_those_of_any_phase(small: StagedModel) -> None:
    head_only, everything = Phase(4, "all", 1.0, 1), Phase(0, "all", 1.0, 1)
    assert set(freeze.moving_tensors(small, (head_only,))) == set(small.head_parameters())
    assert set(freeze.moving_tensors(small, (head_only, everything))) == set(small.module.state_dict())


def test_a_moved_buffer_is_noticed(small: StagedModel) -> None:
    tensors = freeze.frozen_tensors(small, Phase(4, "all", 1.0, 1))
    before = freeze.fingerprint(tensors)
    freeze.require_unchanged(before, tensors, "phase 1")
    next(buffer for name, buffer in tensors.items() if name.endswith("running_mean"))[0] += 1e-7
    with pytest.raises(JobFailed, match="phase 1: frozen tensors changed"):
        freeze.require_unchanged(before, tensors, "phase 1")


def test_fingerprint_sees_names_shapes_and_bits() -> None:
    a = torch.arange(4.0)
    marks = {freeze.fingerprint(t) for t in ({"a": a}, {"b": a}, {"a": a.reshape(2, 2)}, {"a": a.double()}, {"a": -a})}
    assert len(marks) == 5
    assert freeze.fingerprint({"a": a}) == freeze.fingerprint({"a": a.clone()})


def test_fingerprint_does_not_depend_on_memory_layout() -> None:
    images = torch.randn(2, 3, 4, 4)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert freeze.fingerprint({"a": images}) == freeze.fingerprint({"a": channels_last})


def test_held_modules_survive_train_and_copy() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    freeze.hold_in_eval([net[0]])
    copied = copy.deepcopy(net)
    for module in (net, copied):
        module.train()
        assert [layer.training for layer in module] == [False, True]
    freeze.hold_in_eval([net[0]], hold=False)
    assert net.train()[0].training
