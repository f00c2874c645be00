"""What labels are worth: gain over the baseline by number of labelled images, and where strategies overtake others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

from tl_sweep.comparison.line import Line, line_by_labels, line_of, weights_of
from tl_sweep.comparison.model_selection import WEIGHTS
from tl_sweep.comparison.study import FEATURES, TUNING, Axes, Gain, Row
from tl_sweep.config.keys import keys_with

LABELS = keys_with(asks="labels", role="draw")
ALL = "all"

Where = tuple[str, str, Axes]  # of lines that are compared: data set, backbone, and what else of the data varies


def gains(rows: Sequence[Row]) -> tuple[Gain, ...]:
    """A line per backbone, strategy, source and whatever else the data varies in, by its number of labels."""
    lines: dict[tuple[Where, Line], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        values = {key: value for key, value in row.axes if key in LABELS}
        task = tuple(axis for axis in row.axes if axis[0] not in (*LABELS, WEIGHTS))
        for key, value in values.items():
            others = {other for name, other in values.items() if name != key}
            if others <= {"null"}:  # all labels stand on both lines, where numbers and shares of labels vary
                kind = ((key, "shares"),) if others and key == LABELS[1] else ()
                labels = ALL if value == "null" else value
                lines[(row.dataset, row.backbone, (*task, *kind)), line_of(row)][labels] = row
    long_enough = {key: line for key, line in lines.items() if len(line) > 1}
    plain = {key: _gain(key[0], line) for key, line in long_enough.items()}
    val_acc = {key: fmean(row.val_acc for row in line.values()) for key, line in long_enough.items()}
    ranked = sorted((key for key, line in plain.items() if line.is_baseline), key=lambda key: val_acc[key])
    best = {key[0]: plain[key] for key in ranked}  # of several baselines the one that validation finds best
    return tuple(replace(line, baseline_needs=_needs(line, best.get(where))) for (where, _), line in plain.items())


def number_of(labels: str) -> float:
    """For an order and an axis: ``all`` is beyond every number."""
    return math.inf if labels == ALL else float(labels)


def _where(line: Gain) -> Where:
    return line.dataset, line.backbone, line.task


def _needs(line: Gain, baseline: Gain | None) -> tuple[float | None, ...]:
    """With how many labels per class the baseline is as good as ``line`` is with each of its numbers of them."""
    if baseline is None or line_by_labels(baseline) == line_by_labels(line):
        return (None,) * len(line.shots)
    return tuple(labels_that_match(baseline, acc.estimate) for acc in line.test_acc)


def _gain(where: Where, line: dict[str, Row]) -> Gain:
    dataset, backbone, task = where
    shots = sorted(line, key=number_of)
    one = line[shots[0]]
    return Gain(
        dataset,
        backbone,
        one.strategy,
        one.strategy_label,
        weights_of(one),
        tuple(shots),
        tuple(line[labels].test_acc for labels in shots),
        tuple(None if (comparison := line[labels].vs_baseline) is None else comparison.difference for labels in shots),
        task=task,
        kind=one.kind,
    )


def crossings(lines: Sequence[Gain]) -> tuple[str, ...]:
    """From how many labels on fine-tuning beats feature extraction, and baselines catch up, as sentences."""
    said = []
    several = len({line.dataset for line in lines}) > 1
    for where in dict.fromkeys(map(_where, lines)):
        same = [line for line in lines if _where(line) == where]
        dataset, backbone, task = where
        subject = ", ".join([*([dataset] if several else []), backbone, *(value for _, value in task)])
        for line in same:
            tuned = _tuned_beside(line, same)
            if line.kind == FEATURES and tuned is not None:
                said.append(_crossing(subject, tuned, line))
        said += [
            _crossing(subject, baseline, line)
            for baseline in same
            for line in same
            if baseline.is_baseline and not line.is_baseline
        ]
    return tuple(sentence for sentence in said if sentence)


def _tuned_beside(line: Gain, others: Sequence[Gain]) -> Gain | None:
    """The fine-tuning of the same source, else of one that is not named."""
    tuned = {other.source: other for other in others[::-1] if other.kind == TUNING}
    return tuned.get(line.source, tuned.get(""))


def _crossing(subject: str, ours: Gain, other: Gain) -> str:
    """Where the mean test accuracy of ``ours`` first reaches that of ``other`` and stays there; empty where they have
    fewer than two numbers of labels in common."""
    shots = [labels for labels in ours.shots if labels in other.shots]
    if len(shots) < 2:
        return ""
    what, than = f"{subject}: {_name(ours)}", _name(other)
    ahead = [accuracy_at(ours, labels) >= accuracy_at(other, labels) for labels in shots]
    if all(ahead):
        return f"{what} is ahead of {than} at every number of labels, from {shots[0]} on, in the mean"
    if not ahead[-1]:
        return f"{what} does not reach {than} with up to {_labels(shots[-1])}, in the mean"
    place = max(place for place, (before, after) in enumerate(pairwise(ahead)) if after and not before)
    return f"{what} reaches {than} between {shots[place]} and {_labels(shots[place + 1])}, in the mean"


def _name(line: Gain) -> str:
    """Without what all lines beside it share."""
    return ", ".join(filter(None, [line.strategy_label, line.source]))


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
    """For each number of labels the most accurate line, and with how many the baseline is as good; see ``lead_at``."""
    for labels in sorted({labels for line in lines for labels in line.shots}, key=number_of):
        lead = lead_at(labels, lines)
        if lead is not None:
            yield labels, *lead


def lead_at(labels: str, lines: Sequence[Gain]) -> tuple[Gain, float] | None:
    """The most accurate line at this number of labels, and with how many more the baseline is as accurate; None where
    that line is the baseline, or the baseline is not as accurate with any number that was tried."""
    there = [line for line in lines if labels in line.shots]
    if not there:
        return None
    best = max(there, key=lambda line: accuracy_at(line, labels))
    needs = best.baseline_needs[best.shots.index(labels)]
    return None if needs is None or needs <= number_of(labels) else (best, needs)


def accuracy_at(line: Gain, labels: str) -> float:
    return line.test_acc[line.shots.index(labels)].estimate


def _labels(labels: str) -> str:
    return f"{amount(number_of(labels))} labels{'' if labels == ALL or float(labels) < 1 else ' per class'}"


def amount(labels: float) -> str:
    """``5``, of labelled images per class; ``10 %`` of all labels; ``all``."""
    return ALL if math.isinf(labels) else f"{labels:.0f}" if labels >= 1 else f"{100 * labels:.0f} %"
