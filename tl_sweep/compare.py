"""Compare finished runs honestly:  python -m tl_sweep.compare [sweep=<id>] [<tag or parameter>=<value>[,<value>] ...]

    python -m tl_sweep.compare                                   everything in the experiment
    python -m tl_sweep.compare sweep=s1a2b3c4d5e backbone=resnet18 data.shots=10,25
    python -m tl_sweep.compare --format csv > rows.csv           also json, md

Chooses every free setting on validation, compares on test with intervals over seeds and images, and writes one page
(page=…, default report.html in output.dir; page=null: none). Further keys: margin=0.01 (a difference in accuracy that
does not matter), open=true (show the page in the browser), output.dir, tracking.uri (null: runs from output.dir),
tracking.experiment, weights.dir. docs/statistics.md says how it is computed.
"""

from __future__ import annotations

import gc
import sys
import webbrowser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tl_sweep.base.command_line import errors_for_people, read_arguments, spelled_alike
from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.schema import OutputConfig, TrackingConfig, WeightsConfig, local_path
from tl_sweep.sweep.conclusion import PAGE, publish, study_of, with_link
from tl_sweep.tracking.names import Tag

if TYPE_CHECKING:
    from tl_sweep.tracking.record import RunRecord

DEFAULTS = {
    "sweep": "",
    "margin": "0.01",
    "format": "table",
    "page": "",
    "open": "false",
    "output.dir": str(OutputConfig.dir),
    "tracking.uri": str(TrackingConfig.uri),
    "tracking.experiment": TrackingConfig.experiment,
    "weights.dir": str(WeightsConfig.dir),
}


def main() -> None:
    with errors_for_people():
        words = list(spelled_alike(sys.argv[1:], DEFAULTS))
        filters = [word for word in words if "=" in word and word.partition("=")[0] not in DEFAULTS]
        values, others = read_arguments([word for word in words if word not in filters], DEFAULTS, __doc__)
        if others:
            raise UserError(f"{others[0]}: filters are written <tag or parameter>=<value>")
        with uncollected():
            compare(values, filters)


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no garbage is looked for: thousands of runs are a million objects that are all kept, and looking through
    them again and again takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def compare(values: dict[str, str], filters: Sequence[str]) -> None:
    """Print the comparison, and write and keep its page.

    Raises:
        UserError: a value that is not allowed, runs that cannot be found, or none that match.
    """
    from tl_sweep.comparison.analysis import Question
    from tl_sweep.report.table import FORMATS, lines, print_study

    if values["format"] not in ("table", *FORMATS):
        near = did_you_mean(values["format"], FORMATS)
        raise UserError(f"format={values['format']}:{near} allowed: table, {', '.join(FORMATS)}")
    uri = None if values["tracking.uri"] == "null" else values["tracking.uri"]
    runs = filtered(find_runs(values, uri), filters)
    title = " ".join([values["sweep"] or values["tracking.experiment"], *filters])
    question = Question(title, _margin(values["margin"]), tuple(filters))
    study = study_of(runs, question, uri, local_path(values["weights.dir"]))
    if uri is not None:
        study = with_link(study, uri, values["tracking.experiment"])
    if values["format"] != "table":
        print(FORMATS[values["format"]](study))
        if values["format"] == "csv":  # has place for rows alone
            print(*lines(study), sep="\n", file=sys.stderr)
    else:
        print_study(study, Console(width=None if Console().is_terminal else 200))
    if values["page"] == "null" or (values["format"] != "table" and not values["page"]):
        return
    path = Path(values["page"]) if values["page"] else local_path(values["output.dir"]) / PAGE
    publish(study, path, uri, values["tracking.experiment"])
    print(f"page: {path}", file=sys.stderr if values["format"] != "table" else sys.stdout)
    if values["open"].lower() == "true":
        webbrowser.open(path.absolute().as_uri())


def _margin(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = -1.0
    if not 0 < margin < 1:
        raise UserError(
            f"margin={text}: a difference in accuracy above 0 and below 1 is needed, e.g. 0.01 for one point"
        )
    return margin


def find_runs(values: dict[str, str], uri: str | None) -> list[RunRecord]:
    """From the tracking store, or from the runs' own folders where there is none."""
    from tl_sweep.tracking.record import Record, folders_in
    from tl_sweep.tracking.store import recorded_runs

    if uri is not None:
        return recorded_runs(uri, values["tracking.experiment"], values["sweep"])
    runs = []
    for folder in folders_in(local_path(values["output.dir"])):
        run = Record(folder).summary()
        if run is not None and (not values["sweep"] or Tag.sweep_of(values["sweep"]) in run.tags):
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
        known = {key for run in runs for key in (*run.tags, *run.params, *DEFAULTS)}
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
