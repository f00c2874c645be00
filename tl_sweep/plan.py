"""What a sweep would do, without starting anything:  python -m tl_sweep.plan <the overrides of tl_sweep.train>

    python -m tl_sweep.plan model=resnet18,vgg16 freeze=none,early,all
    python -m tl_sweep.plan sweep=quickstart

Prints the grid, what is finished already, what was dropped or merged and why, and what the rest will take: time and
disk as runs like them took, where there are any in output.dir.
"""

from __future__ import annotations

import sys

from tl_sweep import train
from tl_sweep.base.command_line import errors_for_people

PLANNER = "hydra/sweeper=tl_sweep_plan"


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument not in ("-m", "--multirun")]
    with errors_for_people():
        if {"-h", "--help"} & set(arguments):
            print(__doc__)
            return
        sys.argv[1:] = ["-m", *arguments, PLANNER]
        train.main()


if __name__ == "__main__":
    main()
