"""The grid sweeper: every job is checked before the first one starts, and the sweep ends with its table."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from tl_sweep.base.errors import JobFailed
from tl_sweep.config.keys import field_paths
from tl_sweep.sweep.grid import Job, expand_arms, lay_out, sweep_id
from tl_sweep.tracking.names import Metric

VALUES = frozenset(path for path, _ in field_paths())


@dataclass
class GridSweeperConfig:
    _target_: str = "hydra_plugins.tl_sweep_grid.GridSweeper"
    params: dict[str, Any] = field(default_factory=dict)
    arms: list[dict[str, Any]] = field(default_factory=list)
    # filled in for each job by the sweeper, so that a job can say where it stands; never part of a run's identity
    sweep_id: str = ""
    num_jobs: int = 1
    started_at_s: float = 0.0


@dataclass
class PlanSweeperConfig(GridSweeperConfig):
    _target_: str = "hydra_plugins.tl_sweep_grid.PlanSweeper"


for name, node in {"tl_sweep_grid": GridSweeperConfig, "tl_sweep_plan": PlanSweeperConfig}.items():
    ConfigStore.instance().store(group="hydra/sweeper", name=name, node=node, provider="tl_sweep")


class GridSweeper(Sweeper):
    """Expands Hydra's grid syntax; ``hydra.sweeper.params`` of a named sweep comes first, the command line wins.

    Where a named sweep has ``hydra.sweeper.arms``, each is a grid of its own beside ``params``: what one strategy is
    tried with need not be tried with the others.
    """

    def __init__(self, params: DictConfig, arms: Sequence[DictConfig] = (), **_for_the_jobs: Any) -> None:
        self.params, self.arms = params, arms
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader, self.job_config = hydra_context.config_loader, config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run what of the grid is not finished yet; returns one ``JobReturn`` per job, finished before or now.

        Raises:
            ConfigError, UserError: some job could not start; none was started.
            JobFailed: some jobs failed, after the others ran.
        """
        from tl_sweep.sweep.conclusion import conclude
        from tl_sweep.sweep.lifecycle import get_ready

        started_at_s = time.time()
        combinations = self._combinations(arguments)
        sweep = sweep_id(combinations)
        elsewhere = getattr(self.launcher, "elsewhere", False)
        grid = get_ready(lay_out(combinations, self._compose), sweep, here=not elsewhere)
        jobs = grid.unfinished()
        where = [
            f"hydra.sweeper.sweep_id={sweep}",
            f"hydra.sweeper.num_jobs={len(jobs)}",
            f"hydra.sweeper.started_at_s={started_at_s}",
        ]
        returns = list(self.launcher.launch([[*job.overrides, *where] for job in jobs], 0)) if jobs else []
        failures = _failures(jobs, returns)
        conclude(grid, sweep, arguments, failures, started_at_s)
        if failures:
            raise JobFailed(f"{len(failures)} of {len(grid.jobs)} jobs failed")
        return [*returns, *(_as_return(job) for job in grid.jobs if job not in jobs)]

    def _combinations(self, arguments: list[str]) -> list[list[str]]:
        return expand_arms(self.params, self.arms, arguments, OverridesParser.create(self.loader))

    def _compose(self, job: list[str]) -> DictConfig:
        """The job's configuration. Hydra composes once per choice of options (0.1 s); plain values are put in here."""
        overrides = OverridesParser.create().parse_overrides(job)
        values = [o for o in overrides if not (o.is_add() or o.is_delete()) and o.key_or_group in VALUES]
        choices = tuple(str(override.input_line) for override in overrides if override not in values)
        if choices not in self.composed:
            node = self.loader.load_sweep_config(self.job_config, list(choices))
            with read_write(node), open_dict(node):
                del node["hydra"]
            self.composed[choices] = node
        node = copy.deepcopy(self.composed[choices])
        for override in values:
            OmegaConf.update(node, override.key_or_group, override.value(), merge=True)
        return node


class PlanSweeper(GridSweeper):
    """``tl_sweep.plan``: says what ``GridSweeper`` would do."""

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        from tl_sweep.sweep.forecast import print_plan
        from tl_sweep.sweep.grid import recall_from_store

        grid = recall_from_store(lay_out(self._combinations(arguments), self._compose))
        print_plan(grid)
        return []


def _failures(jobs: list[Job], returns: Sequence[JobReturn]) -> list[tuple[str, str]]:
    """(overrides, reason) of each job that did not end well."""
    failed = []
    for job, returned in zip(jobs, returns, strict=True):
        if returned.status != JobStatus.COMPLETED:
            error = returned._return_value
            reason = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"
            failed.append((" ".join(job.overrides), reason))
    return failed


def _as_return(job: Job) -> JobReturn:
    """What Hydra would have got from a job that had finished before."""
    assert job.record is not None
    returned = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    returned.return_value = job.record.metrics[Metric.BEST_VAL_ACC]
    return returned
