"""Train one model, or a grid of them:  python -m tl_sweep.train [-m] [key=value ...]

This file is the only one that sees the whole run: data → model → freeze plan → loop → test → record.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tl_sweep.base.command_line import Terminated, errors_for_people, terminable
from tl_sweep.base.errors import UserError
from tl_sweep.config.override_errors import explain
from tl_sweep.config.schema import Config, ConfigError, conf_dir, parse

if TYPE_CHECKING:
    from tl_sweep.array_store.store import RowStore
    from tl_sweep.tracking.record import RunRecord
    from tl_sweep.tracking.tracker import Tracker

log = logging.getLogger("tl_sweep")

ConfigStore.instance().store(name="schema", node=Config, provider="tl_sweep")


STOPPED_BY: dict[type[BaseException], str] = {KeyboardInterrupt: "the keyboard", Terminated: "SIGTERM"}


@dataclass(frozen=True)
class Position:
    """Where a job stands in its sweep; a single run is job 1 of 1 of no sweep."""

    job: int = 1
    num_jobs: int = 1
    started_at_s: float = 0.0
    sweep_id: str = ""
    overrides: tuple[str, ...] = ()


def run_job(config: Config, folder: Path, position: Position) -> float:
    """Train, test and record one run in ``folder``, or go on with it; returns the validation accuracy that its sweep
    maximises. Only for the process that holds the run's lock."""
    from tl_sweep.run.assemble import open_store
    from tl_sweep.run.key import title
    from tl_sweep.run.progress import job_line
    from tl_sweep.sweep.lifecycle import destination_of
    from tl_sweep.tracking.record import STATE
    from tl_sweep.tracking.tracker import Tracker
    from tl_sweep.training.resume import Checkpoints

    tracker = Tracker(folder, destination_of(config))
    status, reason = "FAILED", ""
    try:
        with open_store(config) as store:
            metrics = train_and_test(config, folder, position, tracker, store)
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit) as stop:  # SystemExit: the launcher's own way of ending a job
        log.info("stopped by %s", STOPPED_BY.get(type(stop), "its launcher"))
        status = "KILLED"
        raise
    except Exception as error:
        log.exception("the run ended early")
        reason = str(error)
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error: it must not keep the model alive
        raise
    finally:
        tracker.close(status, reason)
    Checkpoints(folder / STATE).remove()
    print(job_line(title(config), position, metrics, tracker.run_id), flush=True)
    return metrics["best/val_acc"]


def train_and_test(
    config: Config, folder: Path, position: Position, tracker: Tracker, store: RowStore | None
) -> dict[str, float]:
    """The run itself: everything between the opening and the closing of its record; returns its final metrics."""
    from tl_sweep.run import assemble
    from tl_sweep.run import header as describe
    from tl_sweep.run import outcome as results
    from tl_sweep.run.key import title
    from tl_sweep.run.progress import EpochProgress
    from tl_sweep.tracking.record import STATE
    from tl_sweep.training.loop import fit
    from tl_sweep.training.resume import Checkpoints

    started_s = time.perf_counter()
    run = assemble.assemble(config, store, shared=position.num_jobs > 1)
    tracker.open(describe.header(folder, config, run, position))
    describe.write_inputs(folder, config, run)
    log.info("%s: %s; %s", title(config), " ".join(position.overrides), describe.counts(run))
    for note in (*run.images.notes, *run.splits.notes):
        log.info(note)
    checkpoints = Checkpoints(folder / STATE)
    started_s -= checkpoints.load(run.state, run.setup)
    if not run.state.epoch:  # whatever an attempt without a state has left belongs to other weights
        (folder / results.PREDICTIONS).unlink(missing_ok=True)
    with EpochProgress(title(config), config.epochs, position) as progress:
        for record in fit(run.state, run.setup):
            elapsed_s = time.perf_counter() - started_s
            tracker.metrics(record.metrics | {"seconds_elapsed": elapsed_s}, record.epoch)
            checkpoints.save(run.state, run.setup, elapsed_s)
            log.info("epoch %d: %s", record.epoch + 1, record)
            progress.show(record)
    outcome = results.test_and_save(folder, config, run, time.perf_counter() - started_s)
    tracker.metrics(outcome.metrics, run.state.epoch)
    tracker.tags(outcome.tags)
    log.info("finished: %s", outcome.metrics)
    return outcome.metrics


