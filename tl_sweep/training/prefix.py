"""The frozen leading stages: computed once per (image, view), kept on disk, shared by every run that agrees on them.

Their output is a pure function of their own tensors, the preprocessing, the image and the view. It is always computed
in zero-padded chunks of one size, kept or not, so that no image's neighbours move a bit of it and a run's numbers are
the same either way. N images, B images of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tl_sweep.array_store.entry import Entry, Table
from tl_sweep.array_store.segments import KEY_BYTES, StoreFull
from tl_sweep.array_store.store import RowStore
from tl_sweep.data import views
from tl_sweep.models.stages import StagedModel
from tl_sweep.training.device import Compute
from tl_sweep.training.examples import Examples, describe_decoding, read_rows
from tl_sweep.training.freeze import fingerprint

log = logging.getLogger(__name__)

FORMAT = 1  # raise it when anything below changes a row
# Images per forward pass of a prefix. Any size, as long as it is fixed: it is part of a row's identity.
CHUNK = {"cpu": 32, "cuda": 256, "mps": 32}


@dataclass
class Usage:
    """What a run had from the cache; counted in rows (one view of one image each)."""

    hit: int = 0
    missed: int = 0
    written_bytes: float = 0.0
    saved_s: float = 0.0
    decisions: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Prefix:
    """The first ``depth`` stages of a model, frozen. Without a store their outputs are computed anew each time."""

    model: StagedModel
    depth: int
    compute: Compute
    store: RowStore | None = None
    usage: Usage = field(default_factory=Usage)
    full: bool = False  # nothing more can be kept; what is there is still read
    _tables: dict[tuple[int, int | None], tuple[Table, float]] = field(default_factory=dict, repr=False)

    def outputs(self, examples: Examples, batches: Sequence[np.ndarray], epoch: int | None) -> Iterator[Tensor]:
        """What stage ``depth`` reads, a float32 tensor per batch, on the device; the images themselves at depth 0."""
        if not self.depth:
            yield from (examples.inputs(indices_B, epoch) for indices_B in batches)
            return
        table = None if self.store is None else self._kept(self.store, examples, epoch)
        if table is None:
            rows = self._compute(examples, np.concatenate(batches), epoch)
            yield from (_unpack(chunk.to(examples.device)) for chunk in _recut(rows, [len(b) for b in batches]))
            return
        for indices_B in batches:
            yield _unpack(read_rows(table, indices_B).to(examples.device))

    def _kept(self, store: RowStore, examples: Examples, epoch: int | None) -> Table | None:
        """The rows of every image of ``examples`` in this view, those that are missing computed; None: no room."""
        view = examples.views.view(epoch)
        if (id(examples), view) in self._tables:
            table, row_s = self._tables[id(examples), view]
            self._count_hits(len(examples), row_s)
            return table
        keys_N16 = row_keys(examples.hashes_N, view)

        def compute(places_M: np.ndarray) -> Iterator[np.ndarray]:
            self.model.load(0, self.depth)
            examples.decoded.take(places_M[:1])  # decoding all is not what a row costs
            return (rows.cpu().numpy() for rows in self._compute(examples, places_M, epoch))

        try:
            entry = self.entry(store, examples, view)
            if self.full and len(entry.missing(keys_N16)):
                return None
            missed = entry.ensure(keys_N16, compute)
        except StoreFull as reason:
            self.usage.decisions.append(f"streamed from here on: {reason}")
            log.warning("cache: %s; computing the frozen stages anew each time instead", reason)
            self.full = True
            return None
        self.usage.missed += missed
        self.usage.written_bytes += missed * (entry.contents.bytes / entry.contents.rows)
        self._count_hits(len(keys_N16) - missed, entry.row_seconds)
        table = entry.table(keys_N16)
        self._tables[id(examples), view] = table, entry.row_seconds
        return table

    def _count_hits(self, rows: int, row_s: float) -> None:
        self.usage.hit += rows
        self.usage.saved_s += rows * row_s

    def entry(self, store: RowStore, examples: Examples, view: int | None) -> Entry:
        """Where the rows of this view are kept. The stages are frozen, so that their digest is taken once."""
        return store.entry(describe_rows(self._network, self.compute, examples, clean=view is None))

    @cached_property
    def _network(self) -> dict[str, Any]:
        tensors = {name: tensor for stage in range(self.depth) for name, tensor in self.model.tensors_of(stage).items()}
        return {
            "network": self.model.recipe.constructor,
            "stages": [stage.name for stage in self.model.stages[: self.depth]],
            "tensors": fingerprint(tensors),
            "versions": {package: version(package) for package in (*self.model.recipe.packages, "pillow")},
        }

    @torch.no_grad()
    def _compute(self, examples: Examples, places_M: np.ndarray, epoch: int | None) -> Iterator[Tensor]:
        """Packed rows, chunk by chunk, in the order of ``places_M``."""
        self.model.load(0, self.depth)
        for stage in range(self.depth):
            for module in self.model.stage_modules(stage):
                module.eval()
        size = CHUNK[self.compute.device.type]
        for first in range(0, len(places_M), size):
            chunk = places_M[first : first + size]
            images_BCHW = examples.inputs(chunk, epoch)
            if len(chunk) < size:
                padding = images_BCHW.new_zeros(size - len(chunk), *images_BCHW.shape[1:])
                images_BCHW = torch.cat([images_BCHW, padding]).contiguous(memory_format=torch.channels_last)
            with self.compute.autocast():
                z = self.model.run(images_BCHW, 0, self.depth)
            yield _pack(z.float())[: len(chunk)]

    def seconds_per_image(self, examples: Examples) -> tuple[float, int]:
        """Measured: what one image costs here, and the bytes of its row."""
        places = np.arange(min(len(examples), CHUNK[self.compute.device.type]))
        took_s = []
        for _ in range(2):  # the first pass sets kernels up
            started_s = time.perf_counter()
            (rows,) = self._compute(examples, places, None)
            row_bytes = rows[0].numel() * rows.element_size()  # reading a shape does not wait for a GPU; this does:
            rows[0, 0].flatten()[0].item()
            took_s.append(time.perf_counter() - started_s)
        return took_s[-1] / len(places), row_bytes + KEY_BYTES


def _pack(z: Tensor) -> Tensor:
    """Rows in the order in which they lie in memory: channels-last maps as (B, H, W, C, 1), the rest as it is.

    The fifth axis marks them, so that ``_unpack`` knows.
    """
    if z.dim() == 4 and z.is_contiguous(memory_format=torch.channels_last) and not z.is_contiguous():
        return z.permute(0, 2, 3, 1)[..., None]
    return z.contiguous()


def _unpack(rows: Tensor) -> Tensor:
    return rows[..., 0].permute(0, 3, 1, 2) if rows.dim() == 5 else rows


def _recut(chunks: Iterable[Tensor], sizes: Sequence[int]) -> Iterator[Tensor]:
    """The same rows in pieces of these sizes, in memory of their own."""
    waiting: deque[Tensor] = deque()
    source = iter(chunks)
    for size in sizes:
        while sum(map(len, waiting)) < size:
            waiting.append(next(source))
        joined = torch.cat(list(waiting))
        waiting = deque([joined[size:]] if len(joined) > size else [])
        yield joined[:size].clone() if len(joined) > size else joined


def row_keys(hashes_N16: np.ndarray, view: int | None) -> np.ndarray:
    """Keys of one view of these images, uint8 (N, 16): the content hash itself for the clean view."""
    if view is None:
        return hashes_N16
    suffix = view.to_bytes(8, "little")
    keyed = [hashlib.blake2b(row.tobytes() + suffix, digest_size=KEY_BYTES).digest() for row in hashes_N16]
    return np.frombuffer(b"".join(keyed), dtype=np.uint8).reshape(-1, KEY_BYTES)


def describe_rows(network: dict[str, Any], compute: Compute, examples: Examples, *, clean: bool) -> dict[str, Any]:
    """Everything that a row depends on besides the image and the number of its view; nothing else."""
    return {
        "rows": "prefix features",
        "format": FORMAT,
        **network,
        "preprocessing": examples.preprocessing.described(),
        "images": describe_decoding(examples.preprocessing, examples.images.terms),
        "views": None if clean else examples.views.draws(),
        "views format": views.FORMAT,
        "chunk": CHUNK[compute.device.type],
        "device": device_name(compute.device),
        "precision": compute.precision,
    }


def device_name(device: torch.device) -> str:
    """What kernels depend on. On a CPU the number of threads may move a last bit, too; rows are shared all the same."""
    if device.type == "cpu":
        return "cpu"
    kind = "deterministic" if torch.are_deterministic_algorithms_enabled() else "default"
    return f"{torch.cuda.get_device_name(device)}, {kind} algorithms"
