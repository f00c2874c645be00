"""Which run is meant, wherever a person names one; looked for in its own folder first, then in the tracking store."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean

from tl_sweep.base.arguments import argument
from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.secrets import masked
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.keys import role_of
from tl_sweep.config.quoting import pasted
from tl_sweep.config.schema import Config, OutputConfig, TrackingConfig, local_path
from tl_sweep.tracking.delivery import Destination, delivered_ids, known_run
from tl_sweep.tracking.names import YES, Metric, Tag
from tl_sweep.tracking.record import RECORD, RunRecord, folders_in
from tl_sweep.tracking.sqlite_file import missing_database

SPELLINGS = (
    "MLflow run id or key, or how it begins; a run's folder; best (of the last sweep); best:<sweep>. The best has the "
    "best mean validation accuracy over the seeds of its setting, and of these the best one"
)
BEST, LAST = "best", "last"
FULL_ID = re.compile("[0-9a-f]{32}")  # MLflow's
MOST_NAMED = 5  # of the runs or sweeps that an error names


@dataclass(frozen=True)
class Places:
    """Where runs are looked for: in their folders in ``output_dir``, then in the tracking store at ``uri`` (None: in
    none), in its ``experiment`` where their full id is not given."""

    output_dir: Path
    uri: str | None
    experiment: str

    @staticmethod
    def of(config: Config) -> Places:
        return Places(local_path(config.output.dir), config.tracking.uri, config.tracking.experiment)

    @property
    def destination(self) -> Destination | None:
        return None if self.uri is None else Destination(self.uri, self.experiment)

    def __str__(self) -> str:
        return str(self.output_dir) if self.uri is None else f"{self.output_dir} or {masked(self.uri)}"


@dataclass(frozen=True)
class RunArguments:
    """What every command takes that is about one run."""

    run: str = argument("", f"needed: {SPELLINGS}")
    output_dir: str = config_argument("output.dir", doc="where the runs are, one folder each")
    tracking_uri: str | None = config_argument(
        "tracking.uri", doc="MLflow tracking address, for what is not in output.dir; null: none"
    )
    tracking_experiment: str = config_argument("tracking.experiment")

    @property
    def places(self) -> Places:
        return Places(local_path(self.output_dir), self.tracking_uri, self.tracking_experiment)


def which_run(text: str, places: Places) -> RunRecord:
    """The run that ``text`` names, see ``SPELLINGS``. Its folder, where that is here, and the store's id, where that is
    known, stand in it.

    Raises:
        StoreAway: a server does not answer.
        UserError: there is none, or several begin so; says what there is.
    """
    name, _, sweep = text.partition(":")
    if name == BEST:
        return best_run(sweep, places)
    folder = local_path(text)
    if (folder / RECORD).exists():
        return _in_folder(folder, places)
    if "/" in text:
        raise UserError(f"run={text}: not the folder of a run: there is no {folder / RECORD}")
    found = _in_folders(text, places) or _in_store(text, places)
    if not found:
        raise UserError(_no_such_run(text, places))
    if len(found) > 1:
        raise UserError(f"run={text}: {len(found)} runs begin so: {_listed(map(_described, found))}")
    return found[0]


def named_for_good(text: str, places: Places) -> str:
    """The run that ``text`` names, as it is called for good, whatever is run later: by its MLflow id where it has one,
    else by its key, or by its folder where that is not in ``places.output_dir``.

    Raises:
        StoreAway, UserError: as ``which_run``; a full MLflow id is not looked up.
    """
    if FULL_ID.fullmatch(text):
        return text
    run = which_run(text, places)
    folder = Path(run.tags.get(Tag.FOLDER, ""))
    return run.run_id or (folder.name if folder.parent == places.output_dir else str(folder))


def best_run(sweep: str, places: Places) -> RunRecord:
    """The best run of a sweep (empty: of the last one), as ``SPELLINGS`` says; says on stderr which it is.

    Raises:
        StoreAway: a server does not answer, and no run is here.
        UserError: no such sweep, none of its runs has finished, or they are of several data sets.
    """
    runs = _all_runs(places)
    sweep = which_sweep(sweep or LAST, runs)
    finished = [
        run
        for run in runs
        if run.tags.get(Tag.sweep_of(sweep)) == YES
        and run.status == "FINISHED"
        and isfinite(run.metrics.get(Metric.BEST_VAL_ACC, float("nan")))
    ]
    if not finished:
        raise UserError(f"run={BEST}: no run of sweep {sweep} has finished; there are {_listed(sweeps_of(runs))}")
    by_data: dict[str, list[RunRecord]] = defaultdict(list)
    for run in finished:
        by_data[run.tags.get(Tag.DATA_FINGERPRINT, "")].append(run)
    bests = [_best_of(members) for members in by_data.values()]
    if len(bests) > 1:
        each = _listed(f"{_described(run)} on {run.params.get('data.name', '?')}" for run in bests)
        raise UserError(f"run={BEST}: sweep {sweep} is about {len(bests)} data sets; the best of each: {each}")
    (best,) = bests
    print(f"the best of sweep {sweep}: {_described(best)}", file=sys.stderr, flush=True)
    return best


def _best_of(runs: Sequence[RunRecord]) -> RunRecord:
    """By the mean over the seeds of a setting; settings with fewer seeds than others are not considered."""
    settings: dict[tuple[tuple[str, str], ...], list[RunRecord]] = defaultdict(list)
    for run in runs:
        what = sorted(item for item in run.params.items() if role_of(item[0]) not in ("seed", "execution"))
        settings[tuple(what)].append(run)
    most = max(map(len, settings.values()))
    chosen = max((members for members in settings.values() if len(members) == most), key=_merit)
    return max(chosen, key=lambda run: _merit([run]))


def _merit(runs: Sequence[RunRecord]) -> tuple[float, float]:
    """Mean validation accuracy (sums differ in their last bits: rounded), then minus loss."""
    means = [fmean(run.metrics.get(name, 0.0) for run in runs) for name in (Metric.BEST_VAL_ACC, Metric.BEST_VAL_LOSS)]
    return round(means[0], 9), -means[1]


def which_sweep(text: str, runs: Sequence[RunRecord]) -> str:
    """The sweep among those of ``runs`` that ``text`` names: its id, or how it begins, or ``last``.

    Raises:
        UserError: there is none, or several begin so.
    """
    there = sweeps_of(runs)
    found = (
        there[:1]
        if text == LAST
        else [name for name in there if name == text] or [name for name in there if name.startswith(text)]
    )
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"sweep={text}: {len(found)} sweeps begin so: {_listed(found)}")
    if not there:
        raise UserError(f"sweep={text}: no run that is recorded there belongs to a sweep")
    raise UserError(f"sweep={text}: no such sweep;{did_you_mean(text, there)} there are {_listed(there)}")


def sweeps_of(runs: Iterable[RunRecord]) -> list[str]:
    """The sweeps that these runs belong to, the one that started a run last first."""
    started_s: dict[str, float] = {}
    for run in runs:
        for tag, value in run.tags.items():
            name = tag.removeprefix(Tag.sweep_of(""))
            if name != tag and value == YES:
                own_s = run.started_s if run.tags.get(Tag.SWEEP) == name else 0.0  # else it took the run over
                started_s[name] = max(own_s, started_s.get(name, 0.0))
    return sorted(started_s, key=lambda name: -started_s[name])


def _all_runs(places: Places) -> list[RunRecord]:
    """Those in their folders, and those that the store alone has. A store that cannot be asked is said, unless no run
    is here: then it is the error."""
    from tl_sweep.tracking.store import recorded_runs

    here = [run for folder in folders_in(places.output_dir) if (run := known_run(folder, places.destination))]
    if places.uri is None or (here and missing_database(places.uri)):
        return here
    try:
        stored = recorded_runs(places.uri, places.experiment)
    except UserError as error:
        if not here:
            raise
        print(f"note: of the runs in {places.output_dir} alone: {error}", file=sys.stderr, flush=True)
        return here
    keys = {run.tags.get(Tag.KEY) for run in here}
    return [*here, *(run for run in stored if run.tags.get(Tag.KEY) not in keys)]


def _in_folder(folder: Path, places: Places) -> RunRecord:
    run = known_run(folder, places.destination)
    if run is None:
        raise UserError(f"{folder / RECORD}: nothing is recorded there")
    return run


def _in_folders(text: str, places: Places) -> list[RunRecord]:
    """The run of that key or id, else those whose key or id begins so."""
    begin = []
    for folder in folders_in(places.output_dir):
        names = (folder.name, *delivered_ids(folder))
        if text in names:
            return [_in_folder(folder, places)]
        if any(name.startswith(text) for name in names):
            begin.append(folder)
    return [_in_folder(folder, places) for folder in begin]


def _in_store(text: str, places: Places) -> list[RunRecord]:
    from tl_sweep.tracking.store import runs_named

    if places.uri is None:
        return []
    database = missing_database(places.uri)
    if database is not None:
        raise UserError(f"run={text}: no such run in {places.output_dir}, and {no_database(database, places)}")
    return runs_named(places.uri, places.experiment, text)


def no_database(database: Path, places: Places) -> str:
    """That there is none, and what follows from that."""
    assert places.uri is not None
    said = f"tracking.uri={masked(places.uri)}: there is no database {database}"
    count = len(folders_in(places.output_dir))
    if not count:
        return f"{said}; say where the runs are recorded"
    given = {
        "output.dir": (str(places.output_dir), str(local_path(OutputConfig.dir))),
        "tracking.uri": (places.uri, TrackingConfig.uri),
        "tracking.experiment": (places.experiment, TrackingConfig.experiment),
    }
    others = [f"{key}={value}" for key, (value, default) in given.items() if value != default]
    command = pasted(["python", "-m", "tl_sweep.sync", *others])
    return f"{said}; {command} makes it anew from the {count} runs in {places.output_dir}"


def _no_such_run(text: str, places: Places) -> str:
    folders = folders_in(places.output_dir)
    names = {name[: len(text)] for folder in folders for name in (folder.name, *delivered_ids(folder))}
    said = f"run={text}: no such run in {places};{did_you_mean(text, names)}"
    try:
        runs = _all_runs(places)
        last = which_sweep(LAST, runs)
    except UserError:  # there is no sweep to point to
        return said.rstrip(";")
    return f"{said} run=best is of the last sweep, {last}"


def _described(run: RunRecord) -> str:
    """``0123456789ab (resnet18 none, seed 0, validation 93.2 %)``"""
    words = [run.tags.get(Tag.BACKBONE, "?"), run.tags.get(Tag.STRATEGY, "?")]
    val_acc = run.metrics.get(Metric.BEST_VAL_ACC)
    said = "" if val_acc is None else f", validation {100 * val_acc:.1f} %"
    return f"{run.name} ({' '.join(words)}, seed {run.params.get('seed', '?')}{said})"


def _listed(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
