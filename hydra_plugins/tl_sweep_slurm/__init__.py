"""``hydra/launcher=submitit_slurm``: jobs in the queue of a SLURM cluster, one array task each."""

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from tl_sweep.launch.settings import SlurmConfig

with suppress(ImportError):  # Hydra's own plugin has an option of this name: ours shall be the later one, and count
    import_module("hydra_plugins.hydra_submitit_launcher.config")

ConfigStore.instance().store(group="hydra/launcher", name="submitit_slurm", node=SlurmConfig, provider="tl_sweep")


class SlurmLauncher(Launcher):
    elsewhere = True  # its jobs run on other machines, with other devices

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every job; returns their results in the order of ``job_overrides``.

        Raises:
            UserError: submitit is not installed, this machine is not part of a SLURM cluster, or SLURM refuses them.
        """
        from tl_sweep.launch.job import make_specs
        from tl_sweep.launch.slurm import run_in_queue

        specs = make_specs(self.context, self.task, self.config, job_overrides, initial_job_idx)
        return run_in_queue(specs, SlurmConfig(**self.settings))
