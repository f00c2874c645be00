"""The launcher for one machine: a process per job, from a fork server, so that what kills a job kills nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class ProcessesConfig:
    """``hydra/launcher=processes``, the default.

    n_jobs: at once; null: as many as there are GPU slots, one where there is no GPU. gpus: how many to use; null: all
    that are visible; 0: none, for any number of jobs on the CPU. jobs_per_gpu: slots on each. timeout_s: of one job.
    max_retries: of a job that was killed, or ran out of memory beside others. env_set: environment variables of the
    jobs.
    """

    _target_: str = "hydra_plugins.tl_sweep_processes.ProcessesLauncher"
    n_jobs: Optional[int] = None  # noqa: UP045  (OmegaConf reads these types)
    gpus: Optional[int] = None  # noqa: UP045
    jobs_per_gpu: int = 1
    timeout_s: Optional[float] = None  # noqa: UP045
    max_retries: int = 1
    env_set: dict[str, str] = field(default_factory=dict)


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
