"""A sweep's last lines: the table, what failed and why, where to look, and what is missing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tl_sweep.report.choice import choose
from tl_sweep.report.table import comparison
from tl_sweep.tracking.record import RunRecord
from tl_sweep.tracking.store import compare_link, masked


@dataclass(frozen=True)
class Ending:
    """What became of a sweep.

    runs: what is recorded of its jobs. failures: (overrides, reason) of each job that did not end well. before: how
    many jobs had finished before. has_baseline: whether one of its jobs is the baseline. store: tracking address and
    MLflow's id of the experiment; None where no store has the runs.
    """

    sweep: str
    arguments: list[str]
    num_jobs: int
    runs: list[RunRecord]
    failures: list[tuple[str, str]]
    before: int
    seconds: float
    has_baseline: bool
    store: tuple[str, str] | None


def print_ending(ending: Ending) -> None:
    """Print the table, the failures, the counts, where to look further, and the command for a missing baseline."""
    console = Console(width=None if Console().is_terminal else 160)
    cells = choose(ending.runs)
    if cells:
        console.print(comparison(cells))
    if ending.failures:
        console.print(_failure_table(ending.failures))
    finished = ending.num_jobs - len(ending.failures)
    before = f" ({ending.before} of them before)" if ending.before else ""
    console.print(
        f"{finished} of {ending.num_jobs} jobs finished{before} in {ending.seconds:.0f} s; "
        f"{len(ending.failures)} failed; sweep {ending.sweep}"
    )
    if cells and ending.store is not None:
        link = compare_link(*ending.store, [cell.runs[0].run_id for cell in cells])
        console.print(f"side by side, once `mlflow ui` or `make ui` runs: {link}", soft_wrap=True, markup=False)
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
