"""How oblong pictures become the square that a network sees, and what is said of it; plain sets stay what they were."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import ASSETS
from PIL import Image

from tl_sweep.base.preprocessing import FITS, Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.fit import as_square, seen_share
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import open_data
from tl_sweep.training.examples import describe_decoding

CROP = Preprocessing((0.5, 0.25, 0.0), (0.5, 0.5, 0.5), "bilinear", image_px=64)
TRASHNET = ASSETS / "data" / "trashnet_160"


def strip(width: int, height: int) -> Image.Image:
    """White, red in the first eighth of its length, blue in the last."""
    pixels_HWC = np.full((height, width, 3), 255, dtype=np.uint8)
    along = pixels_HWC if width >= height else pixels_HWC.transpose(1, 0, 2)
    eighth = max(width, height) // 8
    along[:, :eighth], along[:, -eighth:] = (255, 0, 0), (0, 0, 255)
    return Image.fromarray(pixels_HWC)


def seen(image: Image.Image, fit: str) -> np.ndarray:
    """(image_px, image_px, 3), as in evaluation."""
    preprocessing = replace(CROP, fit=fit)
    start = (preprocessing.working_px - preprocessing.image_px) // 2
    inside = slice(start, start + preprocessing.image_px)
    return as_square(image, preprocessing).transpose(1, 2, 0)[inside, inside]


def share_of(colour: tuple[int, int, int], pixels_HWC: np.ndarray) -> float:
    return float((np.abs(pixels_HWC.astype(int) - colour).max(axis=2) < 40).mean())


@pytest.mark.parametrize(("width", "height"), [(800, 200), (200, 800)])
@pytest.mark.parametrize(
    ("fit", "of_each_end", "of_bars"),
    [("crop", 0, 0), ("squash", (1 / 8 - 1 / 16) * 8 / 7, 0), ("whole", 1 / 8, 0), ("pad", 1 / 32, 3 / 4)],
)
def test_what_is_seen_of_a_strip(width: int, height: int, fit: str, of_each_end: float, of_bars: float) -> None:
    pixels_HWC = seen(strip(width, height), fit)
    for end in ((255, 0, 0), (0, 0, 255)):
        assert share_of(end, pixels_HWC) == pytest.approx(of_each_end, abs=0.02)
    assert share_of((128, 64, 0), pixels_HWC) == pytest.approx(of_bars, abs=0.02)


@pytest.mark.parametrize("fit", FITS)
def test_a_square_fills_the_square(fit: str) -> None:
    ramp_HW = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    pixels_HWC = seen(Image.fromarray(ramp_HW), fit).astype(int)
    first, last = pixels_HWC[32, 0, 0], pixels_HWC[32, -1, 0]
    cut = 16 if fit in ("crop", "squash") else 0
    assert (first, last) == (pytest.approx(cut, abs=3), pytest.approx(255 - cut, abs=3))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("width", "height"), [(1, 300), (300, 1), (64, 64), (65, 63)])
def test_any_shape_has_a_square(fit: str, width: int, height: int) -> None:
    side_px = replace(CROP, fit=fit).working_px
    assert as_square(Image.new("RGB", (width, height)), replace(CROP, fit=fit)).shape == (3, side_px, side_px)


def test_the_margin_is_stored_where_there_is_one() -> None:
    assert {fit: replace(CROP, fit=fit).working_px for fit in FITS} == {
        "crop": 73,
        "squash": 73,
        "whole": 64,
        "pad": 64,
    }


def test_the_share_that_is_seen() -> None:
    shares = {fit: round(seen_share(400, 300, fit), 3) for fit in FITS}
    assert shares == {"crop": 0.574, "squash": 0.766, "whole": 1, "pad": 1}


# --- what is said


def opened(root: Path, **options: Any) -> ImageSet:
    return open_data(DataConfig(name="image_folder", root=str(root), **options), root.parent / "memory")


def pictures(root: Path, width: int, height: int) -> Path:
    for seed in range(4):
        path = root / "ab"[seed % 2] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shades = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(shades).save(path)
    return root


def test_what_the_crop_cuts_away_is_said_with_the_key(tmp_path: Path) -> None:
    strips = pictures(tmp_path / "strips", 80, 20)
    remedy = "data.fit=whole or pad shows all of them"
    assert opened(strips).notes == (f"81 % of the pictures' pixels are cut away (data.fit=crop); {remedy}",)
    for fit in ("squash", "whole", "pad"):
        assert opened(strips, fit=fit).notes == ()
    assert opened(pictures(tmp_path / "squares", 20, 20)).notes == ()


# --- what stays as it was


def test_the_description_of_decoded_images_is_that_of_older_ones() -> None:
    described = describe_decoding(CROP, {})
    assert described.pop("versions").keys() == {"pillow"}
    assert described == {"rows": "decoded images", "format": 1, "working_px": 73, "interpolation": "bilinear"}
    assert CROP.described().keys() == {"mean", "std", "interpolation", "image_px"}


def test_each_fit_and_reading_has_a_description_of_its_own() -> None:
    bright = replace(CROP, mean=(0.9, 0.9, 0.9))
    every = [
        *(describe_decoding(replace(CROP, fit=fit), {}) for fit in FITS),
        describe_decoding(replace(bright, fit="pad"), {}),
        *(describe_decoding(CROP, terms) for terms in ({"white": 4095.0}, {"page": 2}, {"bands": (3, 2, 1)})),
    ]
    assert len({repr(description) for description in every}) == len(every)


@pytest.mark.skipif(not TRASHNET.is_dir(), reason=f"{TRASHNET} is not here")
def test_a_folder_of_jpegs_has_the_fingerprint_and_the_pixels_that_it_had(tmp_path: Path) -> None:
    config = DataConfig(name="image_folder", root=str(TRASHNET), near_duplicates="ignore")  # 28 pairs are twins
    images = open_data(config, tmp_path)
    some = replace(CROP, mean=(0.5, 0.5, 0.5))
    pixels = images.decode(np.arange(len(images)), some, 2).numpy()
    assert images.terms == {}
    assert images.fingerprint == "e066c05ee6d8fc0ec2c09ab4b2a3c02c"
    assert hashlib.blake2b(pixels.tobytes(), digest_size=8).hexdigest() == "5f5338a6cb5fab10"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_at_full_range_have_the_pixels_that_they_had(tmp_path: Path, suffix: str) -> None:
    values_HW = np.random.default_rng(0).integers(0, 65536, (73, 73), dtype=np.uint16)
    for label in "ab":
        (tmp_path / "deep" / label).mkdir(parents=True)
        values_HW[0, 0] = ord(label)
        Image.fromarray(values_HW).save(tmp_path / "deep" / label / f"{label}{suffix}")
    images = opened(tmp_path / "deep", near_duplicates="ignore")
    assert images.terms == {}
    expected_HW = np.round(values_HW.astype(np.float64) * (255 / 65535)).astype(np.uint8)
    assert (images.decode(np.array([1]), CROP, 1).numpy()[0] == expected_HW).all()


def test_pictures_that_older_versions_read_wrongly_are_another_set(tmp_path: Path) -> None:
    """Their files are the same: kept rows and finished runs of the wrong pixels must not be taken for these."""
    import tifffile

    for label in "ab":
        (tmp_path / "planes" / label).mkdir(parents=True)
        planes = np.random.default_rng(ord(label)).integers(0, 65536, (3, 8, 8), dtype=np.uint16)
        tifffile.imwrite(tmp_path / "planes" / label / "1.tif", planes, photometric="rgb", planarconfig="separate")
    assert opened(tmp_path / "planes").terms == {"traits": ["by tifffile"]}
