"""``hydra/launcher=submitit_slurm``: jobs in the queue of a SLURM cluster, one array task each."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

with suppress(ImportError):  # Hydra's own plugin has an option of this name: ours shall be the later one, and count
    import_module("hydra_plugins.hydra_submitit_launcher.config")


@dataclass
class SlurmConfig:
    """One array task per job, submitted by submitit. The keys of hydra-submitit-launcher mean what they mean there.

    submitit_folder: job scripts, logs and results; all machines must see it. timeout_min: of one attempt; a job that
    reaches it is queued again and goes on from its last epoch, ``max_num_timeout`` times. cpus_per_task: also the
    threads of a job. array_parallelism: jobs at once. signal_delay_s: from SLURM's warning to the limit. setup: shell
    commands before a job. additional_parameters: any other option of sbatch. max_retries: of a job that was killed, or
    whose machine died. env_set: environment variables of the jobs.
    """

    _target_: str = "hydra_plugins.tl_sweep_slurm.SlurmLauncher"
    submitit_folder: str = "${output.dir}/slurm"
    name: str = "tl_sweep"
    partition: Optional[str] = None  # noqa: UP045  (OmegaConf reads these types)
    account: Optional[str] = None  # noqa: UP045
    timeout_min: int = 240
    cpus_per_task: int = 4
    gpus_per_node: Optional[int] = None  # noqa: UP045
    mem_gb: Optional[float] = None  # noqa: UP045
    array_parallelism: int = 256
    max_num_timeout: int = 10
    signal_delay_s: int = 120
    setup: list[str] = field(default_factory=list)
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    max_retries: int = 1
    env_set: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="submitit_slurm", node=SlurmConfig, provider="tl_sweep")


class SlurmLauncher(Launcher):
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
