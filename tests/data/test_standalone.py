"""The file that an export carries along: what comes out of it is what predict shows to the model."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tl_sweep.base.preprocessing import FITS, PLAIN, Preprocessing, Reading
from tl_sweep.data.decode import decode_files
from tl_sweep.data.standalone import names_defined, standalone_source
from tl_sweep.data.views import clean, normalise

SHADES_HW = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
RGB_HW3 = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
PREPROCESSING = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bicubic", 28)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def shown_by_predict(path: Path, preprocessing: Preprocessing, reading: Reading) -> np.ndarray:
    images_BCWW = torch.from_numpy(decode_files([path], preprocessing, 1, reading))
    return normalise(clean(images_BCWW, preprocessing.image_px), preprocessing)[0].numpy()


def by_the_file_alone(folder: Path, path: Path, preprocessing: Preprocessing, reading: Reading) -> np.ndarray:
    """By the file alone, in a process where this package cannot be imported."""
    (folder / "preprocess.py").write_text(standalone_source(preprocessing, reading))
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['tl_sweep'] = None\n")
    words = [sys.executable, str(folder / "preprocess.py"), str(path), str(folder / "input.npy")]
    answer = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": str(folder)}, cwd=folder)
    assert (answer.returncode, answer.stderr) == (0, "")
    return np.load(folder / "input.npy")


def imported(folder: Path, preprocessing: Preprocessing) -> Any:
    (folder / "preprocess.py").write_text(standalone_source(preprocessing, PLAIN))
    spec = spec_from_file_location("preprocess", folder / "preprocess.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["preprocess"] = module
    spec.loader.exec_module(module)
    return module


def tiff(values: np.ndarray, path: Path, **options: Any) -> None:
    pytest.importorskip("tifffile").imwrite(path, values, **options)


@pytest.mark.parametrize(
    ("name", "write", "reading"),
    [
        pytest.param("a.jpg", lambda path: Image.fromarray(RGB_HW3).save(path), PLAIN, id="jpeg"),
        pytest.param("a.jpg", lambda path: Image.fromarray(RGB_HW3).save(path, exif=TURNED), PLAIN, id="turned"),
        pytest.param("a.png", lambda path: Image.fromarray(RGB_HW3).convert("P").save(path), PLAIN, id="palette"),
        pytest.param(
            "a.png",
            lambda path: Image.fromarray(np.dstack([RGB_HW3, SHADES_HW])).save(path),
            PLAIN,
            id="transparent",
        ),
        pytest.param(
            "a.png",
            lambda path: Image.fromarray(SHADES_HW.astype(np.uint16) * 16).save(path),
            Reading(white=4095.0),
            id="12 bits",
        ),
        pytest.param(
            "a.tif",
            lambda path: tiff(
                np.dstack([RGB_HW3] * 4).astype(np.uint16) * 12, path, photometric="minisblack", planarconfig="contig"
            ),
            Reading(bands=(3, 2, 12), white=3000.0, clip=True),
            id="bands",
        ),
        pytest.param(
            "a.tif", lambda path: tiff(np.stack([SHADES_HW, 255 - SHADES_HW]), path), Reading(page=2), id="page"
        ),
    ],
)
def test_its_output_is_predicts(name: str, write: Callable[[Path], None], reading: Reading, tmp_path: Path) -> None:
    write(tmp_path / name)
    found = by_the_file_alone(tmp_path, tmp_path / name, PREPROCESSING, reading)
    expected = shown_by_predict(tmp_path / name, PREPROCESSING, reading)
    assert found.shape == (3, 28, 28)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5
    assert expected.std() > 0.05


@pytest.mark.parametrize("fit", FITS)
def test_a_batch_of_one_is_a_tensor(fit: str, tmp_path: Path) -> None:
    preprocessing = replace(PREPROCESSING, fit=fit)
    Image.fromarray(RGB_HW3).save(tmp_path / "a.png")
    images_BCHW = imported(tmp_path, preprocessing).preprocess(tmp_path / "a.png")
    assert images_BCHW.shape == (1, 3, 28, 28)
    assert np.abs(images_BCHW[0].numpy() - shown_by_predict(tmp_path / "a.png", preprocessing, PLAIN)).max() < 1e-5


def test_no_name_in_it_is_defined_twice() -> None:
    """Its modules become one, so that a second definition would replace the first."""
    counts = Counter(names_defined(standalone_source(PREPROCESSING, PLAIN)))
    assert [name for name, count in counts.items() if count > 1] == []


def test_without_words_it_says_which_it_needs(tmp_path: Path) -> None:
    (tmp_path / "preprocess.py").write_text(standalone_source(PREPROCESSING, PLAIN))
    answer = subprocess.run([sys.executable, str(tmp_path / "preprocess.py")], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr == "which picture, and where to? python preprocess.py PICTURE INPUT.npy\n"
