"""TIFFs of any depth, bands and pages: shown as they are meant, or refused with what would do."""

from __future__ import annotations

import io
import logging
import re
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_sweep.base.preprocessing import PLAIN, Reading
from tl_sweep.data.fit import to_rgb
from tl_sweep.data.readers.contract import ALPHA_LEFT_OUT, MissingPackage
from tl_sweep.data.readers.registry import read_image, read_picture

tifffile = pytest.importorskip("tifffile")

SHADES_HW = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
RGB_HW3 = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
ALPHA, PREMULTIPLIED, UNSPECIFIED = "unassalpha", "assocalpha", "unspecified"


def tiff(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def shown(content: bytes, reading: Reading = PLAIN) -> np.ndarray:
    """Upright RGB, int (H, W, 3)."""
    return np.asarray(to_rgb(read_image(content, ".tif", reading))).astype(int)


def as_rgb(values: np.ndarray) -> np.ndarray:
    return np.dstack([values] * 3) if values.ndim == 2 else values


@pytest.mark.parametrize(
    ("content", "expected", "reading"),
    [
        pytest.param(tiff(SHADES_HW), SHADES_HW, PLAIN, id="8 bits"),
        pytest.param(tiff(255 - SHADES_HW, photometric="miniswhite"), SHADES_HW, PLAIN, id="8 bits, white is 0"),
        pytest.param(tiff(SHADES_HW.astype(np.uint16) * 257), SHADES_HW, PLAIN, id="16 bits"),
        pytest.param(
            tiff((255 - SHADES_HW).astype(np.uint16) * 257, photometric="miniswhite"),
            SHADES_HW,
            PLAIN,
            id="16, inverted",
        ),
        pytest.param(
            tiff((255 - SHADES_HW).astype(np.uint16) * 16, photometric="miniswhite"),
            SHADES_HW,
            Reading(white=4095),
            id="12 in 16, white is 0",
        ),
        pytest.param(tiff(SHADES_HW.astype(">u2") * 257, byteorder=">"), SHADES_HW, PLAIN, id="16 bits, big end first"),
        pytest.param(tiff(SHADES_HW.astype(np.uint16) * 257, bigtiff=True), SHADES_HW, PLAIN, id="BigTIFF"),
        pytest.param(
            tiff(SHADES_HW.astype(np.uint32) << 24),
            SHADES_HW,
            Reading(white=float(255 << 24)),
            id="uint32",
        ),
        pytest.param(tiff(SHADES_HW.astype(np.int16) * 128), SHADES_HW, Reading(white=255 * 128), id="int16 from 0 on"),
        pytest.param(tiff((SHADES_HW / 255).astype(np.float32)), SHADES_HW, PLAIN, id="float"),
        pytest.param(tiff((SHADES_HW / 255).astype(np.float16)), SHADES_HW, PLAIN, id="float16"),
        pytest.param(tiff(SHADES_HW / 255), SHADES_HW, PLAIN, id="float64"),
        pytest.param(tiff(RGB_HW3, photometric="rgb"), RGB_HW3, PLAIN, id="RGB"),
        pytest.param(tiff(RGB_HW3.astype(np.uint16) * 257, photometric="rgb"), RGB_HW3, PLAIN, id="16-bit RGB"),
        pytest.param(
            tiff(RGB_HW3.transpose(2, 0, 1).astype(np.uint16) * 257, photometric="rgb", planarconfig="separate"),
            RGB_HW3,
            PLAIN,
            id="16-bit RGB in planes",
        ),
        pytest.param(
            tiff(RGB_HW3.astype(np.uint16) * 16, photometric="rgb"), RGB_HW3, Reading(white=4095), id="12-in-16 RGB"
        ),
        pytest.param(
            tiff(RGB_HW3.astype(np.uint16) * 257, photometric="minisblack", planarconfig="contig"),
            RGB_HW3,
            PLAIN,
            id="three bands that nobody calls colours",
        ),
        pytest.param(tiff((RGB_HW3 / 255).astype(np.float32), photometric="rgb"), RGB_HW3, PLAIN, id="float RGB"),
    ],
)
def test_shades_are_what_they_were(content: bytes, expected: np.ndarray, reading: Reading) -> None:
    assert np.abs(shown(content, reading) - as_rgb(expected)).max() <= 1


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("shift", [4, 8])
def test_16_bit_colours_are_read_in_full_however_they_are_stored(compression: str, planar: bool, shift: int) -> None:
    values_HW3 = RGB_HW3.astype(np.uint16) << shift
    stored, layout = (values_HW3.transpose(2, 0, 1), "separate") if planar else (values_HW3, "contig")
    content = tiff(stored, photometric="rgb", planarconfig=layout, compression=compression)
    assert (np.asarray(read_picture(content, ".tif", PLAIN).pixels) == values_HW3).all()


@pytest.mark.parametrize("kind", [ALPHA, PREMULTIPLIED, UNSPECIFIED])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_fourth_band_leaves_the_colours_alone(kind: str, depth: type) -> None:
    factor = 1 if depth is np.uint8 else 257
    values_HW4: np.ndarray = np.dstack([RGB_HW3, SHADES_HW]).astype(depth) * factor
    content = tiff(values_HW4, photometric="rgb", extrasamples=[kind])
    assert np.abs(shown(content) - RGB_HW3).max() <= 1
    assert np.abs(shown(content, Reading(bands=(4, 1, 2))) - values_HW4[..., [3, 0, 1]] // factor).max() <= 1


@pytest.mark.parametrize("kind", [ALPHA, UNSPECIFIED])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_band_that_is_left_out_is_a_trait(kind: str, depth: type) -> None:
    content = tiff(np.dstack([RGB_HW3, SHADES_HW]).astype(depth), photometric="rgb", extrasamples=[kind])
    assert ALPHA_LEFT_OUT in read_picture(content, ".tif", PLAIN).traits


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_transparency_that_is_asked_for_is_on_white(depth: type) -> None:
    values_HW4: np.ndarray = np.dstack([RGB_HW3, SHADES_HW]).astype(depth) * (1 if depth is np.uint8 else 257)
    content = tiff(values_HW4, photometric="rgb", extrasamples=[ALPHA])
    share_HW1 = SHADES_HW[..., None] / 255
    assert np.abs(shown(content, Reading(alpha=True)) - (RGB_HW3 * share_HW1 + 255 * (1 - share_HW1))).max() <= 2


def test_gray_with_transparency_is_gray() -> None:
    values_HW2 = np.dstack([SHADES_HW, 255 - SHADES_HW])
    content = tiff(values_HW2, photometric="minisblack", planarconfig="contig", extrasamples=[ALPHA])
    assert (shown(content) == as_rgb(SHADES_HW)).all()


@pytest.mark.parametrize("count", [2, 4, 5, 13])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_bands_whose_meaning_nobody_knows_are_asked_for(count: int, depth: type, caplog: Any) -> None:
    values_HWB: np.ndarray = np.random.default_rng(0).integers(0, 256, (20, 30, count)).astype(depth)
    content = tiff(values_HWB, photometric="minisblack", planarconfig="contig")
    with pytest.raises(
        ValueError, match=rf"{count} bands: say which .* such as data.bands=\[{'1' if count == 2 else '3,2,1'}\]"
    ):
        read_picture(content, ".tif", PLAIN)
    wanted = (2, 1, count)
    reading = Reading(bands=wanted, white=255)
    assert (shown(content, reading) == values_HWB[..., [1, 0, count - 1]]).all()
    assert (shown(content, Reading(bands=(count,), white=255)) == as_rgb(values_HWB[..., -1])).all()
    with pytest.raises(ValueError, match=rf"data.bands=\[{count + 1}\]: it has {count} band"):
        read_picture(content, ".tif", Reading(bands=(count + 1,)))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bands", [3, 4])
def test_a_turned_picture_is_upright(orientation: int, bands: int) -> None:
    """As Pillow turns an 8-bit picture, whoever reads it."""
    values_HWB = np.dstack([RGB_HW3, SHADES_HW])[..., :bands]
    turned = [(274, "H", 1, orientation, True)]
    extras = {"extrasamples": [PREMULTIPLIED]} if bands == 4 else {}
    content = tiff(values_HWB, photometric="rgb", extratags=turned, **extras)
    expected = shown(tiff(RGB_HW3, photometric="rgb", extratags=turned))
    assert (shown(content) == expected).all()
    without_alpha = tiff(
        values_HWB, photometric="rgb", extratags=turned, **({"extrasamples": [ALPHA]} if extras else {})
    )
    assert (shown(without_alpha) == expected).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (SHADES_HW.astype(np.float32) / 127.5 - 1, "pixel values from -1 to"),
        (SHADES_HW.astype(np.int16) - 100, "pixel values from -100 to"),
        ((SHADES_HW.astype(int) - 128).astype(np.int8), "pixel values from -128 to"),
        (np.where(SHADES_HW > 9, SHADES_HW, np.nan).astype(np.float32), "not numbers (NaN)"),
        (SHADES_HW.astype(np.uint32) << 24, "pixel values from 0 to 4.278"),
        (SHADES_HW.astype(np.float32) * 1e5, "give data.white"),
    ],
)
def test_numbers_that_are_no_shades_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        shown(tiff(values))


