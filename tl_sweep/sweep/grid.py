"""From overrides with several values to the jobs that are left once nothing means nothing and nothing is there twice.

Nothing is started here: ``tl_sweep.plan`` prints what this finds, the sweeper runs it. Data sets are opened, since the
grid depends on them; a public one that is not here yet is downloaded.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from tl_sweep.base.errors import Misfit, UserError
from tl_sweep.config.loading import parse
from tl_sweep.config.quoting import literal
from tl_sweep.config.schema import Config, ConfigError
from tl_sweep.data.sources.contract import KEYS_OF_TABLES, OPTIONAL_KEYS
from tl_sweep.data.sources.registry import SOURCES
from tl_sweep.models.catalog import model_problems
from tl_sweep.run.identity import identity_of
from tl_sweep.run.key import run_folder
from tl_sweep.run.weights import start_in_full
from tl_sweep.run.which import Places
from tl_sweep.sweep.jobs import WEIGHTS, Grid, Job, reuse_order
from tl_sweep.sweep.preflight import check_data, plan_problems_of, raise_all, weights_problems
from tl_sweep.tracking.record import Record, RunRecord
from tl_sweep.training.objectives.registry import objective_problems
from tl_sweep.training.rates import unread_keys

Compose = Callable[[list[str]], DictConfig]


def lay_out(combinations: list[list[str]], compose: Compose) -> Grid:
    """Read and check every combination; what needs no import of torch first, so that a slip is answered in a second.

    A combination of which each value is allowed but which means nothing is dropped, a key that it does not read is
    ignored, as long as others of the grid make sense of it; in a single run both are refused.

    Raises:
        ConfigError: every problem of every combination.
        UserError: the data set cannot be had.
    """
    starts = StartingRuns()
    jobs, dropped, ignored = _read_all(combinations, compose, starts)
    check_data([job.config for job in jobs])
    jobs = _recall(_merge(_with_keys(jobs)))
    merged = len(combinations) - sum(dropped.values()) - len(jobs)
    sensible = []
    for job in jobs:
        problems = [] if job.status == "FINISHED" else list(plan_problems_of(job.config))
        dropped.update(problems[:1])
        sensible += [] if problems else [job]
    if not sensible:
        raise_all(dropped, len(combinations))
    order = reuse_order([job.config for job in sensible])
    return Grid(
        jobs=[sensible[place] for place in order],
        asked=len(combinations),
        merged=merged,
        dropped=dict(dropped),
        ignored=dict(ignored),
        starts=starts.renamed,
    )


def read_all(combinations: list[list[str]], compose: Compose) -> list[Job]:
    """The combinations that make sense, read and checked as ``lay_out`` does before it looks at the data.

    Raises:
        ConfigError: every problem of every combination.
    """
    return _read_all(combinations, compose, StartingRuns())[0]


def recall_from_store(grid: Grid) -> Grid:
    """The grid with what the tracking store knows of jobs that have no folder here, as on another machine.

    A store that does not answer knows nothing: whoever gets ready for runs has said so.
    """
    from tl_sweep.tracking.client import StoreAway
    from tl_sweep.tracking.store import finished_runs

    unknown: dict[tuple[str, str], list[str]] = {}
    for job in grid.unfinished():
        tracking = job.config.tracking
        if job.record is None and job.config.resume != "force" and tracking.uri is not None:
            unknown.setdefault((tracking.uri, tracking.experiment), []).append(job.key)
    found: dict[str, RunRecord] = {}
    for where, keys in unknown.items():
        with suppress(StoreAway):
            found |= finished_runs(*where, keys)
    return replace(grid, jobs=[replace(job, record=job.record or found.get(job.key)) for job in grid.jobs])


@dataclass
class StartingRuns:
    """The runs that jobs start from, each looked up once, so that all jobs of a sweep mean the same by ``run:best``.

    renamed: ``model.weights`` that were not given in full, and what they are.
    """

    renamed: dict[str, str] = field(default_factory=dict)
    known: dict[tuple[str, Places], str | UserError] = field(default_factory=dict)

    def in_full(self, config: Config) -> Config:
        """
        Raises:
            UserError: no such run, or several begin so.
        """
        given = config.model.weights
        if given is None:
            return config
        where = (given, Places.of(config))
        if where not in self.known:
            try:
                self.known[where] = str(start_in_full(config).model.weights)
            except UserError as error:
                self.known[where] = error
        full = self.known[where]
        if isinstance(full, UserError):
            raise full
        self.renamed |= {given: full} if full != given else {}
        return replace(config, model=replace(config.model, weights=full))


def _read_all(
    combinations: list[list[str]], compose: Compose, starts: StartingRuns
) -> tuple[list[Job], Counter[str], Counter[str]]:
    """The jobs that make sense so far, why others do not, and which keys are not read; with how many of each."""
    jobs: list[Job] = []
    mistakes, dropped, ignored = Counter[str](), Counter[str](), Counter[str]()
    unread: dict[str, str] = {}
    for overrides in combinations:
        job, problems = _read(overrides, compose, starts)
        keys = {p.unread: p for p in problems if isinstance(p, Misfit) and _gives(overrides, p.unread)}
        if problems and len(keys) == len(problems):
            ignored.update(list(keys))
            unread = keys | unread
            read = [o for o in overrides if not any(_gives([o], key) for key in keys)]
            job, problems = _read(read, compose, starts)
        mistakes.update(problem for problem in problems if not isinstance(problem, Misfit))
        dropped.update(problems[:1])
        jobs += [] if job is None else [job]
    sensible = len(combinations) - sum(dropped.values())
    by_nobody = {unread[key]: count for key, count in ignored.items() if count >= sensible > 0}
    raise_all(mistakes or by_nobody or ({} if jobs else dropped), len(combinations))
    return jobs, dropped, ignored


def _read(overrides: list[str], compose: Compose, starts: StartingRuns) -> tuple[Job | None, list[str]]:
    try:
        config = parse(compose(overrides))
    except ConfigError as error:
        return None, error.problems
    asked = config.model.weights
    try:
        config = starts.in_full(config)
    except UserError as error:
        return None, [str(error)]
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    problems = [
        *model_problems(config.model, config.data.image_size),
        *weights_problems(config),
        *objective_problems(config),
        *unread_keys(config, given),
        *unread_by_source(config, given),
    ]
    if config.model.weights != asked:
        overrides = [o for o in overrides if not _gives([o], WEIGHTS)] + _starting_from(str(config.model.weights))
    return (None, problems) if problems else (Job(overrides, config), [])


def unread_by_source(config: Config, given: set[str]) -> Iterator[Misfit]:
    """Keys of the data that were given, and that this data set does not read."""
    source = SOURCES.get(config.data.name)
    for key in () if source is None else OPTIONAL_KEYS - source.reads:
        value = getattr(config.data, key)
        if f"data.{key}" in given and value is not None:
            reader = "table" if key in KEYS_OF_TABLES else "image_folder"
            text = f"data.{key}={value}: data={config.data.name} does not read it; data={reader} does"
            yield Misfit(text, unread=f"data.{key}")


def _gives(overrides: list[str], key: str) -> bool:
    """Whether ``key`` is among these overrides."""
    return bool(key) and any(override.lstrip("+").startswith(f"{key}=") for override in overrides)


def _with_keys(jobs: list[Job]) -> list[Job]:
    """The jobs, each with its key.

    Raises:
        ConfigError: naming every weight file that cannot be read.
    """
    keyed, problems = [], Counter[str]()
    for job in jobs:
        try:
            keyed.append(replace(job, identity=identity_of(job.config)))
        except UserError as error:
            problems[str(error)] += 1
    raise_all(problems, len(jobs))
    return keyed


def _merge(jobs: list[Job]) -> list[Job]:
    """The first job of each key."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.key, job)
    return list(first.values())


