"""What a user sets of launchers: the keys of ``hydra.launcher``."""

from dataclasses import dataclass, field
from typing import Any, Optional


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
