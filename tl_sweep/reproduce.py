"""Run a recorded run again and compare:  python -m tl_sweep.reproduce run=<id>

Runs from the record (configuration, threads) in a folder that is removed again, records nothing, and exits 1 unless
every metric is equal; what measures time and memory is left out. Equal numbers need the same machine and libraries.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.loading import from_yaml
from tl_sweep.config.schema import Config, local_path
from tl_sweep.tracking.delivery import own_id
from tl_sweep.tracking.names import MEASURED, Tag
from tl_sweep.tracking.record import RECORD, Record, metric_lines


@dataclass(frozen=True)
class Arguments:
    run: str = argument("", "needed: MLflow run id, or key (the name of its folder)")
    output_dir: str = config_argument("output.dir", doc="where the runs are, one folder each")
    tracking_uri: str = config_argument("tracking.uri", doc="MLflow tracking address, where to look up other runs")


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        run, uri = arguments.run, arguments.tracking_uri
        if not run:
            raise UserError("usage: python -m tl_sweep.reproduce run=<mlflow run id, or key>")
        with tempfile.TemporaryDirectory() as temporary:
            recorded = recorded_files(run, local_path(arguments.output_dir), uri, Path(temporary))
            different = differences(metric_lines(recorded), run_again(recorded, Path(temporary) / "again", uri))
    for line in different:
        print(line)
    print(f"{run}: {'NOT reproduced' if different else 'reproduced, every metric is equal'}")
    sys.exit(1 if different else 0)


def recorded_files(run: str, output_dir: Path, uri: str, folder: Path) -> Path:
    """A folder with the run's record and configuration: its own, or ``folder`` filled from the tracking store."""
    from tl_sweep.tracking.store import download, read_run

    if (output_dir / run / RECORD).exists():
        return output_dir / run
    tags = read_run(uri, run).tags
    own = Path(tags.get(Tag.FOLDER, ""))
    if own_id(own) == tags.get(Tag.RUN_ID):  # not a later run of the same key
        return own
    for name in (RECORD, "config.yaml"):
        download(uri, run, name, folder)
    return folder


def run_again(recorded: Path, folder: Path, uri: str) -> list[dict[str, float]]:
    """The metrics of the same configuration, run anew."""
    from tl_sweep.run.context import Position
    from tl_sweep.run.execute import run_job
    from tl_sweep.run.key import key_of
    from tl_sweep.sweep.preflight import make_ready

    config = as_it_ran(recorded, uri)
    make_ready([config])
    folder.mkdir()
    run_job(replace(config, tracking=replace(config.tracking, uri=None)), folder, Position(key=key_of(config)))
    return metric_lines(folder)


def as_it_ran(recorded: Path, uri: str) -> Config:
    """The run's configuration, with the number of threads that it had. uri: where to look up other runs."""
    config = from_yaml((recorded / "config.yaml").read_text())
    summary = Record(recorded).summary()
    if summary is None or summary.status != "FINISHED":
        raise UserError(f"{recorded}: the run did not finish: there is nothing to compare with")
    return replace(config, threads=int(summary.tags[Tag.THREADS]), tracking=replace(config.tracking, uri=uri))


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
