"""A finished run as somebody uses it: exported, asked for predictions, loaded, and started from."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from commands import Answer, Recorded, record
from configs import assembled, config_in
from PIL import Image

import tl_sweep
from tl_sweep import export, predict, train
from tl_sweep.base.errors import UserError
from tl_sweep.run.key import key_of
from tl_sweep.run.weights import start_in_full
from tl_sweep.run.which import Places
from tl_sweep.sweep.preflight import make_ready
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import Record, folders_in

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
    return folder, export.export(photo_run.run_id, Places(Path("runs"), photo_run.uri, "tl_sweep"), folder)


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


def test_the_export_alone_gives_what_predict_gives(
    command: Command, photo_run: Recorded, exported: tuple[Path, str], image_root: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(image_root / "red" / "00.png").resize((90, 70)).save(photo, exif=turned)
    code = f"{exported[1]}\nprint(model.eval()(preprocess({str(photo)!r})).softmax(1)[0].tolist())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    (row,) = json.loads(command(predict.main, *arguments(photo_run, "format=json", str(photo))).out)
    assert json.loads(answer.stdout) == pytest.approx([row["p/blue"], row["p/green"], row["p/red"]], abs=1e-4)


@pytest.fixture(scope="module")
def deep_run(tmp_path_factory: pytest.TempPathFactory, store_uri: str) -> tuple[Recorded, Path]:
    """A run on gray pictures of 12 bits in files of 16, and their folder."""
    folder, rng = tmp_path_factory.mktemp("deep run"), np.random.default_rng(0)
    for shade, name in enumerate(("dark", "bright")):
        (folder / "set" / name).mkdir(parents=True)
        for number in range(12):
            values_HW = rng.integers(0, 2000, (40, 48)).astype(np.uint16) + np.uint16(2000 * shade)
            Image.fromarray(values_HW).save(folder / "set" / name / f"{number:02d}.png")
    config = config_in(
        folder,
        store_uri,
        {"model": "resnet_small", "data": "image_folder", "freeze": "all", "augment": "none"},
        model={"weights": None},
        data={"root": str(folder / "set"), "image_size": 32, "shots": None, "fit": "whole"},
        epochs=2,
    )
    return record(config, folder / "run"), folder / "set"


def test_a_run_reads_new_pictures_as_it_read_its_own(
    command: Command, deep_run: tuple[Recorded, Path], tmp_path: Path
) -> None:
    run, root = deep_run
    reading = json.loads((run.folder / "checkpoint.json").read_text())["reading"]
    assert reading["white"] == 4095
    kept = {row["id"]: row for row in pd.read_parquet(run.folder / "predictions.parquet").to_dict("records")}
    rows = {
        Path(row["file"]).relative_to(root).as_posix(): row
        for row in json.loads(command(predict.main, *arguments(run, "format=json", str(root))).out)
    }
    assert [rows[name]["p/dark"] for name in kept] == pytest.approx([row["p/dark"] for row in kept.values()], abs=1e-5)
    answer = command(export.main, *arguments(run, f"out={tmp_path / 'out'}"))
    assert answer.code == 0
    assert json.loads((tmp_path / "out" / "preprocessing.json").read_text())["reading"] == {"white": 4095.0}
    name = next(iter(kept))
    code = f"{answer.out}\nprint(model.eval()(preprocess({str(root / name)!r})).softmax(1)[0].tolist())"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(alone.stdout) == pytest.approx([kept[name]["p/bright"], kept[name]["p/dark"]], abs=1e-4)


def test_a_run_records_how_much_of_its_pictures_it_never_saw(
    photo_run: Recorded, deep_run: tuple[Recorded, Path]
) -> None:
    """40 x 48 px: by the crop a third and more, of the whole picture nothing."""
    cropped, whole = (Record(run.folder).summary() for run in (photo_run, deep_run[0]))
    assert cropped is not None
    assert whole is not None
    assert cropped.tags[Tag.DATA_CUT_AWAY] == "0.36"
    assert Tag.DATA_CUT_AWAY not in whole.tags


def test_the_export_names_classes_and_preprocessing(exported: tuple[Path, str]) -> None:
    folder, _ = exported
    files = {"model.pth", "classes.json", "preprocessing.json", "preprocess.py"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == files
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
        f'import sys; sys.path.append("{folder}")',
        "from preprocess import preprocess  # model.eval()(preprocess('photo.jpg')).softmax(1)",
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
        (export.main, [], "which run? python -m tl_sweep.export run=best [out=folder]"),
        (export.main, ["rnu=1"], "rnu=1: unknown; did you mean 'run'? keys: run, output.dir, tracking.uri"),
        (predict.main, ["run=1"], "which run, which images? python -m tl_sweep.predict run=best IMAGE_OR"),
        (export.main, ["run=1", "out=x.txt"], "out=x.txt: files are written into it: a folder is needed, and this is"),
        (predict.main, ["run=1", "out=p.txt", "a.png"], "out=p.txt: its name must end in .csv or .json"),
        (
            predict.main,
            ["run=1", "format=json", "out=p.csv", "a.png"],
            "format=json and out=p.csv: these are two formats",
        ),
        (predict.main, ["run=1", "format=jsn", "a.png"], "format=jsn: allowed: csv, json; did you mean 'json'?"),
        (predict.main, ["run=1", "a.png"], "a.png: no such file or folder"),
        (predict.main, ["run=1", "."], ".: no image in this folder"),
        (predict.main, ["run=1", "--csv", "a.png"], "--csv: unknown; keys: run, output.dir, tracking.uri"),
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
    where = f"{Path('runs').absolute()} or {store_uri}"
    assert answer.err.startswith(f"error: run=0123: no such run in {where}; run=best is of the last sweep, ")
    assert len(answer.err.splitlines()) == 1


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


@pytest.mark.parametrize("name", ["p.csv", "p.json"])
def test_predictions_are_written_to_a_file(command: Command, photo_run: Recorded, image_root: Path, name: str) -> None:
    answer = command(predict.main, *arguments(photo_run, f"out=new/{name}", str(image_root / "red")))
    assert (answer.code, answer.out, answer.err) == (0, "", f"written: new/{name}\n")
    text = Path("new", name).read_text()
    rows = json.loads(text) if name.endswith("json") else list(csv.DictReader(text.splitlines()))
    assert len(rows) == 12


# --- which run


@pytest.fixture
def at_home(photo_run: Recorded, tmp_path: Path) -> Path:
    """``output.dir`` with the run in it, as another place to which it was moved, and no store with it."""
    shutil.copytree(photo_run.folder, tmp_path / "moved" / key_of(photo_run.config))
    return tmp_path / "moved"


@pytest.mark.parametrize("spelled", ["id", "its beginning", "key", "its beginning ", "folder", "best"])
def test_a_run_is_used_without_a_store_however_it_is_named(
    command: Command, photo_run: Recorded, at_home: Path, image_root: Path, spelled: str
) -> None:
    run_id, key = photo_run.run_id, key_of(photo_run.config)
    names = [run_id, run_id[:9], key, key[:9], str(at_home / key), "best"]
    text = dict(zip(["id", "its beginning", "key", "its beginning ", "folder", "best"], names, strict=True))[spelled]
    where = (f"run={text}", f"output.dir={at_home}", "tracking.uri=null")
    answer = command(predict.main, *where, str(image_root / "red" / "00.png"))
    assert (answer.code, len(answer.out.splitlines())) == (0, 2), answer.err
    assert command(export.main, *where).code == 0
    module, _ = tl_sweep.load_run(text, None, output_dir=at_home)
    assert isinstance(module, torchvision.models.SqueezeNet)


def test_a_database_that_is_gone_beside_its_runs_costs_nothing(
    command: Command, photo_run: Recorded, at_home: Path, image_root: Path
) -> None:
    where = (f"run={photo_run.run_id}", f"output.dir={at_home}", "tracking.uri=sqlite:///gone.db")
    assert command(predict.main, *where, str(image_root / "red" / "00.png")).code == 0
    assert not Path("gone.db").exists()


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


def test_a_run_starts_from_another_without_a_store(small_run: Recorded, tmp_path: Path) -> None:
    key = key_of(small_run.config)
    shutil.copytree(small_run.folder, tmp_path / "runs" / key)
    config = start_in_full(config_in(tmp_path, None, model={"weights": "run:best"}))
    assert config.model.weights == f"run:{key}"
    make_ready([config])
    assert (tmp_path / "weights" / f"run-{key}.safetensors").exists()


def test_the_key_of_a_run_that_starts_from_another_is_what_it_was(small_run: Recorded, tmp_path: Path) -> None:
    named = config_in(tmp_path, small_run.uri, model={"weights": f"run:{'0123' * 8}"}, data={"image_size": 32})
    assert key_of(start_in_full(named)) == "5a6b3642db3c5d9f"
    begun = config_in(tmp_path, small_run.uri, model={"weights": f"run:{small_run.run_id[:9]}"})
    in_full = config_in(tmp_path, small_run.uri, model={"weights": f"run:{small_run.run_id}"})
    assert start_in_full(begun) == in_full


def test_a_sweep_that_starts_from_the_best_run_starts_from_one_run(
    command: Command, small_run: Recorded, tmp_path: Path
) -> None:
    key = key_of(small_run.config)
    shutil.copytree(small_run.folder, Path("runs", key))
    tiny = ("data.shots=2", "epochs=1", "threads=1", "num_workers=1", "hydra/launcher=basic", "tracking.uri=null")
    first, again = (
        command(
            train.main, "-m", *tiny, f"weights.dir={tmp_path / 'w'}", "freeze=all", "seed=0,1", f"model.weights={text}"
        )
        for text in ("run:best", f"run:{key}")
    )
    assert (first.code, again.code) == (0, 0), first
    assert f"grid: model.weights=run:best is run:{key}: write that to come back to this sweep" in first.out
    assert "grid: 2 jobs, 2 finished before" in again.out
    sweeps = [re.findall(r"sweep (s[0-9a-f]{11})$", answer.out, re.MULTILINE) for answer in (first, again)]
    assert sweeps[0] == sweeps[1] != []
    summaries = [Record(folder).summary() for folder in folders_in(Path("runs"))]
    assert [run.params["model.weights"] for run in summaries if run].count(f"run:{key}") == 2
