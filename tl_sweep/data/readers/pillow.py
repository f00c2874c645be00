"""What Pillow reads, in its full depth. H, W: a picture's height and width."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
from PIL import Image, ImageFile, ImageOps

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import StoredPicture, check_page, check_size, too_large

GRAY_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
NO_COLOURS = ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "1")  # their bands are no colours, or not these
OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


class PillowReader:
    suffixes = frozenset(
        {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".avif", ".jp2", ".j2k"}
        | {".mpo", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"}
    )
    module, pip = "PIL", "pillow"

    def recognises(self, content: bytes) -> bool:
        """Whatever no other reader recognises is left to Pillow."""
        return False

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """
        Raises:
            Exception: nearly every type there is, for a broken file.
        """
        image = open_within(content, reading)
        pages = getattr(image, "n_frames", 1)
        check_page(pages, reading)
        return picture_of(image, content, reading, pages, reading.page - 1)


PILLOW = PillowReader()


def open_within(content: bytes, reading: Reading) -> Image.Image:
    """
    Raises:
        ValueError: it has more pixels than are allowed.
    """
    if reading.max_megapixels:  # Pillow's limit is one for the process; ours is checked below
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, int(reading.max_megapixels * 1e6))
    try:
        image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0])  # it says "Image size (182000000 pixels) exceeds limit of …"
        raise too_large(f"{pixels / 1e6:.0f} megapixels", pixels, reading) from error
    check_size(*image.size, reading)
    return image


def picture_of(image: Image.Image, content: bytes, reading: Reading, pages: int, frame: int) -> StoredPicture:
    """The picture in an opened image; frame: which, counted from 0 as Pillow does."""
    if frame:
        image.seek(frame)
    width_px, height_px = image.size
    bands = len(image.getbands())
    if image.mode in GRAY_DEEP:
        mode, bits = image.mode, 32 if image.mode == "F" else 16
        values = with_bands(np.asarray(ImageOps.exif_transpose(image)), reading)
        return StoredPicture(values, width_px, height_px, mode, bits, bands, pages)
    if is_deep_colour(image):
        values_HWC = _with_gray_thrice(image, content) if _is_gray(image) else _both_bytes(image, content, frame)
        opacity_HW = None if bands < 4 or reading.bands else (values_HWC[..., 3] >> 8).astype(np.uint8)
        values = with_bands(values_HWC if reading.bands else values_HWC[..., :3], reading)
        turn = image.getexif().get(0x0112, 1)
        return StoredPicture(values, width_px, height_px, image.mode, 16, bands, pages, opacity_HW, turn)
    if reading.bands:
        image = _with_bands(image, reading)
    return StoredPicture(image, width_px, height_px, image.mode, 8, bands, pages)


def with_bands(values: np.ndarray, reading: Reading) -> np.ndarray:
    """The wanted bands of (H, W) or (H, W, bands): (H, W) where it is one.

    Raises:
        ValueError: there are not as many.
    """
    if not reading.bands:
        return values
    values_HWC = values if values.ndim == 3 else values[..., None]
    check_bands(values_HWC.shape[2], reading)
    picked_HWC = values_HWC[..., [band - 1 for band in reading.bands]]
    return picked_HWC if len(reading.bands) == 3 else picked_HWC[..., 0]


def check_bands(bands: int, reading: Reading) -> None:
    """
    Raises:
        ValueError: there are fewer than are asked for.
    """
    if max(reading.bands, default=0) > bands:
        raise ValueError(f"data.bands={list(reading.bands)}: it has {bands} band(s)")


def is_deep_colour(image: Image.Image) -> bool:
    """Colours of 16 bits, of which Pillow keeps the upper 8."""
    tiles = getattr(image, "tile", [])
    return bool(tiles) and {_raw_mode(tile) for tile in tiles} <= _DEEP_COLOURS and "transparency" not in image.info


_GRAY_WITH_ALPHA = "LA;16B"  # of a PNG
_DEEP_COLOURS = {f"{colours};16{order}" for colours in ("RGB", "RGBA") for order in OTHER_BYTE} | {_GRAY_WITH_ALPHA}


def _raw_mode(tile: ImageFile._Tile) -> str:
    arguments = tile[3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _is_gray(image: Image.Image) -> bool:
    return {_raw_mode(tile) for tile in getattr(image, "tile", [])} == {_GRAY_WITH_ALPHA}


def _with_gray_thrice(image: Image.Image, content: bytes) -> np.ndarray:
    """uint16 (H, W, 4) of 16-bit gray with transparency: its four bytes are claimed to be the four of 8-bit colours."""
    other = Image.open(io.BytesIO(content))
    other.tile = [tile._replace(args="RGBA") for tile in other.tile]
    bytes_HW4 = np.asarray(other).astype(np.uint16)
    gray_HW, alpha_HW = (bytes_HW4[..., place] << 8 | bytes_HW4[..., place + 1] for place in (0, 2))
    return np.dstack([gray_HW, gray_HW, gray_HW, alpha_HW])


def _both_bytes(image: Image.Image, content: bytes, frame: int) -> np.ndarray:
    """uint16 (H, W, C): the upper bytes as Pillow takes them, and the lower ones by claiming the other byte order."""
    other = Image.open(io.BytesIO(content))
    other.seek(frame)
    other.tile = [_other_byte(tile) for tile in other.tile]
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(other)


def _other_byte(tile: ImageFile._Tile) -> ImageFile._Tile:
    raw = _raw_mode(tile)
    swapped = raw[:-1] + OTHER_BYTE[raw[-1]]
    return tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)


def _with_bands(image: Image.Image, reading: Reading) -> Image.Image:
    if image.mode in NO_COLOURS:
        image = image.convert("RGB")
    image = ImageOps.exif_transpose(image)
    return Image.fromarray(with_bands(np.asarray(image), reading))
