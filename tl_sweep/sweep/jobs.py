"""A grid's jobs, and what became of the combinations that are none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from tl_sweep.config.schema import Config
from tl_sweep.run.identity import NOT_CHECKED, Identity
from tl_sweep.tracking.record import RunRecord

WEIGHTS = "model.weights"


@dataclass(frozen=True)
class Job:
    """One run of a grid. identity: what the sweep has checked. status: of what is recorded under its key; empty if
    nothing is."""

    overrides: list[str]
    config: Config
    identity: Identity = NOT_CHECKED
    record: RunRecord | None = None

    @property
    def key(self) -> str:
        return self.identity.key

    @property
    def status(self) -> str:
        return "" if self.record is None else self.record.status


@dataclass(frozen=True)
class Grid:
    """The jobs of a grid, in the order in which they share most.

    asked: combinations. merged: how many of them mean the same as another. dropped: why some mean nothing, and how
    many. ignored: keys that some combinations do not read, and how many. starts: ``model.weights`` that name a run, as
    they were given and in full.
    """

    jobs: list[Job]
    asked: int
    merged: int
    dropped: dict[str, int]
    ignored: dict[str, int]
    starts: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What became of the combinations, a line each; empty when each is a job."""
        lines = [f"{count} of {self.asked} combinations dropped: {reason}" for reason, count in self.dropped.items()]
        lines += [f"{key} is not read by {count} of {self.asked} combinations" for key, count in self.ignored.items()]
        lines += [
            f"{WEIGHTS}={given} is {full}: write that to come back to this sweep" for given, full in self.starts.items()
        ]
        if self.merged:
            lines.append(f"{self.merged} of {self.asked} combinations mean the same as another one and run once")
        return lines

    def unfinished(self) -> list[Job]:
        return [job for job in self.jobs if job.status != "FINISHED"]


def reuse_order(configs: Sequence[Config]) -> list[int]:
    """An order of the jobs in which those that share images, backbone and frozen stages stand together.

    Otherwise it is the order that was asked for.
    """
    shared: list[Callable[[Config], Hashable]] = [
        lambda config: (repr(config.model), config.data.name, config.data.root),
        lambda config: config.data.image_size,
        lambda config: (config.freeze.name, config.freeze.frozen_stages),
        lambda config: repr(config.augment),
    ]
    ranks = []
    for key in shared:
        first: dict[Hashable, int] = {}
        ranks.append([first.setdefault(key(config), len(first)) for config in configs])
    return sorted(range(len(configs)), key=lambda job: [rank[job] for rank in ranks])
