"""Train what was chosen on fresh seeds, and compare these alone:  python -m tl_sweep.confirm [seeds=5] [<filters>]

    python -m tl_sweep.confirm                          of each task the best row and its baseline
    python -m tl_sweep.confirm sweep=last seeds=10      what that sweep chose
    python -m tl_sweep.confirm plan=true                what it would take, without starting anything

Seeds that no run has had no part in any choice, so that what they say of the chosen setting needs no correction: it is
the cleanest answer. Their number is declared before they run. Other words are those of tl_sweep.compare.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tl_sweep import compare
from tl_sweep.base.arguments import argument
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import local_path
from tl_sweep.run.finished import Files


@dataclass(frozen=True)
class Arguments(compare.Arguments):
    seeds: int = argument(5, "fresh ones, of each row", ge=3)
    plan: bool = argument(False, "only say what it would take")


def main() -> None:
    with errors_for_people():
        confirm(*compare.read_with_filters(Arguments, sys.argv[1:], __doc__))


def confirm(arguments: Arguments, filters: Sequence[str]) -> None:
    """Train the chosen rows on fresh seeds, then print and write their comparison.

    Raises:
        UserError: there are no runs to confirm, or a sweep failed.
    """
    from tl_sweep.comparison.confirmation import confirmation_of
    from tl_sweep.comparison.evidence import Evidence
    from tl_sweep.comparison.model_selection import seed_of

    found, _ = compare.find_runs(arguments)
    runs, places = compare.filtered(found, filters), arguments.places
    files = Files(places.uri, local_path(arguments.weights_dir), places.output_dir)
    known = {seed_of(run) for run in compare.all_runs(places)}
    plan = confirmation_of(runs, known, Evidence(files, lambda run, image: ""), arguments.seeds)
    if not plan.commands:
        raise UserError("nothing to confirm: none of these runs is finished")
    for row, command in zip(plan.rows, plan.commands, strict=True):
        print(f"{row}\n    {command}", flush=True)
        _run("plan" if arguments.plan else "train", command, f"python -m tl_sweep.compare {plan.picked}")
    if not arguments.plan:
        compare.compare(replace(arguments, run=(), sweep=""), [plan.picked])


def _run(module: str, command: str, afterwards: str) -> None:
    """The command of ``tl_sweep.train``, or what it would do."""
    _, _, _, *words = shlex.split(command)
    if subprocess.run([sys.executable, "-m", f"tl_sweep.{module}", *words], check=False).returncode:
        raise UserError(f"that command failed; once it and those after it are through: {afterwards}")


if __name__ == "__main__":
    main()
