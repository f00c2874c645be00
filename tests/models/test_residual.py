"""Our own residual networks, held against the papers' tables and torchvision's."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from tl_sweep.models.residual import BottleneckBlock, ResidualBlock, ResidualNet
from tl_sweep.models.residual_depths import CIFAR_DEPTHS, IMAGENET_DEPTHS


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def meta(depth: int, num_classes: int = 10, **options: Any) -> ResidualNet:
    with torch.device("meta"):
        return ResidualNet(depth, num_classes, **options)


@pytest.mark.parametrize("depth", IMAGENET_DEPTHS)
def test_imagenet_depths_have_torchvisions_parameter_counts(depth: int) -> None:
    with torch.device("meta"):
        reference = torchvision.models.get_model(f"resnet{depth}")
    assert num_parameters(meta(depth, 1000)) == num_parameters(reference)


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)], ids=lambda value: str(value)
)
def test_cifar_depths_have_the_papers_parameter_counts(depth: int, millions: float) -> None:
    """Table 6 of the paper; the projections (its option B) add 3 thousand."""
    assert num_parameters(meta(depth)) / 1e6 == pytest.approx(millions, abs=0.02 if depth < 110 else 0.05)


def test_the_embedded_default_is_small() -> None:
    assert num_parameters(meta(14)) == 175_258


def test_parameters_of_basic_and_bottleneck_blocks() -> None:
    basic = 2 * (9 * 64 * 64) + 2 * (2 * 64)
    bottleneck = 256 * 64 + 9 * 64 * 64 + 64 * 256 + 2 * (64 + 64 + 256)
    assert num_parameters(ResidualBlock(64, 64)) == basic == 73_984
    assert num_parameters(BottleneckBlock(256, 256)) == bottleneck == 70_400
    # Four times the channels for fewer parameters: a basic block of 256 channels has 16 times as many.
    assert num_parameters(ResidualBlock(256, 256)) > 16 * num_parameters(BottleneckBlock(256, 256))


@pytest.mark.parametrize("depth", [*CIFAR_DEPTHS, *IMAGENET_DEPTHS])
def test_depth_counts_the_weighted_layers(depth: int) -> None:
    weighted = [
        name
        for name, module in meta(depth).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(weighted) == depth


@pytest.mark.parametrize("block_type", [ResidualBlock, BottleneckBlock])
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "projected"),
    [(64, 64, 1, False), (64, 64, 2, True), (64, 128, 1, True), (64, 128, 2, True)],
    ids=["same", "strided", "wider", "strided-wider"],
)
def test_a_block_projects_its_shortcut_only_where_shapes_differ(
    block_type: type[nn.Module], in_channels: int, out_channels: int, stride: int, projected: bool
) -> None:
    block = block_type(in_channels, out_channels, stride)
    assert isinstance(block.shortcut, nn.Identity) is not projected
    assert block(torch.zeros(2, in_channels, 8, 8)).shape == (2, out_channels, 8 // stride, 8 // stride)


def test_a_block_adds_its_input() -> None:
    block = ResidualBlock(4, 4).eval()
    nn.init.zeros_(block.get_parameter("bn2.weight"))
    x_BCHW = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x_BCHW), torch.relu(x_BCHW))


@pytest.mark.parametrize("depth", [20, 50])
def test_the_plain_twin_has_the_same_convolutions_and_no_shortcut(depth: int) -> None:
    residual, plain = meta(depth).state_dict(), meta(depth, residual=False).state_dict()
    assert list(plain) == [name for name in residual if "shortcut" not in name]
    assert any("shortcut" in name for name in residual)


def test_convolutions_are_drawn_from_hes_distribution() -> None:
    torch.manual_seed(0)
    weight = ResidualNet(20, 10).get_parameter("layer3.2.conv1.weight")
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)


@pytest.mark.parametrize("residual", [True, False], ids=["residual", "plain"])
@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_deep_networks_are_finite_at_the_start(norm: str, residual: bool) -> None:
    torch.manual_seed(0)
    model = ResidualNet(56, 10, norm=norm, residual=residual)
    logits_BK = model(torch.randn(4, 3, 32, 32))
    logits_BK.square().mean().backward()
    assert logits_BK.isfinite().all()
    assert 1e-3 < logits_BK.std() < 100
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("norm", "kind", "biased"),
    [("batch", nn.BatchNorm2d, False), ("group", nn.GroupNorm, False), ("none", type(None), True)],
)
def test_norm_is_what_was_asked_for(norm: str, kind: type, biased: bool) -> None:
    model = meta(20, norm=norm)
    norms: set[type] = {type(m) for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)}
    assert (norms or {type(None)}) == {kind}
    assert {m.bias is not None for m in model.modules() if isinstance(m, nn.Conv2d)} == {biased}


@pytest.mark.parametrize(("depth", "image_px", "features_px"), [(8, 32, 8), (18, 64, 2), (50, 64, 2)])
def test_layers_halve_the_image(depth: int, image_px: int, features_px: int) -> None:
    model = ResidualNet(depth, 7).eval()
    sizes = []
    model.avgpool.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].shape[-2:]))
    assert model(torch.zeros(1, 3, image_px, image_px)).shape == (1, 7)
    assert sizes == [(features_px, features_px)]
