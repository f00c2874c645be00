"""Train one model, or a grid of them:  python -m tl_sweep.train [-m] [key=value ...]

The composition root: configuration → grid → what the jobs need → jobs; ``tl_sweep.run.execute`` is one of them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.config.loading import conf_dir, offer_own_options, own_conf_dir, parse
from tl_sweep.config.option_files import own_files_named
from tl_sweep.config.override_errors import explain
from tl_sweep.config.schema import Config, ConfigError
from tl_sweep.config.typed import read_command_line
from tl_sweep.run.context import Position
from tl_sweep.run.execute import run_once
from tl_sweep.tracking.names import Metric

ConfigStore.instance().store(name="schema", node=Config, provider="tl_sweep")


def task(node: DictConfig) -> float:
    """One job as Hydra's launchers call it: returns what is recorded if it finished before, else runs it."""
    from tl_sweep.run.identity import Identity, require_same
    from tl_sweep.run.key import run_folder

    config, position = parse(node), _position()
    if position.sweep_id:  # the sweep has prepared all its jobs before the first
        require_same(config, Identity(position.key, HydraConfig.get().sweeper.digests))
        return run_once(config, run_folder(config, position.key), position)
    return run_alone(node, position)


def run_alone(node: DictConfig, position: Position) -> float:
    """A run that no sweep has prepared."""
    from tl_sweep.run.key import run_folder
    from tl_sweep.sweep.grid import lay_out, recall_from_store
    from tl_sweep.sweep.lifecycle import tidy
    from tl_sweep.sweep.preflight import make_ready

    grid = lay_out([list(position.overrides)], lambda _: node)
    for note in grid.notes():
        print(note, flush=True)
    config = grid.jobs[0].config
    if grid.unfinished():
        make_ready([config])
        grid = recall_from_store(grid)
    tidy([config])
    (job,) = grid.jobs
    folder = run_folder(config, job.key)
    if job.record is not None and job.status == "FINISHED":
        where = folder if folder.exists() else f"run {job.record.run_id}"
        print(f"finished before: {where}; resume=force runs it again", flush=True)
        return job.record.metrics[Metric.BEST_VAL_ACC]
    return run_once(config, folder, replace(position, key=job.key))


def _position() -> Position:
    node = HydraConfig.get()
    overrides, config_dir = tuple(node.overrides.task), own_conf_dir(node.runtime.config_sources)
    if node.mode is not RunMode.MULTIRUN:
        return Position(started_at_s=time.time(), overrides=overrides, config_dir=config_dir)
    sweeper = node.sweeper
    return Position(
        node.job.num + 1,
        sweeper.num_jobs,
        sweeper.started_at_s,
        sweeper.sweep_id,
        overrides,
        config_dir,
        sweeper.key,
        sweeper.stop_after,
    )


def compose_and_run(node: DictConfig) -> float:
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return task(node)
    position = _position()
    with errors_for_people(), own_files_named(["--config-dir", position.config_dir], position.overrides):
        return task(node)  # a single run: the error is the command's


def main() -> None:
    """The console script and ``python -m tl_sweep.train``."""
    with errors_for_people():
        offer_own_options()
        typed = read_command_line(sys.argv[1:])
        refuse_conflicting_flags(typed.flags)
        sys.argv[1:] = typed.words
        asked = os.environ.get("HYDRA_FULL_ERROR")
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra prints errors itself otherwise, some with a traceback
        try:
            with own_files_named(typed.flags, typed.overrides):
                hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(compose_and_run)()
        except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
            if asked == "1":
                raise
            raise ConfigError(explain(error, typed)) from error
        finally:
            if asked is None:
                del os.environ["HYDRA_FULL_ERROR"]


def refuse_conflicting_flags(flags: Sequence[str]) -> None:
    """Answer the flags that Hydra would answer with a traceback."""
    multirun = {"-m", "--multirun"} & set(flags)
    shows = [flag for flag in ("--cfg", "-c", "--info", "-i") if any(f.split("=")[0] == flag for f in flags)]
    if multirun and shows:
        raise UserError(f"{shows[0]} shows the configuration of one run: leave out {multirun.pop()}")


if __name__ == "__main__":
    from tl_sweep.train import main  # so that a job's task has a name under which other processes find it

    main()
