"""Public data sets, through torchvision's own download, layout and checksums."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock
from PIL import Image

from tl_sweep.base.errors import UserError
from tl_sweep.base.paths import expanded
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import listing
from tl_sweep.data.file_records import HASH_BYTES, FileRecord, content_hash, scan
from tl_sweep.data.files import LabelledFiles, found_files
from tl_sweep.data.imageset import Found, found_arrays
from tl_sweep.data.sources.contract import DataSource

CONNECT_TIMEOUT_S = 20
HASH_CHUNK = 1024


@dataclass(frozen=True)
class TorchvisionSet(DataSource[DataConfig]):
    """A torchvision data set. dataset: class in torchvision.datasets. splits: our name to the argument it takes.

    archives: what a person without a network puts under the root. count: images in the whole set.
    """

    downloads: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"root", "group"})

    name: str
    dataset: str
    splits: dict[str, dict[str, Any]]
    archives: tuple[str, ...]
    count: int
    read: Callable[[dict[str, Any], Path], Found]

    def find(self, config: DataConfig, data_dir: Path) -> Found:
        """Downloads what is missing into ``data.root`` (default ``data_dir``), then opens it.

        Raises:
            UserError: a failed download, or fewer images than the set has (a download cut short).
        """
        root = expanded(config.root) if config.root else data_dir
        found = self.read(_fetch(self, root), data_dir)
        if len(found.ids) != self.count:
            remedy = f"delete its folder in {root} and run again"
            raise UserError(f"data={self.name}: {len(found.ids)} of {self.count} images in {root}: {remedy}")
        return found


def _fetch(source: TorchvisionSet, root: Path) -> dict[str, Any]:
    """The torchvision data set of each split; one process downloads, others wait."""
    from torchvision import datasets

    dataset = getattr(datasets, source.dataset)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{source.name}.lock"), _careful_download():
            return {split: dataset(root, download=True, **given) for split, given in source.splits.items()}
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        where = listing([str(root / archive) for archive in source.archives])
        remedy = f"with a network run again, or put the files at {where}"
        raise UserError(f"data={source.name}: could not be downloaded ({error}); {remedy}") from error


@contextlib.contextmanager
def _careful_download() -> Iterator[None]:
    """A dead network answers soon, and torchvision's bar stays out of log files."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_TIMEOUT_S)
    quiet = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
    try:
        with quiet:
            yield
    finally:
        socket.setdefaulttimeout(before)


def _labels_and_splits(labels: dict[str, Sequence[int]]) -> tuple[list[int], list[str]]:
    splits = [split for split, values in labels.items() for _ in values]
    return list(itertools.chain.from_iterable(labels.values())), splits


def read_arrays(parts: dict[str, Any], data_dir: Path) -> Found:
    """CIFAR: all pixels in memory."""
    labels, splits = _labels_and_splits({split: part.targets for split, part in parts.items()})
    ids = [f"{split}/{index:05d}" for split, part in parts.items() for index in range(len(part.targets))]
    first = next(iter(parts.values()))
    return found_arrays(np.concatenate([part.data for part in parts.values()]), ids, labels, splits, first.classes)


def read_files(parts: dict[str, Any], data_dir: Path, paths: str, labels: str) -> Found:
    """Sets that keep a list of paths and a list of labels, under these attributes."""
    all_paths = [Path(path) for part in parts.values() for path in getattr(part, paths)]
    all_labels, splits = _labels_and_splits({split: getattr(part, labels) for split, part in parts.items()})
    first = next(iter(parts.values()))
    root = Path(first.root)
    ids = [path.relative_to(root).as_posix() for path in all_paths]
    return found_files(LabelledFiles(all_paths, ids, all_labels, splits, first.classes), data_dir)


def read_image_folder(parts: dict[str, Any], data_dir: Path) -> Found:
    """EuroSAT: one folder per class, no split of its own."""
    folder = parts[""]
    paths = [Path(path) for path, _ in folder.samples]
    ids = [path.relative_to(folder.root).as_posix() for path in paths]
    return found_files(LabelledFiles(paths, ids, folder.targets, [""] * len(paths), folder.classes), data_dir)


