"""Run a recorded run again and compare:  python -m tl_sweep.reproduce run=best

Runs from the record (configuration, threads) in a folder that is removed again, records nothing, and exits 1 unless
every metric is equal; what measures time and memory is left out. Equal numbers need the same machine and libraries.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tl_sweep.base.arguments import read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.config.loading import from_yaml
from tl_sweep.config.schema import Config
from tl_sweep.run.finished import Files
from tl_sweep.run.which import Places, RunArguments, which_run
from tl_sweep.tracking.names import MEASURED, Tag
from tl_sweep.tracking.record import RECORD, Record, RunRecord, metric_lines

Arguments = RunArguments


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        places = arguments.places
        if not arguments.run:
            raise UserError("which run? python -m tl_sweep.reproduce run=best")
        with tempfile.TemporaryDirectory() as temporary:
            recorded = recorded_files(which_run(arguments.run, places), places, Path(temporary))
            if not recorded.is_relative_to(temporary) and not recorded.is_relative_to(places.output_dir):
                places = replace(places, output_dir=recorded.parent)  # runs that it started from are beside it
            different = differences(metric_lines(recorded), run_again(recorded, Path(temporary) / "again", places))
    for line in different:
        print(line)
    print(f"{arguments.run}: {'NOT reproduced' if different else 'reproduced, every metric is equal'}")
    sys.exit(1 if different else 0)


def recorded_files(run: RunRecord, places: Places, folder: Path) -> Path:
    """A folder with the run's record and configuration: its own, or one in ``folder``, filled from the tracking store.

    Raises:
        UserError: they are gone.
    """
    files = Files(places.uri, folder / "weights", places.output_dir)
    files(run, "config.yaml")
    return files(run, RECORD).parent


def run_again(recorded: Path, folder: Path, places: Places) -> list[dict[str, float]]:
    """The metrics of the same configuration, run anew."""
    from tl_sweep.run.context import Position
    from tl_sweep.run.execute import run_job
    from tl_sweep.run.key import key_of
    from tl_sweep.sweep.preflight import make_ready, obtain_weights

    config = as_it_ran(recorded, places)
    obtain_weights([config])  # of a run that the store may have to be asked for
    folder.mkdir()
    own = replace(config.output, dir=str(folder.parent))  # the recorded runs may stand where nobody may write
    config = replace(config, tracking=replace(config.tracking, uri=None), output=own)
    make_ready([config])
    run_job(config, folder, Position(key=key_of(config)))
    return metric_lines(folder)


def as_it_ran(recorded: Path, places: Places) -> Config:
    """The run's configuration, with the number of threads that it had. places: where to look up other runs.

    Raises:
        UserError: the run did not finish.
    """
    config = from_yaml((recorded / "config.yaml").read_text())
    summary = Record(recorded).summary()
    if summary is None or summary.status != "FINISHED":
        raise UserError(f"{recorded}: the run did not finish: there is nothing to compare with")
    return replace(
        config,
        threads=int(summary.tags[Tag.THREADS]),
        output=replace(config.output, dir=str(places.output_dir)),
        tracking=replace(config.tracking, uri=places.uri, experiment=places.experiment),
    )


def differences(expected: list[dict[str, float]], found: list[dict[str, float]]) -> list[str]:
    """A line for each metric that is not bit-equal, the first ten."""
    lines = [] if len(expected) == len(found) else [f"{len(expected)} steps were recorded, {len(found)} came out"]
    for old, new in zip(expected, found, strict=False):
        names = [name for name in {**old, **new} if not name.startswith(MEASURED)]
        lines += [
            f"step {int(old['step'])}, {name}: {old.get(name)} was recorded, {new.get(name)} came out"
            for name in names
            if repr(old.get(name)) != repr(new.get(name))
        ]
    return lines[:10]


if __name__ == "__main__":
    main()
