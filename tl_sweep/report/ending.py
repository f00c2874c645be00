"""A sweep's last lines: the comparison, what failed and why, where to look, and what is missing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tl_sweep.base.secrets import masked
from tl_sweep.comparison.study import Study
from tl_sweep.report.table import print_study


@dataclass(frozen=True)
class SweepEnd:
    """What became of a sweep.

    study: the comparison of its finished jobs. failures: (overrides, reason) of each job that did not end well. before:
    how many jobs had finished before. paused, skipped: how many its scheduler did not run to their end, or not at all.
    has_baseline: whether one of its jobs is the baseline.
    """

    sweep: str
    arguments: list[str]
    num_jobs: int
    study: Study
    failures: list[tuple[str, str]]
    before: int
    seconds: float
    has_baseline: bool
    paused: int = 0
    skipped: int = 0


def print_ending(ending: SweepEnd) -> None:
    """Print the comparison, the failures, the counts, where to look further, and the command for a missing baseline."""
    console = Console(width=None if Console().is_terminal else 200)
    print_study(ending.study, console)
    if ending.failures:
        console.print(_failure_table(ending.failures))
    finished = ending.num_jobs - len(ending.failures) - ending.paused - ending.skipped
    others = f"{ending.paused} paused; " * bool(ending.paused) + f"{ending.skipped} skipped; " * bool(ending.skipped)
    before = f" ({ending.before} of them before)" if ending.before else ""
    console.print(
        f"{finished} of {ending.num_jobs} jobs finished{before} in {ending.seconds:.0f} s; "
        f"{len(ending.failures)} failed; {others}sweep {ending.sweep}"
    )
    if ending.study.compare_link:
        text = f"side by side, once `mlflow ui` or `make ui` runs: {ending.study.compare_link}"
        console.print(text, soft_wrap=True, markup=False)
    if not ending.has_baseline:
        command = baseline_command(ending.arguments)
        console.print(f"no baseline in this sweep; add it: {command}", soft_wrap=True, markup=False)


def baseline_command(arguments: list[str]) -> str:
    """The same sweep with ``freeze=scratch``, less what scratch refuses: a weights' hash, L-BFGS."""
    dropped = ["freeze=", "freeze.", "model.sha256="]
    if any(argument.startswith("optim=") and "lbfgs" in argument for argument in arguments):
        dropped += ["optim=", "optim.l2="]
    kept = [argument for argument in arguments if not argument.startswith(tuple(dropped))]
    return masked(shlex.join(["python", "-m", "tl_sweep.train", "-m", *kept, "freeze=scratch"]))


def _failure_table(failures: list[tuple[str, str]]) -> Table:
    table = Table(title="failed")
    table.add_column("job")
    table.add_column("why")
    for job, reason in failures:
        table.add_row(escape(masked(job)), escape(masked(reason)))
    return table
