"""When the seeds of two cells came together: how often a verdict on them could be seen, and what was planned before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from tl_sweep.comparison.model_selection import FEWEST_SEEDS, Cell, Values, seed_numbers, seed_of, value_of
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord

PLANNED = "planned_seeds"

Arrivals = Mapping[Values, RunRecord]  # by seed, in the order of time, the run by which both cells had it


def arrivals_of(ours: Cell, other: Cell, seeds: Iterable[Values]) -> Arrivals:
    """At whatever setting: who looks, looks at all of them."""
    last = [
        (max(_first_run(ours, seed), _first_run(other, seed), key=lambda run: run.started_s), seed)
        for seed in sorted(seeds, key=seed_numbers)
    ]
    return {seed: run for run, seed in sorted(last, key=lambda arrival: arrival[0].started_s)}


def _first_run(cell: Cell, seed: Values) -> RunRecord:
    return min(
        (
            run
            for candidate in (*cell.candidates, *cell.incomplete)
            for run in (*candidate.runs, *candidate.further)
            if seed_of(run) == seed
        ),
        key=lambda run: run.started_s,
    )


def planned_in(arrivals: Arrivals) -> int | None:
    """The number of seeds that was planned when the first of them came, before anything could be seen."""
    planned = [value_of(run, PLANNED) for run in arrivals.values()][:1]
    return int(planned[0]) if planned and planned[0] != "null" else None


def looks_at(arrivals: Arrivals, seeds: Collection[Values]) -> tuple[int, ...]:
    """At how many of these seeds a verdict could be seen: after each sweep that brought some of them, from three on. A
    run of its own is a sweep."""
    sweeps = [run.tags.get(Tag.SWEEP, run.name) for seed, run in arrivals.items() if seed in seeds]
    counts = np.cumsum([sweeps.count(sweep) for sweep in dict.fromkeys(sweeps)])
    return tuple(int(count) for count in counts if count >= FEWEST_SEEDS) or (len(sweeps),)
