"""What a sweep says at its end: the comparison of its runs, as a table and as a page."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError
from tl_sweep.comparison.analysis import Question, nothing
from tl_sweep.comparison.history import PLANNED
from tl_sweep.comparison.model_selection import DEFAULTS, value_of
from tl_sweep.comparison.study import Excluded
from tl_sweep.config.keys import keys_with
from tl_sweep.config.quoting import pasted
from tl_sweep.config.schema import Config, local_path
from tl_sweep.report.ending import SweepEnd, print_ending
from tl_sweep.run.context import destination_of
from tl_sweep.run.finished import Files
from tl_sweep.run.key import params_of, run_folder
from tl_sweep.sweep.jobs import Grid, Job
from tl_sweep.sweep.lifecycle import tidy
from tl_sweep.sweep.schedulers.contract import Result
from tl_sweep.tracking.delivery import count_waiting, known_run
from tl_sweep.training.rates import is_baseline

if TYPE_CHECKING:
    from tl_sweep.comparison.analysis import Question
    from tl_sweep.comparison.study import Study
    from tl_sweep.tracking.record import RunRecord


def conclude(grid: Grid, sweep: str, arguments: list[str], results: list[Result], started_at_s: float) -> None:
    """Send what still waits, print the sweep's last lines, and write the page of its comparison.

    results: of the jobs that had not finished before.
    """
    tidy([job.config for job in grid.jobs])
    config = grid.jobs[0].config
    where = destination_of(config)
    folders = [run_folder(job.config, job.key) for job in grid.jobs]
    found = [known_run(folder, where) or job.record for folder, job in zip(folders, grid.jobs, strict=True)]
    runs = [  # in this sweep's words: a run that was made by another command may spell its settings otherwise
        replace(run, params=params_of(job.config) | {PLANNED: value_of(run, PLANNED)})  # that was said before it ran
        for run, job in zip(found, grid.jobs, strict=True)
        if run is not None
    ]
    try:
        files = Files(config.tracking.uri, local_path(config.weights.dir), local_path(config.output.dir))
        study = study_of(runs, Question(sweep), files)
        if where is not None and study.rows:
            study = with_link(study, where.uri, where.experiment)
    except UserError as error:  # the sweep itself is done, and is said to be
        print(f"warning: its runs cannot be compared: {error}", file=sys.stderr, flush=True)
        study = nothing(sweep)
    unrecorded = [job for run, job in zip(found, grid.jobs, strict=True) if run is None]
    study = replace(study, excluded=(*study.excluded, *_not_recorded(unrecorded, results)))
    states = Counter(result.status for result in results)
    print_ending(
        SweepEnd(
            sweep=sweep,
            arguments=arguments,
            num_jobs=len(grid.jobs),
            study=study,
            failures=[(" ".join(r.job.overrides), r.reason) for r in results if r.status == "FAILED"],
            paused=states["PAUSED"],
            skipped=states["SKIPPED"],
            before=len(grid.jobs) - len(grid.unfinished()),
            seconds=time.time() - started_at_s,
            has_baseline=any(is_baseline(job.config) for job in grid.jobs),
        )
    )
    if study.rows:
        folder = local_path(config.output.dir)
        pages = (folder / f"{sweep}.html", folder / PAGE)
        try:
            publish(study, pages, config.tracking.uri, config.tracking.experiment)
            print(f"the comparison as a page: {pages[0]}; as the newest: {pages[1]}", flush=True)
        except UserError as error:  # the sweep itself is done, and said
            print(f"warning: {error}", file=sys.stderr, flush=True)
    waiting = 0 if where is None else count_waiting(folders, where)
    if waiting:
        print(f"{waiting} runs are not whole in the tracking store yet: {sync_command(config)} sends the rest")


def sync_command(config: Config) -> str:
    """With the places that are not the defaults."""
    params = params_of(config)
    places = [f"{key}={params[key]}" for key in keys_with(place="results") if params[key] != DEFAULTS[key]]
    return pasted(["python", "-m", "tl_sweep.sync", *places])


def _not_recorded(jobs: list[Job], results: list[Result]) -> list[Excluded]:
    """These jobs, by why they have left no record."""
    skipped = {result.job.key: f"skipped: {result.reason}" for result in results if result.status == "SKIPPED"}
    by_reason: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        by_reason[skipped.get(job.key, "no run was recorded")].append(" ".join(job.overrides))
    return [Excluded(reason, tuple(words)) for reason, words in by_reason.items()]


PAGE = "report.html"  # in output.dir: the newest; a sweep's own stays beside it


def study_of(runs: Iterable[RunRecord], question: Question, files: Files) -> Study:
    """The comparison of these runs."""
    from tl_sweep.comparison.analysis import analyse
    from tl_sweep.comparison.evidence import Evidence
    from tl_sweep.sweep.lookups import Pictures, Speeds

    return analyse(runs, Evidence(files, Pictures(files)), Speeds(files), question)


def with_link(study: Study, uri: str, experiment: str) -> Study:
    """With the address of MLflow's own page that shows the chosen runs of each row side by side; none for a store that
    does not answer."""
    from tl_sweep.tracking.client import StoreAway
    from tl_sweep.tracking.store import compare_link

    with suppress(StoreAway):
        return replace(study, compare_link=compare_link(uri, experiment, [row.run_ids[0] for row in study.rows]))
    return study


def publish(study: Study, pages: Sequence[Path], uri: str | None, experiment: str) -> None:
    """Write the page, to each of these files, and keep the last of them in the tracking store, too; a store that does
    not answer costs a warning.

    Raises:
        UserError: it cannot be written, or the store refuses it.
    """
    from tl_sweep.report.page import study_page
    from tl_sweep.tracking.client import StoreAway, warn_away
    from tl_sweep.tracking.reports import keep_report

    page = study_page(study)
    for path in pages:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write_text(page)
        except OSError as error:
            raise UserError(f"page={path}: {error.strerror}; choose another place with page=…") from error
    if uri is not None:
        try:
            keep_report(uri, experiment, study.title, pages[-1])
        except StoreAway as away:
            warn_away(uri, away.__cause__ or away)
