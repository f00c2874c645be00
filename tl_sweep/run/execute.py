"""One run in this process: data → model → freeze plan → loop → test → record.

This file is the only one that sees the whole run.
"""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from tl_sweep.base.command_line import Terminated, terminable
from tl_sweep.config.schema import Config
from tl_sweep.run.context import Paused, Position, destination_of
from tl_sweep.tracking.names import Metric, Tag

if TYPE_CHECKING:
    from tl_sweep.array_store.store import RowStore
    from tl_sweep.run.assemble import Run
    from tl_sweep.tracking.record import RunRecord
    from tl_sweep.tracking.tracker import Tracker
    from tl_sweep.training.resume import Checkpoints

log = logging.getLogger("tl_sweep")

STOPPED_BY: dict[type[BaseException], str] = {KeyboardInterrupt: "the keyboard", Terminated: "SIGTERM"}


def run_job(config: Config, folder: Path, position: Position) -> float:
    """Train, test and record one run in ``folder``, or go on with it; returns the validation accuracy that its sweep
    maximises, as ``Paused`` where it stops before its end. Only for the process that holds the run's lock."""
    from tl_sweep.run.assemble import open_array_store
    from tl_sweep.run.key import title
    from tl_sweep.run.progress import job_line, paused_line
    from tl_sweep.tracking.record import STATE
    from tl_sweep.tracking.tracker import Tracker
    from tl_sweep.training.resume import Checkpoints

    tracker = Tracker(folder, destination_of(config))
    status, reason = "FAILED", ""
    try:
        with open_array_store(config) as store:
            outcome = train_and_test(config, folder, position, tracker, store)
        status, reason = ("PAUSED", outcome.reason) if isinstance(outcome, Paused) else ("FINISHED", "")
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
    if isinstance(outcome, Paused):
        print(paused_line(title(config), position, outcome, tracker.run_id), flush=True)
        return outcome
    Checkpoints(folder / STATE).remove()
    print(job_line(title(config), position, outcome, tracker.run_id), flush=True)
    return outcome[Metric.BEST_VAL_ACC]


def train_and_test(
    config: Config, folder: Path, position: Position, tracker: Tracker, store: RowStore | None
) -> dict[str, float] | Paused:
    """The run itself: everything between the opening and the closing of its record; returns its final metrics."""
    from tl_sweep.run.assemble import assemble
    from tl_sweep.run.header import counts, header, write_inputs
    from tl_sweep.run.key import title
    from tl_sweep.run.outcome import test_and_save
    from tl_sweep.run.weights import obtain
    from tl_sweep.tracking.predictions import PREDICTIONS
    from tl_sweep.tracking.record import STATE
    from tl_sweep.training.resume import Checkpoints

    started_s = time.perf_counter()
    run = assemble(config, obtain(config), store, shared=position.num_jobs > 1)
    tracker.open(header(folder, config, run, position))
    write_inputs(folder, config, run)
    log.info("%s: %s; %s", title(config), " ".join(position.overrides), counts(run))
    for note in (*run.images.notes, *run.splits.notes):
        log.info(note)
    checkpoints = Checkpoints(folder / STATE)
    started_s -= checkpoints.load(run.state, run.setup)
    if not run.state.epoch:  # whatever an attempt without a state has left belongs to other weights
        (folder / PREDICTIONS).unlink(missing_ok=True)
    paused = train(config, run, position, tracker, checkpoints, started_s)
    if paused is not None:
        log.info("paused %s", paused.reason)
        return paused
    outcome = test_and_save(folder, config, run, time.perf_counter() - started_s)
    tracker.metrics(outcome.metrics, run.state.epoch)
    tracker.tags(outcome.tags)
    log.info("finished: %s", outcome.metrics)
    return outcome.metrics


def train(
    config: Config, run: Run, position: Position, tracker: Tracker, checkpoints: Checkpoints, started_s: float
) -> Paused | None:
    """Train to the end, or until the run has had ``position.stop_after`` epochs; its state is kept then."""
    from tl_sweep.run.key import title
    from tl_sweep.run.progress import EpochProgress
    from tl_sweep.training.loop import chosen, fit

    state, limit = run.state, position.stop_after or config.epochs
    with EpochProgress(title(config), config.epochs, position) as progress:
        epochs = fit(state, run.setup)
        while not limit <= state.epoch < config.epochs:
            record = next(epochs, None)
            if record is None:
                return None
            elapsed_s = time.perf_counter() - started_s
            tracker.metrics(record.metrics | {Metric.SECONDS_ELAPSED: elapsed_s}, record.epoch)
            checkpoints.save(state, run.setup, elapsed_s, at_once=limit <= state.epoch < config.epochs)
            log.info("epoch %d: %s", record.epoch + 1, record)
            progress.show(record)
    reason = f"after {state.epoch} of {config.epochs} epochs (hydra.sweeper.stop_after={position.stop_after})"
    return Paused(chosen(state, run.setup).val_acc, reason)


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
            return earlier.metrics[Metric.BEST_VAL_ACC]
        folder.mkdir(parents=True, exist_ok=True)
        with log_to(folder / "run.log"):
            return run_job(config, folder, position)


def starts_over(config: Config, earlier: RunRecord, position: Position) -> bool:
    """Whether what is recorded shall not be used, by ``resume``; what this very command began is. Told by its name, not
    by a clock, which may have been ahead, or is another machine's."""
    if position.command and earlier.tags.get(Tag.COMMAND) == position.command:
        return False
    return config.resume == "force" or (config.resume == "never" and earlier.status != "FINISHED")
