"""Commands that train a chosen setting, as they are pasted into a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence

from tl_sweep.comparison.model_selection import SEEDS, Values, in_order, seed_of
from tl_sweep.config.keys import asks_of, keys_with
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord

WORDS = re.compile(r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+")  # overrides, whose values may have blanks inside quotes
MOST_LISTED = 5  # seeds; more that follow each other are written as a range


def command_of(runs: Sequence[RunRecord], seeds: Collection[Values] = ()) -> str:
    """Trains the one setting of these runs again with each of their seeds, or with others (see ``seed_of``)."""
    said = _seed_words(sorted(seeds or map(seed_of, runs), key=in_order))
    dropped = {"sweep", *SEEDS, *(key for key in keys_with(role="execution") if not asks_of(key))}
    overrides = WORDS.findall(runs[0].tags.get(Tag.OVERRIDES, ""))
    kept = [word for word in overrides if word.lstrip("+").partition("=")[0] not in dropped]
    kept = [word for word in kept if not word.startswith("hydra")]
    return shlex.join(["python", "-m", "tl_sweep.train", "-m", *kept, *said])


def _seed_words(seeds: Sequence[Values]) -> list[str]:
    """``seed=0,1,2``; before it what draws subsets, unless by the same number, which is the default."""
    seed, *others = SEEDS
    values = {key: [dict(one)[key] for one in seeds] for key in SEEDS}
    said = [key for key in others if values[key] != values[seed]]
    return [f"{key}={_listed(list(dict.fromkeys(values[key])))}" for key in (*said, seed)]


def _listed(numbers: Sequence[str]) -> str:
    """``0,1,2``, or ``range(3,14)`` for many in a row."""
    if len(numbers) > MOST_LISTED and all(map(str.isdigit, numbers)):
        first, last = int(numbers[0]), int(numbers[-1])
        if list(map(int, numbers)) == list(range(first, last + 1)):
            return f"range({first},{last + 1})"
    return ",".join(numbers)
