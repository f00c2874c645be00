"""What a comparison looks up on the machine where it is made: configurations, speeds, pictures."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config, to_dict
from tl_sweep.run.finished import Files
from tl_sweep.run.inputs import open_images
from tl_sweep.sweep import lookups
from tl_sweep.sweep.lookups import SPEEDS, Pictures, Speeds, config_of, inference_images_per_s, machine, thumbnail
from tl_sweep.tracking.record import RunRecord

MakeConfig = Callable[..., Config]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(None, tmp_path / "cache" / "weights", tmp_path / "runs")


def recorded(config: Config, folder: Path, fingerprint: str = "") -> RunRecord:
    """A run's record, and of its files the configuration."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(to_dict(config)))
    tags = {"folder": str(folder), "backbone": "resnet_small", "data.fingerprint": fingerprint}
    params = {"data.image_size": str(config.data.image_size), "model.weights": "null"}
    return RunRecord("", "FINISHED", params, tags, {}, 0.0)


# --- configurations


def test_a_run_s_configuration_is_read_from_its_folder(make_config: MakeConfig, files: Files, tmp_path: Path) -> None:
    config = make_config(epochs=7)
    assert config_of(recorded(config, tmp_path / "run"), files) == config


@pytest.mark.parametrize("content", [b"\xff", b"epochs: [", b"other: 1"], ids=["bytes", "syntax", "key"])
def test_a_damaged_configuration_is_named(
    make_config: MakeConfig, files: Files, tmp_path: Path, content: bytes
) -> None:
    run = recorded(make_config(), tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path} cannot be read: "):
        config_of(run, files)


# --- speeds


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """What was timed; the first network makes 100 images per second, the second 101, …"""
    calls: list[Config] = []

    def measure(config: Config) -> float:
        calls.append(config)
        return 99.0 + len(calls)

    monkeypatch.setattr(lookups, "inference_images_per_s", measure)
    return calls


def test_a_network_is_timed_once_and_remembered_beside_the_weights(
    make_config: MakeConfig, files: Files, tmp_path: Path, timed: list[Config]
) -> None:
    run = recorded(make_config(), tmp_path / "run")
    speeds = Speeds(files)
    assert [speeds(run), speeds(run), Speeds(files)(run)] == [100.0] * 3
    assert len(timed) == 1
    (name,) = json.loads((tmp_path / "cache" / SPEEDS).read_text())
    assert name == f"{machine()}: resnet_small {make_config().data.image_size} px"


def test_another_image_size_is_timed_for_itself(
    make_config: MakeConfig, files: Files, tmp_path: Path, timed: list[Config]
) -> None:
    runs = [recorded(make_config(data={"image_size": side}), tmp_path / f"{side}") for side in (32, 40)]
    assert [Speeds(files)(run) for run in runs] == [100.0, 101.0]
    assert len(json.loads((tmp_path / "cache" / SPEEDS).read_text())) == 2


def test_another_machine_s_speed_is_not_ours(
    make_config: MakeConfig, files: Files, tmp_path: Path, timed: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(make_config(), tmp_path / "run")
    assert Speeds(files)(run) == 100.0
    monkeypatch.setattr(lookups, "machine", lambda: "elsewhere")
    assert Speeds(files)(run) == 101.0


def test_a_run_without_its_configuration_has_no_speed(
    make_config: MakeConfig, files: Files, tmp_path: Path, timed: list[Config]
) -> None:
    run = recorded(make_config(), tmp_path / "run")
    (tmp_path / "run" / "config.yaml").unlink()
    assert math.isnan(Speeds(files)(run))
    assert timed == []


@pytest.mark.parametrize(
    ("visible", "place"), [(None, "node, H200, L4"), ("0", "node, H200, L4"), ("", "node, one thread")]
)
def test_a_machine_is_known_by_its_cards_if_they_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, place: str
) -> None:
    for number, model in enumerate(("H200", "H200", "L4")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text(f"Model: \t {model}\nIRQ: 7\n")
    monkeypatch.setattr(lookups, "NVIDIA", tmp_path)
    monkeypatch.setattr("platform.node", lambda: "node")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine() == place


def test_a_machine_without_cards_computes_on_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "NVIDIA", tmp_path / "none")
    monkeypatch.setattr("platform.node", lambda: "node")
    assert machine() == "node, one thread"


def test_the_speed_of_a_network_is_a_rate_and_leaves_the_threads_as_they_were(make_config: MakeConfig) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert 1 < inference_images_per_s(make_config()) < 1e6
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


# --- pictures


def picture_of(uri: str) -> Image.Image:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize(("mode", "size", "small"), [("RGB", (480, 240), (96, 48)), ("L", (20, 30), (20, 30))])
def test_a_thumbnail_is_small_and_keeps_its_proportions(
    mode: str, size: tuple[int, int], small: tuple[int, int]
) -> None:
    picture = picture_of(thumbnail(Image.new(mode, size, 200 if mode == "L" else (200, 10, 10))))
    assert (picture.mode, picture.size) == ("RGB", small)


@pytest.fixture
def photographs(make_config: MakeConfig, image_root: Path) -> Config:
    return make_config({"data": "image_folder"}, data={"root": str(image_root), "image_size": 32})


def test_a_picture_is_that_of_the_run_s_image(
    photographs: Config, image_root: Path, files: Files, tmp_path: Path
) -> None:
    run = recorded(photographs, tmp_path / "run", open_images(photographs).fingerprint)
    pictures = Pictures(files)
    for colour, name in enumerate(("red", "green", "blue")):
        pixel = picture_of(pictures(run, f"{name}/03.png")).resize((1, 1)).getpixel((0, 0))
        assert isinstance(pixel, tuple)
        assert pixel.index(max(pixel)) == colour


def test_of_images_that_have_changed_no_picture_is_shown(photographs: Config, files: Files, tmp_path: Path) -> None:
    run = recorded(photographs, tmp_path / "run", "of other images")
    assert Pictures(files)(run, "red/03.png") == ""


def test_where_images_are_elsewhere_no_picture_is_shown(photographs: Config, files: Files, tmp_path: Path) -> None:
    elsewhere = replace(photographs, data=replace(photographs.data, root=str(tmp_path / "gone")))
    assert Pictures(files)(recorded(elsewhere, tmp_path / "run"), "red/03.png") == ""
