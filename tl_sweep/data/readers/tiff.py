"""TIFFs: by Pillow where it understands them, by tifffile those of other depths and numbers of bands. H, W: height and
width in pixels, B: bands."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import (
    ALPHA_LEFT_OUT,
    BY_TIFFFILE,
    INVERTED,
    MissingPackage,
    StoredPicture,
    check_page,
    check_size,
)
from tl_sweep.data.readers.pillow import GRAY_DEEP, is_deep_colour, open_within, picture_of, with_bands
from tl_sweep.data.readers.shades import ORIENTATION

if TYPE_CHECKING:
    from tifffile import TiffPage

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
SUBFILE, BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRAS, FORMAT = 254, 258, 262, 277, 284, 338, 339  # tags, by number
COPY_OR_MASK = 1 | 4  # of SUBFILE
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # of PHOTOMETRIC
SIGNED = 2  # of FORMAT
PREMULTIPLIED, ALPHA = 1, 2  # of EXTRAS: colours are multiplied by it, or not
MOST_OF_PILLOW = 4  # samples per pixel
WITHOUT_ALPHA = {"RGBA": 3, "LA": 1}  # colours
WHICH = "say which one or three are shown, such as data.bands="


class TiffReader:
    suffixes = frozenset({".tif", ".tiff"})
    module, pip = "PIL", "tifffile"  # Pillow reads most of them

    def recognises(self, content: bytes) -> bool:
        return content.startswith(BEGINNINGS)

    def read(self, content: bytes, reading: Reading) -> StoredPicture:
        """
        Raises:
            MissingPackage: it needs tifffile, or imagecodecs.
            Exception: nearly every type there is, for a broken file.
        """
        if _samples_per_pixel(content) > MOST_OF_PILLOW:
            return by_tifffile(content, reading)
        try:
            image = open_within(content, reading)
        except UnidentifiedImageError:
            return by_tifffile(content, reading)
        pages = _pages_of(image)
        check_page(len(pages), reading)
        frame = pages[reading.page - 1]
        image.seek(frame)
        tags = image.tag_v2  # type: ignore[attr-defined]
        if _spoilt(image, tags, reading):
            return by_tifffile(content, reading)
        return _as_stored(picture_of(image, content, reading, len(pages), frame), tags, reading)


TIFF = TiffReader()


def _pages_of(image: Any) -> list[int]:
    """Frames that are pictures of their own: maps bring smaller copies of themselves along, and masks."""
    frames = range(getattr(image, "n_frames", 1))
    return [frame for frame in frames if len(frames) == 1 or not _kind_of(image, frame) & COPY_OR_MASK] or [0]


def _kind_of(image: Any, frame: int) -> int:
    image.seek(frame)
    return int(image.tag_v2.get(SUBFILE, 0))


def _samples_per_pixel(content: bytes) -> int:
    """Of the first page: Pillow logs an error for more than it can decode."""
    is_big = content[2:4] in (b"+\0", b"\0+")
    tags, file = ImageFileDirectory_v2(content[: 16 if is_big else 8]), io.BytesIO(content)
    file.seek(tags.next)
    tags.load(file)
    return int(tags.get(SAMPLES, 1))


def _spoilt(image: Image.Image, tags: Any, reading: Reading) -> bool:
    """Whether Pillow makes something else of it: it divides colours by what a file says they are multiplied with, which
    is no transparency here; leaves bands out; takes each byte of planes of 16 bits for a pixel, and -1 of 8 bits for
    255."""
    extras = tags.get(EXTRAS, ())
    if extras and (reading.bands or image.mode not in ("RGB", *WITHOUT_ALPHA)):
        return True
    if PREMULTIPLIED in extras and not reading.alpha:
        return True
    if SIGNED in tags.get(FORMAT, ()) and max(tags.get(BITS, (1,))) <= 8:
        return True
    if max(tags.get(BITS, (1,))) <= 8:
        return False
    return tags.get(PLANES, 1) != 1 or not (image.mode in GRAY_DEEP or is_deep_colour(image))


def _as_stored(picture: StoredPicture, tags: Any, reading: Reading) -> StoredPicture:
    """What Pillow made of it, without what it did not: it takes a fourth band for transparency, does not turn deep gray
    whose white is zero, and knows no 32 bits without a sign."""
    pixels, left_out = picture.pixels, not reading.alpha and not reading.bands
    if isinstance(pixels, Image.Image):
        if pixels.mode in WITHOUT_ALPHA and left_out:
            return replace(picture, pixels=_without_alpha(pixels), traits=(ALPHA_LEFT_OUT,))
        return replace(picture, traits=(ALPHA_LEFT_OUT,)) if tags.get(EXTRAS) and left_out else picture
    if picture.mode in GRAY_DEEP:
        unsigned = tags.get(BITS) == (32,) and tags.get(FORMAT, (1,)) == (1,) and pixels.dtype == np.int32
        traits = (INVERTED,) if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else ()
        return replace(picture, pixels=pixels.view(np.uint32) if unsigned else pixels, traits=traits)
    if picture.opacity_HW is not None and left_out:
        return replace(picture, opacity_HW=None, traits=(ALPHA_LEFT_OUT,))
    return picture


def _without_alpha(image: Image.Image) -> Image.Image:
    """The colours as they are; how they are to be turned is kept with them."""
    exif, bands = image.getexif(), image.split()[: WITHOUT_ALPHA[image.mode]]
    colours = Image.merge("RGB", bands) if len(bands) == 3 else bands[0]
    colours.getexif()[ORIENTATION] = exif.get(ORIENTATION, 1)
    return colours


def by_tifffile(content: bytes, reading: Reading) -> StoredPicture:
    """
    Raises:
        ValueError: bands whose meaning nobody knows.
        MissingPackage: it needs imagecodecs.
        ModuleNotFoundError: there is no tifffile.
    """
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        every: list[Any] = list(file.pages)
        own = [page for page in every if len(every) == 1 or not page.subfiletype & COPY_OR_MASK] or every[:1]
        check_page(len(own), reading)
        page = own[reading.page - 1]
        width_px, height_px, bands = page.imagewidth, page.imagelength, page.samplesperpixel
        check_size(width_px, height_px, reading)
        values, opacity_HW, traits = _shown(page, reading)
        mode, pages = f"{bands} x {page.dtype}", len(own)
        orientation = page.tags.get(ORIENTATION)
        turn = orientation.value if orientation else 1
    inverted = int(page.photometric) == WHITE_IS_ZERO
    traits = (BY_TIFFFILE, *traits, *((INVERTED,) if inverted else ()))
    bits = 8 * values.dtype.itemsize
    return StoredPicture(values, width_px, height_px, mode, bits, bands, pages, opacity_HW, turn, traits)


def _shown(page: TiffPage, reading: Reading) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """The bands that are shown, (H, W) or (H, W, 3), how opaque they are, and what is special about them."""
    photometric, extras = int(page.photometric), tuple(int(kind) for kind in page.extrasamples)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise ValueError(f"a TIFF of photometric interpretation {photometric} and {page.dtype}: save it as RGB")
    values_HWB = _values(page)
    count = values_HWB.shape[2]
    if reading.bands:
        return with_bands(values_HWB, reading), None, ()
    colours = 3 if photometric == RGB or count == 3 else 1
    transparent = count == colours + 1 and extras[-1:] in ((PREMULTIPLIED,), (ALPHA,))
    if count > colours and photometric != RGB and not transparent:
        raise ValueError(f"{count} bands: {WHICH}{'[1]' if count == 2 else '[3,2,1]'}")
    values = values_HWB[..., :3] if colours == 3 else values_HWB[..., 0]
    if count == colours:
        return values, None, ()
    if reading.alpha and transparent:
        return values, _opacity(values_HWB[..., -1]), ()
    return values, None, (ALPHA_LEFT_OUT,)


def _opacity(values_HW: np.ndarray) -> np.ndarray:
    if values_HW.dtype.kind != "u":
        raise ValueError(f"data.alpha=true: transparency of {values_HW.dtype} has no known scale")
    return np.round(values_HW * (255 / np.iinfo(values_HW.dtype).max)).astype(np.uint8)


def _values(page: TiffPage) -> np.ndarray:
    """The page as it is stored, (H, W, B).

    Raises:
        MissingPackage: another package has to decompress it.
    """
    try:
        values = page.asarray(maxworkers=1)
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise MissingPackage("imagecodecs") from error
        raise
    if page.axes.replace("S", "") != "YX":
        raise ValueError(f"a TIFF with the axes {page.axes}: save it as pages")
    return np.moveaxis(values, page.axes.index("S"), -1) if "S" in page.axes else values[..., None]
