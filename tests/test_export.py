"""A finished run as somebody uses it: exported, asked for predictions, loaded, and started from."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import torchvision
from commands import Answer, Recorded, record
from configs import assembled, config_in
from PIL import Image

import tl_sweep
from tl_sweep import export, predict
from tl_sweep.base.errors import UserError
from tl_sweep.sweep.preflight import make_ready

Command = Callable[..., Answer]
MODEL_PX = 64


@pytest.fixture(scope="module")
def photo_run(tmp_path_factory: pytest.TempPathFactory, store_uri: str, image_root: Path) -> Recorded:
    """A head on a frozen SqueezeNet, three classes of photographs, values of pixels that are not ImageNet's."""
    folder = tmp_path_factory.mktemp("photo run")
    torch.manual_seed(3)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), folder / "squeezenet.pth")
    config = config_in(
        folder,
        store_uri,
        {"model": "squeezenet1_1", "data": "image_folder", "freeze": "all", "augment": "none"},
        model={"weights": str(folder / "squeezenet.pth"), "preprocessing": {"mean": [0.4, 0.4, 0.4]}},
        data={"root": str(image_root), "image_size": MODEL_PX, "shots": None},
    )
    return record(config, folder / "run")


def arguments(run: Recorded, *others: str) -> list[str]:
    return [f"run={run.run_id}", f"tracking.uri={run.uri}", *others]


# --- export


