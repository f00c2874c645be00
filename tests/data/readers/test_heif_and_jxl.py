"""What phones and newer cameras write: read by plugins for Pillow, or said to need them."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_sweep.base.preprocessing import PLAIN, Reading
from tl_sweep.data.fit import to_rgb
from tl_sweep.data.readers.contract import MissingPackage
from tl_sweep.data.readers.registry import READERS, needs, read_image, read_picture

RAMP_HW3 = np.dstack([np.tile(np.linspace(20, 230, 64), (48, 1))] * 3).astype(np.uint8)
ORIENTATION = 0x0112


def heic(image: Image.Image, **options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.register_heif_opener()
    image.save(file, "HEIF", quality=95, **options)
    return file.getvalue()


def jxl(image: Image.Image, **options: Any) -> bytes:
    pytest.importorskip("pillow_jxl")
    file = io.BytesIO()
    image.save(file, "JXL", lossless=True, **options)
    return file.getvalue()


def shown(content: bytes, suffix: str, reading: Reading = PLAIN) -> np.ndarray:
    """Upright RGB, int (H, W, 3)."""
    return np.asarray(to_rgb(read_image(content, suffix, reading))).astype(int)


@pytest.mark.parametrize(("write", "suffix"), [(heic, ".heic"), (jxl, ".jxl")], ids=["heic", "jxl"])
def test_the_picture(write: Any, suffix: str) -> None:
    content = write(Image.fromarray(RAMP_HW3))
    assert np.abs(shown(content, suffix) - RAMP_HW3).max() <= 6
    assert np.abs(shown(content, ".jpg") - RAMP_HW3).max() <= 6  # its name decides nothing
    picture = read_picture(content, suffix, PLAIN)
    assert (picture.width_px, picture.height_px, picture.mode, picture.pages) == (64, 48, "RGB", 1)


@pytest.mark.parametrize(("write", "suffix"), [(heic, ".heic"), (jxl, ".jxl")], ids=["heic", "jxl"])
def test_transparency_is_on_white(write: Any, suffix: str) -> None:
    clear = Image.fromarray(np.dstack([RAMP_HW3, np.zeros((48, 64), np.uint8)]))
    assert (shown(write(clear), suffix) == 255).all()


@pytest.mark.parametrize(("write", "suffix"), [(heic, ".heic"), (jxl, ".jxl")], ids=["heic", "jxl"])
def test_a_turned_picture_is_upright_once(write: Any, suffix: str) -> None:
    image, exif = Image.fromarray(RAMP_HW3), Image.Exif()
    exif[ORIENTATION] = 6
    content = write(image, exif=exif.tobytes())
    assert np.abs(shown(content, suffix) - np.rot90(RAMP_HW3, k=-1)).max() <= 6


def test_a_preview_inside_does_not_stand_for_the_picture() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8))
    file = io.BytesIO()
    heif: Any = pillow_heif.from_pillow(noise)
    heif[0].info["thumbnails"] = [64]
    heif.save(file, quality=90)
    image = read_image(file.getvalue(), ".heic", PLAIN)
    image.draft(None, (1, 1))
    assert image.size == (512, 512)


def test_the_first_of_several_pictures_is_the_primary_one() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file, both = io.BytesIO(), pillow_heif.from_pillow(Image.fromarray(RAMP_HW3))
    both.add_from_pillow(Image.fromarray(255 - RAMP_HW3))
    both.save(file, quality=95, primary_index=0)
    assert read_picture(file.getvalue(), ".heic", PLAIN).pages == 2
    assert np.abs(shown(file.getvalue(), ".heic") - RAMP_HW3).max() <= 6
    assert np.abs(shown(file.getvalue(), ".heic", Reading(page=2)) - (255 - RAMP_HW3.astype(int))).max() <= 6


def test_an_avif_is_pillows() -> None:
    file = io.BytesIO()
    Image.fromarray(RAMP_HW3).save(file, "AVIF", quality=95)
    assert np.abs(shown(file.getvalue(), ".heic") - RAMP_HW3).max() <= 6


@pytest.mark.parametrize("reader", READERS[:3], ids=lambda reader: reader.pip)
def test_a_reader_whose_package_is_missing_says_what_to_install(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begins = {"pillow-heif": b"\0\0\0\x18ftypheic", "pillow-jxl-plugin": b"\xff\x0a", "pydicom": b"\0" * 128 + b"DICM"}
    for module in [reader.module, *(name for name in sys.modules if name.startswith(f"{reader.module}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    content = begins[reader.pip] + b"\0" * 200
    with pytest.raises(MissingPackage) as error:
        read_picture(content, ".jpg", PLAIN)
    assert str(error.value) == f"not read: needs {reader.pip} (pip install {reader.pip})"


def test_what_a_suffix_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl_sweep.data.readers.registry.find_spec", lambda module: None if module != "PIL" else module)
    assert {suffix: needs(suffix) for suffix in (".jpg", ".tif", ".heic", ".jxl", ".dcm", ".txt")} == {
        ".jpg": None,
        ".tif": None,
        ".heic": "pillow-heif",
        ".jxl": "pillow-jxl-plugin",
        ".dcm": "pydicom",
        ".txt": None,
    }
