"""Residual networks written from the papers, and their plain twins.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015); weights drawn as in the same authors' Delving
Deep into Rectifiers (2015). Shapes: B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tl_sweep.models.residual_depths import BOTTLENECK_DEPTHS, CIFAR_DEPTHS


def conv(in_channels: int, out_channels: int, kernel: int, stride: int, *, norm: str) -> nn.Conv2d:
    """A convolution that keeps the size (at stride 1); it has a bias only where no norm follows with its own."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=norm == "none")


def norm_layer(norm: str, channels: int) -> nn.Module:
    """``batch``, ``group`` (Wu and He 2018; up to 32 groups of at least 4 channels) or ``none``."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(min(32, channels // 4), channels) if norm == "group" else nn.Identity()


def shortcut_path(in_channels: int, out_channels: int, stride: int, norm: str) -> nn.Module:
    """The identity where shapes allow it, else a 1×1 projection (option B of the paper)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(conv(in_channels, out_channels, 1, stride, norm=norm), norm_layer(norm, out_channels))


class _Block(nn.Module):
    """A branch of convolutions and, if ``residual``, a shortcut around it."""

    expansion: int

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str, residual: bool) -> None:
        super().__init__()
        self.shortcut = shortcut_path(in_channels, out_channels, stride, norm) if residual else None

    def branch(self, x_BCHW: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x_BCHW: Tensor) -> Tensor:
        z = self.branch(x_BCHW)
        if self.shortcut is not None:
            z = z + self.shortcut(x_BCHW)
        return F.relu(z, inplace=True)


class ResidualBlock(_Block):
    """Two 3×3 convolutions and a shortcut around them, (B, C, H, W) to (B, out_channels, H/stride, W/stride).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution and of the shortcut.
        norm: ``batch``, ``group`` or ``none``.
        residual: False leaves the shortcut out.

    >>> ResidualBlock(16, 32, stride=2)(torch.zeros(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """

    expansion = 1

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, norm: str = "batch", residual: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, stride, norm, residual)
        self.conv1 = conv(in_channels, out_channels, 3, stride, norm=norm)
        self.bn1 = norm_layer(norm, out_channels)
        self.conv2 = conv(out_channels, out_channels, 3, 1, norm=norm)
        self.bn2 = norm_layer(norm, out_channels)

    def branch(self, x_BCHW: Tensor) -> Tensor:
        z = F.relu(self.bn1(self.conv1(x_BCHW)), inplace=True)
        return self.bn2(self.conv2(z))


class BottleneckBlock(_Block):
    """1×1, 3×3 and 1×1 convolutions, the middle one at a quarter of the width; arguments as ``ResidualBlock``.

    The stride sits in the 3×3 convolution, where torchvision has it too: in the first one, as in the paper, it would
    throw away three quarters of the input.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, norm: str = "batch", residual: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, stride, norm, residual)
        width = out_channels // self.expansion
        self.conv1 = conv(in_channels, width, 1, 1, norm=norm)
        self.bn1 = norm_layer(norm, width)
        self.conv2 = conv(width, width, 3, stride, norm=norm)
        self.bn2 = norm_layer(norm, width)
        self.conv3 = conv(width, out_channels, 1, 1, norm=norm)
        self.bn3 = norm_layer(norm, out_channels)

    def branch(self, x_BCHW: Tensor) -> Tensor:
        z = F.relu(self.bn1(self.conv1(x_BCHW)), inplace=True)
        z = F.relu(self.bn2(self.conv2(z)), inplace=True)
        return self.bn3(self.conv3(z))


def blocks_per_layer(depth: int) -> tuple[int, ...]:
    """Blocks in each layer of a network of so many weighted layers."""
    if depth in CIFAR_DEPTHS:
        return ((depth - 2) // 6,) * 3
    return {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]


class ResidualNet(nn.Module):
    """Images (B, 3, H, W) to logits (B, num_classes).

    Args:
        depth: 8, 14, 20, 32, 44, 56, 110 (the paper's section 4.2: three layers of 16, 32, 64 channels, for small
            images) or 18, 34, 50, 101, 152 (its table 1: four layers, of bottleneck blocks from 50 on).
        num_classes: K.
        norm: ``batch``, ``group`` or ``none``.
        residual: False is the plain twin: the same convolutions, no shortcuts.
    """

    def __init__(self, depth: int, num_classes: int, *, norm: str = "batch", residual: bool = True) -> None:
        super().__init__()
        small = depth in CIFAR_DEPTHS
        width, kernel, stride = (16, 3, 1) if small else (64, 7, 2)
        self.conv1 = conv(3, width, kernel, stride, norm=norm)
        self.bn1 = norm_layer(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        block_type = BottleneckBlock if depth in BOTTLENECK_DEPTHS else ResidualBlock
        channels = width
        for index, count in enumerate(blocks_per_layer(depth)):
            shape = (channels, block_type.expansion * width * 2**index, 1 if index == 0 else 2)
            self.add_module(f"layer{index + 1}", _layer(block_type, shape, count, norm=norm, residual=residual))
            channels = shape[1]
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        self.apply(_draw_weights)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        z = self.maxpool(self.relu(self.bn1(self.conv1(images_BCHW))))
        for name, layer in self.named_children():
            if name.startswith("layer"):
                z = layer(z)
        return self.fc(self.avgpool(z).flatten(1))


def _layer(
    block_type: type[ResidualBlock] | type[BottleneckBlock],
    shape: tuple[int, int, int],
    count: int,
    *,
    norm: str,
    residual: bool,
) -> nn.Sequential:
    """``count`` blocks; ``shape`` is the first one's input channels, output channels and stride."""
    _, channels, _ = shape
    shapes = [shape, *[(channels, channels, 1)] * (count - 1)]
    return nn.Sequential(*(block_type(*shape, norm=norm, residual=residual) for shape in shapes))


def _draw_weights(module: nn.Module) -> None:
    """He's normal distribution; ``nn.Module.apply`` comes to a block after its convolutions."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    # Without a norm the variance would double with every block, so a branch starts at zero (Zhang, Dauphin, Ma:
    # Fixup, 2019).
    if isinstance(module, _Block) and module.shortcut is not None and isinstance(module.bn1, nn.Identity):
        *_, last = (child for child in module.children() if isinstance(child, nn.Conv2d))
        nn.init.zeros_(last.weight)
