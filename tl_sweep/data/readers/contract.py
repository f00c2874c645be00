"""The contract of a reader: one outside library, and what a file is in its eyes. H, W: a picture's height and width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from tl_sweep.base.preprocessing import Reading

ALPHA_LEFT_OUT = "alpha left out"
INVERTED = "inverted"
BY_TIFFFILE = "by tifffile"


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """One page of a file, as it is stored.

    pixels: eight-bit, of any mode of Pillow's, decoded when they are needed; or values (H, W) or (H, W, 3) of more than
    8 bits, upright but for ``orientation``. width_px, height_px: as stored. mode: Pillow's name, or type and number of
    bands. bits: of a value. bands, pages: how many the file has. opacity_HW: uint8, beside values. orientation: as EXIF
    counts, beside values. traits: what is special about it (``ALPHA_LEFT_OUT``, ``INVERTED``: 0 is
    stored for white, ``BY_TIFFFILE``: what Pillow alone read otherwise, or not at all).
    """

    pixels: Image.Image | np.ndarray
    width_px: int
    height_px: int
    mode: str
    bits: int = 8
    bands: int = 3
    pages: int = 1
    opacity_HW: np.ndarray | None = None
    orientation: int = 1
    traits: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads pictures by one outside library.

    suffixes: lower-case, of files that are pictures by their names. module: what it imports, inside ``read``; pip: the
    name under which that is installed. ``tests/data/readers/`` holds every reader to this.
    """

    suffixes: frozenset[str]
    module: str
    pip: str

    def recognises(self, content: bytes) -> bool:
        """Whether a file begins like its own, whatever its name."""
        ...

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """The wanted page.

        Raises:
            MissingPackage, ModuleNotFoundError: a package is not installed.
            Exception: whatever the library raises for a broken file.
        """
        ...


class MissingPackage(Exception):
    """A file is a picture, and reading it needs a package that is not here."""

    def __init__(self, pip: str) -> None:
        super().__init__(f"not read: needs {pip} (pip install {pip})")


def check_size(width_px: int, height_px: int, reading: Reading) -> None:
    """
    Raises:
        ValueError: more pixels than are allowed.
    """
    if width_px * height_px / 1e6 > _most_megapixels(reading):
        raise too_large(f"{width_px} x {height_px} px", width_px * height_px, reading)


def too_large(size: str, pixels: int, reading: Reading) -> ValueError:
    """The error for a picture of this size, with the key that allows it."""
    remedy = f"data.max_megapixels={pixels // 1_000_000 + 1} allows it"
    return ValueError(f"{size} are more than {_most_megapixels(reading):.4g} megapixels; {remedy}")


def _most_megapixels(reading: Reading) -> float:
    return reading.max_megapixels or PILLOWS_LIMIT_MPX


def check_page(pages: int, reading: Reading) -> None:
    """
    Raises:
        ValueError: there is no such page.
    """
    if reading.page > pages:
        raise ValueError(f"data.page={reading.page}: it has {pages} page(s)")


PILLOWS_LIMIT_MPX = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485) / 1e6  # it refuses twice of what it warns of
