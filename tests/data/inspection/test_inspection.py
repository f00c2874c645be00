"""What ``tl_sweep.data`` says and shows of a folder, before anything runs."""

from __future__ import annotations

import base64
import csv
import importlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from commands import Answer, answer_of
from PIL import Image

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import decode
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.inspection.page import Inspection
from tl_sweep.data.inspection.pictures import SHOWN_PX, as_seen
from tl_sweep.data.inspection.summary import lines_of, summarise
from tl_sweep.data.sources.registry import open_data
from tl_sweep.data.splits import split

command = importlib.import_module("tl_sweep.data.__main__").main
PREPROCESSING = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", image_px=SHOWN_PX)


@pytest.fixture(autouse=True)
def folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (120, 90)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Red and blue pictures, eight each, of different shades; a text among them."""
    for shade in range(8):
        save(tmp_path / "photos/red" / f"{shade}.png", (255 - 9 * shade, 0, 0))
        save(tmp_path / "photos/blue" / f"{shade}.png", (0, 0, 255 - 9 * shade), size=(60, 60))
    (tmp_path / "photos/red/notes.txt").write_text("which red")
    return tmp_path / "photos"


def opened(root: Path) -> tuple[ImageSet, DataConfig]:
    config = DataConfig(name="image_folder", root=str(root), subset_seed=0)
    return open_data(config, root.parent / "memory"), config


def asked(*words: str) -> Answer:
    return answer_of(command, *words, "weights.dir=weights", "cache.dir=cache")


def test_classes_parts_sizes_and_where_labels_came_from_are_said(root: Path) -> None:
    images, config = opened(root)
    lines = list(lines_of(summarise(images, split(images, config), "photos")))
    assert lines[:4] == [
        "photos: 16 images of 2 classes; labels from the names of folders",
        "classes: blue 8, red 8",
        "parts: 10 train, 2 validation, 4 test",
        "pictures: 60 x 60 to 120 x 90 px, in the middle 120 x 90; RGB",
    ]
    assert "1 file(s) left out: .txt is no image (red/notes.txt)" in lines


def test_a_contact_sheet_shows_what_the_network_sees(root: Path) -> None:
    images, config = opened(root)
    summary = summarise(images, split(images, config), None)
    blue, red = Inspection(images, summary, PREPROCESSING, num_workers=1).sheets()
    assert (blue.caption, red.caption) == ("blue: 8 images", "red: 8 images")
    drawn_HWC = np.asarray(Image.open(io.BytesIO(base64.b64decode(red.source.partition(",")[2]))))
    assert drawn_HWC.shape == (SHOWN_PX, 8 * SHOWN_PX, 3)
    red_C, green_C, blue_C = drawn_HWC.reshape(-1, 3).T.astype(int)
    assert red_C.min() > 180
    assert max(green_C.max(), blue_C.max()) < 20


def test_pictures_are_decoded_as_for_the_network(root: Path) -> None:
    images, _ = opened(root)
    side = PREPROCESSING.working_px
    expected_CWW = decode(images.open_image, ["of the network"], PREPROCESSING, 1)[0]
    start = (side - SHOWN_PX) // 2
    seen_WWC = as_seen(images, [0], PREPROCESSING, num_workers=1)[0]
    assert (seen_WWC == expected_CWW[:, start : start + SHOWN_PX, start : start + SHOWN_PX].transpose(1, 2, 0)).all()


def test_the_ends_are_named_by_their_files(root: Path) -> None:
    save(root / "red" / "black.png", (0, 0, 0))
    images, config = opened(root)
    inspection = Inspection(images, summarise(images, split(images, config), None), PREPROCESSING, num_workers=1)
    darkest, brightest, constant = inspection.extremes()
    assert (darkest.caption, darkest.names.split(", ")[0]) == ("darkest", "red/black.png")
    assert (brightest.caption, brightest.names.split(", ")[0]) == ("brightest", "red/0.png")
    assert constant.caption == "most constant"


def test_twins_of_each_kind_stand_side_by_side(root: Path) -> None:
    images, config = opened(root)
    twins = (*((0, place, "identical pixels") for place in range(1, 16)), (2, 3, "near-identical"))
    inspection = Inspection(
        replace(images, twin_pairs=twins), summarise(images, split(images, config), None), PREPROCESSING, num_workers=1
    )
    pairs = inspection.pairs()
    assert [pair.caption for pair in pairs] == ["identical pixels"] * 12 + ["near-identical"]
    assert pairs[-1].names == f"{images.ids[2]}, {images.ids[3]}"


def test_the_command_writes_a_page_and_the_names_of_what_was_left_out(root: Path, tmp_path: Path) -> None:
    answer = asked("data.root=photos", "model=resnet18")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("photos: 16 images of 2 classes; labels from the names of folders\n")
    assert f"page: {tmp_path / 'runs/data.html'}" in answer.out
    with (tmp_path / "runs/data.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["file", "left out because"], ["red/notes.txt", ".txt is no image"]]


def test_the_page_may_be_anywhere_and_each_data_set_has_its_own(root: Path, tmp_path: Path) -> None:
    answer = asked("data.root=photos", "data.image_size=32,64", "page=my looks/look.html")
    assert answer.code == 0
    assert {path.name for path in (tmp_path / "my looks").iterdir()} == {
        "look.html", "look.csv", "look-2.html", "look-2.csv",
    }  # fmt: skip
    assert "to 64 x 64 pixels" in (tmp_path / "my looks/look-2.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.root=nowhere"], "data.root: there is no folder nowhere."),
        (["data.root=photos", "page=look.pdf"], "page=look.pdf: the page is an .html file"),
        (["data.root=photos", "data.shots=40"], "data.shots=40: class 'blue' has"),
        (["data.rot=photos"], "data.rot: no such key; did you mean 'data.root'?"),
    ],
)
def test_what_a_sweep_would_refuse_ends_with_1(root: Path, tmp_path: Path, words: list[str], said: str) -> None:
    answer = asked(*words)
    assert answer.code == 1
    assert said in answer.err
    assert not (tmp_path / "runs/data.html").exists()


def test_a_plan_begins_with_what_was_understood(root: Path) -> None:
    from tl_sweep import plan

    words = ("model=resnet_small", "model.weights=null", "freeze=scratch", "data.root=photos", "data.image_size=32")
    answer = answer_of(plan.main, *words, "weights.dir=weights", "cache.dir=cache")
    assert answer.code == 0
    assert answer.out.splitlines()[0] == "data: photos: 16 images of 2 classes; labels from the names of folders"


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    for name in ("<script>alert(1)</script>".replace("/", "∕"), "b"):
        for shade in range(5):
            save(tmp_path / "photos" / name / f"{shade}.png", (shade, 9 * len(name), 0))
    assert asked("data.root=photos").code == 0
    page = (tmp_path / "runs/data.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_browser_asks_for_nothing_else(root: Path, tmp_path: Path, browser: Browser) -> None:
    assert asked("data.root=photos").code == 0
    page = tmp_path / "runs/data.html"
    browser.log("performance")
    browser.open(page)
    asked_for = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    addresses = {m["params"]["request"]["url"] for m in asked_for if m["method"] == "Network.requestWillBeSent"}
    assert {address for address in addresses if not address.startswith("data:")} == {page.as_uri()}
    assert browser.log("browser") == []
    assert browser.run("return [...document.images].every(image => image.naturalWidth > 0)")
