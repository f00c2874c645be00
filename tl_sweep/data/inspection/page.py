"""What was understood of a data set as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tl_sweep.base.preprocessing import Preprocessing
from tl_sweep.data.file_records import Facts
from tl_sweep.data.files import by_reason
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.inspection.pictures import PER_ROW, as_seen, sheet
from tl_sweep.data.inspection.summary import PARTS, Summary

MOST_CLASSES = 100  # with a sheet of their own: the page has to stay small
MOST_PAIRS = 24
EXTREMES: dict[str, Callable[[Facts], float]] = {  # what stands at the end of each order is looked at first
    "darkest": lambda fact: fact.mean,
    "brightest": lambda fact: -fact.mean,
    "most constant": lambda fact: fact.deviation,
}


@dataclass(frozen=True)
class Picture:
    """source: a ``data:`` address. names: of its files, where somebody may want to find them again."""

    caption: str
    source: str
    names: str = ""


@dataclass(frozen=True)
class Inspection:
    """What the page is drawn from."""

    images: ImageSet
    summary: Summary
    preprocessing: Preprocessing
    num_workers: int

    def sheets(self) -> list[Picture]:
        """A contact sheet per class: the first images by content, so that names and order play no part."""
        order = np.lexsort(self.images.hashes_N.T)
        sheets = []
        for label, name in enumerate(self.images.class_names[:MOST_CLASSES]):
            chosen = order[self.images.labels_N[order] == label][:PER_ROW]
            count = self.summary.classes[label].total
            sheets.append(Picture(f"{name}: {count:,} images", self._sheet(chosen)))
        return sheets

    def extremes(self) -> list[Picture]:
        """The pictures at the ends, where what went wrong in reading them would stand."""
        known = [(index, fact) for index, fact in enumerate(self.images.facts) if fact is not None]
        return [
            self._row(name, [index for _, index in sorted((order(fact), index) for index, fact in known)[:PER_ROW]])
            for name, order in EXTREMES.items()
            if known
        ]

    def pairs(self) -> list[Picture]:
        """Two files that are the same picture, side by side; some of each kind."""
        kinds: dict[str, list[tuple[int, int]]] = {}
        for first, second, kind in self.images.twin_pairs:
            kinds.setdefault(kind, []).append((first, second))
        return [self._row(kind, pair) for kind, pairs in kinds.items() for pair in pairs[: MOST_PAIRS // len(kinds)]]

    def _row(self, what: str, indices: Sequence[int]) -> Picture:
        return Picture(what, self._sheet(indices), ", ".join(self.images.ids[index] for index in indices))

    def _sheet(self, indices: Iterable[int]) -> str:
        return sheet(as_seen(self.images, [int(index) for index in indices], self.preprocessing, self.num_workers))


def render(inspection: Inspection) -> str:
    """The whole page.

    Raises:
        UserError: naming files that became unreadable.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    images = inspection.images
    return environment.get_template("page.html.j2").render(
        summary=inspection.summary,
        parts=PARTS,
        image_px=inspection.preprocessing.image_px,
        sheets=inspection.sheets(),
        unseen=max(0, len(images.class_names) - MOST_CLASSES),
        pairs=inspection.pairs(),
        more_pairs=max(0, len(images.twin_pairs) - MOST_PAIRS),
        extremes=inspection.extremes(),
        left_out=by_reason(images.left_out),
    )
