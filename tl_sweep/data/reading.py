"""How the pictures of one set are read: as the user says, and as the whole set decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tl_sweep.base.preprocessing import Reading
from tl_sweep.config.schema import DataConfig
from tl_sweep.data.decode import listing
from tl_sweep.data.file_records import Facts
from tl_sweep.data.fit import seen_share
from tl_sweep.data.readers.contract import ALPHA_LEFT_OUT
from tl_sweep.data.readers.shades import FULL_WHITE, smallest_white

MOST_CUT = 1 / 3  # of a set's pixels, before it is said
NAMED = 3  # files that a note names
NO_PIXELS = ("max_megapixels", "clip")  # of a reading: they decide what is refused, not what a picture looks like


def reading_of(config: DataConfig) -> Reading:
    """What the user says; ``data.white=auto`` is left to ``settled``."""
    white = None if config.white == "auto" else float(config.white)
    return Reading(
        bands=tuple(config.bands or ()),
        white=white,
        float_white=white,
        clip=white is not None,
        page=config.page,
        alpha=config.alpha,
        max_megapixels=config.max_megapixels,
    )


def settled(asked: Reading, facts: Iterable[Facts | None]) -> Reading:
    """With the white that holds every picture of the set, so that none is brighter than another beside it."""
    if asked.white is not None:
        return asked
    deep = [fact for fact in facts if fact is not None and fact.bits > 8]
    white = smallest_white(max((fact.high for fact in deep if not fact.floating), default=FULL_WHITE), floating=False)
    highs = [fact.high for fact in deep if fact.floating]
    float_white = smallest_white(max(highs), floating=True) if highs else None
    return replace(asked, white=None if white == FULL_WHITE else white, float_white=float_white)


def pixel_terms(reading: Reading, facts: Iterable[Facts | None]) -> dict[str, Any]:
    """Everything about the reading that pixels depend on; empty for plain pictures, read as they always were."""
    terms = {name: value for name, value in reading.described().items() if name not in NO_PIXELS}
    traits = sorted({trait for fact in facts if fact is not None for trait in fact.traits})
    return terms | ({"traits": traits} if traits else {})


def notes_on_reading(reading: Reading, names: Sequence[str], facts: Sequence[Facts | None]) -> Iterator[str]:
    """What was decided, where it could have been decided otherwise."""

    def those(which: Callable[[Facts], bool]) -> list[str]:
        return [name for name, fact in zip(names, facts, strict=True) if fact is not None and which(fact)]

    deep = [fact for fact in facts if fact is not None and fact.bits > 8]
    yield from _notes_on_white(reading, deep)
    clipped = those(lambda fact: reading.clip and fact.high > _white(reading, fact) and fact.bits > 8)
    if clipped:
        yield f"{len(clipped)} picture(s) have values above data.white, which are white ({listing(clipped, NAMED)})"
    several = those(lambda fact: fact.pages > 1)
    if several:
        what = f"{len(several)} picture(s) have several pages or frames"
        yield f"{what}: number {reading.page} is taken ({listing(several, NAMED)}); data.page says which"
    alpha = those(lambda fact: ALPHA_LEFT_OUT in fact.traits)
    if alpha:
        what = f"{len(alpha)} picture(s) have a band beside their colours, which is left out ({listing(alpha, NAMED)})"
        yield f"{what}; data.alpha=true takes it as transparency"


def note_on_fit(fit: str, facts: Iterable[Facts | None]) -> list[str]:
    """Where more than a third of a set's pixels are cut away."""
    share = much_cut_away(fit, facts)
    if share is None:
        return []
    text = f"{share:.0%}".replace("%", " %")
    return [f"{text} of the pictures' pixels are cut away (data.fit={fit}); data.fit=whole or pad shows all of them"]


def much_cut_away(fit: str, facts: Iterable[Facts | None]) -> float | None:
    """The share of a set's pixels that no model sees in evaluation; None where it is no more than a third."""
    sizes = [(fact.width_px, fact.height_px) for fact in facts if fact is not None]
    total_px = sum(width_px * height_px for width_px, height_px in sizes)
    seen_px = sum(width_px * height_px * seen_share(width_px, height_px, fit) for width_px, height_px in sizes)
    return None if seen_px >= (1 - MOST_CUT) * total_px else 1 - seen_px / total_px


def _notes_on_white(reading: Reading, deep: list[Facts]) -> Iterator[str]:
    whole = [fact for fact in deep if not fact.floating]
    floats = [fact for fact in deep if fact.floating]
    chosen = "" if reading.clip else ", the smallest usual one that holds them all; data.white says another"
    if whole and _white(reading, whole[0]) != 2 ** max(fact.bits for fact in whole) - 1:
        low, high = min(fact.low for fact in whole), max(fact.high for fact in whole)
        yield f"values of deep pictures: {low:g} to {high:g}; white is {_white(reading, whole[0]):g}{chosen}"
    if floats:
        low, high = min(fact.low for fact in floats), max(fact.high for fact in floats)
        yield f"values of float pictures: {low:g} to {high:g}; white is {_white(reading, floats[0]):g}{chosen}"


def _white(reading: Reading, fact: Facts) -> float:
    return (reading.float_white if fact.floating else reading.white) or FULL_WHITE
