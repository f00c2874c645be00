"""The grid sweeper: every job is checked before the first one starts, and the sweep ends with its table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from tl_sweep.config.loading import own_conf_dir
from tl_sweep.sweep.composition import Composer
from tl_sweep.sweep.grid import expand_arms


@dataclass
class GridSweeperConfig:
    """What a user sets of sweeps, and what the sweeper fills in for each job (no part of a run's identity).

    params: of a named sweep. arms: what is tried beside them. search: the scheduler. sweep_id, num_jobs, started_at_s:
    where the job stands. key, digests: the run that was checked. stop_after: epochs, after which it pauses.
    """

    _target_: str = "hydra_plugins.tl_sweep_grid.GridSweeper"
    params: dict[str, Any] = field(default_factory=dict)
    arms: list[dict[str, Any]] = field(default_factory=list)
    search: str = "whole_grid"
    sweep_id: str = ""
    num_jobs: int = 1
    started_at_s: float = 0.0
    key: str = ""
    digests: str = ""
    stop_after: Optional[int] = None  # noqa: UP045  (OmegaConf reads these types)


@dataclass
class PlanSweeperConfig(GridSweeperConfig):
    """list_jobs: each one that is left, too."""

    _target_: str = "hydra_plugins.tl_sweep_grid.PlanSweeper"
    list_jobs: bool = False


@dataclass
class DataSweeperConfig(GridSweeperConfig):
    """page: where it is written; None: data.html in output.dir."""

    _target_: str = "hydra_plugins.tl_sweep_grid.DataSweeper"
    page: Optional[str] = None  # noqa: UP045  (OmegaConf reads these types)


SWEEPERS = {"tl_sweep_grid": GridSweeperConfig, "tl_sweep_plan": PlanSweeperConfig, "tl_sweep_data": DataSweeperConfig}
for name, node in SWEEPERS.items():
    ConfigStore.instance().store(group="hydra/sweeper", name=name, node=node, provider="tl_sweep")


class GridSweeper(Sweeper):
    """Expands Hydra's grid syntax; ``hydra.sweeper.params`` of a named sweep comes first, the command line wins.

    Where a named sweep has ``hydra.sweeper.arms``, each is a grid of its own beside ``params``: what one strategy is
    tried with need not be tried with the others.
    """

    def __init__(
        self, params: DictConfig, arms: Sequence[DictConfig] = (), search: str = "whole_grid", **_for_the_jobs: Any
    ) -> None:
        self.params, self.arms, self.search = params, arms, search

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.compose = Composer(hydra_context.config_loader, config)
        self.config_dir = own_conf_dir(config.hydra.runtime.config_sources)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run what of the grid is not finished yet; returns one ``JobReturn`` per job, finished before or now.

        Raises:
            ConfigError, UserError: some job could not start; none was started.
            JobFailed: some jobs failed, after the others ran.
        """
        from tl_sweep.sweep.execute import run_sweep

        flags = [word for word in ("--config-dir", self.config_dir) if self.config_dir]
        typed = [*flags, *arguments]
        return run_sweep(self._combinations(arguments), self.compose, self.launcher, self.search, typed)

    def _combinations(self, arguments: list[str]) -> list[list[str]]:
        return expand_arms(self.params, self.arms, arguments, OverridesParser.create(self.compose.loader))


class PlanSweeper(GridSweeper):
    """``tl_sweep.plan``: says what ``GridSweeper`` would do, and refuses what it would refuse."""

    def __init__(self, *, list_jobs: bool = False, **others: Any) -> None:
        super().__init__(**others)
        self.list_jobs = list_jobs

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        from tl_sweep.sweep.forecast import print_plan
        from tl_sweep.sweep.grid import lay_out, recall_from_store
        from tl_sweep.sweep.preflight import foresee

        grid = recall_from_store(lay_out(self._combinations(arguments), self.compose))
        here = not getattr(self.launcher, "elsewhere", False)
        foresee([job.config for job in grid.unfinished()], here=here)
        print_plan(grid, list_jobs=self.list_jobs)
        return []


class DataSweeper(GridSweeper):
    """``tl_sweep.data``: says and shows what the data sets of a grid are, and refuses what ``GridSweeper`` would."""

    def __init__(self, *, page: str | None = None, **others: Any) -> None:
        super().__init__(**others)
        self.page = page

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        from tl_sweep.sweep.grid import read_all
        from tl_sweep.sweep.look import inspect

        inspect([job.config for job in read_all(self._combinations(arguments), self.compose)], self.page)
        return []
