"""From a picture of any shape to a square of 8-bit RGB. C channels, W side of the square."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from tl_sweep.base.preprocessing import WITH_MARGIN, Preprocessing, Reading
from tl_sweep.data.readers.pillow import GRAY_DEEP
from tl_sweep.data.readers.shades import scaled

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
INSIDE_MARGIN = (7 / 8) ** 2  # of a square's pixels
OPAQUE_WHITE = (255, 255, 255, 255)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode that PIL reads as upright RGB: rotated as EXIF says, transparency on white.

    Raises:
        ValueError: values of more than 8 bits that are no shades.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in GRAY_DEEP:
        image = Image.fromarray(scaled(np.asarray(image), Reading()))
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", pixels.size, OPAQUE_WHITE), pixels)
    return image.convert("RGB")


def as_square(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """An image as a square at the working resolution, antialiased; uint8 (C, W, W).

    Raises:
        ValueError: values of more than 8 bits that are no shades.
    """
    side_px = preprocessing.working_px
    # A JPEG can be decoded at a half, a quarter or an eighth; twice the target keeps the result visually the same.
    image.draft(None, (2 * side_px, 2 * side_px))
    rgb = to_rgb(image)
    fitted = _padded(rgb, preprocessing) if preprocessing.fit == "pad" else _resized(rgb, preprocessing)
    return np.asarray(fitted).transpose(2, 0, 1)


def seen_share(width_px: int, height_px: int, fit: str) -> float:
    """The share of a picture's pixels that a model sees in evaluation."""
    kept = min(width_px, height_px) ** 2 / (width_px * height_px) if fit == "crop" else 1.0
    return kept * (INSIDE_MARGIN if fit in WITH_MARGIN else 1.0)


def _resized(rgb: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """Its central square, or all of it, stretched to the square."""
    side_px = preprocessing.working_px
    width, height = (min(rgb.size), min(rgb.size)) if preprocessing.fit == "crop" else rgb.size
    left, top = (rgb.width - width) / 2, (rgb.height - height) / 2
    box = (left, top, left + width, top + height)
    return rgb.resize((side_px, side_px), RESAMPLING[preprocessing.interpolation], box=box)


def _padded(rgb: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """All of it in its proportions, in the middle of bars whose colour is 0 to the model."""
    side_px = preprocessing.working_px
    scale = side_px / max(rgb.size)
    width_px, height_px = (max(1, round(length * scale)) for length in rgb.size)
    resized = rgb.resize((width_px, height_px), RESAMPLING[preprocessing.interpolation])
    red, green, blue = (round(255 * mean) for mean in preprocessing.mean)
    canvas = Image.new("RGB", (side_px, side_px), (red, green, blue))
    canvas.paste(resized, ((side_px - width_px) // 2, (side_px - height_px) // 2))
    return canvas
