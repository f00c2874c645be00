"""Two spellings of one class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from tl_sweep.base.errors import UserError
from tl_sweep.data.decode import listing
from tl_sweep.data.layouts.understood import Understood
from tl_sweep.data.layouts.words import composed, regardless_of_spelling


def with_one_name_each(root: str, understood: Understood) -> Understood:
    """The same, names that differ only in how accents are put together being one, which is said.

    Raises:
        UserError: names that differ only in case, blanks or hyphens: nobody can tell whether they are one class.
    """
    names = {image.label for image in understood.labelled}
    alike = [sorted(same) for same in _together({composed(name) for name in names}) if len(same) > 1]
    if alike:
        pairs = [" = ".join(map(repr, same)) for same in alike]
        raise UserError(f"data.root: {root}: one class or two? {listing(pairs)}; rename the folders of one of them")
    twice = len(names) - len({composed(name) for name in names})
    notes = [f"{twice} class name(s) stand there in two Unicode forms; each is one class"] if twice else []
    labelled = [replace(image, label=composed(image.label)) for image in understood.labelled]
    return replace(understood, labelled=labelled, notes=[*understood.notes, *notes])


def _together(names: Iterable[str]) -> Iterable[set[str]]:
    same: dict[str, set[str]] = defaultdict(set)
    for name in names:
        same[regardless_of_spelling(name)].add(name)
    return same.values()
