"""From an image file of any kind to a square of 8-bit RGB. N images, C channels, W side of a decoded image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
WHITE = (255, 255, 255, 255)
WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
MAX_LISTED = 20


def listing(items: Sequence[str], limit: int = MAX_LISTED) -> str:
    """``a, b, c``, and how many more where there are too many to read."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def eight_bit(image: Image.Image) -> Image.Image:
    """A grayscale image of more than 8 bits, scaled (never clipped) to 8.

    Integers are taken as 16-bit. Floats carry no range: the smallest of 1, 255 and 65535 that holds them is white.

    Raises:
        ValueError: values lie outside all of these.
    """
    values = np.asarray(image, dtype=np.float64)
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((white for white in whites if values.max() <= white), None)
    if white is None or not values.min() >= 0:
        raise ValueError(f"pixel values from {values.min():g} to {values.max():g}: save it with 8 or 16 bits")
    return Image.fromarray(np.round(values * (255 / white)).astype(np.uint8))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode that PIL reads as upright RGB: rotated as EXIF says, transparency on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in WIDE_MODES:
        image = eight_bit(image)
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", pixels.size, WHITE), pixels)
    return image.convert("RGB")


def central_square(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """An image's central square at the working resolution, antialiased; uint8 (C, W, W)."""
    side_px = preprocessing.working_px
    # A JPEG can be decoded at a half, a quarter or an eighth; twice the target keeps the result visually the same.
    image.draft(None, (2 * side_px, 2 * side_px))
    rgb = to_rgb(image)
    side = min(rgb.size)
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    box = (left, top, left + side, top + side)
    resized = rgb.resize((side_px, side_px), RESAMPLING[preprocessing.interpolation], box=box)
    return np.asarray(resized).transpose(2, 0, 1)


def decode(
    open_image: Callable[[int], Image.Image], names: Sequence[str], preprocessing: Preprocessing, num_workers: int
) -> np.ndarray:
    """Decoded images 0..n-1, uint8 (n, C, W, W), the same for any number of threads.

    Raises:
        UserError: naming every image that cannot be decoded.
    """
    side_px = preprocessing.working_px
    images_NCWW = np.empty((len(names), 3, side_px, side_px), dtype=np.uint8)

    def put(index: int) -> str | None:
        try:
            with open_image(index) as image:
                images_NCWW[index] = central_square(image, preprocessing)
        except Exception as error:  # PIL raises nearly every type there is for a broken file
            return f"{names[index]} ({error})"
        return None

    with ThreadPoolExecutor(num_workers) as pool:
        problems = [problem for problem in pool.map(put, range(len(names))) if problem]
    if problems:
        raise UserError(f"{len(problems)} unreadable image(s): {listing(problems)}")
    return images_NCWW


def decode_files(paths: Sequence[Path], preprocessing: Preprocessing, num_workers: int) -> np.ndarray:
    """Decoded image files, uint8 (n, C, W, W).

    Raises:
        UserError: naming every unreadable file.
    """
    return decode(lambda index: Image.open(paths[index]), [str(path) for path in paths], preprocessing, num_workers)
