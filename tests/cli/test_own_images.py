"""The README's recipe for one's own images, typed into a shell in some other folder, from training to the export."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

README = Path(__file__).parents[2] / "README.md"
PHOTOS = "My Photos (Zürich) [2024], 1 & 2"
SMALL = {  # values of the recipe's keys that take seconds, not hours
    "data.image_size": "32",
    "model": "resnet_small",
    "freeze": "scratch,all",
    "optim.lr_scale": "1",
    "epochs": "1",
}


def lines_of_readme(beginning: str) -> str:
    """A command as the README has it, without its comment; its lines joined."""
    lines = README.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    (line,) = (line for line in lines if line.strip().startswith(beginning))
    return line.partition(" #")[0].strip()


def typed(words: list[str]) -> str:
    """Words as one types them: the path between double quotes, everything else bare."""
    return " ".join(f'data.root="../{PHOTOS}"' if word.startswith("data.root=") else word for word in words)


def smaller(word: str) -> str:
    key = word.partition("=")[0]
    return f"{key}={SMALL[key]}" if key in SMALL else word


def in_shell(line: str, folder: Path) -> str:
    """What is printed.

    Raises:
        AssertionError: it failed.
    """
    settings = {"HOME": str(folder), "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    python = f"{shlex.quote(sys.executable)} -m tl_sweep."
    answer = subprocess.run(
        ["sh", "-c", line.replace("python -m tl_sweep.", python)],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    assert "Traceback" not in answer.stderr
    return answer.stdout


@pytest.mark.slow
def test_the_recipe_for_one_s_own_images(tmp_path: Path, image_root: Path) -> None:
    shutil.copytree(image_root, tmp_path / PHOTOS)
    here = tmp_path / "elsewhere"
    here.mkdir()
    words = [smaller(word) for word in shlex.split(lines_of_readme("python -m tl_sweep.train -m data=image_folder"))]
    assert {word.partition("=")[0] for word in words} >= {"data.root", *SMALL}

    trained = in_shell(typed(words), here)
    assert "2 of 2 jobs finished" in trained
    assert len(list(here.glob("runs/*/checkpoint.safetensors"))) == 2

    predicted = lines_of_readme("python -m tl_sweep.predict run=best")
    in_shell(predicted.replace("photo.jpg folder/", f'"../{PHOTOS}"'), here)
    classes = pd.read_csv(here / "classes.csv")
    assert len(classes) == sum(path.is_file() for path in image_root.rglob("*.*"))
    assert set(classes["class"]) <= {path.name for path in image_root.iterdir()}

    in_shell(lines_of_readme("python -m tl_sweep.export run=best"), here)
    assert re.search("safetensors|pth", " ".join(path.name for path in (here / "exported").iterdir()))

    assert "2 of 2 jobs finished (2 of them before)" in in_shell(typed(words), here)  # typed once more: nothing to do
