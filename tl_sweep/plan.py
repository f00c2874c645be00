"""What a sweep would do, without starting anything:  python -m tl_sweep.plan <the overrides of tl_sweep.train>

    python -m tl_sweep.plan model=resnet18,vgg16 freeze=none,early,all
    python -m tl_sweep.plan sweep=quickstart
    python -m tl_sweep.plan model=resnet18 freeze=none,scratch seeds=14

Prints the grid, what is finished already, what was dropped or merged and why, and what the rest will take: time and
disk as runs like them took, where there are any in output.dir, else unknown. jobs=true lists the jobs. What a sweep
would refuse (a device that is not there, weights of another network) is refused here. seeds=14: so many seeds, decided
before the first one runs, so that the verdict on them has the full level (planned_seeds).
"""

from __future__ import annotations

import sys

from tl_sweep import train
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.config.quoting import pasted

PLANNER = "hydra/sweeper=tl_sweep_plan"
JOBS = "jobs="  # true: each job that is left, too
SEEDS = "seeds="  # how many
FEWEST = 3


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument not in ("-m", "--multirun")]
    with errors_for_people():
        if {"-h", "--help"} & set(arguments):
            print(__doc__)
            return
        listing = [_listing(word) for word in arguments if word.startswith(JOBS)]
        others = [word for word in arguments if not word.startswith((JOBS, SEEDS))]
        planned = [part for word in arguments if word.startswith(SEEDS) for part in _planned(word)]
        if planned:
            print("it is decided by running it:", pasted(["python", "-m", "tl_sweep.train", "-m", *others, *planned]))
        sys.argv[1:] = ["-m", *others, *planned, PLANNER, *listing]
        train.main()


def _planned(word: str) -> list[str]:
    """What ``tl_sweep.train`` is told of them."""
    number = word.removeprefix(SEEDS)
    if not number.isdecimal() or int(number) < FEWEST:
        raise UserError(f"{word}: allowed: a number of seeds, {FEWEST} or more")
    return [f"planned_seeds={number}", f"seed=range({number})"]


def _listing(word: str) -> str:
    answer = word.removeprefix(JOBS).lower()
    if answer not in ("true", "false"):
        raise UserError(f"{word}: allowed: true, false")
    return f"hydra.sweeper.list_jobs={answer}"


if __name__ == "__main__":
    main()
