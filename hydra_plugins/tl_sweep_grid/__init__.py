"""The grid sweeper: every job is checked before the first one starts, and the sweep ends with its table."""

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
from omegaconf import DictConfig, open_dict, read_write

from tl_sweep.grid import expand, sweep_id
from tl_sweep.types import JobFailed


@dataclass
class GridSweeperConfig:
    _target_: str = "hydra_plugins.tl_sweep_grid.GridSweeper"
    params: dict[str, Any] = field(default_factory=dict)
    # filled in for each job by the sweeper, so that a job can say where it stands; never part of a run's identity
    sweep_id: str = ""
    num_jobs: int = 1
    started_at_s: float = 0.0


ConfigStore.instance().store(group="hydra/sweeper", name="tl_sweep_grid", node=GridSweeperConfig, provider="tl_sweep")


class GridSweeper(Sweeper):
    """Expands Hydra's grid syntax; ``hydra.sweeper.params`` of a named sweep comes first, the command line wins."""

    def __init__(self, params: DictConfig, **_for_the_jobs: Any) -> None:
        self.params = {str(key): value for key, value in params.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader, self.job_config = hydra_context.config_loader, config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the grid; returns one ``JobReturn`` per job.

        Raises:
            ConfigError, UserError: some job could not start; none was started.
            JobFailed: some jobs failed, after the others ran.
        """
        from tl_sweep.prepare import prepare, reuse_order
        from tl_sweep.report.ending import print_ending

        named = [f"{key}={'null' if value is None else value}" for key, value in self.params.items()]
        jobs = expand(OverridesParser.create().parse_overrides([*named, *arguments]))
        identity = sweep_id(jobs)
        configs = prepare(jobs, self._compose)
        order = reuse_order(configs)
        jobs, configs = [jobs[job] for job in order], [configs[job] for job in order]
        started_at_s = time.time()
        where = [
            f"hydra.sweeper.sweep_id={identity}",
            f"hydra.sweeper.num_jobs={len(jobs)}",
            f"hydra.sweeper.started_at_s={started_at_s}",
        ]
        returns = list(self.launcher.launch([[*job, *where] for job in jobs], initial_job_idx=0))
        failures = _failures(jobs, returns)
        print_ending(configs, identity, arguments, failures, started_at_s)
        if failures:
            raise JobFailed(f"{len(failures)} of {len(jobs)} jobs failed")
        return returns

    def _compose(self, job: list[str]) -> DictConfig:
        node = self.loader.load_sweep_config(self.job_config, job)
        with read_write(node), open_dict(node):
            del node["hydra"]
        return node


def _failures(jobs: list[list[str]], returns: Sequence[JobReturn]) -> list[tuple[str, str]]:
    """(overrides, reason) of each job that did not end well."""
    failed = []
    for job, returned in zip(jobs, returns, strict=True):
        if returned.status != JobStatus.COMPLETED:
            error = returned._return_value
            reason = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"
            failed.append((" ".join(job), reason))
    return failed
