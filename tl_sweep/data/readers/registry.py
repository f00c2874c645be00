"""The one door to pictures: which files are pictures, and what is in them."""

from __future__ import annotations

from importlib.util import find_spec

from PIL import Image, UnidentifiedImageError

from tl_sweep.base.preprocessing import Reading
from tl_sweep.data.readers.contract import MissingPackage, Reader, StoredPicture
from tl_sweep.data.readers.dicom import DICOM
from tl_sweep.data.readers.heif import HEIF
from tl_sweep.data.readers.jxl import JXL
from tl_sweep.data.readers.pillow import PILLOW
from tl_sweep.data.readers.shades import eight_bit
from tl_sweep.data.readers.tiff import TIFF

READERS: tuple[Reader, ...] = (HEIF, JXL, DICOM, TIFF, PILLOW)
SUFFIXES = frozenset().union(*(reader.suffixes for reader in READERS))


def needs(suffix: str) -> str | None:
    """What has to be installed to read files of this (lower-case) suffix: pip's name; None: nothing more."""
    reader = _by_suffix(suffix)
    return reader.pip if reader and not find_spec(reader.module) else None


def read_picture(content: bytes, suffix: str, reading: Reading) -> StoredPicture:
    """The picture in a file: by how the file begins; where nobody knows it, by its suffix.

    Raises:
        MissingPackage: it needs a package that is not installed.
        Exception: nearly every type there is, for a broken file.
    """
    reader = next((each for each in READERS if each.recognises(content)), PILLOW)
    named = _by_suffix(suffix) or PILLOW
    try:
        return reader.read(content, reading)
    except UnidentifiedImageError:
        if named is reader:
            raise
        return named.read(content, reading)
    except ModuleNotFoundError as error:
        raise MissingPackage(reader.pip) from error


def read_image(content: bytes, suffix: str, reading: Reading) -> Image.Image:
    """The picture in a file as an eight-bit image, decoded when its pixels are needed.

    Raises:
        MissingPackage: it needs a package that is not installed.
        Exception: nearly every type there is, for a broken file.
    """
    return eight_bit(read_picture(content, suffix, reading), reading)


def _by_suffix(suffix: str) -> Reader | None:
    return next((reader for reader in READERS if suffix in reader.suffixes), None)
