"""What a sweep costs besides its training, and how that grows. Prints a table:  make bench-sweeps

``jobs`` tiny jobs (frozen features of 8 × 8 digits, a solved head, one seed each) are run, planned, and asked for
again. Then ``plan`` lays out grids of so many jobs, and ``compare`` reads so many runs that ``benchmarks/make_runs.py``
generates, in MLflow's SQLite. Seconds are those of whole commands, from the start of Python; medians with the smallest
and largest.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measurements import print_measured

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people


@dataclass(frozen=True)
class Arguments:
    jobs: int = argument(200, "tiny jobs of one sweep", ge=1)
    runs: tuple[int, ...] = argument((200, 1000, 2000), "how many made-up runs are compared")
    repeats: int = argument(3, "of each measurement; the median counts", ge=1)


TINY = ("freeze=all", "data.shots=5", "epochs=1", "augment=none")
MAKE_RUNS = Path(__file__).with_name("make_runs.py")


def command_s(folder: Path, *words: str) -> float:
    """Seconds of one command of Python's in ``folder``; what it says is shown where it fails."""
    environment = os.environ | {"HOME": str(folder)}  # caches of its own
    started_s = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started_s


def repeated(folder: Path, repeats: int, *words: str) -> str:
    took_s = [command_s(folder, *words) for _ in range(repeats)]
    return f"{median(took_s):.1f} s ({min(took_s):.1f}–{max(took_s):.1f})"


def tiny_rows(folder: Path, jobs: int, repeats: int) -> Iterator[tuple[str, str, str]]:
    grid = (*TINY, f"seed=range({jobs})")
    sweep = ("-m", "tl_sweep.train", "-m", *grid)
    yield f"plan of {jobs} tiny jobs, none of them done", repeated(folder, repeats, "-m", "tl_sweep.plan", *grid), ""
    for seed in (jobs, jobs + 1):  # sweeps of one; the first makes the database and fills the caches
        first_s = command_s(folder, "-m", "tl_sweep.train", "-m", *TINY, f"seed={seed}")
    took_s = command_s(folder, *sweep)
    each_s = (took_s - first_s) / (jobs - 1)
    yield f"{jobs} tiny jobs, one after the other", f"{took_s:.0f} s, {each_s:.2f} s each", "≤ 0.5 s each"
    yield "the same command again: nothing to do, the final table", repeated(folder, repeats, *sweep), "≤ 10 s"
    yield "plan of them, all done", repeated(folder, repeats, "-m", "tl_sweep.plan", *grid), ""
    yield "tl_sweep.compare of them", repeated(folder, repeats, "-m", "tl_sweep.compare"), ""


def growing_rows(folder: Path, count: int, repeats: int) -> Iterator[tuple[str, str, str]]:
    """count: of jobs in a grid, and of generated runs."""
    folder.mkdir()
    words = ("-m", "tl_sweep.plan", *TINY, f"seed=range({count})")
    yield f"plan of {count} tiny jobs, none of them done", repeated(folder, repeats, *words), ""
    command_s(folder, str(MAKE_RUNS), "runs", str(count))
    sent_s = command_s(folder, "-m", "tl_sweep.sync")
    yield f"tl_sweep.sync of {count} generated runs", f"{sent_s:.0f} s", ""
    read = repeated(folder, repeats, "-m", "tl_sweep.compare")
    yield f"tl_sweep.compare of {count} generated runs, with its page", read, "≤ 10 s for 2,000"


def all_rows(folder: Path, arguments: Arguments) -> Iterator[tuple[str, str, str]]:
    repeats = arguments.repeats
    (folder / "tiny").mkdir()
    yield from tiny_rows(folder / "tiny", arguments.jobs, repeats)
    for count in arguments.runs:
        yield from growing_rows(folder / f"runs{count}", count, repeats)


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as temporary:
        print_measured(("work", "took", "target"), all_rows(Path(temporary), arguments))


if __name__ == "__main__":
    main()
