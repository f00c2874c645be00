"""From image files of any kind to squares of 8-bit RGB. N images, C channels, W side of a decoded image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import PLAIN, Preprocessing, Reading
from tl_sweep.data.fit import as_square
from tl_sweep.data.readers.registry import read_image

MAX_LISTED = 20


def listing(items: Sequence[str], limit: int = MAX_LISTED) -> str:
    """``a, b, c``, and how many more where there are too many to read."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


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
                images_NCWW[index] = as_square(image, preprocessing)
        except Exception as error:  # PIL raises nearly every type there is for a broken file
            return f"{names[index]} ({error})"
        return None

    with ThreadPoolExecutor(num_workers) as pool:
        problems = [problem for problem in pool.map(put, range(len(names))) if problem]
    if problems:
        raise UserError(f"{len(problems)} unreadable image(s): {listing(problems)}")
    return images_NCWW


def decode_files(
    paths: Sequence[Path], preprocessing: Preprocessing, num_workers: int, reading: Reading = PLAIN
) -> np.ndarray:
    """Decoded image files, uint8 (n, C, W, W).

    Raises:
        UserError: naming every unreadable file.
    """

    def open_file(index: int) -> Image.Image:
        return read_image(paths[index].read_bytes(), paths[index].suffix.lower(), reading)

    return decode(open_file, [str(path) for path in paths], preprocessing, num_workers)
