"""From values of any depth to eight bits. H, W: height and width; C: 1 or 3 colours; an array without C is gray."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import INVERTED, StoredPicture

ORIENTATION = 0x0112  # EXIF's tag
FULL_WHITE = 65535.0
WHITES = (255.0, 1023.0, 4095.0, 16383.0, FULL_WHITE)  # of 8, 10, 12, 14 and 16 bits
FLOAT_WHITES = (1.0, 255.0, FULL_WHITE)


def smallest_white(high: float, *, floating: bool) -> float | None:
    """The smallest usual white that holds ``high``."""
    return next((white for white in (FLOAT_WHITES if floating else WHITES) if high <= white), None)


def white_for(values: np.ndarray, reading: Reading) -> float:
    """Which value is white.

    Raises:
        ValueError: there are values that are no shade between black and white.
    """
    floating = np.issubdtype(values.dtype, np.floating)
    low, high = float(values.min()), float(values.max())
    if np.isnan(low):
        raise ValueError(f"{np.isnan(values).sum()} pixel value(s) are not numbers (NaN): put numbers in their place")
    white = reading.float_white or smallest_white(high, floating=True) if floating else reading.white or FULL_WHITE
    if low < 0:
        raise ValueError(f"pixel values from {low:g} to {high:g}: black is 0; move them up, save it with 8 or 16 bits")
    if white is None or (high > white and not reading.clip):
        limit = f", and white is {white:g}" if white else ""
        raise ValueError(f"pixel values from {low:g} to {high:g}{limit}: save it with 8 or 16 bits, or give data.white")
    return white


def scaled(values: np.ndarray, reading: Reading) -> np.ndarray:
    """uint8 of the same shape: 0 stays black, white becomes 255; what is uint8 stays as it is. Colours of 16 bits at
    full range are taken by their upper 8, as Pillow does.

    Raises:
        ValueError: there are values that are no shade between black and white.
    """
    if values.dtype == np.uint8:
        return values
    white = white_for(values, reading)
    if values.ndim == 3 and values.dtype == np.uint16 and white == FULL_WHITE:
        return (values >> 8).astype(np.uint8)
    wide = np.minimum(np.asarray(values, dtype=np.float64), white)
    return np.round(wide * (255 / white)).astype(np.uint8)


def eight_bit(picture: StoredPicture, reading: Reading) -> Image.Image:
    """A picture as an eight-bit image, which says in its EXIF how it is to be turned.

    Raises:
        ValueError: there are values that are no shade between black and white.
    """
    if isinstance(picture.pixels, Image.Image):
        return picture.pixels
    shades = scaled(picture.pixels, reading)
    image = Image.fromarray(255 - shades if INVERTED in picture.traits else shades)
    if picture.opacity_HW is not None:
        image.putalpha(Image.fromarray(picture.opacity_HW))
    if picture.orientation != 1:
        image.getexif()[ORIENTATION] = picture.orientation
    return image
