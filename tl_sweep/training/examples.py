"""The images of one split, decoded, and the views of them that a model sees."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tl_sweep.array_store.entry import Table
from tl_sweep.array_store.segments import StoreFull
from tl_sweep.array_store.store import RowStore
from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.views import ViewPlan, normalise

log = logging.getLogger(__name__)

DECODED_AT_ONCE = 256  # bounds memory: 50 MB of images with sides of 256 px
GPU_SHARE = 0.5  # of a GPU's free memory that a split may fill: the network's own share is not known yet
MEMORY_SHARE = 0.25  # of the machine's: train, validation and test then leave a quarter
DTYPES = {"|u1": torch.uint8, "<f4": torch.float32}


class DecodedImages:
    """The decoded images of one split, uint8 (N, 3, W, W), decoded once: when somebody first asks for one.

    They lie in the row store, read from disk as they are needed. Without a store, or room in it, they are kept in
    memory, or decoded anew each time where a split would fill more than a quarter of it. On a GPU they lie as a whole
    if they fit into half of what is free there.
    """

    def __init__(
        self,
        images: ImageSet,
        indices_N: np.ndarray,
        preprocessing: Preprocessing,
        num_workers: int,
        store: RowStore | None,
        device: torch.device,
    ) -> None:
        self.images, self.indices_N, self.preprocessing = images, indices_N, preprocessing
        self.num_workers, self.store, self.device = num_workers, store, device

    def take(self, places_B: np.ndarray) -> Tensor:
        """uint8 (B, 3, W, W) on the device.

        Raises:
            UserError: files that became unreadable, by name.
        """
        match self._source:
            case Table() as table:
                return read_rows(table, places_B).to(self.device)
            case Tensor() as images_NCWW:
                return images_NCWW[torch.as_tensor(places_B, device=images_NCWW.device)].to(self.device)
            case _:
                return self.images.decode(self.indices_N[places_B], self.preprocessing, self.num_workers).to(
                    self.device
                )

    @cached_property
    def _source(self) -> Table | Tensor | None:
        """Where the images are taken from: the store, or one tensor of all; None: decoded anew each time."""
        table, everything = self._table(), np.arange(len(self.indices_N))
        wanted_bytes = len(everything) * 3 * self.preprocessing.working_px**2
        if self.device.type == "cuda" and wanted_bytes < GPU_SHARE * torch.cuda.mem_get_info(self.device)[0]:
            images_NCWW = self._decoded() if table is None else read_rows(table, everything)
            return images_NCWW.to(self.device)
        if table is not None or wanted_bytes > MEMORY_SHARE * memory_bytes():
            return table
        return self._decoded()

    def _table(self) -> Table | None:
        if self.store is None:
            return None
        keys_N16 = self.images.hashes_N[self.indices_N]
        try:
            entry = self.store.entry(describe_decoding(self.preprocessing, self.images.terms))
            entry.ensure(keys_N16, self._decode)
        except StoreFull as full:
            log.warning("cache: %s; decoded images are not kept on disk", full)
            return None
        return entry.table(keys_N16)

    def _decoded(self) -> Tensor:
        side_px = self.preprocessing.working_px
        images_NCWW = torch.empty((len(self.indices_N), 3, side_px, side_px), dtype=torch.uint8)
        first = 0
        for chunk in self._decode(np.arange(len(self.indices_N))):
            images_NCWW[first : first + len(chunk)] = torch.from_numpy(chunk)
            first += len(chunk)
        return images_NCWW

    def _decode(self, places_M: np.ndarray) -> Iterator[np.ndarray]:
        for first in range(0, len(places_M), DECODED_AT_ONCE):
            indices = self.indices_N[places_M[first : first + DECODED_AT_ONCE]]
            yield self.images.decode(indices, self.preprocessing, self.num_workers).numpy()


def memory_bytes() -> int:
    """Of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def describe_decoding(preprocessing: Preprocessing, terms: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that a decoded image depends on besides its file. terms: how files are read (``ImageSet.terms``)."""
    fit = {} if preprocessing.fit == "crop" else {"fit": preprocessing.fit}
    bars = {"mean": preprocessing.mean} if preprocessing.fit == "pad" else {}
    return {
        "rows": "decoded images",
        "format": 1,
        "working_px": preprocessing.working_px,
        "interpolation": preprocessing.interpolation,
        **fit,
        **bars,
        **({"reading": dict(terms)} if terms else {}),
        "versions": {"pillow": version("pillow")},
    }


def read_rows(table: Table, places_B: np.ndarray) -> Tensor:
    """Rows of a table as a tensor (B, *shape) on the CPU, in memory of its own."""
    rows = torch.empty((len(places_B), *table.shape), dtype=DTYPES[table.dtype.str])
    table.read(places_B, rows.numpy())
    return rows


@dataclass(frozen=True, eq=False)
class Examples:
    """Images of a split at the working resolution, with labels.

    labels_N: int64, on the device. hashes_N: (N, 16) uint8, content hash of each image.
    """

    decoded: DecodedImages
    labels_N: Tensor
    hashes_N: np.ndarray
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    views: ViewPlan

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def images(self) -> ImageSet:
        """All of which these are a part."""
        return self.decoded.images

    @property
    def device(self) -> torch.device:
        return self.labels_N.device

    def labels(self, indices_B: np.ndarray) -> Tensor:
        return self.labels_N[torch.as_tensor(indices_B, device=self.device)]

    def inputs(self, indices_B: np.ndarray, epoch: int | None) -> Tensor:
        """Normalised float32 (B, C, image_px, image_px), channels-last; ``epoch=None``: the clean centre crop."""
        images_BCWW = self.decoded.take(indices_B)
        images_BCHW = self.views.images(images_BCWW, self.hashes_N[indices_B], epoch, self.preprocessing.image_px)
        return normalise(images_BCHW, self.preprocessing).contiguous(memory_format=torch.channels_last)
