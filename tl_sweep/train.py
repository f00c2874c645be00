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
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tl_sweep.command import errors_for_people
from tl_sweep.config import Config, ConfigError, conf_dir, local_path, parse
from tl_sweep.override_errors import explain
from tl_sweep.types import UserError

if TYPE_CHECKING:
    from tl_sweep.rows import RowStore
    from tl_sweep.tracking.store import Tracker

log = logging.getLogger("tl_sweep")

ConfigStore.instance().store(name="schema", node=Config, provider="tl_sweep")


@dataclass(frozen=True)
class Position:
    """Where a job stands in its sweep; a single run is job 1 of 1 of no sweep."""

    job: int = 1
    num_jobs: int = 1
    started_at_s: float = 0.0
    sweep_id: str = ""
    overrides: tuple[str, ...] = ()


def run_job(config: Config, folder: Path, position: Position) -> float:
    """Train, test and record one run in ``folder``; returns the validation accuracy that its sweep maximises."""
    from tl_sweep.assemble import open_store
    from tl_sweep.tracking.store import make_tracker

    tracker = make_tracker(folder, config.tracking.uri, config.tracking.experiment)
    status = "FAILED"
    try:
        with open_store(config) as store:
            val_acc = train_and_test(config, folder, position, tracker, store)
        status = "FINISHED"
    except KeyboardInterrupt:
        log.info("stopped by the keyboard")
        status = "KILLED"
        raise
    except Exception as error:
        log.exception("the run ended early")
        tracker.tags({"error": str(error)[:1000]})
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error: it must not keep the model alive
        raise
    finally:
        tracker.close(status)
    return val_acc


def train_and_test(config: Config, folder: Path, position: Position, tracker: Tracker, store: RowStore | None) -> float:
    """The run itself: everything between the opening and the closing of its record."""
    from tl_sweep import assemble, describe, results
    from tl_sweep.progress import EpochProgress
    from tl_sweep.training.loop import fit

    started_s = time.perf_counter()
    run = assemble.assemble(config, store, shared=position.num_jobs > 1)
    run_id = tracker.open(describe.header(config, run, position))
    describe.write_inputs(folder, config, run)
    log.info("%s: %s; %s", describe.title(config), " ".join(position.overrides), describe.counts(run))
    for note in (*run.images.notes, *run.splits.notes):
        log.info(note)
    with EpochProgress(describe.title(config), config.epochs, position) as progress:
        for record in fit(run.state, run.setup):
            tracker.metrics(record.metrics, record.epoch)
            log.info("epoch %d: %s", record.epoch + 1, record)
            progress.show(record)
    outcome = results.test_and_save(folder, config, run, time.perf_counter() - started_s)
    tracker.metrics(outcome.metrics, run.state.epoch)
    tracker.tags(outcome.tags)
    log.info("finished: %s", outcome.metrics)
    progress.finished(outcome.metrics, run_id)
    return outcome.metrics["best/val_acc"]


def task(node: DictConfig) -> float:
    """One job as Hydra's launchers call it."""
    from tl_sweep.logs import log_to
    from tl_sweep.prepare import prepare

    config, position = parse(node), _position()
    if not position.sweep_id:  # a sweep has prepared all its jobs before the first
        prepare([list(position.overrides)], lambda _: node)
    folder = local_path(config.output.dir) / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    folder.mkdir(parents=True)
    with log_to(folder / "run.log"):
        return run_job(config, folder, position)


def _position() -> Position:
    node = HydraConfig.get()
    overrides = tuple(node.overrides.task)
    if node.mode is not RunMode.MULTIRUN:
        return Position(overrides=overrides)
    sweeper = node.sweeper
    return Position(node.job.num + 1, sweeper.num_jobs, sweeper.started_at_s, sweeper.sweep_id, overrides)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
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
            compose_and_run()
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
    main()
