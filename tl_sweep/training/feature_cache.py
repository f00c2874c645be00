"""Whether outputs of frozen stages are kept on disk or computed again, and what that saved."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from tl_sweep.array_store.segments import StoreFull
from tl_sweep.array_store.store import RowStore
from tl_sweep.models.stages import StagedModel
from tl_sweep.tracking.names import Metric
from tl_sweep.training.device import Compute
from tl_sweep.training.examples import Examples
from tl_sweep.training.prefix import Prefix, Usage, row_keys

log = logging.getLogger(__name__)

DISK_BYTES_PER_S = 5e8  # of reading and writing, assumed: a SATA disk's 550 MB/s; NVMe and the page cache are faster
WORTH = 1.05  # times streaming's cost that keeping may take: our own rule (D16), since whoever comes later gains
JOBS_OF_A_SWEEP = 2  # that ask for a row, at least: this one and another (D16)


@dataclass(frozen=True)
class Demand:
    """Which views of which images a phase will ask for: ``epochs`` as ``Examples.inputs`` takes them."""

    examples: Examples
    epochs: Sequence[int | None]

    @property
    def views(self) -> list[int | None]:
        """An epoch for each distinct view."""
        return list({self.examples.views.view(epoch): epoch for epoch in self.epochs}.values())

    @property
    def passes(self) -> int:
        return len(self.examples) * len(self.epochs)


@dataclass(frozen=True)
class FeatureCache:
    """Whether a prefix's outputs are kept, by ``cache.enabled``: ``auto`` weighs computing against reading.

    shared: other jobs are likely to ask for the same rows, as in a sweep.
    """

    store: RowStore | None
    mode: str
    shared: bool
    usage: Usage = field(default_factory=Usage)

    def prefix(self, model: StagedModel, depth: int, compute: Compute, demands: Sequence[Demand]) -> Prefix:
        """The prefix, with a store if its rows are to be kept. The decision is written down in ``usage``."""
        if not depth or self.store is None:
            return Prefix(model, depth, compute, None, self.usage)
        kept = Prefix(model, depth, compute, self.store, self.usage)
        try:
            keep, why = (True, "cache.enabled=True") if self.mode == "True" else self._weigh(kept, self.store, demands)
        except StoreFull as reason:
            keep, why = False, str(reason)
        self.say(f"{depth} of {model.num_stages} stages frozen: {'kept' if keep else 'streamed'}, {why}")
        return kept if keep else Prefix(model, depth, compute, None, self.usage)

    def say(self, decision: str) -> None:
        self.usage.decisions.append(decision)
        log.info("cache: %s", decision)

    def _weigh(self, prefix: Prefix, store: RowStore, demands: Sequence[Demand]) -> tuple[bool, str]:
        passes, rows, missing = sum(demand.passes for demand in demands), 0, 0
        row_s, row_bytes = 0.0, 0
        for demand in demands:
            for epoch in demand.views:
                view = demand.examples.views.view(epoch)
                entry = prefix.entry(store, demand.examples, view)
                rows += len(demand.examples)
                missing += len(entry.missing(row_keys(demand.examples.hashes_N, view)))
                if entry.contents.rows:
                    row_s, row_bytes = entry.row_seconds, entry.contents.bytes // entry.contents.rows
        if not missing:
            return True, f"all {rows} rows are there"
        if not row_bytes:
            row_s, row_bytes = prefix.seconds_per_image(demands[0].examples)
        wanted_bytes = missing * row_bytes
        if wanted_bytes > store.room_bytes():
            return False, f"{wanted_bytes / 1e9:.2g} GB of rows exceed what cache.max_gb and the disk leave"
        disk_s = row_bytes / DISK_BYTES_PER_S
        jobs = JOBS_OF_A_SWEEP if self.shared else 1
        streaming_s = jobs * passes * row_s
        keeping_s = missing * (row_s + disk_s) + jobs * passes * disk_s
        sums = f"{keeping_s:.2g} s against {streaming_s:.2g} s of streaming, {wanted_bytes / 1e6:.3g} MB more on disk"
        return keeping_s <= WORTH * streaming_s, sums


def usage_metrics(usage: Usage) -> dict[str, float]:
    return {
        Metric.CACHE_HIT_ROWS: float(usage.hit),
        Metric.CACHE_MISSED_ROWS: float(usage.missed),
        Metric.CACHE_WRITTEN_MB: usage.written_bytes / 1e6,
        Metric.CACHE_SAVED_S: usage.saved_s,
    }
