"""Pictures beside the usual ones, as a data set: shown as they are meant, and what was chosen is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import open_data

PREPROCESSING = Preprocessing((0.5,) * 3, (0.5,) * 3, "bilinear", image_px=28)  # decoded to 32
SIDE_PX = 32
RAMP_HW = np.tile(np.linspace(0, 255, SIDE_PX), (SIDE_PX, 1)).astype(np.uint8)
RAMP = Image.fromarray(RAMP_HW)
RGB_HW3 = np.dstack([RAMP_HW, RAMP_HW.T, 255 - RAMP_HW])
COLOURS = Image.fromarray(RGB_HW3)
OTHER = Image.fromarray(255 - RGB_HW3)
SEVERAL = "several pages or frames: number 1 is taken"


def a_set(root: Path, write: Callable[[Path, int], None]) -> Path:
    """Two classes of two files that differ; write: the file of a number, whose path has no suffix yet."""
    for number in range(4):
        folder = root / "set" / ("cats", "dogs")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / str(number), number)
    return root / "set"


def opened(root: Path, **options: Any) -> ImageSet:
    """Both classes hold nearly the same pictures."""
    config = DataConfig(name="image_folder", root=str(root), near_duplicates="ignore", **options)
    return open_data(config, root.parent / "memory")


def decoded(images: ImageSet) -> np.ndarray:
    """int (N, H, W, 3)."""
    return images.decode(np.arange(len(images)), PREPROCESSING, 1).numpy().transpose(0, 2, 3, 1).astype(int)


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        opened(root, **options)
    return str(error.value)


def marked(image: Image.Image, number: int) -> Image.Image:
    """The same but for one pixel, so that no two files are alike."""
    other = image.copy()
    other.putpixel((0, number), other.getpixel((5, 5)))  # type: ignore[arg-type]
    return other


def saved(image: Image.Image, suffix: str, **options: Any) -> Callable[[Path, int], None]:
    return lambda path, number: marked(image, number).save(f"{path}.{suffix}", **options)


IS_LEFT_HW = np.tile(np.arange(SIDE_PX) < SIDE_PX // 2, (SIDE_PX, 1))
CLEAR_HALF = Image.fromarray(np.dstack([RGB_HW3, np.where(IS_LEFT_HW, 0, 255).astype(np.uint8)]))
ON_WHITE_HW3 = np.where(IS_LEFT_HW[..., None], 255, RGB_HW3)


@pytest.mark.parametrize(
    ("write", "expected", "nearly"),
    [
        pytest.param(saved(RAMP.convert("1"), "png"), np.asarray(RAMP.convert("1").convert("RGB")), 0, id="1 bit"),
        pytest.param(saved(CLEAR_HALF, "png"), ON_WHITE_HW3, 0, id="RGBA"),
        pytest.param(saved(CLEAR_HALF, "webp", lossless=True, exact=True), ON_WHITE_HW3, 0, id="WebP with alpha"),
        pytest.param(saved(COLOURS.convert("CMYK"), "jpg", quality=98), RGB_HW3, 12, id="CMYK JPEG"),
        pytest.param(saved(RAMP, "jpg", quality=98), np.dstack([RAMP_HW] * 3), 4, id="gray JPEG"),
        pytest.param(saved(COLOURS, "jfif", format="JPEG", quality=98, subsampling=0), RGB_HW3, 12, id="jfif"),
        pytest.param(saved(COLOURS, "tga"), RGB_HW3, 0, id="tga"),
        pytest.param(saved(COLOURS, "jp2", irreversible=False), RGB_HW3, 0, id="jp2"),
        pytest.param(saved(COLOURS, "bmp"), RGB_HW3, 0, id="bmp"),
    ],
)
def test_the_picture_is_what_it_shows(
    write: Callable[[Path, int], None], expected: np.ndarray, nearly: int, tmp_path: Path
) -> None:
    images = opened(a_set(tmp_path, write))
    assert images.notes == ()
    assert images.reading.described() == {}
    assert np.abs(decoded(images)[:, :, 1:] - expected[None, :, 1:]).max() <= nearly


@pytest.mark.parametrize("bit", [RAMP.convert("P"), RAMP.convert("LA")], ids=["palette", "LA"])
def test_transparent_gray_is_on_white(bit: Image.Image, tmp_path: Path) -> None:
    options = {"transparency": 0} if bit.mode == "P" else {}
    if bit.mode == "LA":
        bit.putalpha(Image.fromarray(np.where(RAMP_HW == 0, 0, 255).astype(np.uint8)))
    images = opened(a_set(tmp_path, saved(bit, "png", **options)))
    assert (decoded(images)[:, 5:, 0] == 255).all()
    assert np.abs(decoded(images)[:, 5:, 10:, 0] - RAMP_HW[None, 5:, 10:]).max() <= 1


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("gif", {}),
        ("webp", {"lossless": True}),
        ("png", {"default_image": False}),
        ("tif", {}),
        ("mpo", {"quality": 98, "subsampling": 0}),
    ],
)
def test_of_several_the_first_is_taken_and_said(suffix: str, options: dict[str, Any], tmp_path: Path) -> None:
    write = saved(COLOURS, suffix, save_all=True, append_images=[OTHER], **options)
    images = opened(a_set(tmp_path, write))
    nearly = 60 if suffix == "gif" else 12  # a palette
    assert np.abs(decoded(images)[:, :, 1:] - RGB_HW3[None, :, 1:]).max() <= nearly
    assert [SEVERAL in note for note in images.notes] == [True]
    second = opened(tmp_path / "set", page=2)
    assert np.abs(decoded(second)[:, :, 1:] - (255 - RGB_HW3.astype(int))[None, :, 1:]).max() <= nearly
    assert second.fingerprint != images.fingerprint
    assert "data.page=3: it has 2 page(s)" in refusal(tmp_path / "set", page=3)


def deep_set(root: Path, factor: int) -> Path:
    """Gray of 16 bits: the ramp times ``factor``, turned a little further in each file."""
    values_HW = RAMP_HW.astype(np.uint16) * factor
    return a_set(root, lambda path, number: Image.fromarray(np.roll(values_HW, number)).save(f"{path}.png"))


def test_a_set_that_reaches_full_range_keeps_its_pixels_and_fingerprint(tmp_path: Path) -> None:
    """As they were before ``data.white``."""
    images = opened(deep_set(tmp_path, 257))
    assert (images.notes, dict(images.terms), images.reading.described()) == ((), {}, {})
    assert (decoded(images)[0, :, :, 0] == RAMP_HW).all()


def test_the_white_is_of_the_whole_set_not_of_a_picture(tmp_path: Path) -> None:
    """The darkest of the set stays darker than the brightest."""

    def write(path: Path, number: int) -> None:
        Image.fromarray((RAMP_HW.astype(np.uint16) * 16) >> number).save(f"{path}.png")

    images = opened(a_set(tmp_path, write))
    assert images.reading.white == 4095
    brightest = sorted(int(image.max()) for image in decoded(images))
    assert brightest == pytest.approx([32, 64, 127, 254], abs=1)
    assert "white is 4095" in images.notes[0]


def test_a_picture_that_is_added_may_change_the_white(tmp_path: Path) -> None:
    root = deep_set(tmp_path, 16)
    before = opened(root)
    Image.fromarray(RAMP_HW.astype(np.uint16) * 200).save(root / "cats" / "bright.png")
    after = opened(root)
    assert (before.reading.white, after.reading.white) == (4095, None)


def test_a_white_of_ones_own_clips(tmp_path: Path) -> None:
    images = opened(deep_set(tmp_path, 16), white="2040")
    assert np.abs(decoded(images)[0, 0, :, 0] - np.minimum(2.0 * RAMP_HW[0], 255)).max() <= 1


def test_what_cannot_be_shown_is_said_once_per_reason_before_anything_runs(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")

    def write(path: Path, number: int) -> None:
        thirteen_HWB = np.random.default_rng(number).integers(0, 255, (SIDE_PX, SIDE_PX, 13)).astype(np.uint16)
        tifffile.imwrite(f"{path}.tif", thirteen_HWB, photometric="minisblack", planarconfig="contig")

    root = a_set(tmp_path, write)
    text = refusal(root)
    assert text.count("13 bands: say which") == 1
    assert text.startswith("4 unreadable image(s): cats/0.tif, cats/2.tif, dogs/1.tif and 1 more (13 bands: say")
    assert len(opened(root, bands=[3, 2, 1], white="255")) == 4


def test_problems_that_differ_in_numbers_are_said_once(tmp_path: Path) -> None:
    def write(path: Path, number: int) -> None:
        Image.fromarray((RAMP_HW / 127.5 - 1 - number / 10).astype(np.float32)).save(f"{path}.tif")

    text = refusal(a_set(tmp_path, write))
    assert text.startswith(
        "4 unreadable image(s): cats/0.tif, cats/2.tif, dogs/1.tif and 1 more (pixel values from -1 to"
    )
    assert text.count("pixel values from") == 1


def test_a_reader_that_is_missing_is_said_and_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")

    def write(path: Path, number: int) -> None:
        pillow_heif.from_pillow(marked(COLOURS, number)).save(f"{path}.heic", quality=-1)

    root = a_set(tmp_path, write)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pillow_heif", None)
        assert "(not read: needs pillow-heif (pip install pillow-heif))" in refusal(root)
    assert len(opened(root)) == 4


def test_what_passes_the_look_can_be_decoded(tmp_path: Path) -> None:
    """Whatever a job does with a file, the look does, its EXIF included."""
    cut_short = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\1\0\0\0\6\0\0\0" * 3
    root = a_set(tmp_path, saved(COLOURS, "jpg"))
    saved(COLOURS, "jpg", exif=cut_short)(root / "cats" / "broken", 9)
    images = opened(root, skip_unreadable=True)
    assert len(images) >= 4
    assert len(decoded(images)) == len(images)
