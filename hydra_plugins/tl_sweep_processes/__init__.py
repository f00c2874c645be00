"""The launcher for one machine: a process per job, from a fork server, so that what kills a job kills nothing else."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from tl_sweep.launch.settings import ProcessesConfig

ConfigStore.instance().store(group="hydra/launcher", name="processes", node=ProcessesConfig, provider="tl_sweep")


class ProcessesLauncher(Launcher):
    def __init__(self, **limits: Any) -> None:
        self.limits: dict[str, Any] = {n: dict(v) if OmegaConf.is_dict(v) else v for n, v in limits.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every job; returns their results in the order of ``job_overrides``.

        Raises:
            KeyboardInterrupt: once the running jobs have closed their records; a second one kills them.
        """
        from tl_sweep.launch.job import make_specs
        from tl_sweep.launch.pool import Pool

        specs = make_specs(self.context, self.task, self.config, job_overrides, initial_job_idx)
        return Pool(ProcessesConfig(**self.limits)).run(specs)
