"""The package as somebody else gets it: built, unpacked, and run where there is no checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tl_sweep.tracking.record import folders_in

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked: all that an installer does with pure Python, scripts apart."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("tl_sweep-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Without ``site`` (-S) no .pth file is read, so that the checkout cannot be imported."""
    libraries = sysconfig.get_paths()["purelib"]
    environment = {"PYTHONPATH": f"{installed}:{libraries}", "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    words = (sys.executable, "-S", *words)
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_everything_is_imported_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = (
        "import hydra_plugins.tl_sweep_grid as plugin, tl_sweep.config.loading as loading; "
        "print(plugin.__file__, loading.__file__, loading.conf_dir(), sep='\\n')"
    )
    answer = python(installed, tmp_path, "-c", code)
    assert answer.stdout.splitlines() == [
        str(installed / "hydra_plugins" / "tl_sweep_grid" / "__init__.py"),
        str(installed / "tl_sweep" / "config" / "loading.py"),
        str(installed / "tl_sweep" / "conf"),
    ]


def test_every_option_and_data_file_is_shipped(installed: Path) -> None:
    def below(folder: Path) -> set[str]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(folder).as_posix() for path in files}

    assert below(installed / "tl_sweep" / "conf") == below(ROOT / "conf")
    shipped = {name for name in below(installed / "tl_sweep") if not name.startswith("conf/")}
    assert shipped == below(ROOT / "tl_sweep")


def test_the_script_is_declared(installed: Path) -> None:
    (entry_points,) = installed.glob("tl_sweep-*.dist-info/entry_points.txt")
    assert "tl-sweep = tl_sweep.train:main" in entry_points.read_text()


def test_the_configuration_is_shown_anywhere(installed: Path, tmp_path: Path) -> None:
    answer = python(installed, tmp_path, "-m", "tl_sweep.train", "--cfg", "job", "freeze=all")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "freeze:\n  name: all\n" in answer.stdout


def test_a_sweep_on_the_shipped_weights_runs_anywhere(installed: Path, tmp_path: Path) -> None:
    words = ["freeze=all,scratch", "epochs=1", "data.shots=2", "threads=1", "tracking.uri=null"]
    answer = python(installed, tmp_path, "-m", "tl_sweep.train", "-m", *words)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "2 of 2 jobs finished" in answer.stdout
    assert len(folders_in(tmp_path / "runs")) == 2
    assert (tmp_path / "runs" / "report.html").exists()