@pytest.mark.parametrize("deep", [False, True])
def test_any_page_can_be_had(deep: bool) -> None:
    pages_NHW = np.stack([SHADES_HW, 255 - SHADES_HW]).astype(np.uint16 if deep else np.uint8) * (257 if deep else 1)
    content = tiff(pages_NHW, photometric="minisblack")
    assert read_picture(content, ".tif", PLAIN).pages == 2
    for page, expected in ((1, SHADES_HW), (2, 255 - SHADES_HW)):
        assert (shown(content, Reading(page=page)) == as_rgb(expected)).all()
    with pytest.raises(ValueError, match=r"data.page=3: it has 2 page"):
        read_picture(content, ".tif", Reading(page=3))


def test_the_name_decides_nothing() -> None:
    assert (np.asarray(read_image(tiff(RGB_HW3, photometric="rgb"), ".jpg", PLAIN)) == RGB_HW3).all()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = tiff(np.dstack([RGB_HW3] * 4), photometric="minisblack", planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(MissingPackage, match=r"not read: needs tifffile \(pip install tifffile\)"):
        read_picture(content, ".tif", PLAIN)
    assert (np.asarray(read_image(tiff(RGB_HW3, photometric="rgb"), ".tif", PLAIN)) == RGB_HW3).all()


def test_a_decompressor_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from tifffile import TiffPage

    def needs_more(self: TiffPage, **_: Any) -> np.ndarray:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(TiffPage, "asarray", needs_more)
    with pytest.raises(MissingPackage, match=r"needs imagecodecs \(pip install imagecodecs\)"):
        read_picture(tiff(np.dstack([RGB_HW3] * 4), photometric="minisblack", planarconfig="contig"), ".tif", PLAIN)


def test_a_file_that_is_cut_short_is_an_error() -> None:
    content = tiff(np.dstack([RGB_HW3] * 4), photometric="minisblack", planarconfig="contig")
    with pytest.raises(Exception, match=r".+"):
        shown(content[:200], Reading(bands=(1,)))


def test_pillows_own_tiffs_are_as_before() -> None:
    for mode in ("1", "L", "P", "RGB", "CMYK"):
        file = io.BytesIO()
        image = Image.fromarray(RGB_HW3).convert(mode)
        image.save(file, "TIFF")
        assert (shown(file.getvalue()) == np.asarray(image.convert("RGB"))).all(), mode


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_smaller_copies_of_a_map_are_no_pages(dtype: Any) -> None:
    import tifffile

    ramp_HW, file = np.tile(np.arange(0, 256, 4), (32, 1)), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(ramp_HW.astype(dtype), photometric="minisblack")
        writer.write(ramp_HW[::2, ::2].astype(dtype), photometric="minisblack", subfiletype=1)
        writer.write((255 - ramp_HW).astype(dtype), photometric="minisblack")
    assert read_picture(file.getvalue(), ".tif", PLAIN).pages == 2
    assert np.abs(shown(file.getvalue(), Reading(page=2, float_white=255))[..., 0] - (255 - ramp_HW)).max() <= 1


def test_one_band_may_be_a_plane() -> None:
    """As GDAL writes it with INTERLEAVE=BAND; Pillow knows no name for the bytes of such a plane."""
    values_HW, file = np.tile(np.arange(0, 256, 4), (32, 1)).astype(np.uint16), io.BytesIO()
    Image.fromarray(values_HW).save(file, "TIFF", tiffinfo={284: 2})
    assert (shown(file.getvalue(), Reading(white=255))[..., 0] == values_HW).all()
