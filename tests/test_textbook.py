"""The textbook API, by its four classical checks and what makes its freezing real. All offline."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import tl_sweep
from tl_sweep import ResidualBlock, fine_tune_resnet, freeze_pretrained_layers, load_pretrained_resnet
from tl_sweep.base.errors import UserError

EARLY = ("conv1.", "bn1.", "layer1.", "layer2.")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file such as torchvision's own, made here."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


@pytest.fixture
def model(weights: Path) -> nn.Module:
    return load_pretrained_resnet(num_classes=10, weights=weights)


def trained_one_step(model: nn.Module) -> dict[str, Tensor]:
    """State dict after one optimiser step in training mode."""
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    F.cross_entropy(model(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    return model.state_dict()


def moved(model: nn.Module) -> set[str]:
    before = copy.deepcopy(model.state_dict())
    after = trained_one_step(model)
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_pretrained_models_load(model: nn.Module, weights: Path) -> None:
    saved, loaded = torch.load(weights, weights_only=True), model.state_dict()
    assert isinstance(model, torchvision.models.ResNet)
    assert list(loaded) == list(saved)
    assert all(torch.equal(loaded[name], saved[name]) for name in saved if not name.startswith("fc."))


def test_classifier_is_replaced(model: nn.Module) -> None:
    assert isinstance(model.fc, nn.Linear)
    assert (model.fc.in_features, model.fc.out_features) == (512, 10)


def test_fine_tuning_works(model: nn.Module) -> None:
    fine_tune_resnet(model)
    changed = moved(model)
    assert not any(name.startswith(EARLY) for name in changed)
    assert {name for name, _ in model.named_parameters() if not name.startswith(EARLY)} <= changed


@pytest.mark.parametrize("num_classes", [2, 10])
def test_output_shapes(weights: Path, num_classes: int) -> None:
    model = load_pretrained_resnet(num_classes, weights=weights)
    assert model(torch.zeros(3, 3, 64, 64)).shape == (3, num_classes)


def test_early_batch_norm_stays_in_eval_mode_when_the_model_trains(model: nn.Module) -> None:
    fine_tune_resnet(model).train()
    modes = {n: m.training for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert modes == {name: not name.startswith(EARLY[1:]) and name != "bn1" for name in modes}


def test_fine_tuning_everything_moves_everything(model: nn.Module) -> None:
    fine_tune_resnet(fine_tune_resnet(model), freeze_early_layers=False)
    assert moved(model) == set(model.state_dict())


@pytest.mark.parametrize("freeze", [True, False])
def test_every_parameter_follows_freeze(model: nn.Module, freeze: bool) -> None:
    assert freeze_pretrained_layers(model, freeze) is model
    assert {parameter.requires_grad for parameter in model.parameters()} == {not freeze}


def test_a_new_head_after_freezing_is_all_that_learns(model: nn.Module) -> None:
    freeze_pretrained_layers(model)
    model.fc = nn.Linear(512, 10)
    assert moved(model) == {"fc.weight", "fc.bias"}


def test_the_head_that_is_kept_is_all_that_learns(model: nn.Module) -> None:
    assert moved(freeze_pretrained_layers(model, keep_head=True)) == {"fc.weight", "fc.bias"}


def test_freezing_can_be_undone(model: nn.Module) -> None:
    freeze_pretrained_layers(freeze_pretrained_layers(model), freeze=False)
    assert moved(model) == set(model.state_dict())


def test_a_frozen_model_can_be_copied(model: nn.Module) -> None:
    twin = copy.deepcopy(freeze_pretrained_layers(model)).train()
    assert not twin.layer1.training
    assert twin.layer1.train() is twin.layer1


def test_without_weights_the_model_is_random() -> None:
    assert load_pretrained_resnet(4, weights=None)(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


def test_the_head_follows_torchs_seed(weights: Path) -> None:
    heads: list[Tensor] = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        heads.append(load_pretrained_resnet(4, weights=weights).get_parameter("fc.weight"))
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": "vgg11"}, "name='vgg11': not one of torchvision's ResNets, such as 'resnet18'"),
        ({"name": "resnet19"}, "did you mean 'resnet18'?"),
        ({"weights": "letters"}, "weights='letters': give 'imagenet', an enum name, a file, or None here"),
        ({"weights": "IMAGENET1K_V9"}, "did you mean 'IMAGENET1K_V1'?"),
    ],
    ids=["family", "name", "letters", "enum"],
)
def test_what_cannot_be_loaded_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as error:
        load_pretrained_resnet(**arguments)
    assert problem in str(error.value)


@pytest.mark.parametrize(("stride", "channels"), [(1, 16), (2, 32)], ids=["identity", "projection"])
def test_residual_block_has_the_textbooks_parts(stride: int, channels: int) -> None:
    block = ResidualBlock(16, channels, stride=stride)
    assert {"conv1", "bn1", "conv2", "bn2", "shortcut"} <= {name for name, _ in block.named_children()}
    assert isinstance(block.shortcut, nn.Identity) == (stride == 1)


def test_the_package_imports_nothing_heavy_until_a_name_is_used() -> None:
    code = "import sys, tl_sweep; print({'torch', 'torchvision', 'mlflow', 'hydra'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'tl_sweep' has no attribute 'load_vgg'"):
        _ = tl_sweep.load_vgg
