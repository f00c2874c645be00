"""What was understood of a data set, in numbers and in lines for people. K classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tl_sweep.data.decode import listing
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.splits import Splits

PARTS = ("train", "validation", "test")
MOST_CLASSES = 12  # that are counted one by one in a line


@dataclass(frozen=True)
class ClassCount:
    """Images of one class: ``total``, and how many of them are in each of ``PARTS``; the rest is not used."""

    name: str
    total: int
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """classes: in the order of their labels. sizes, modes: empty where the pictures are no files. groups: None where
    every image stands alone. unlabelled: images without a label, which ``predict`` may be asked about."""

    name: str
    labels_from: str
    classes: tuple[ClassCount, ...]
    sizes: str
    modes: str
    groups: str | None
    unlabelled: int
    notes: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(count.total for count in self.classes)

    @property
    def parts(self) -> tuple[int, ...]:
        """Images in each of ``PARTS``."""
        return tuple(sum(count.parts[place] for count in self.classes) for place in range(len(PARTS)))


def summarise(images: ImageSet, splits: Splits, root: str | None) -> Summary:
    """What was understood of these images, which are split like that; root: their folder, as the user calls it."""
    members = (splits.train, splits.val, splits.test)
    num_classes = len(images.class_names)
    sizes_PK = np.array([np.bincount(images.labels_N[part], minlength=num_classes) for part in members])
    totals_K = np.bincount(images.labels_N, minlength=num_classes)
    return Summary(
        name=root if root and images.facts else images.name,
        labels_from=images.labels_from or "the data set",
        classes=tuple(
            ClassCount(name, int(totals_K[label]), tuple(sizes_PK[:, label].tolist()))
            for label, name in enumerate(images.class_names)
        ),
        sizes=_sizes(images),
        modes=_modes(images),
        groups=_groups(images),
        unlabelled=len(images.unlabelled),
        notes=(*images.notes, *splits.notes),
    )


def lines_of(summary: Summary) -> Iterator[str]:
    """What a person checks at a glance, then everything that is out of the ordinary."""
    parts = ", ".join(f"{size} {part}" for size, part in zip(summary.parts, PARTS, strict=True))
    unused = summary.total - sum(summary.parts)
    yield (
        f"{summary.name}: {summary.total:,} images of {len(summary.classes)} classes; labels from {summary.labels_from}"
    )
    yield f"classes: {_classes(summary.classes)}"
    yield f"parts: {parts}{f', {unused} not used' if unused else ''}"
    if summary.sizes:
        yield f"pictures: {summary.sizes}; {summary.modes}"
    if summary.groups:
        yield f"groups: {summary.groups}"
    if summary.unlabelled:
        yield f"{summary.unlabelled} image(s) without a label, kept for tl_sweep.predict"
    yield from summary.notes


def _classes(classes: tuple[ClassCount, ...]) -> str:
    if len(classes) <= MOST_CLASSES:
        return listing([f"{count.name} {count.total:,}" for count in classes])
    fewest, most = (end(classes, key=lambda count: count.total) for end in (min, max))
    return f"from {fewest.total:,} ({fewest.name}) to {most.total:,} ({most.name})"


def _sizes(images: ImageSet) -> str:
    facts = [fact for fact in images.facts if fact is not None]
    if not facts:
        return ""
    by_area = sorted((fact.width_px * fact.height_px, fact.width_px, fact.height_px) for fact in facts)
    smallest, median, largest = (by_area[place] for place in (0, len(by_area) // 2, -1))
    if by_area[0][1:] == by_area[-1][1:]:
        return f"all {smallest[1]} x {smallest[2]} px"
    written = [f"{width} x {height}" for _, width, height in (smallest, largest, median)]
    return f"{written[0]} to {written[1]} px, in the middle {written[2]}"


def _modes(images: ImageSet) -> str:
    counts = Counter(fact.mode for fact in images.facts if fact is not None)
    return ", ".join(f"{mode} ({count:,})" if len(counts) > 1 else mode for mode, count in counts.most_common())


def _groups(images: ImageSet) -> str | None:
    if images.groups_N is None:
        return None
    sizes = np.unique(images.groups_N, return_counts=True)[1]
    return f"{len(sizes):,}, of {sizes.min()} to {sizes.max()} images; none is divided between parts"
