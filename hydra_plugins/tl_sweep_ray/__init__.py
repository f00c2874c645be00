"""``hydra/launcher=ray``: jobs on a running Ray cluster, or on a private one on this machine."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from tl_sweep.launch.settings import RayConfig

ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayConfig, provider="tl_sweep")


class RayLauncher(Launcher):
    elsewhere = True  # its jobs run on other machines, with other devices

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {n: dict(v) if OmegaConf.is_dict(v) else v for n, v in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every job; returns their results in the order of ``job_overrides``.

        Raises:
            UserError: Ray is not installed, or there is no cluster at ``address``.
        """
        from tl_sweep.launch.job import make_specs
        from tl_sweep.launch.ray import run_on_cluster

        specs = make_specs(self.context, self.task, self.config, job_overrides, initial_job_idx)
        return run_on_cluster(specs, RayConfig(**self.settings))
