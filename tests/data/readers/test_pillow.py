"""What Pillow reads: nothing of its depth is lost, and plain pictures stay what they were."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_sweep.base.preprocessing import PLAIN, Reading
from tl_sweep.data.readers.registry import read_image, read_picture

RNG = np.random.default_rng(0)
DEEP_HWC = RNG.integers(0, 65536, (20, 30, 4), dtype=np.uint16)


def saved(image: Image.Image, suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def png16(values_HWC: np.ndarray) -> bytes:
    """A PNG of 16 bits, of gray with alpha or of colours, which Pillow reads and does not write."""
    import struct
    import zlib

    height, width, bands = values_HWC.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values_HWC)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bands", [3, 4])
def test_16_bit_colours_are_read_in_full(bands: int) -> None:
    picture = read_picture(png16(DEEP_HWC[..., :bands]), ".png", PLAIN)
    assert isinstance(picture.pixels, np.ndarray)
    assert (picture.pixels == DEEP_HWC[..., :3]).all()
    assert (picture.bits, picture.bands) == (16, bands)


@pytest.mark.parametrize("bands", [3, 4])
def test_16_bit_colours_at_full_range_are_those_of_pillow(bands: int) -> None:
    content = png16(DEEP_HWC[..., :bands])
    assert (np.asarray(read_image(content, ".png", PLAIN)) == np.asarray(Image.open(io.BytesIO(content)))).all()


def test_16_bit_gray_with_transparency_is_read_in_full() -> None:
    content = png16(DEEP_HWC[..., :2])
    picture = read_picture(content, ".png", PLAIN)
    assert (picture.pixels == DEEP_HWC[..., :1]).all()
    assert (np.asarray(read_image(content, ".png", PLAIN)) == np.asarray(Image.open(io.BytesIO(content)))).all()
    faint_HWC = np.dstack([DEEP_HWC[..., 0] >> 4, np.full((20, 30), 65535, np.uint16)])
    shown = np.asarray(read_image(png16(faint_HWC), ".png", Reading(white=4095)).convert("RGB"))
    assert np.abs(shown.astype(int) - (DEEP_HWC[..., :1] >> 8)).max() <= 1


def test_12_bits_in_16_become_the_8_bit_picture() -> None:
    shades_HWC = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint16)
    image = read_image(png16(shades_HWC * 16), ".png", Reading(white=4095))
    assert np.abs(np.asarray(image).astype(int) - shades_HWC).max() <= 1


def test_a_plain_picture_is_not_decoded_before_it_has_to_be() -> None:
    image = read_image(saved(Image.new("RGB", (800, 600)), "JPEG"), ".jpg", PLAIN)
    assert image.draft(None, (100, 75)) is not None
    assert image.size == (100, 75)


@pytest.mark.parametrize(
    ("mode", "bands", "expected"),
    [
        ("RGB", (3, 2, 1), (30, 20, 10)),
        ("RGB", (2,), 20),
        ("RGBA", (4, 2, 1), (40, 20, 10)),
        ("P", (3, 2, 1), (30, 20, 10)),
        ("L", (1,), 10),
    ],
)
def test_bands_are_picked(mode: str, bands: tuple[int, ...], expected: Any) -> None:
    colour = Image.new("RGBA", (4, 4), (10, 20, 30, 40))
    image = Image.new("L", (4, 4), 10) if mode == "L" else colour.convert("RGB") if mode == "RGB" else colour
    image = colour.convert("RGB").quantize() if mode == "P" else image
    assert read_image(saved(image, "PNG"), ".png", Reading(bands=bands)).getpixel((0, 0)) == expected


def test_a_band_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"data.bands=\[1, 2, 4\]: it has 3 band\(s\)"):
        read_image(saved(Image.new("RGB", (4, 4)), "PNG"), ".png", Reading(bands=(1, 2, 4)))


@pytest.mark.parametrize("suffix", ["GIF", "WEBP", "PNG", "TIFF"])
def test_pages_are_counted_and_picked(suffix: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if suffix == "WEBP" else {}
    content = saved(first, suffix, save_all=True, append_images=[second], **options)
    for page, colour in enumerate([(255, 0, 0), (0, 0, 255)], start=1):
        reading = Reading(page=page)
        assert read_picture(content, "", reading).pages == 2
        assert read_image(content, "", reading).convert("RGB").getpixel((0, 0)) == colour
    with pytest.raises(ValueError, match=r"data.page=3: it has 2 page\(s\)"):
        read_image(content, "", Reading(page=3))


def test_large_pictures_are_allowed_by_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    content = saved(Image.new("L", (100, 50)), "PNG")
    with pytest.raises(ValueError, match=r"^0 megapixels are more than .*; data.max_megapixels=1 allows it"):
        read_image(content, ".png", PLAIN)
    assert read_image(content, ".png", Reading(max_megapixels=0.005)).size == (100, 50)


def test_a_limit_of_ones_own_is_kept() -> None:
    content = saved(Image.new("L", (2000, 1000)), "PNG")
    with pytest.raises(ValueError, match=r"2000 x 1000 px are more than 1 megapixels; data.max_megapixels=3 allows it"):
        read_image(content, ".png", Reading(max_megapixels=1))
