"""The one place where a learning rate (or any other free setting) is chosen: on validation, averaged over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from tl_sweep.comparison.study import BASELINE, CONTROL, FEATURES, NO_SOURCE, TUNING
from tl_sweep.config.keys import asks_of, field_paths, keys_with, role_of
from tl_sweep.config.schema import text_of
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.record import RunRecord
from tl_sweep.tracking.strategy_label import strategy_label

SEEDS = tuple(sorted(keys_with(role="seed"), key=lambda name: name.count(".")))  # the run's own first
DEFAULTS = {name: text_of(item.default) for name, item in field_paths() if item.default is not MISSING}
(WEIGHTS,) = keys_with(asks="source")
FEWEST_SEEDS = 3  # for a choice and for a verdict on methods: two say next to nothing of how much seeds differ

Values = tuple[tuple[str, str], ...]
Merit = tuple[float, float]


def mean_of(runs: Sequence[RunRecord], metric: str) -> float:
    """Over seeds; nan where a run lacks it."""
    return fmean(run.metrics.get(metric, math.nan) for run in runs)


def merit_of(runs: Sequence[RunRecord]) -> Merit:
    """What is maximised: mean validation accuracy (sums differ in their last bits: rounded), then minus loss."""
    return round(mean_of(runs, Metric.BEST_VAL_ACC), 9), -mean_of(runs, Metric.BEST_VAL_LOSS)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One setting of a cell. runs: on the seeds on which settings are compared, one each, in their order. further: on
    seeds that other settings lack."""

    setting: Values
    runs: tuple[RunRecord, ...]
    further: tuple[RunRecord, ...] = ()

    @property
    def epochs(self) -> int:
        return int(value_of(self.runs[0], "epochs"))

    def mean(self, metric: str) -> float:
        """Over the seeds on which settings are compared."""
        return mean_of(self.runs, metric)


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of the comparison: a backbone and a strategy at the setting that validation chose.

    axes: what of the data and the source varies in the data set's runs (shots, weights, …) and this cell's value of it.
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

    @cached_property
    def runs(self) -> tuple[RunRecord, ...]:
        """All of the chosen setting, in the order of their seeds."""
        return tuple(sorted((*self.chosen.runs, *self.chosen.further), key=_seed_numbers_of))

    @cached_property
    def task(self) -> Values:
        """The axes but for the source: what the baseline is asked, too."""
        return tuple((key, value) for key, value in self.axes if key != WEIGHTS)

    @property
    def source(self) -> tuple[str, ...]:
        """Its weights, where sources vary and it has one."""
        return tuple(value for key, value in self.axes if key == WEIGHTS and value != NO_SOURCE)

    @property
    def label(self) -> str:
        """Its strategy for people: ``none (full fine-tuning)``."""
        run = self.runs[0]
        return strategy_label(run) if self.strategy == backbone_and_strategy(run)[1] else self.strategy

    @property
    def is_baseline(self) -> bool:
        """What starts at random and learns more than a head: what pretraining has to beat."""
        return self.runs[0].is_baseline

    @property
    def is_control(self) -> bool:
        """Random features, frozen: what a source has to beat."""
        return bool(self.runs[0].tags.get(Tag.CONTROL))

    @property
    def freezes_a_number(self) -> bool:
        """Of stages, which differ between backbones: ``depth 3``."""
        return self.runs[0].params.get("freeze.frozen_stages", "null") != "null"

    @property
    def learns_only_the_head(self) -> bool:
        return self.runs[0].learns_only_the_head

    @property
    def kind(self) -> str:
        """See ``Row``; empty for what freezes a number of stages, whatever that leaves."""
        if self.is_baseline or self.is_control:
            return BASELINE if self.is_baseline else CONTROL
        if self.freezes_a_number:
            return ""
        return FEATURES if self.learns_only_the_head else TUNING if self.runs[0].learns_everything else ""

    def mean(self, metric: str) -> float:
        """Over all seeds of the chosen setting."""
        return mean_of(self.runs, metric)


def value_of(run: RunRecord, key: str) -> str:
    """What the run was configured with; a key that its version did not know had its default, or another key's value."""
    if key in run.params:
        return run.params[key]
    default = DEFAULTS.get(key, "null")
    return value_of(run, default[2:-1]) if default.startswith("${") else default


def varied_keys(runs: Iterable[RunRecord]) -> list[str]:
    """Configuration keys that do not have the same value in all runs."""
    runs = list(runs)
    return sorted(name for name in {name for run in runs for name in run.params} if _differs(runs, name))


def _differs(runs: Sequence[RunRecord], key: str) -> bool:
    default = DEFAULTS.get(key, "null")
    return len({run.params.get(key, default) for run in runs}) > 1


