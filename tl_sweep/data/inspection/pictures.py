"""Pictures as the network sees them, small enough for a page. B images, W side of a picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.data.decode import decode
from tl_sweep.data.imageset import ImageSet

SHOWN_PX = 88
PER_ROW = 12
QUALITY = 85


def as_seen(images: ImageSet, indices: Sequence[int], preprocessing: Preprocessing, num_workers: int) -> np.ndarray:
    """After decoding, fit and crop, without normalisation; uint8 (B, SHOWN_PX, SHOWN_PX, 3).

    Raises:
        UserError: naming files that became unreadable.
    """
    names = [images.ids[index] for index in indices]
    images_BCWW = decode(lambda nth: images.open_image(indices[nth]), names, preprocessing, num_workers)
    start, side_px = (preprocessing.working_px - preprocessing.image_px) // 2, preprocessing.image_px
    seen_BWWC = images_BCWW[..., start : start + side_px, start : start + side_px].transpose(0, 2, 3, 1)
    size = (SHOWN_PX, SHOWN_PX)
    shown = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in seen_BWWC]
    return np.stack(shown) if shown else np.empty((0, *size, 3), dtype=np.uint8)


def sheet(pictures_BWWC: np.ndarray) -> str:
    """One picture of all of them, in rows, as a ``data:`` address."""
    columns = min(PER_ROW, len(pictures_BWWC))
    rows = -(-len(pictures_BWWC) // PER_ROW)
    canvas = np.full((rows * SHOWN_PX, columns * SHOWN_PX, 3), 255, dtype=np.uint8)
    for place, picture_WWC in enumerate(pictures_BWWC):
        top, left = (number * SHOWN_PX for number in divmod(place, PER_ROW))
        canvas[top : top + SHOWN_PX, left : left + SHOWN_PX] = picture_WWC
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
