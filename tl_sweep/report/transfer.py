"""What labels are worth: gain over scratch by labelled images per class, and where one strategy overtakes another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tl_sweep.report.study import Gain, Row

LABELS = ("data.shots", "data.fraction")
ALL = "all"


def gains(rows: Sequence[Row]) -> tuple[Gain, ...]:
    """A line per backbone, strategy and source, where the sweep varies the number of labels."""
    lines: dict[tuple[str, str, str], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        labels = labels_of(row)
        if labels is not None:
            others = tuple(axis for axis in row.axes if axis[0] not in LABELS)
            lines[row.dataset, row.backbone, name_of(row.strategy, others)][labels] = row
    plain = [_gain(*where, line) for where, line in lines.items() if len(line) > 1]
    scratch = {(line.dataset, line.backbone): line for line in plain if line.strategy == "scratch"}
    return tuple(
        replace(line, scratch_needs=_needs(line, scratch.get((line.dataset, line.backbone)))) for line in plain
    )


def _needs(line: Gain, scratch: Gain | None) -> tuple[float | None, ...]:
    """With how many labels per class scratch is as good as ``line`` is with each of its numbers of them."""
    if scratch is None or scratch.strategy == line.strategy:
        return (None,) * len(line.shots)
    return tuple(labels_that_match(scratch, acc.estimate) for acc in line.test_acc)


def labels_of(row: Row) -> str | None:
    """``10`` (per class), ``0.1`` (of all) or ``all``; None where the sweep does not vary it."""
    values = [value for key, value in row.axes if key in LABELS]
    return None if not values else next((value for value in values if value != "null"), ALL)


def name_of(strategy: str, axes: Sequence[tuple[str, str]]) -> str:
    """``all, letters_clean``: a strategy with whatever else tells its line from others; no source is not told."""
    return ", ".join([strategy, *(value for _, value in axes if value != "–")])


def _gain(dataset: str, backbone: str, strategy: str, line: dict[str, Row]) -> Gain:
    shots = sorted(line, key=lambda labels: float("inf") if labels == ALL else float(labels))
    return Gain(
        dataset,
        backbone,
        strategy,
        tuple(shots),
        tuple(line[labels].test_acc for labels in shots),
        tuple(None if (comparison := line[labels].vs_scratch) is None else comparison.difference for labels in shots),
    )


def crossings(lines: Sequence[Gain]) -> tuple[str, ...]:
    """From how many labels on fine-tuning beats feature extraction, and scratch catches up, as sentences."""
    said = []
    for dataset, backbone in dict.fromkeys((line.dataset, line.backbone) for line in lines):
        same = {line.strategy: line for line in lines if (line.dataset, line.backbone) == (dataset, backbone)}
        for strategy, line in same.items():
            name, _, source = strategy.partition(", ")
            tuned = next((same[key] for key in (f"none, {source}", "none") if key in same), None)
            if name == "all" and tuned is not None:
                said.append(_crossing(f"{backbone}: fine-tuning (none)", tuned, f"frozen features ({strategy})", line))
        scratch = same.get("scratch")
        for strategy, line in same.items():
            if scratch is not None and strategy != "scratch":
                said.append(_crossing(f"{backbone}: scratch", scratch, strategy, line))
    return tuple(sentence for sentence in said if sentence)


def _crossing(what: str, ours: Gain, than: str, other: Gain) -> str:
    """Where the mean test accuracy of ``ours`` first reaches that of ``other`` and stays there; empty where they have
    fewer than two numbers of labels in common."""
    shots = [labels for labels in ours.shots if labels in other.shots]
    if len(shots) < 2:
        return ""
    ahead = [_acc(ours, labels) >= _acc(other, labels) for labels in shots]
    if all(ahead):
        return f"{what} is ahead of {than} at every number of labels, from {shots[0]} on, in the mean"
    if not ahead[-1]:
        return f"{what} does not reach {than} with up to {_labels(shots[-1])}, in the mean"
    place = max(place for place, (before, after) in enumerate(pairwise(ahead)) if after and not before)
    return f"{what} reaches {than} between {shots[place]} and {_labels(shots[place + 1])}, in the mean"


def labels_that_match(line: Gain, target: float) -> float | None:
    """With how many labels the mean test accuracy first reaches ``target``, between two that were tried by a straight
    line over their logarithm; None: with none of them, or with the first already."""
    points = [(labels, acc.estimate) for labels, acc in zip(line.shots, line.test_acc, strict=True) if labels != ALL]
    for (few, low), (many, high) in pairwise(points):
        if low < target <= high:
            share = (target - low) / (high - low)
            return float(few) * (float(many) / float(few)) ** share
    return None


def _acc(line: Gain, labels: str) -> float:
    return line.test_acc[line.shots.index(labels)].estimate


def _labels(labels: str) -> str:
    return "all labels" if labels == ALL else f"{labels} labels per class" if float(labels) >= 1 else f"{labels} of all"
