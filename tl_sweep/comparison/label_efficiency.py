"""What labels are worth: gain over scratch by labelled images per class, and where one strategy overtakes another."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from tl_sweep.comparison.model_selection import WEIGHTS
from tl_sweep.comparison.study import Axes, Gain, Row
from tl_sweep.config.keys import keys_with

LABELS = keys_with(asks="labels", role="draw")
ALL = "all"

Where = tuple[str, str, Axes]  # of lines that are compared: data set, backbone, and what else of the data varies


def gains(rows: Sequence[Row]) -> tuple[Gain, ...]:
    """A line per backbone, strategy, source and whatever else the data varies in, by its number of labels."""
    lines: dict[tuple[Where, str], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        values = {key: value for key, value in row.axes if key in LABELS}
        task = tuple(axis for axis in row.axes if axis[0] not in (*LABELS, WEIGHTS))
        name = name_of(row.strategy, [axis for axis in row.axes if axis[0] == WEIGHTS])
        for key, value in values.items():
            others = {other for name, other in values.items() if name != key}
            if others <= {"null"}:  # all labels stand on both lines, where numbers and shares of labels vary
                kind = ((key, "shares"),) if others and key == LABELS[1] else ()
                labels = ALL if value == "null" else value
                lines[(row.dataset, row.backbone, (*task, *kind)), name][labels] = row
    plain = [_gain(where, name, line) for (where, name), line in lines.items() if len(line) > 1]
    scratch = {_where(line): line for line in plain if line.strategy == "scratch"}
    return tuple(replace(line, scratch_needs=_needs(line, scratch.get(_where(line)))) for line in plain)


def number_of(labels: str) -> float:
    """For an order and an axis: ``all`` is beyond every number."""
    return math.inf if labels == ALL else float(labels)


def _where(line: Gain) -> Where:
    return line.dataset, line.backbone, line.task


def _needs(line: Gain, scratch: Gain | None) -> tuple[float | None, ...]:
    """With how many labels per class scratch is as good as ``line`` is with each of its numbers of them."""
    if scratch is None or scratch.strategy == line.strategy:
        return (None,) * len(line.shots)
    return tuple(labels_that_match(scratch, acc.estimate) for acc in line.test_acc)


def name_of(strategy: str, axes: Sequence[tuple[str, str]]) -> str:
    """``all, letters_clean``: a strategy with whatever else tells its line from others; no source is not told."""
    return ", ".join([strategy, *(value for _, value in axes if value != "–")])


def _gain(where: Where, strategy: str, line: dict[str, Row]) -> Gain:
    dataset, backbone, task = where
    shots = sorted(line, key=number_of)
    return Gain(
        dataset,
        backbone,
        strategy,
        tuple(shots),
        tuple(line[labels].test_acc for labels in shots),
        tuple(None if (comparison := line[labels].vs_scratch) is None else comparison.difference for labels in shots),
        task=task,
    )


def crossings(lines: Sequence[Gain]) -> tuple[str, ...]:
    """From how many labels on fine-tuning beats feature extraction, and scratch catches up, as sentences."""
    said = []
    several = len({line.dataset for line in lines}) > 1
    for where in dict.fromkeys(map(_where, lines)):
        same = {line.strategy: line for line in lines if _where(line) == where}
        dataset, backbone, task = where
        subject = ", ".join([*([dataset] if several else []), backbone, *(value for _, value in task)])
        for strategy, line in same.items():
            name, _, source = strategy.partition(", ")
            tuned = next((same[key] for key in (f"none, {source}", "none") if key in same), None)
            if name == "all" and tuned is not None:
                said.append(_crossing(f"{subject}: fine-tuning (none)", tuned, f"frozen features ({strategy})", line))
        scratch = same.get("scratch")
        for strategy, line in same.items():
            if scratch is not None and strategy != "scratch":
                said.append(_crossing(f"{subject}: scratch", scratch, strategy, line))
    return tuple(sentence for sentence in said if sentence)


def _crossing(what: str, ours: Gain, than: str, other: Gain) -> str:
    """Where the mean test accuracy of ``ours`` first reaches that of ``other`` and stays there; empty where they have
    fewer than two numbers of labels in common."""
    shots = [labels for labels in ours.shots if labels in other.shots]
    if len(shots) < 2:
        return ""
    ahead = [accuracy_at(ours, labels) >= accuracy_at(other, labels) for labels in shots]
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


def leads(lines: Sequence[Gain]) -> Iterator[tuple[str, Gain, float]]:
    """For each number of labels the most accurate line, and with how many scratch is as accurate; see ``lead_at``."""
    for labels in sorted({labels for line in lines for labels in line.shots}, key=number_of):
        lead = lead_at(labels, lines)
        if lead is not None:
            yield labels, *lead


def lead_at(labels: str, lines: Sequence[Gain]) -> tuple[Gain, float] | None:
    """The most accurate line at this number of labels, and with how many more scratch is as accurate; None where that
    is scratch, or where scratch is not as accurate with any number that was tried."""
    there = [line for line in lines if labels in line.shots]
    if not there:
        return None
    best = max(there, key=lambda line: accuracy_at(line, labels))
    needs = best.scratch_needs[best.shots.index(labels)]
    return None if needs is None or needs <= number_of(labels) else (best, needs)


def accuracy_at(line: Gain, labels: str) -> float:
    return line.test_acc[line.shots.index(labels)].estimate


def _labels(labels: str) -> str:
    return f"{amount(number_of(labels))} labels{'' if labels == ALL or float(labels) < 1 else ' per class'}"


def amount(labels: float) -> str:
    """``5``, of labelled images per class; ``10 %`` of all labels; ``all``."""
    return ALL if math.isinf(labels) else f"{labels:.0f}" if labels >= 1 else f"{100 * labels:.0f} %"
