"""Compare finished runs honestly:  python -m tl_sweep.compare [sweep=<id>] [<tag or parameter>=<value>[,<value>] ...]

    python -m tl_sweep.compare                                   everything in the experiment
    python -m tl_sweep.compare sweep=s1a2b3c4d5e backbone=resnet18 data.shots=10,25
    python -m tl_sweep.compare --format csv > rows.csv           also json, md

Chooses every free setting on validation, compares on test with intervals over seeds and images, and writes one page
that shows it. docs/statistics.md says how it is computed.
"""

from __future__ import annotations

import gc
import sys
import webbrowser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tl_sweep.base.arguments import argument, keys_of, read_with_words, spelled_alike
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.schema import local_path
from tl_sweep.sweep.conclusion import PAGE, publish, study_of, with_link
from tl_sweep.tracking.names import Tag

if TYPE_CHECKING:
    from tl_sweep.tracking.record import RunRecord


@dataclass(frozen=True)
class Arguments:
    sweep: str = argument("", "only the runs of this sweep")
    margin: float = argument(0.01, "a difference in accuracy that does not matter; 0.01: one point", gt=0, lt=1)
    format: str = argument("table", "how it is printed", choices=("table", "csv", "json", "md"))
    page: str | None = argument(
        "", f"where to write the page; not given: {PAGE} in output.dir, none for csv, json and md; null: none"
    )
    open: bool = argument(False, "show the page in the browser")
    output_dir: str = config_argument("output.dir", doc="where the runs are, one folder each")
    tracking_uri: str | None = config_argument(
        "tracking.uri", doc="MLflow tracking address; null: runs from output.dir"
    )
    tracking_experiment: str = config_argument("tracking.experiment")
    weights_dir: str = config_argument("weights.dir", doc="speeds of networks are remembered beside it")


KEYS = keys_of(Arguments)


def main() -> None:
    with errors_for_people():
        words = list(spelled_alike(sys.argv[1:], KEYS))
        filters = [word for word in words if "=" in word and word.partition("=")[0] not in KEYS]
        arguments, others = read_with_words(Arguments, [word for word in words if word not in filters], __doc__)
        if others:
            raise UserError(f"{others[0]}: filters are written <tag or parameter>=<value>")
        with uncollected():
            compare(arguments, filters)


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

    uri, is_table = arguments.tracking_uri, arguments.format == "table"
    runs = filtered(find_runs(arguments), filters)
    title = " ".join([arguments.sweep or arguments.tracking_experiment, *filters])
    question = Question(title, arguments.margin, tuple(filters))
    study = study_of(runs, question, uri, local_path(arguments.weights_dir))
    if uri is not None:
        study = with_link(study, uri, arguments.tracking_experiment)
    if not is_table:
        print(FORMATS[arguments.format](study))
        if arguments.format == "csv":  # has place for rows alone
            print(*sentences(study), sep="\n", file=sys.stderr)
    else:
        print_study(study, Console(width=None if Console().is_terminal else 200))
    if arguments.page is None or not (is_table or arguments.page):
        return
    path = Path(arguments.page) if arguments.page else local_path(arguments.output_dir) / PAGE
    publish(study, [path], uri, arguments.tracking_experiment)
    print(f"page: {path}", file=sys.stdout if is_table else sys.stderr)
    if arguments.open:
        webbrowser.open(path.absolute().as_uri())


def find_runs(arguments: Arguments) -> list[RunRecord]:
    """From the tracking store, or from the runs' own folders where there is none."""
    from tl_sweep.tracking.record import Record, folders_in
    from tl_sweep.tracking.store import recorded_runs

    sweep = arguments.sweep
    if arguments.tracking_uri is not None:
        return recorded_runs(arguments.tracking_uri, arguments.tracking_experiment, sweep)
    runs = []
    for folder in folders_in(local_path(arguments.output_dir)):
        run = Record(folder).summary()
        if run is not None and (not sweep or Tag.sweep_of(sweep) in run.tags):
            runs.append(replace(run, tags=run.tags | {Tag.FOLDER: str(folder)}))  # it may have been moved since
    return runs


def filtered(runs: list[RunRecord], filters: Iterable[str]) -> list[RunRecord]:
    """The runs of which every filter (``name=value,value``) names a tag or parameter and one of its values.

    Raises:
        UserError: no run has a tag or parameter of that name, or none has these values.
    """
    if not runs:
        raise UserError("no runs are recorded there: sweep=, tracking.uri= and tracking.experiment= say where to look")
    for word in filters:
        name, _, text = word.partition("=")
        known = {key for run in runs for key in (*run.tags, *run.params, *KEYS)}
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
