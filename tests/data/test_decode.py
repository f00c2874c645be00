"""Any file that PIL reads becomes the same upright 8-bit RGB square."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.data.decode import decode_files
from tl_sweep.data.fit import as_square

SIDE_PX = 16
PREPROCESSING = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", image_px=14)


def gradient(white: float, dtype: type) -> np.ndarray:
    """From black on the left to ``white`` on the right."""
    return np.tile(np.linspace(0, white, SIDE_PX), (SIDE_PX, 1)).astype(dtype)


def decoded(image: Image.Image, path: Path, **options: Any) -> np.ndarray:
    image.save(path, **options)
    return decode_files([path], PREPROCESSING, num_workers=1)[0]


GRAY_RAMP = Image.fromarray(gradient(255, np.uint8))


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        pytest.param(GRAY_RAMP, "png", id="grayscale"),
        pytest.param(GRAY_RAMP.convert("RGBA"), "png", id="opaque RGBA"),
        pytest.param(GRAY_RAMP.convert("LA"), "png", id="gray with alpha"),
        pytest.param(GRAY_RAMP.convert("P"), "png", id="palette"),
        pytest.param(GRAY_RAMP.convert("RGB").convert("CMYK"), "tiff", id="CMYK"),
        pytest.param(Image.fromarray(gradient(65535, np.uint16)), "png", id="16-bit png"),
        pytest.param(Image.fromarray(gradient(65535, np.uint16)), "tiff", id="16-bit tiff"),
        pytest.param(Image.fromarray(gradient(65535, np.int32)), "tiff", id="32-bit integers"),
        pytest.param(Image.fromarray(gradient(1, np.float32)), "tiff", id="float to 1"),
        pytest.param(Image.fromarray(gradient(255, np.float32)), "tiff", id="float to 255"),
    ],
)
def test_a_ramp_stays_a_ramp(image: Image.Image, suffix: str, tmp_path: Path) -> None:
    square = decoded(image, tmp_path / f"ramp.{suffix}")
    expected = np.broadcast_to(np.asarray(GRAY_RAMP), (3, SIDE_PX, SIDE_PX))
    assert np.abs(square.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white(mode: str, tmp_path: Path) -> None:
    transparent = Image.new("LA" if mode == "LA" else "RGBA", (SIDE_PX, SIDE_PX))
    image = transparent.quantize() if mode == "P" else transparent
    assert (decoded(image, tmp_path / "clear.png") == 255).all()


def test_half_transparent_black_is_mid_gray(tmp_path: Path) -> None:
    square = decoded(Image.new("RGBA", (SIDE_PX, SIDE_PX), (0, 0, 0, 128)), tmp_path / "half.png")
    assert (square == 127).all()


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    square = decoded(GRAY_RAMP, tmp_path / "turned.png", exif=exif)
    assert (square[0] == np.rot90(np.asarray(GRAY_RAMP), k=-1)).all()


def test_the_centre_of_an_oblong_image_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((SIDE_PX, 3 * SIDE_PX), dtype=np.uint8)
    pixels[:, SIDE_PX : 2 * SIDE_PX] = 200
    assert (decoded(Image.fromarray(pixels), tmp_path / "wide.png") == 200).all()


def test_a_large_jpeg_is_reduced_without_moving(tmp_path: Path) -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 800), (800, 1)).astype(np.uint8))
    square = decoded(ramp, tmp_path / "large.jpg", quality=95).astype(int)
    assert np.abs(square[0, 8] - (np.arange(SIDE_PX) + 0.5) * 255 / SIDE_PX).max() < 3


def test_interpolation_is_the_preprocessings(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    bicubic = Preprocessing(PREPROCESSING.mean, PREPROCESSING.std, "bicubic", PREPROCESSING.image_px)
    assert (as_square(noise, bicubic) != as_square(noise, PREPROCESSING)).any()


def test_worker_count_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{index}.png" for index in range(9)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    one, four = (decode_files(paths, PREPROCESSING, num_workers) for num_workers in (1, 4))
    assert (one == four).all()


def test_every_unreadable_file_is_named_at_once(tmp_path: Path) -> None:
    GRAY_RAMP.save(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(gradient(-1, np.float32)).save(tmp_path / "negative.tiff")
    paths = [tmp_path / name for name in ("good.png", "text.png", "negative.tiff", "gone.png")]
    with pytest.raises(UserError) as error:
        decode_files(paths, PREPROCESSING, num_workers=2)
    assert "3 unreadable image(s)" in str(error.value)
    assert all(name in str(error.value) for name in ("text.png", "negative.tiff (pixel values from -1 to", "gone.png"))
    assert "good.png" not in str(error.value)
