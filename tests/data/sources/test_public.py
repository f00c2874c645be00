"""Public sets on tiny copies in torchvision's own layout: what is read, what is kept, what a failed download says."""

import hashlib
import json
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from data_source_contract import DataSourceContract
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from tl_sweep.base.errors import UserError
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.sources.registry import SOURCES, open_data
from tl_sweep.data.splits import split

RNG = np.random.default_rng(0)
PREPROCESSING = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", image_px=28)


Expect = Callable[[str, int], None]


@pytest.fixture
def expect() -> Iterator[Expect]:
    """Tells the source how many images the tiny copy has."""
    expected = set()

    def tell(name: str, count: int) -> None:
        SOURCES.register(name, replace(cast(Any, SOURCES[name]), count=count))
        expected.add(name)

    yield tell
    for name in expected:
        SOURCES.unregister(name)


def opened(name: str, root: Path) -> ImageSet:
    return open_data(DataConfig(name=name), root)


def noise(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)


def make_cifar(root: Path, dataset: type[datasets.CIFAR10], monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Ten images in each batch file; returns the pixels of the first, (3, 32, 32)."""
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    label_key = "labels" if dataset is datasets.CIFAR10 else "fine_labels"
    pixels = RNG.integers(0, 256, (len(dataset.train_list) + 1, 10, 3072), dtype=np.uint8)
    for batch, (name, _) in zip(pixels, dataset.train_list + dataset.test_list, strict=True):
        (folder / name).write_bytes(pickle.dumps({"data": batch, label_key: [0, 1] * 5}))
    meta = pickle.dumps({dataset.meta["key"]: ["plane", "car"]})
    (folder / dataset.meta["filename"]).write_bytes(meta)
    monkeypatch.setattr(dataset, "_check_integrity", lambda self: True)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": hashlib.md5(meta).hexdigest()})
    return pixels[0, 0].reshape(3, 32, 32)


@pytest.mark.parametrize(
    ("name", "dataset", "count"), [("cifar10", datasets.CIFAR10, 60), ("cifar100", datasets.CIFAR100, 20)]
)
def test_cifar(
    name: str,
    dataset: type[datasets.CIFAR10],
    count: int,
    tmp_path: Path,
    expect: Expect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = make_cifar(tmp_path, dataset, monkeypatch)
    expect(name, count)
    images = opened(name, tmp_path)
    assert images.class_names == ("plane", "car")
    assert (images.own_split_N == "test").sum() == 10
    assert images.ids[0] == "train/00000"
    assert (images.decode(np.array([0]), PREPROCESSING, num_workers=1)[0].numpy() == first).all()


def make_flowers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "flowers-102"
    for number in range(1, 13):
        noise(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.arange(12) % 2 + 1})
    savemat(folder / "setid.mat", {"trnid": np.arange(1, 5), "valid": np.arange(5, 9), "tstid": np.arange(9, 13)})
    monkeypatch.setattr(datasets.Flowers102, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.Flowers102, "classes", ["pink primrose", "hard-leaved pocket orchid"])


def make_pets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    names = [("pug_1", 2), ("pug_2", 2), ("Birman_1", 1), ("Birman_2", 1)]
    for split_name in ("trainval", "test"):
        rows = [(f"{name}{split_name}", label) for name, label in names]
        text = "".join(f"{name} {label} 1 1\n" for name, label in rows)
        (folder / "annotations" / f"{split_name}.txt").write_text(text)
        for name, _ in rows:
            noise(folder / "images" / f"{name}.jpg")


def make_food(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split_name in ("train", "test"):
        listed = {dish: [f"{dish}/{split_name}{n}" for n in range(3)] for dish in ("pizza", "sushi")}
        meta = root / "food-101" / "meta" / f"{split_name}.json"
        meta.parent.mkdir(parents=True, exist_ok=True)
        meta.write_text(json.dumps(listed))
        for name in (name for names in listed.values() for name in names):
            noise(root / "food-101" / "images" / f"{name}.jpg")


def make_eurosat(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        noise(root / "eurosat" / "2750" / ("Forest", "River")[number % 2] / f"{number}.jpg")


@pytest.mark.parametrize(
    ("name", "make", "counts", "class_names"),
    [
        ("flowers102", make_flowers, {"train": 4, "val": 4, "test": 4}, ("pink primrose", "hard-leaved pocket orchid")),
        ("oxford_pets", make_pets, {"train": 4, "test": 4}, ("Birman", "Pug")),
        ("food101", make_food, {"train": 6, "test": 6}, ("pizza", "sushi")),
        ("eurosat", make_eurosat, {"": 12}, ("Forest", "River")),
    ],
)
def test_sets_of_files(
    name: str,
    make: Callable[..., Any],
    counts: dict[str, int],
    class_names: tuple[str, ...],
    tmp_path: Path,
    expect: Expect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path, monkeypatch)
    expect(name, sum(counts.values()))
    images = opened(name, tmp_path)
    assert {own: int((images.own_split_N == own).sum()) for own in counts} == counts
    assert images.class_names == class_names
    assert images.decode(np.arange(len(images)), PREPROCESSING, 2).shape == (sum(counts.values()), 3, 32, 32)
    parts = split(images, DataConfig(name=name, subset_seed=0))
    if "test" in counts:
        assert set(images.own_split_N[parts.test]) == {"test"}


TINY: dict[str, tuple[Callable[..., Any], int]] = {  # without PCAM, which needs h5py
    "cifar10": (partial(make_cifar, dataset=datasets.CIFAR10), 60),
    "cifar100": (partial(make_cifar, dataset=datasets.CIFAR100), 20),
    "flowers102": (make_flowers, 12),
    "oxford_pets": (make_pets, 8),
    "food101": (make_food, 12),
    "eurosat": (make_eurosat, 12),
}


class TestContract(DataSourceContract):
    @pytest.fixture(params=TINY)
    def config(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        expect: Callable[[str, int], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> DataConfig:
        make, count = TINY[request.param]
        make(tmp_path / "data", monkeypatch=monkeypatch)
        expect(request.param, count)
        return DataConfig(name=request.param, root=str(tmp_path / "data"))

    @pytest.fixture
    def impossible(self, config: DataConfig, expect: Callable[[str, int], None]) -> DataConfig:
        expect(config.name, 1_000_000)
        return config


def test_root_may_be_elsewhere(tmp_path: Path, expect: Expect, monkeypatch: pytest.MonkeyPatch) -> None:
    make_eurosat(tmp_path / "disk", monkeypatch)
    expect("eurosat", 12)
    images = open_data(DataConfig(name="eurosat", root=str(tmp_path / "disk")), tmp_path / "memory")
    assert len(images) == 12
    assert not (tmp_path / "memory" / "eurosat").exists()


def test_a_download_cut_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_eurosat(tmp_path, monkeypatch)
    with pytest.raises(UserError, match=f"data=eurosat: 12 of 27000 images in {tmp_path}: delete its folder"):
        opened("eurosat", tmp_path)


@pytest.fixture
def food_archive(tmp_path: Path, server: str, expect: Expect, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny food-101.tar.gz that torchvision downloads from the local server, with its right hash."""
    make_food(tmp_path / "made", monkeypatch)
    archive = shutil.make_archive(str(tmp_path / "site" / "food-101"), "gztar", tmp_path / "made", "food-101")
    monkeypatch.setattr(datasets.Food101, "_URL", f"{server}/food-101.tar.gz")
    monkeypatch.setattr(datasets.Food101, "_MD5", hashlib.md5(Path(archive).read_bytes()).hexdigest())
    expect("food101", 12)
    return Path(archive)


def test_a_download(food_archive: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(opened("food101", tmp_path / "data")) == 12
    assert "%" not in capfd.readouterr().err  # no bar where the output is no terminal
    food_archive.unlink()
    assert len(opened("food101", tmp_path / "data")) == 12


def test_a_download_with_a_wrong_hash(food_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.Food101, "_MD5", "0" * 32)
    with pytest.raises(UserError, match=r"data=food101: could not be downloaded \(File not found or corrupted"):
        opened("food101", tmp_path / "data")


def test_a_download_that_fails_says_where_to_put_the_files(food_archive: Path, tmp_path: Path) -> None:
    food_archive.unlink()
    with pytest.raises(UserError) as error:
        opened("food101", tmp_path / "data")
    assert "could not be downloaded (HTTP Error 404" in str(error.value)
    assert f"put the files at {tmp_path / 'data' / 'food-101.tar.gz'}" in str(error.value)
    error.value.__cause__.close()  # urllib's HTTPError is an answer, still open


def test_an_archive_put_there_by_hand_needs_no_network(
    food_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.Food101, "_URL", "http://127.0.0.1:1/food-101.tar.gz")
    (tmp_path / "data").mkdir()
    shutil.move(food_archive, tmp_path / "data" / "food-101.tar.gz")
    assert len(opened("food101", tmp_path / "data")) == 12


def test_pcam_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"data=pcam: could not be downloaded .*h5py"):
        opened("pcam", tmp_path)


def test_pcam(tmp_path: Path, expect: Expect) -> None:
    h5py = pytest.importorskip("h5py", reason="PCAM needs h5py")
    folder = tmp_path / "pcam"
    folder.mkdir()
    pixels = RNG.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    for part in ("train", "valid", "test"):
        part_pixels = RNG.permuted(pixels, axis=1)
        with h5py.File(folder / f"camelyonpatch_level_2_split_{part}_x.h5", "w") as file:
            file["x"] = part_pixels
        with h5py.File(folder / f"camelyonpatch_level_2_split_{part}_y.h5", "w") as file:
            file["y"] = np.array([0, 1] * 3).reshape(6, 1, 1, 1)
    expect("pcam", 18)
    images = opened("pcam", tmp_path)
    assert images.class_names == ("normal", "tumor")
    assert sorted(set(images.own_split_N)) == ["test", "train", "val"]
    last = images.ids.index("val/000005")
    with h5py.File(folder / "camelyonpatch_level_2_split_valid_x.h5") as file:
        expected = file["x"][5].transpose(2, 0, 1)
    assert (images.decode(np.array([last]), PREPROCESSING, num_workers=2)[0].numpy() == expected).all()
    assert opened("pcam", tmp_path).fingerprint == images.fingerprint