def read_pcam(parts: dict[str, Any], data_dir: Path) -> Found:
    """PCAM: pixels stay in the HDF5 files, and are read one image at a time."""
    files = {split: part._base_folder / part._FILES[part._split]["images"][0] for split, part in parts.items()}
    targets = {split: part._base_folder / part._FILES[part._split]["targets"][0] for split, part in parts.items()}
    labels, splits = _labels_and_splits({split: _hdf5(path)["y"][:, 0, 0, 0] for split, path in targets.items()})
    places = [(split, index) for split, path in files.items() for index in range(len(_hdf5(path)["x"]))]
    records = scan(list(files.values()), data_dir, examine=_examine_hdf5)
    return Found(
        class_names=("normal", "tumor"),
        ids=tuple(f"{split}/{index:06d}" for split, index in places),
        labels_N=np.asarray(labels, dtype=np.int64),
        splits_N=np.asarray(splits),
        hashes_N=np.frombuffer(b"".join(record.hash for record in records), dtype=np.uint8).reshape(-1, HASH_BYTES),
        open_image=lambda index: Image.fromarray(_hdf5(files[places[index][0]])["x"][places[index][1]]),
    )


@lru_cache
def _hdf5(path: Path) -> Any:
    import h5py

    return h5py.File(path)


def _examine_hdf5(path: Path) -> FileRecord:
    images_NHWC = _hdf5(path)["x"]
    chunks = (images_NHWC[start : start + HASH_CHUNK] for start in range(0, len(images_NHWC), HASH_CHUNK))
    return FileRecord(b"".join(content_hash(image.tobytes()) for chunk in chunks for image in chunk))


TRAIN_TEST_FLAG = {"train": {"train": True}, "test": {"train": False}}
TRAIN_TEST = {"train": {"split": "train"}, "test": {"split": "test"}}
TRAIN_VAL_TEST = {**TRAIN_TEST, "val": {"split": "val"}}
PCAM_FILES = tuple(
    f"pcam/camelyonpatch_level_2_split_{split}_{part}.h5" for split in ("train", "valid", "test") for part in "xy"
)

CIFAR10 = TorchvisionSet("cifar10", "CIFAR10", TRAIN_TEST_FLAG, ("cifar-10-python.tar.gz",), 60_000, read_arrays)
CIFAR100 = TorchvisionSet("cifar100", "CIFAR100", TRAIN_TEST_FLAG, ("cifar-100-python.tar.gz",), 60_000, read_arrays)
FLOWERS102 = TorchvisionSet(
    "flowers102",
    "Flowers102",
    TRAIN_VAL_TEST,
    ("flowers-102/102flowers.tgz", "flowers-102/imagelabels.mat", "flowers-102/setid.mat"),
    8_189,
    partial(read_files, paths="_image_files", labels="_labels"),
)
OXFORD_PETS = TorchvisionSet(
    "oxford_pets",
    "OxfordIIITPet",
    {"train": {"split": "trainval"}, "test": {"split": "test"}},
    ("oxford-iiit-pet/images.tar.gz", "oxford-iiit-pet/annotations.tar.gz"),
    7_349,
    partial(read_files, paths="_images", labels="_labels"),
)
EUROSAT = TorchvisionSet("eurosat", "EuroSAT", {"": {}}, ("eurosat/EuroSAT.zip",), 27_000, read_image_folder)
PCAM = TorchvisionSet("pcam", "PCAM", TRAIN_VAL_TEST, PCAM_FILES, 327_680, read_pcam)
FOOD101 = TorchvisionSet(
    "food101",
    "Food101",
    TRAIN_TEST,
    ("food-101.tar.gz",),
    101_000,
    partial(read_files, paths="_image_files", labels="_labels"),
)
