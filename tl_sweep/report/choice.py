"""The one place where a learning rate (or any other free setting) is chosen: on validation, averaged over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tl_sweep.config import field_paths
from tl_sweep.tracking.record import RunRecord

SEEDS = ("seed", "data.subset_seed")
NEVER_AN_AXIS = (*SEEDS, *(name for name, item in field_paths() if item.metadata["execution"]))
WEIGHTS = "model.weights"
NO_SOURCE = "–"
AXES = ("data.", WEIGHTS)  # what a question is about; whatever else varies is an answer that validation chooses

Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One setting of a cell and its runs, one per seed in the order of the seeds."""

    setting: Values
    runs: tuple[RunRecord, ...]

    @property
    def epochs(self) -> int:
        return int(self.runs[0].params["epochs"])

    @property
    def merit(self) -> tuple[float, float]:
        """What is maximised: mean validation accuracy (sums differ in their last bits: rounded), then minus loss."""
        return round(self.mean("best/val_acc"), 9), -self.mean("best/val_loss")

    def mean(self, metric: str) -> float:
        """Over seeds; nan where a run lacks it."""
        return fmean(run.metrics.get(metric, math.nan) for run in self.runs)


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of the comparison: a backbone and a strategy at the setting that validation chose.

    axes: what of the data and the source varies in the sweep (shots, weights, …) and this cell's value of it.
    candidates: the settings that were compared, the chosen one among them. incomplete: those that lack a seed.
    """

    backbone: str
    strategy: str
    axes: Values
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    incomplete: tuple[Candidate, ...] = ()

    @property
    def setting(self) -> Values:
        return self.chosen.setting

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        return self.chosen.runs

    @property
    def task(self) -> Values:
        """The axes but for the source: what scratch is asked, too."""
        return tuple((key, value) for key, value in self.axes if key != WEIGHTS)

    @property
    def source(self) -> tuple[str, ...]:
        """Its weights, where sources vary and it has one."""
        return tuple(value for key, value in self.axes if key == WEIGHTS and value != NO_SOURCE)

    @property
    def is_scratch(self) -> bool:
        return self.strategy == "scratch"

    @property
    def is_control(self) -> bool:
        """Random features, frozen: what a source has to beat."""
        return bool(self.runs[0].tags.get("control"))

    @property
    def learns_only_the_head(self) -> bool:
        phases = self.runs[0].tags.get("trainable", "").split(", ")
        return all(phase.startswith("head x") for phase in phases)

    def mean(self, metric: str) -> float:
        return self.chosen.mean(metric)


def varied_keys(runs: Iterable[RunRecord]) -> list[str]:
    """Configuration keys that do not have the same value in all runs."""
    values: dict[str, set[str | None]] = defaultdict(set)
    runs = list(runs)
    names = {name for run in runs for name in run.params}
    for run in runs:
        for name in names:
            values[name].add(run.params.get(name))
    return sorted(name for name, seen in values.items() if len(seen) > 1)


def choose(runs: Iterable[RunRecord]) -> list[Cell]:
    """For each backbone, strategy and axis, the setting with the best mean validation accuracy over its seeds.

    Ties go to the smaller mean validation loss. Settings are compared on the same seeds, as many as any of them has
    finished; one that lacks some is kept apart. Test accuracy plays no part.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    varied = {where: varied_keys(group) for where, group in _grouped(finished).items()}
    axes = sorted(
        {key for keys in varied.values() for key in keys if key.startswith(AXES) and key not in NEVER_AN_AXIS}
    )
    cells: dict[tuple[str, str, Values], dict[Values, dict[Values, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for run in finished:
        where = backbone_and_strategy(run)
        free = [key for key in varied[where] if not key.startswith(AXES) and key not in NEVER_AN_AXIS]
        cells[*where, axes_of(run, axes)][_values(run, free)][seed_of(run)] = run
    return [_chosen(*where, candidates) for where, candidates in cells.items()]


def _chosen(
    backbone: str, strategy: str, axes: Values, candidates: Mapping[Values, Mapping[Values, RunRecord]]
) -> Cell:
    seeds = _common_seeds([frozenset(by_seed) for by_seed in candidates.values()])
    complete = tuple(
        Candidate(setting, tuple(by_seed[seed] for seed in seeds))
        for setting, by_seed in candidates.items()
        if by_seed.keys() >= set(seeds)
    )
    incomplete = tuple(
        Candidate(setting, tuple(by_seed[seed] for seed in sorted(by_seed, key=_as_numbers)))
        for setting, by_seed in candidates.items()
        if not by_seed.keys() >= set(seeds)
    )
    return Cell(backbone, strategy, axes, max(complete, key=lambda candidate: candidate.merit), complete, incomplete)


def _common_seeds(found: Sequence[frozenset[Values]]) -> list[Values]:
    """The seeds on which settings are compared: as many as any setting has, and of such sets the one most have."""
    most = max(found, key=lambda seeds: (len(seeds), sum(other >= seeds for other in found)))
    return sorted(most, key=_as_numbers)


def _grouped(runs: Iterable[RunRecord]) -> dict[tuple[str, str], list[RunRecord]]:
    groups: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[backbone_and_strategy(run)].append(run)
    return groups


def backbone_and_strategy(run: RunRecord) -> tuple[str, str]:
    """The backbone, marked where its hidden linear layers are left out; the strategy with the number of frozen stages
    for ``depth``, and the control marked as such."""
    frozen = run.params.get("freeze.frozen_stages", "null")
    backbone = run.tags["backbone"] + (" (pooled)" if run.tags.get("pooled") else "")
    name = run.tags["strategy"] + ("" if frozen == "null" else f" {frozen}")
    return backbone, f"{name} (random features)" if run.tags.get("control") else name


def axes_of(run: RunRecord, axes: Iterable[str]) -> Values:
    """The run's values; what starts at random has no source, whatever it was asked to load."""
    has_source = run.params.get("freeze.pretrained") != "false" and run.params.get(WEIGHTS) != "null"
    return tuple((key, value if has_source or key != WEIGHTS else NO_SOURCE) for key, value in _values(run, axes))


def seed_of(run: RunRecord) -> Values:
    return _values(run, SEEDS)


def _values(run: RunRecord, keys: Iterable[str]) -> Values:
    return tuple((key, run.params.get(key, "null")) for key in keys)


def _as_numbers(seed: Values) -> list[tuple[int, str]]:
    return [(int(value) if value.isdigit() else -1, value) for _, value in seed]
