"""How often verdicts hold what they promise, in simulated worlds whose truth is known; ten minutes, one core.

    python tools/simulate_statistics.py [worlds=1000] [seed=0] [details=true] [table=docs/statistics.md]

The first table has a line per kind of world and promise, with the share of worlds in which it was kept by a plain
analysis (tools/plain_engine.py) and by this project's, and what that has to be; of the same worlds. A figure that
misses its target by more than two standard errors is marked. The tables after it show one kind of world in detail.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from plain_engine import Plain
from product_engine import Product
from simulated_details import markdown, share, tables
from simulated_promises import Figure, Line, invented, lines

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people


@dataclass(frozen=True)
class Arguments:
    worlds: int = argument(1000, "of each kind", ge=1)
    seed: int = argument(0, "of all of them")
    details: bool = argument(True, "the detailed tables, too")
    table: Path | None = argument(None, "the document whose tables are written anew; null: none")


MARK = "<!-- table -->\n"
HEADER = "world | promise | plain | ours | target"


def promises(worlds: int, seed: int) -> Iterator[str]:
    for title, all_lines in (("### What is promised", lines()), ("### Worlds invented afterwards", invented())):
        yield title
        yield markdown(
            HEADER,
            [row for number, line in enumerate(all_lines) for row in _rows(line, worlds, [seed, len(title), number])],
        )


def _rows(line: Line, worlds: int, seed: list[int]) -> Iterator[list[str]]:
    """One per figure; the name of the world stands in the first."""
    shares = line.shares([Plain(), Product()], worlds, np.random.default_rng(seed))
    count = max(1, worlds // line.every)
    for place, (figure, plain, ours) in enumerate(zip(line.figures, *shares, strict=True)):
        yield [line.name if not place else "", figure.name, share(plain), _marked(figure, ours, count), str(figure)]


def _marked(figure: Figure, part: float, worlds: int) -> str:
    error = math.sqrt(figure.target * (1 - figure.target) / worlds)
    misses = (figure.target - part) if figure.is_least else (part - figure.target)
    return f"**{share(part)}**" if misses > 2 * error else share(part)


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        worlds, seed, began_s = arguments.worlds, arguments.seed, time.monotonic()
        said = [f"{worlds:,} worlds each (seed {seed}), {time.strftime('%Y-%m-%d')}. All figures but counts in %."]
        print(said[0], end="\n\n")
        parts = [promises(worlds, seed), tables(worlds, seed) if arguments.details else iter(())]
        for part in (text for some in parts for text in some):
            print(part, end="\n\n", flush=True)
            said.append(part)
        print(f"{time.monotonic() - began_s:.0f} s")
        if path := arguments.table:
            before, mark, _ = (path.read_text() if path.exists() else MARK).partition(MARK)
            path.write_text(f"{before}{mark}\n" + "\n\n".join(said) + "\n")


if __name__ == "__main__":
    main()
