"""Folders with links, pipes and parts that may not be read: no image twice, none missing without a word."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.sources.image_folder import IMAGE_FOLDER

SIX = [f"{name}/{number}.png" for name in ("blue", "red") for number in range(3)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images in each of two classes."""
    folder = tmp_path / "photos"
    for name in ("red", "blue"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            picture = Image.new("RGB", (8, 8), name)
            picture.putpixel((0, 0), (number, 1, 2))
            picture.save(folder / name / f"{number}.png")
    return folder


def found_in(root: Path) -> list[str]:
    config = DataConfig(name="image_folder", root=str(root))
    return list(IMAGE_FOLDER.find(config, root.parent / "kept").ids)


def end_of_what_waits_for(pipe: Path) -> None:
    """Whoever reads the pipe is told that nothing comes."""
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


@pytest.mark.parametrize("target", [".", "..", "../blue"], ids=["itself", "parent", "another class"])
def test_a_link_to_a_folder_that_is_read_anyway_adds_no_image(root: Path, target: str) -> None:
    (root / "red" / "loop").symlink_to(target)
    assert found_in(root) == SIX


def test_a_link_to_a_folder_elsewhere_is_followed_once(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (8, 8), "green").save(elsewhere / "x.png")
    for name in ("first", "second"):
        (root / "red" / name).symlink_to(elsewhere)
    assert found_in(root) == [*SIX, "red/first/x.png"]


def test_a_pipe_is_no_image(root: Path) -> None:
    pipe = root / "red" / "x.png"
    os.mkfifo(pipe)
    end = threading.Timer(5, end_of_what_waits_for, [pipe])  # so that who reads it fails, and does not wait for ever
    end.start()
    try:
        assert found_in(root) == SIX
    finally:
        end.cancel()


def test_a_folder_that_may_not_be_read_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "red" / "more").mkdir()
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "more":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"the folder .*/red/more cannot be read: Permission denied"):
        found_in(root)
