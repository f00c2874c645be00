"""Pictures as instruments and phones write them: each is right, or refused with the remedy. Prints a table (-s)."""

from __future__ import annotations

import importlib.util
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import ASSETS
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import open_data

FORMATS = ASSETS.parent / "cases" / "formats.py"
CLASSES = ("cardboard", "glass", "metal")
PER_CLASS = 3
SEEN = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", image_px=56)
Write = Callable[[Image.Image, Path], Any]


def generated() -> dict[str, Write]:
    if not FORMATS.is_file():
        return {}
    spec = importlib.util.spec_from_file_location("formats", FORMATS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: write for name, (write, _) in module.CASES.items()}


GENERATED = generated()


def photographs(label: str) -> list[tuple[str, Image.Image]]:
    folder = ASSETS / "data" / "trashnet_160" / label
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return [(path.stem, Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.jpg"))[:PER_CLASS]]


def filled(root: Path, write: Write) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that write
        for label in CLASSES:
            (root / label).mkdir(parents=True)
            for stem, image in photographs(label):
                write(image, root / label / stem)
    return root


def opened(root: Path, **options: Any) -> ImageSet:
    return open_data(DataConfig(name="image_folder", root=str(root), **options), root.parent / "memory")


def decoded(root: Path, **options: Any) -> np.ndarray:
    """Every picture as jobs see it, (N, C, W, W), in the order of their names."""
    images = opened(root, **options)
    return images.decode(np.argsort(images.ids), SEEN, 1).numpy().astype(int)


def plain(tmp_path: Path, convert: Callable[[Image.Image], Image.Image] = lambda image: image) -> np.ndarray:
    """The same photographs as 8-bit PNGs."""
    return decoded(filled(tmp_path / "plain", lambda image, path: convert(image).save(path.with_suffix(".png"))))


def as_gray(image: Image.Image) -> Image.Image:
    return image.convert("L")


# name: keys, how the photograph is shown, the largest difference of a mean, what is said
Expected = tuple[dict[str, Any], Callable[[Image.Image], Image.Image], float, str]
RIGHT: dict[str, Expected] = {
    "gray16_png": ({}, as_gray, 1, ""),
    "gray12_in_16_png": ({}, as_gray, 1, "values of deep pictures: 0 to 4080; white is 4095, the smallest usual one"),
    "rgb12_in_16_tif": ({}, lambda image: image, 1, "white is 4095"),
    "four_bands_tif": ({}, lambda image: image, 0, "9 picture(s) have a band beside their colours, which is left out"),
    "two_pages_tif": ({}, lambda image: image, 0, "9 picture(s) have several pages or frames: number 1 is taken"),
    "dicom12": ({}, as_gray, 1, ""),
    "heic": ({}, lambda image: image, 12, ""),
    "avif": ({}, lambda image: image, 12, ""),
}
REFUSED = {
    "thirteen_bands_tif": "13 bands: say which one or three",
    "float_tif": "more (pixel values from -0.",
    "constant": "9 picture(s) are of one shade",
}


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = request.param
    if name not in GENERATED:
        pytest.skip(f"{FORMATS} is not here")
    try:
        return filled(tmp_path / name, GENERATED[name])
    except ImportError as error:
        pytest.skip(str(error))


def summary(root: Path, **options: Any) -> str:
    try:
        images = opened(root, **options)
    except UserError as error:
        return f"refused: {error}"
    counts = Counter(images.class_names[label] for label in images.labels_N)
    return f"{dict(counts)}; {'; '.join(images.notes) or 'nothing to say'}"


@pytest.mark.parametrize("case", RIGHT, indirect=True)
def test_a_picture_of_any_kind_is_the_photograph(case: Path, tmp_path: Path) -> None:
    options, convert, most, said = RIGHT[case.name]
    print(f"{case.name}: {summary(case, **options)[:300]}")
    assert said in summary(case, **options)
    difference = np.abs(decoded(case, **options) - plain(tmp_path, convert))
    assert difference.mean(axis=(1, 2, 3)).max() <= most


@pytest.mark.parametrize("case", REFUSED, indirect=True)
def test_what_is_no_picture_as_it_stands_is_refused_with_the_remedy(case: Path) -> None:
    text = summary(case)
    print(f"{case.name}: {text[:300]}")
    assert text.startswith("refused: ")
    assert REFUSED[case.name] in text


def test_every_generator_is_in_the_table() -> None:
    if not GENERATED:
        pytest.skip(f"{FORMATS} is not here")
    assert GENERATED.keys() == RIGHT.keys() | REFUSED.keys()