@pytest.fixture(scope="module")
def exported(photo_run: Recorded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the lines that load what is in it."""
    folder = tmp_path_factory.mktemp("exported")
    return folder, export.export(photo_run.run_id, photo_run.uri, folder)


COMPARE = """
import sys
model.eval()
images_BCHW, logits_BK = torch.load({expected!r})
with torch.inference_mode():
    assert torch.equal(model(images_BCHW), logits_BK)
assert not any(name.split(".")[0] == "tl_sweep" for name in sys.modules)
"""


def test_plain_torchvision_loads_the_export_and_gives_the_same_logits(
    photo_run: Recorded, exported: tuple[Path, str], tmp_path: Path
) -> None:
    module, _ = tl_sweep.load_run(photo_run.run_id, photo_run.uri)
    images_BCHW = torch.randn(3, 3, MODEL_PX, MODEL_PX)
    with torch.inference_mode():
        torch.save((images_BCHW, module(images_BCHW)), tmp_path / "expected.pt")
    code = f"{exported[1]}\ntorch.set_num_threads(1)\n{COMPARE.format(expected=str(tmp_path / 'expected.pt'))}"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_export_names_classes_and_preprocessing(exported: tuple[Path, str]) -> None:
    folder, _ = exported
    assert {path.name for path in folder.iterdir()} == {"model.pth", "classes.json", "preprocessing.json"}
    assert json.loads((folder / "classes.json").read_text()) == ["blue", "green", "red"]
    assert json.loads((folder / "preprocessing.json").read_text()) == {
        "mean": [0.4, 0.4, 0.4],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
        "image_px": 64,
        "working_px": 73,
    }


def test_the_printed_lines_are_few_and_plain(exported: tuple[Path, str]) -> None:
    folder, code = exported
    assert code.splitlines() == [
        "import torch, torchvision.models",
        "from torch import nn",
        "model = torchvision.models.squeezenet1_1()",
        "model.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(512, 3))",
        f'model.load_state_dict(torch.load("{folder}/model.pth", weights_only=True))',
    ]


def test_our_own_network_is_exported_too(command: Command, small_run: Recorded) -> None:
    answer = command(export.main, *arguments(small_run, "out=mine"))
    assert (answer.code, answer.err) == (0, "")
    scope: dict[str, torch.nn.Module] = {}
    exec(answer.out, scope)
    restored, _ = tl_sweep.load_run(small_run.run_id, small_run.uri)
    images_BCHW = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(scope["model"].eval()(images_BCHW), restored(images_BCHW))


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [
        (export.main, [], "which run? python -m tl_sweep.export run=<mlflow run id> [out=folder]"),
        (export.main, ["rnu=1"], "rnu=1: unknown; did you mean 'run'? keys: run, out, tracking.uri"),
        (predict.main, ["run=1"], "which run, which images? python -m tl_sweep.predict run=<mlflow run id> IMAGE_OR"),
        (predict.main, ["run=1", "format=jsn", "a.png"], "format=jsn: allowed: csv, json; did you mean 'json'?"),
        (predict.main, ["run=1", "a.png"], "a.png: no such file or folder"),
        (predict.main, ["run=1", "."], ".: no image in this folder"),
        (predict.main, ["run=1", "--csv", "a.png"], "--csv: unknown; keys: run, format, tracking.uri"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_says_too_little(
    command: Command, main: Callable[[], None], words: list[str], message: str
) -> None:
    answer = command(main, *words)
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.startswith(f"error: {message}")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("main", [export.main, predict.main], ids=["export", "predict"])
def test_a_run_that_is_not_there(command: Command, store_uri: str, image_root: Path, main: Callable[[], None]) -> None:
    images = [str(image_root)] if main is predict.main else []
    answer = command(main, "run=0123", f"tracking.uri={store_uri}", *images)
    assert answer.code == 1
    assert answer.err == f"error: run=0123: no such run in {store_uri}; `mlflow ui` lists them\n"


def test_a_database_that_is_not_there_is_not_made(command: Command) -> None:
    answer = command(export.main, "run=0123", "tracking.uri=sqlite:///elsewhere.db")
    assert (answer.code, list(Path().iterdir())) == (1, [])
    assert "tracking.uri=sqlite:///elsewhere.db: there is no database" in answer.err


# --- predict


def test_predictions_are_those_of_the_run(command: Command, photo_run: Recorded, image_root: Path) -> None:
    answer = command(predict.main, *arguments(photo_run, str(image_root)))
    rows = {
        Path(row["file"]).relative_to(image_root).as_posix(): row for row in csv.DictReader(answer.out.splitlines())
    }
    assert (answer.code, len(rows)) == (0, 36)
    kept = pd.read_parquet(photo_run.folder / "predictions.parquet")
    assert len(kept) > 5
    for expected in kept.to_dict("records"):
        row = rows[expected["id"]]
        assert row["class"] == expected["predicted"]
        for name in ("p/red", "p/green", "p/blue"):
            assert float(row[name]) == pytest.approx(expected[name], abs=1e-5)


def test_probability_is_that_of_the_class(command: Command, photo_run: Recorded, image_root: Path) -> None:
    images = [str(image_root / "red" / "00.png"), str(image_root / "blue")]
    answer = command(predict.main, *arguments(photo_run, "format=json", *images))
    rows = json.loads(answer.out)
    assert [row["file"] for row in rows] == [images[0], *(f"{images[1]}/{number:02d}.png" for number in range(12))]
    for row in rows:
        assert row["probability"] == row[f"p/{row['class']}"] == max(row["p/red"], row["p/green"], row["p/blue"])
        assert row["p/red"] + row["p/green"] + row["p/blue"] == pytest.approx(1)


def test_an_unreadable_image_is_named(command: Command, photo_run: Recorded, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (80, 80)).save(tmp_path / "whole.png")
    answer = command(predict.main, *arguments(photo_run, str(tmp_path / "whole.png"), str(tmp_path / "broken.png")))
    assert answer.code == 1
    assert answer.out == ""
    assert f"{tmp_path}/broken.png" in answer.err
    assert len(answer.err.splitlines()) == 1


# --- load_run and model.weights=run:<id>


def test_load_run_gives_the_module_and_its_class_names(photo_run: Recorded) -> None:
    module, class_names = tl_sweep.load_run(photo_run.run_id, photo_run.uri)
    assert class_names == ("blue", "green", "red")
    assert isinstance(module, torchvision.models.SqueezeNet)
    assert not module.training


def test_a_run_starts_from_another(small_run: Recorded, tmp_path: Path, store_uri: str) -> None:
    config = config_in(tmp_path, store_uri, model={"weights": f"run:{small_run.run_id}"}, seed=5)
    make_ready([config])
    started = assembled(config).state.model
    started.load()
    source, _ = tl_sweep.load_run(small_run.run_id, store_uri)
    tensors = started.module.state_dict()
    moved = [name for name, tensor in source.state_dict().items() if not torch.equal(tensor, tensors[name])]
    assert moved == ["fc.weight", "fc.bias"]  # a new head
    kept = [path.name for path in (tmp_path / "weights").glob("*.safetensors")]
    assert kept == [f"run-{small_run.run_id}.safetensors"]


def test_a_run_that_is_not_there_is_no_start(tmp_path: Path, store_uri: str) -> None:
    with pytest.raises(UserError, match="run=0123: no such run in"):
        make_ready([config_in(tmp_path, store_uri, model={"weights": "run:0123"})])
