"""Compare finished runs honestly:  python -m tl_sweep.compare [sweep=<id>] [<tag or parameter>=<value>[,<value>] ...]

    python -m tl_sweep.compare                                   everything in the experiment
    python -m tl_sweep.compare sweep=s1a2b3c4d5e backbone=resnet18 data.shots=10,25
    python -m tl_sweep.compare run=3f2ac1,9b04                   these runs alone
    python -m tl_sweep.compare out=rows.csv                      also .json, .md

Chooses every free setting on validation, compares on test with intervals over seeds and images, and writes one page
that shows it. docs/statistics.md says how it is computed.
"""

from __future__ import annotations

import gc
import sys
import webbrowser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from tl_sweep.base.arguments import argument, keys_of, read_with_words, spelled_alike
from tl_sweep.base.command_line import errors_for_people, format_of, write
from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.schema import local_path
from tl_sweep.run.finished import Files
from tl_sweep.run.which import SPELLINGS, Places, no_database, which_run, which_sweep
from tl_sweep.sweep.conclusion import PAGE, publish, study_of, with_link
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.sqlite_file import missing_database

if TYPE_CHECKING:
    from tl_sweep.tracking.record import RunRecord

TEXTS = ("csv", "json", "md")
SUFFIXES = tuple(f".{name}" for name in TEXTS)


@dataclass(frozen=True)
class Arguments:
    run: tuple[str, ...] = argument((), f"only these runs, with commas between. {SPELLINGS}")
    sweep: str = argument("", "only the runs of this sweep: its id, or how it begins, or last")
    margin: float = argument(0.01, "a difference in accuracy that does not matter; 0.01: one point", gt=0, lt=1)
    labels: str = argument(
        "these", "what claims are about; any: other labels of the same number, too", choices=("these", "any")
    )
    format: str = argument("table", "how it is printed", choices=("table", *TEXTS))
    out: Path | None = argument(None, "a file to write it to, instead of printing", suffixes=SUFFIXES)
    page: str | None = argument(
        "",
        f"where to write the page; not given: {PAGE} in output.dir, none for csv, json and md; null: none",
        suffixes=(".html", ".htm"),
    )
    open: bool = argument(False, "show the page in the browser")
    output_dir: str = config_argument("output.dir", doc="where the runs are, one folder each")
    tracking_uri: str | None = config_argument(
        "tracking.uri", doc="MLflow tracking address; null: runs from output.dir"
    )
    tracking_experiment: str = config_argument("tracking.experiment")
    weights_dir: str = config_argument("weights.dir", doc="speeds of networks are remembered beside it")

    @property
    def places(self) -> Places:
        return Places(local_path(self.output_dir), self.tracking_uri, self.tracking_experiment)


A = TypeVar("A")


def main() -> None:
    with errors_for_people():
        arguments, filters = read_with_filters(Arguments, sys.argv[1:], __doc__)
        with uncollected():
            compare(arguments, filters)


def read_with_filters(arguments: type[A], argv: Sequence[str], doc: str | None) -> tuple[A, list[str]]:
    """What a command was told, and the filters: every other ``name=value``.

    Raises:
        UserError: a word that is neither.
    """
    keys = keys_of(arguments)
    words = list(spelled_alike(argv, keys))
    filters = [word for word in words if "=" in word and word.partition("=")[0] not in keys]
    given, others = read_with_words(arguments, [word for word in words if word not in filters], doc)
    if others:
        raise UserError(f"{others[0]}: filters are written <tag or parameter>=<value>")
    return given, filters


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no garbage is looked for: thousands of runs are a million objects that are all kept, and looking through
    them again and again takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def compare(arguments: Arguments, filters: Sequence[str]) -> None:
    """Print the comparison, and write and keep its page.

    Raises:
        UserError: runs that cannot be found, or none that match.
    """
    from tl_sweep.comparison.analysis import Question
    from tl_sweep.report.table import FORMATS, print_study, sentences

    uri, output_dir = arguments.tracking_uri, local_path(arguments.output_dir)
    style = format_of(arguments.format, arguments.out, default="table")
    runs, what = find_runs(arguments)
    title, any_labels = " ".join([what, *filters]), arguments.labels == "any"
    question = Question(title, arguments.margin, tuple(filters), any_labels)
    study = study_of(filtered(runs, filters), question, Files(uri, local_path(arguments.weights_dir), output_dir))
    if uri is not None:
        study = with_link(study, uri, arguments.tracking_experiment)
    if style == "table":
        print_study(study, Console(width=None if Console().is_terminal else 200))
    else:
        write(FORMATS[style](study), arguments.out)
        if style == "csv":  # has place for rows alone
            print(*sentences(study), sep="\n", file=sys.stderr)
    if arguments.page is None or not (style == "table" or arguments.page):
        return
    path = Path(arguments.page) if arguments.page else output_dir / PAGE
    publish(study, [path], uri, arguments.tracking_experiment)
    print(f"page: {path}", file=sys.stdout if style == "table" else sys.stderr)
    if arguments.open:
        webbrowser.open(path.absolute().as_uri())


def find_runs(arguments: Arguments) -> tuple[list[RunRecord], str]:
    """The runs that are named, or of the sweep, or all, and what they are called together.

    Raises:
        UserError: there is no such run, sweep, database or experiment.
    """
    if arguments.run:
        return [which_run(text, arguments.places) for text in arguments.run], f"run={','.join(arguments.run)}"
    runs = all_runs(arguments.places, arguments.sweep)
    if not arguments.sweep:
        return runs, arguments.tracking_experiment
    runs = runs or all_runs(arguments.places)  # the sweep is not named in full
    sweep = which_sweep(arguments.sweep, runs)
    return [run for run in runs if Tag.sweep_of(sweep) in run.tags], sweep


def all_runs(places: Places, sweep: str = "") -> list[RunRecord]:
    """All runs, or those of this sweep: from the tracking store, or from their own folders where there is none."""
    from tl_sweep.tracking.record import Record, folders_in
    from tl_sweep.tracking.store import recorded_runs

    if places.uri is not None:
        database = missing_database(places.uri)
        if database is not None:
            raise UserError(no_database(database, places))
        return recorded_runs(places.uri, places.experiment, sweep)
    runs = [Record(folder).summary() for folder in folders_in(places.output_dir)]
    return [run for run in runs if run is not None and (not sweep or Tag.sweep_of(sweep) in run.tags)]


def filtered(runs: list[RunRecord], filters: Iterable[str]) -> list[RunRecord]:
    """The runs of which every filter (``name=value,value``) names a tag or parameter and one of its values.

    Raises:
        UserError: no run has a tag or parameter of that name, or none has these values.
    """
    if not runs:
        raise UserError("no runs are recorded there: sweep=, tracking.uri= and tracking.experiment= say where to look")
    for word in filters:
        name, _, text = word.partition("=")
        known = {key for run in runs for key in (*run.tags, *run.params, *keys_of(Arguments))}
        if name not in known:
            raise UserError(f"{word}: no run has a tag or parameter {name};{did_you_mean(name, known)}".rstrip(";"))
        there = sorted({_value(run, name) for run in runs})
        runs = [run for run in runs if _value(run, name) in text.split(",")]
        if not runs:
            raise UserError(f"{word}: no run has that; there are {', '.join(there[:20])}")
    return runs


def _value(run: RunRecord, name: str) -> str:
    return run.params.get(name, run.tags.get(name, ""))


if __name__ == "__main__":
    main()
