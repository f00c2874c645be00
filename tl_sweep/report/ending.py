"""A sweep's last lines: the table, what failed and why, where to look, and what is missing."""

from __future__ import annotations

import shlex
import time

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tl_sweep.config import Config
from tl_sweep.report.choice import choose
from tl_sweep.report.table import comparison
from tl_sweep.tracking.store import compare_link, runs_of_sweep


def print_ending(
    configs: list[Config], sweep: str, arguments: list[str], failures: list[tuple[str, str]], started_at_s: float
) -> None:
    """Print the table of the runs since ``started_at_s`` (Unix time), the failures, and what to do next."""
    console = Console(width=None if Console().is_terminal else 160)
    tracking = configs[0].tracking
    runs = [] if tracking.uri is None else runs_of_sweep(tracking.uri, tracking.experiment, sweep, started_at_s)
    cells = choose(runs)
    if cells:
        console.print(comparison(cells))
    elif tracking.uri is None:
        console.print("tracking.uri=null: no table; each run's figures are in its folder")
    if failures:
        console.print(_failure_table(failures))
    finished = len(configs) - len(failures)
    took_s = time.time() - started_at_s
    console.print(
        f"{finished} of {len(configs)} jobs finished in {took_s:.0f} s; {len(failures)} failed; sweep {sweep}"
    )
    if tracking.uri is not None and cells:
        link = compare_link(tracking.uri, tracking.experiment, [cell.runs[0].run_id for cell in cells])
        console.print(f"side by side, once `mlflow ui` or `make ui` runs: {link}", soft_wrap=True, markup=False)
    if all(config.freeze.pretrained for config in configs):
        console.print(f"no baseline in this sweep; add it: {baseline_command(arguments)}", soft_wrap=True, markup=False)


def baseline_command(arguments: list[str]) -> str:
    """The same sweep with ``freeze=scratch``, less what scratch refuses: a weights' hash, L-BFGS."""
    dropped = ["freeze=", "freeze.", "model.sha256="]
    if any(argument.startswith("optim=") and "lbfgs" in argument for argument in arguments):
        dropped += ["optim=", "optim.l2="]
    kept = [argument for argument in arguments if not argument.startswith(tuple(dropped))]
    return shlex.join(["python", "-m", "tl_sweep.train", "-m", *kept, "freeze=scratch"])


def _failure_table(failures: list[tuple[str, str]]) -> Table:
    table = Table(title="failed")
    table.add_column("job")
    table.add_column("why")
    for job, reason in failures:
        table.add_row(escape(job), escape(reason))
    return table