def task(node: DictConfig) -> float:
    """One job as Hydra's launchers call it: returns what is recorded if it finished before, else runs it."""
    from tl_sweep.run.key import key_of, run_folder
    from tl_sweep.sweep.grid import lay_out, recall_from_store
    from tl_sweep.sweep.lifecycle import tidy
    from tl_sweep.sweep.preflight import make_ready

    config, position = parse(node), _position()
    if position.sweep_id:  # the sweep has prepared all its jobs before the first
        return run_once(config, run_folder(config, key_of(config)), position)
    grid = lay_out([list(position.overrides)], lambda _: node)
    if grid.unfinished():
        make_ready([config])
        grid = recall_from_store(grid)
    tidy([config])
    (job,) = grid.jobs
    folder = run_folder(config, job.key)
    if job.record is not None and job.status == "FINISHED":
        where = folder if folder.exists() else f"run {job.record.run_id}"
        print(f"finished before: {where}; resume=force runs it again", flush=True)
        return job.record.metrics["best/val_acc"]
    return run_once(config, folder, position)


def run_once(config: Config, folder: Path, position: Position) -> float:
    """Run the job of ``folder``, unless another process has finished it by the time that this one may."""
    from tl_sweep.run.log_file import log_to
    from tl_sweep.tracking.record import Record, adopt, hold, put_aside

    with terminable(), hold(folder):
        earlier = Record(folder).summary()
        if earlier is not None and starts_over(config, earlier, position):
            put_aside(folder)
        elif earlier is not None and earlier.status == "FINISHED":
            adopt(folder, position.sweep_id)
            return earlier.metrics["best/val_acc"]
        folder.mkdir(parents=True, exist_ok=True)
        with log_to(folder / "run.log"):
            return run_job(config, folder, position)


def starts_over(config: Config, earlier: RunRecord, position: Position) -> bool:
    """Whether what is recorded shall not be used, by ``resume``; what this very command began is."""
    if earlier.started_s >= position.started_at_s:
        return False
    return config.resume == "force" or (config.resume == "never" and earlier.status != "FINISHED")


def _position() -> Position:
    node = HydraConfig.get()
    overrides = tuple(node.overrides.task)
    if node.mode is not RunMode.MULTIRUN:
        return Position(started_at_s=time.time(), overrides=overrides)
    sweeper = node.sweeper
    return Position(node.job.num + 1, sweeper.num_jobs, sweeper.started_at_s, sweeper.sweep_id, overrides)


def compose_and_run(node: DictConfig) -> float:
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return task(node)
    with errors_for_people():  # a single run: the error is the command's
        return task(node)


def main() -> None:
    """The console script and ``python -m tl_sweep.train``."""
    with errors_for_people():
        refuse_conflicting_flags(sys.argv[1:])
        asked = os.environ.get("HYDRA_FULL_ERROR")
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra prints errors itself otherwise, some with a traceback
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(compose_and_run)()
        except (HydraException, OmegaConfBaseException) as error:
            if asked == "1":
                raise
            raise ConfigError([explain(error, sys.argv[1:])]) from error
        finally:
            if asked is None:
                del os.environ["HYDRA_FULL_ERROR"]


def refuse_conflicting_flags(arguments: list[str]) -> None:
    """Answer the flags that Hydra would answer with a traceback."""
    multirun = {"-m", "--multirun"} & set(arguments)
    shows = [flag for flag in ("--cfg", "-c", "--info", "-i") if any(a.split("=")[0] == flag for a in arguments)]
    if multirun and shows:
        raise UserError(f"{shows[0]} shows the configuration of one run: leave out {multirun.pop()}")


if __name__ == "__main__":
    from tl_sweep.train import main  # so that a job's task has a name under which other processes find it

    main()