def choose(runs: Iterable[RunRecord]) -> list[Cell]:
    """For each backbone, strategy and axis, the setting with the best mean validation accuracy over its seeds. ``runs``
    are those of one data set.

    Ties go to the smaller mean validation loss. Settings are compared on seeds that they share; one that lacks some is
    kept apart. Test accuracy plays no part.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    axes = [key for key in varied_keys(finished) if asks_of(key) not in ("", "source") and may_vary(key)]
    sources = sources_of(finished)
    several = tell_apart(set(sources.values()))
    place_of = _places(finished)
    groups: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for run in finished:
        groups[place_of(run)].append(run)
    varied = {where: varied_keys(group) for where, group in groups.items()}
    free = {where: [key for key in keys if not asks_of(key) and may_vary(key)] for where, keys in varied.items()}
    cells: dict[tuple[str, str, Values], dict[Values, dict[Values, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for run in finished:
        where = place_of(run)
        source = sources[_weights_of(run)][1] if has_source(run) else NO_SOURCE
        asked = (*_values(run, axes), *(((WEIGHTS, source),) if several else ()))
        cells[*where, asked][_values(run, free[where])][seed_of(run)] = run
    return [_chosen(*where, candidates) for where, candidates in cells.items()]


def may_vary(key: str) -> bool:
    """Whether runs that differ in it are different answers, or were asked different things."""
    return role_of(key) not in ("seed", "execution")


def sources_of(runs: Iterable[RunRecord]) -> dict[tuple[str, str], tuple[str, str]]:
    """Backbone and name, by backbone and content, of the weights that runs started from; one file that is spelled in
    two ways is one source."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for run in runs:
        if has_source(run):
            found.setdefault(_weights_of(run), (run.tags[Tag.BACKBONE], run.params.get(WEIGHTS, "null")))
    return found


def tell_apart(sources: set[tuple[str, str]]) -> bool:
    """Whether rows need their source (backbone, name) beside them: a backbone has several, or backbones have others,
    unless these are files, of which each backbone has its own."""
    names = {name for _, name in sources}
    of_all = len(names) > 1 and any(is_a_name(name) for name in names)
    return of_all or len(sources) > len({backbone for backbone, _ in sources})


def is_a_name(source: str) -> bool:
    """``imagenet``, ``letters``: what other backbones can have, too; no file and no run."""
    return not Path(source).suffix and "/" not in source and ":" not in source


def has_source(run: RunRecord) -> bool:
    """What starts at random has none, whatever it was asked to load."""
    return run.params.get("freeze.pretrained") != "false" and run.params.get(WEIGHTS) != "null"


def _weights_of(run: RunRecord) -> tuple[str, str]:
    return run.tags[Tag.BACKBONE], run.tags.get(Tag.WEIGHTS_SHA256, run.params.get(WEIGHTS, "null"))


def _chosen(backbone: str, strategy: str, axes: Values, settings: Mapping[Values, Mapping[Values, RunRecord]]) -> Cell:
    seeds = common_seeds([frozenset(by_seed) for by_seed in settings.values()])
    complete, incomplete = [], []
    for setting, by_seed in settings.items():
        if seeds <= by_seed.keys():
            complete.append(Candidate(setting, _ordered(by_seed, seeds), _ordered(by_seed, by_seed.keys() - seeds)))
        else:
            incomplete.append(Candidate(setting, _ordered(by_seed, by_seed.keys())))
    chosen = max(complete, key=lambda candidate: merit_of(candidate.runs))
    return Cell(backbone, strategy, axes, chosen, tuple(complete), tuple(incomplete))


def common_seeds(found: Sequence[frozenset[Values]]) -> frozenset[Values]:
    """The seeds on which what has these is compared: those that the better half of them shares, the ones with the most
    seeds. That has to be three, or as many as any has; else those of the one that has the most."""
    ordered = sorted(found, key=lambda seeds: (-len(seeds), sorted(map(seed_numbers, seeds))))
    shared = frozenset.intersection(*ordered[: len(ordered) // 2 + 1])
    return shared if len(shared) >= min(FEWEST_SEEDS, len(ordered[0])) else ordered[0]


def _ordered(by_seed: Mapping[Values, RunRecord], seeds: Iterable[Values]) -> tuple[RunRecord, ...]:
    return tuple(sorted((by_seed[seed] for seed in seeds), key=_seed_numbers_of))


def _places(runs: Iterable[RunRecord]) -> Callable[[RunRecord], tuple[str, str]]:
    """Backbone and strategy of each of ``runs``; what some runs of a strategy start from at random is another one."""
    kinds = {(*backbone_and_strategy(run), run.is_baseline) for run in runs}

    def place_of(run: RunRecord) -> tuple[str, str]:
        backbone, strategy = backbone_and_strategy(run)
        is_two = run.is_baseline and (backbone, strategy, False) in kinds
        return backbone, f"{strategy} (from random weights)" if is_two else strategy

    return place_of


def backbone_and_strategy(run: RunRecord) -> tuple[str, str]:
    """The backbone, marked where its hidden linear layers are left out; the strategy with the number of frozen stages
    for ``depth``, and the control marked as such."""
    frozen = run.params.get("freeze.frozen_stages", "null")
    backbone = run.tags[Tag.BACKBONE] + (" (pooled)" if run.tags.get(Tag.POOLED) else "")
    name = run.tags[Tag.STRATEGY] + ("" if frozen == "null" else f" {frozen}")
    return backbone, f"{name} (random features)" if run.tags.get(Tag.CONTROL) else name


def seed_of(run: RunRecord) -> Values:
    return _values(run, SEEDS)


def _values(run: RunRecord, keys: Iterable[str]) -> Values:
    return tuple((key, value_of(run, key)) for key in keys)


def _seed_numbers_of(run: RunRecord) -> list[tuple[int, str]]:
    return seed_numbers(seed_of(run))


def seed_numbers(seed: Values) -> list[tuple[int, str]]:
    """For sorting seeds as numbers."""
    return [(int(value) if value.isdigit() else -1, value) for _, value in seed]
