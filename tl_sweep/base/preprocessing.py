"""From a file to a model's input: how a picture is read, and how it is fitted into the square that a model sees."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FITS = ("crop", "squash", "whole", "pad")
WITH_MARGIN = ("crop", "squash")  # a margin is stored around what the model sees, for random crops


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input: the whole handshake between ``data`` and ``models``.

    mean, std: per channel, on pixel values in [0, 1].
    interpolation: ``bilinear`` or ``bicubic``, used once, when the file is resized to the working resolution.
    image_px: side of the square that the model sees.
    fit: how an oblong picture becomes that square. ``crop``: its middle. ``squash``: all of it, stretched. Of both, a
    margin of 1/16 on each side is cut off in evaluation. ``whole``: all of it, stretched, without a margin. ``pad``:
    all of it in its proportions, between bars of the mean colour.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    image_px: int
    fit: str = "crop"

    @property
    def working_px(self) -> int:
        """Side of the stored square from which every view is cut: 8/7 of ``image_px``, torchvision's own 256/224, where
        there is a margin."""
        return round(self.image_px * 8 / 7) if self.fit in WITH_MARGIN else self.image_px

    def described(self) -> dict[str, Any]:
        """Its fields; those with a default only where they differ from it, so that older descriptions stay equal."""
        return _without_defaults(self, {"fit": "crop"})


@dataclass(frozen=True)
class Reading:
    """How a picture's file becomes eight-bit colours.

    bands: of which the picture is made, counted from 1: three for red, green and blue, or one; empty: as the file says.
    white: the integer that is white in pictures of more than 8 bits; None: 65535. float_white: the same for floats;
    None: the smallest of 1, 255 and 65535 that holds the picture. clip: what lies above is white, too; else it is
    refused. page: of a file with several, counted from 1. alpha: the fourth band of a TIFF is its transparency; else it
    is left out. max_megapixels: larger pictures are refused; None: Pillow's own limit.
    """

    bands: tuple[int, ...] = ()
    white: float | None = None
    float_white: float | None = None
    clip: bool = False
    page: int = 1
    alpha: bool = False
    max_megapixels: float | None = None

    def described(self) -> dict[str, Any]:
        """Its fields, where they are not the defaults."""
        return _without_defaults(self, asdict(PLAIN))


PLAIN = Reading()


def _without_defaults(of: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asdict(of).items() if name not in defaults or value != defaults[name]}
