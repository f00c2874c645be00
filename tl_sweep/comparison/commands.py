"""Commands that train a chosen setting, as they are pasted into a shell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tl_sweep.comparison.model_selection import DEFAULTS, SEEDS, Cell, Values, seed_numbers, seed_of, value_of
from tl_sweep.config.keys import keys_with
from tl_sweep.config.quoting import literal, pasted
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.record import RunRecord

# Overrides, in whose values blanks stand in quotes or, as a grid writes them, behind a backslash.
WORDS = re.compile(r"""(?:\\.|[^\s'"\\]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")+""")
MOST_LISTED = 5  # seeds; more that follow each other are written as a range


def command_of(runs: Sequence[RunRecord], seeds: Collection[Values] = ()) -> str:
    """Trains the one setting of these runs again with each of their seeds, or with others (see ``seed_of``).

    As the newest of them was asked for: with the options of one's own, and the places that it read from and wrote to.
    """
    newest = max(runs, key=lambda run: run.started_s)
    dropped = {"sweep", *SEEDS, *keys_with(role="execution")}
    overrides = WORDS.findall(newest.tags.get(Tag.OVERRIDES, ""))
    kept = [_in_quotes(word) for word in overrides if word.lstrip("+").partition("=")[0] not in dropped]
    kept = [word for word in kept if not word.startswith("hydra")]
    options = [f"--config-dir={newest.tags[Tag.CONFIG_DIR]}"] if Tag.CONFIG_DIR in newest.tags else []
    said = _seed_words(sorted(seeds or map(seed_of, runs), key=seed_numbers))
    return pasted(["python", "-m", "tl_sweep.train", "-m", *options, *kept, *_places(newest), *said])


def _in_quotes(word: str) -> str:
    """An override with quotes instead of backslashes, which would be taken for part of a path."""
    key, _, value = word.partition("=")
    is_plain = "\\" in value and value[0] not in "'\"[{"
    return literal(key, re.sub(r"\\(.)", r"\1", value)) if is_plain else word


def adding_seeds(wanted: Mapping[Cell, int]) -> Iterator[str]:
    """For each cell that has fewer seeds than are wanted of it, the command that trains those that it lacks: first what
    others of these have, then new ones, the same for all."""
    own = {cell: {*map(seed_of, cell.runs)} for cell in wanted}
    shared, known = set.intersection(*own.values()), set.union(*own.values())
    order = [*sorted(shared, key=seed_numbers), *sorted(known - shared, key=seed_numbers)]
    order += _new_seeds(order, max(wanted.values()) - len(order))
    for cell, count in wanted.items():
        if lacks := [seed for seed in order[:count] if seed not in own[cell]]:
            yield command_of(cell.runs, lacks)


def fresh_seeds(known: Iterable[Values], count: int) -> list[Values]:
    """As these go on, none of them; see ``seed_of``."""
    return _new_seeds(sorted(set(known), key=seed_numbers), count)


def _new_seeds(known: Sequence[Values], count: int) -> list[Values]:
    """As the known ones go on: where the subset's seed is fixed, or the run's own, it stays so."""
    one = dict(known[0])
    varied = [key for key in SEEDS if len({dict(seed)[key] for seed in known}) > 1]
    counted = varied or [key for key in SEEDS if one[key] == one[SEEDS[0]]]
    used = {dict(seed)[key] for seed in known for key in counted}
    numbers = (str(number) for number in itertools.count() if str(number) not in used)
    return [
        tuple((key, number if key in counted else one[key]) for key in SEEDS)
        for number in itertools.islice(numbers, max(0, count))
    ]


def _places(run: RunRecord) -> list[str]:
    """The places that it used, where these are not the defaults."""
    places = {key: value_of(run, key) for kind in ("inputs", "results") for key in keys_with(place=kind)}
    return [literal(key, value) for key, value in places.items() if value != DEFAULTS[key]]


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
