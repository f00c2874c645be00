"""Pictures are read by predict, by features and by an export's own code as the run read those that it learned from."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Answer, Recorded, record
from configs import assembled, config_in
from PIL import Image

from tl_sweep import export, features, predict
from tl_sweep.run.which import Places

Command = Callable[..., Answer]
SIDE_PX = 32


@pytest.fixture(scope="module")
def mixed_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Oblong pictures: 12 bits in 16, transparent ones, turned ones, and plain ones."""
    root, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    turned = Image.Exif()
    turned[0x0112] = 6
    for label, name in enumerate(("dark", "bright")):
        (root / name).mkdir()
        for number in range(12):
            shades = rng.integers(0, 100, (40, 80), dtype=np.uint8) + np.uint8(150 * label)
            path, picture = root / name / f"{number:02d}", Image.fromarray(shades)
            if number % 4 == 0:
                Image.fromarray(shades.astype(np.uint16) * 16).save(path.with_suffix(".png"))
            elif number % 4 == 1:
                clear = picture.convert("RGBA")
                clear.putalpha(Image.fromarray(rng.integers(0, 256, shades.shape, dtype=np.uint8)))
                clear.save(path.with_suffix(".webp"), lossless=True)
            else:
                exif = turned if number % 4 == 2 else Image.Exif()
                picture.convert("RGB").save(path.with_suffix(".jpg"), exif=exif)
    return root


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory, store_uri: str, mixed_root: Path) -> Recorded:
    folder = tmp_path_factory.mktemp("mixed run")
    config = config_in(
        folder,
        store_uri,
        {"data": "image_folder", "freeze": "all", "augment": "none"},
        data={"root": str(mixed_root), "image_size": SIDE_PX, "shots": None, "fit": "whole"},
        epochs=1,
    )
    return record(config, folder / "run")


def test_predictions_are_those_of_the_run(command: Command, mixed_run: Recorded, mixed_root: Path) -> None:
    answer = command(predict.main, f"run={mixed_run.run_id}", f"tracking.uri={mixed_run.uri}", str(mixed_root))
    rows = {
        Path(row["file"]).relative_to(mixed_root).as_posix(): row for row in csv.DictReader(answer.out.splitlines())
    }
    assert (answer.code, len(rows)) == (0, 24)
    kept = pd.read_parquet(mixed_run.folder / "predictions.parquet")
    assert {Path(name).suffix for name in kept["id"]} == {".png", ".webp", ".jpg"}
    for expected in kept.to_dict("records"):
        assert float(rows[expected["id"]]["p/dark"]) == pytest.approx(expected["p/dark"], abs=1e-5)


def test_the_code_of_an_export_shows_the_model_what_the_run_showed(
    mixed_run: Recorded, mixed_root: Path, tmp_path: Path
) -> None:
    export.export(mixed_run.run_id, Places(Path("runs"), mixed_run.uri, "tl_sweep"), tmp_path / "exported")
    run = assembled(mixed_run.config)
    assert run.images.reading.white == 4095
    inputs = run.test.inputs(np.arange(len(run.test)), None).numpy()
    names = [run.images.ids[index] for index in run.splits.test]
    for name, expected_CHW in zip(names, inputs, strict=True):
        script, out = tmp_path / "exported" / "preprocess.py", tmp_path / "input.npy"
        answer = subprocess.run(
            [sys.executable, "-I", str(script), str(mixed_root / name), str(out)], capture_output=True, text=True
        )
        assert (answer.returncode, answer.stderr) == (0, "")
        assert np.abs(np.load(out) - expected_CHW).max() < 1e-3


def test_features_are_of_pictures_read_as_a_set(command: Command, mixed_root: Path, tmp_path: Path) -> None:
    common = (
        "model=resnet_small",
        "model.weights=null",
        f"data.image_size={SIDE_PX}",
        f"cache.dir={tmp_path / 'rows'}",
    )
    deep = sorted(mixed_root.glob("*/*.png"))
    for number, white in enumerate(("auto", "4095", "65535")):
        words = (*common, f"data.white={white}", f"out={number}.npy", *map(str, deep))
        answer = command(features.main, *words)
        assert answer.code == 0, answer.err
    auto, given, full = (np.load(f"{number}.npy") for number in range(3))
    assert np.abs(auto - given).max() == 0
    assert np.abs(auto - full).max() > 0.01
