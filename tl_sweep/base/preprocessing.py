"""How an image becomes a model's input: the whole handshake between ``data`` and ``models``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input: the whole handshake between ``data`` and ``models``.

    mean, std: per channel, on pixel values in [0, 1].
    interpolation: ``bilinear`` or ``bicubic``, used once, when the file is resized to the working resolution.
    image_px: side of the square that the model sees.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    image_px: int

    @property
    def working_px(self) -> int:
        """Side of the stored square from which every view is cut: 8/7 of ``image_px``, torchvision's own 256/224."""
        return round(self.image_px * 8 / 7)