def _recall(jobs: list[Job]) -> list[Job]:
    """The jobs with what earlier attempts recorded, unless they are to start over."""
    return [
        job if job.config.resume == "force" else replace(job, record=Record(run_folder(job.config, job.key)).summary())
        for job in jobs
    ]


def expand(overrides: list[Override]) -> list[list[str]]:
    """The jobs of a grid: the product of its axes, the last key fastest; of a key given twice, the last counts."""
    axes: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        prefix = "+" if override.is_add() else "~" if override.is_delete() else ""
        if override.is_delete():
            axes[key] = [override.input_line or f"{prefix}{key}"]
        elif override.is_interval_sweep():
            raise ConfigError([f"{override.input_line}: a grid has no interval; give values: {key}=0.1,0.3,1"])
        elif override.is_sweep_override():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
    return [list(job) for job in itertools.product(*axes.values())]


def in_full(combination: list[str], starts: Mapping[str, str]) -> list[str]:
    """Its overrides, with the run to start from named for good, as if it had been typed so. starts: see ``Grid``."""
    words: list[str] = []
    for word in combination:
        given = str(OverridesParser.create().parse_override(word).value()) if _gives([word], WEIGHTS) else ""
        words += _starting_from(starts[given]) if given in starts else [word]
    return words


def _starting_from(weights: str) -> list[str]:
    return expand([OverridesParser.create().parse_override(literal(WEIGHTS, weights))])[0]


def expand_arms(
    params: Mapping[Any, Any],
    arms: Sequence[Mapping[Any, Any]],
    arguments: Sequence[str],
    parser: OverridesParser,
) -> list[list[str]]:
    """The jobs of a named sweep, one grid per arm: ``params``, then the arm, then the command line's ``arguments``, of
    which the last to give a key counts. Without arms it is one grid.

    An argument that gives values that some arms have chooses among these: ``freeze=none`` is the arm with
    ``freeze=none``, not every arm with another strategy.
    """

    def words(values: Mapping[Any, Any]) -> list[str]:
        return [f"{key}={'null' if value is None else value}" for key, value in values.items()]

    def grid(overrides: Sequence[str]) -> list[list[str]]:
        return expand(parser.parse_overrides(list(overrides)))

    asked = {word for job in grid(arguments) for word in job}
    own = [{word for job in grid(words(arm)) for word in job} for arm in arms or [{}]]
    selecting = {word.partition("=")[0] for word in asked & set().union(*own)}
    jobs = []
    for arm, theirs in zip(arms or [{}], own, strict=True):
        selects = selecting & set(arm)
        jobs += [
            job
            for job in grid([*words({**params, **arm}), *arguments])
            if all(word in theirs for word in job if word.partition("=")[0] in selects)
        ]
    return jobs


def sweep_id(jobs: list[list[str]]) -> str:
    """A name for a grid, whatever the order of its keys or values; never one that Hydra would read as a number."""
    canonical = sorted(sorted(job) for job in jobs)
    return "s" + hashlib.sha256(json.dumps(canonical).encode()).hexdigest()[:11]
