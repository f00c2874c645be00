"""A network that no package knows: two convolutions and a linear head."""

from __future__ import annotations

from torch import Tensor, nn


class ToyNetwork(nn.Module):
    """Images (B, 3, H, W) to logits (B, num_classes)."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(16, num_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.head(self.body(images_BCHW).mean((2, 3)))
