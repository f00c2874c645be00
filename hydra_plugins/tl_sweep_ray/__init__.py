"""``hydra/launcher=ray``: jobs on a running Ray cluster, or on a private one on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class RayConfig:
    """One Ray task per job.

    address: of a running cluster, or auto; null: a private one on 127.0.0.1, gone at the end. num_cpus, num_gpus: share
    of each job. max_retries: of a job whose worker or machine died. env_set: environment variables of the jobs.
    """

    _target_: str = "hydra_plugins.tl_sweep_ray.RayLauncher"
    address: Optional[str] = None  # noqa: UP045  (OmegaConf reads these types)
    num_cpus: float = 1
    num_gpus: float = 0
    max_retries: int = 1
    env_set: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayConfig, provider="tl_sweep")


class RayLauncher(Launcher):
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
