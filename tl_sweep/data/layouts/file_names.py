"""Classes that stand in the names of files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from tl_sweep.base.errors import UserError
from tl_sweep.config.quoting import literal, pasted
from tl_sweep.data.decode import listing
from tl_sweep.data.layouts.listing import Place
from tl_sweep.data.layouts.understood import Labelled, Understood
from tl_sweep.data.layouts.words import split_of

USUAL = (r"([^\d/]+?)[ ._-]*\(?\d+\)?\.\w+$", r"\d[ ._-]*([^\d/]+?)\.\w+$")  # cat.0.jpg, dog (12).jpg; 0001_cat.jpg
FEWEST_EACH = 2


def by_pattern(pattern: str, places: Sequence[Place]) -> Understood:
    """The class of each picture by a regular expression with one pair of parentheses, searched in its path.

    Raises:
        UserError: it is none, or does not match every picture.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"data.label_pattern={pattern}: not a regular expression: {error}") from error
    if expression.groups != 1:
        needed = f"one pair of capturing parentheses is needed, not {expression.groups}"
        raise UserError(f"data.label_pattern={pattern}: {needed}")
    matches = {place: expression.search("/".join(place)) for place in places}
    labelled = [Labelled(place, match[1], _split(place)) for place, match in matches.items() if match and match[1]]
    rest = [place for place in places if not (matches[place] and matches[place][1])]  # type: ignore[index]
    with_labels = {image.split for image in labelled}
    unlabelled = [
        place for place in rest if _split(place) in ("test", "unlabelled") and _split(place) not in with_labels
    ]
    missing = ["/".join(place) for place in rest if place not in unlabelled]
    if missing:
        raise UserError(f"data.label_pattern={pattern}: no class for {len(missing)} picture(s): {listing(missing)}")
    return Understood(labelled, f"the names of files, by {pattern}", unlabelled=unlabelled)


def remedy(places: Sequence[Place]) -> str:
    """What to do with pictures that no folder names, in words."""
    pattern = suggestion(places)
    if pattern:
        return f"the names of files would tell them: {pasted([literal('data.label_pattern', pattern)])}"
    return "images are looked for in <folder>/<class>/; else give data=table data.table=<file>, or data.label_pattern"


def suggestion(places: Sequence[Place]) -> str:
    """A pattern that would name a few classes, each of several pictures; empty: none does."""
    for pattern in USUAL:
        matches = [re.search(pattern, "/".join(place)) for place in places]
        classes = Counter(match[1] for match in matches if match)
        if all(matches) and len(classes) > 1 and min(classes.values()) >= FEWEST_EACH:
            return pattern
    return ""


def _split(place: Place) -> str:
    words = (split_of(folder) for folder in place[:-1])
    return next((word for word in words if word), "")
