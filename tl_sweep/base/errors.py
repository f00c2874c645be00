"""Small values that every room may use.

Shapes: N images, B batch, C channels, H height, W width, K classes, D features."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class UserError(Exception):
    """Something a person can mend: what is wrong, where, and what to do. Shown without a traceback."""


class JobFailed(UserError):
    """A run that started and could not end well (non-finite loss, a frozen tensor that moved)."""


class Misfit(str):
    """Why values that are allowed each mean nothing together.

    unread: the key that is given and not read; empty where no single key is to blame.
    """

    unread: str

    def __new__(cls, text: str, unread: str = "") -> Misfit:
        misfit = super().__new__(cls, text)
        misfit.unread = unread
        return misfit


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """``" did you mean 'early'?"`` (with its leading blank) for a near miss, else an empty string."""
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" did you mean {close[0]!r}?" if close else ""


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
