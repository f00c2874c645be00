"""What follows from a comparison, in words: a recommendation per task, what it rests on, what would change it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter

from tl_sweep.comparison.commands import adding_seeds, command_of
from tl_sweep.comparison.diagnosis import good_rates
from tl_sweep.comparison.line import line_of
from tl_sweep.comparison.model_selection import FEWEST_SEEDS, WEIGHTS, Cell
from tl_sweep.comparison.ranking import Ranking, ranking_of
from tl_sweep.comparison.study import Comparison, Interval, Recommendation, Row, TimeToBaseline
from tl_sweep.comparison.task import task_of
from tl_sweep.comparison.verdict import baseline_of
from tl_sweep.tracking.names import Tag

RARE = 0.5  # a selection frequency below which another choice is the likelier one
MOST_RIVALS = 2  # of the best on validation that commands are given for
RESAMPLES = "resamples of validation images and seeds"


def percent_text(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def points(interval: Interval) -> str:
    """``+9.6 points (8.1 to 11.1)``"""
    return f"{100 * interval.estimate:+.1f} points ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def with_rate(row: Row) -> str:
    """Its setting, and the rate that this comes to, where it does not say it."""
    said = [float(value) for key, value in row.setting if key == "optim.lr" and value != "null"]
    rate = [f"learning rate {rate.lr:g}" for rate in row.rates if rate.chosen and rate.lr not in said]
    return ", ".join(filter(None, [setting_of(row), *rate]))


def good_range(row: Row) -> str:
    """``0.01 to 0.03``: the learning rates within one point of the best on validation; empty where none was tried."""
    good = good_rates(row.rates)
    return "" if good is None else " to ".join(dict.fromkeys(f"{rate:g}" for rate in good))


def setting_of(row: Row) -> str:
    return ", ".join(f"{key.removeprefix('optim.')}={value}" for key, value in row.setting)


def recommend(rows: Mapping[Cell, Row]) -> Recommendation:
    """For one task: what is best on validation, unless something equivalent trains faster; never what lacks a seed."""
    ranking = ranking_of(rows)
    best = rows[ranking.best]
    versus = {cell: rows[cell].vs_best for cell in ranking.whole}
    equivalent = [cell for cell, found in versus.items() if found is not None and found.verdict == "equivalent"]
    cell = min([ranking.best, *equivalent], key=lambda cell: rows[cell].seconds)
    advised = rows[cell]
    return Recommendation(
        task=task_of(advised).label,
        text=" ".join(_sentences(advised, options_of(cell), best, rows.values())),
        evidence=tuple(_evidence(advised, best, [rows[cell] for cell in ranking.whole])),
        would_change=tuple(_would_change(advised, rows.values())),
        command=command_of(cell.runs),
        settle=tuple(adding_seeds(_seeds_wanted(cell, ranking, rows))),
    )


def _seeds_wanted(advised: Cell, ranking: Ranking, rows: Mapping[Cell, Row]) -> dict[Cell, int]:
    """How many seeds these cells need for a verdict: the advised one and its baseline, the best on validation and those
    that the fewest seeds would tell from it."""
    versus_best = [(_seeds_for(rows[cell].vs_best), cell) for cell in ranking.whole if rows[cell].indistinguishable]
    rivals = sorted((rival for rival in versus_best if rival[0]), key=itemgetter(0))[:MOST_RIVALS]
    pairs = [(seeds, cell, ranking.best) for seeds, cell in rivals]
    baseline = baseline_of(advised, rows)
    if baseline is not None:
        pairs.append((_seeds_for(rows[advised].vs_baseline), advised, baseline))
    wanted = {advised: FEWEST_SEEDS}
    for seeds, *pair in pairs:
        wanted |= {cell: max(seeds, wanted.get(cell, 0)) for cell in pair}
    return wanted


def _seeds_for(comparison: Comparison | None) -> int:
    """How many seeds of both sides a verdict needs; 0 where seeds alone would not be enough."""
    if comparison is None or comparison.verdict not in ("", "inconclusive"):
        return 0
    return FEWEST_SEEDS if comparison.needed is None else comparison.needed.seeds or 0


def name_in(row: Row, rows: Collection[Row]) -> str:
    """What tells it from the others that were asked the same: strategy, source, backbone where there are several."""
    several = len({other.backbone for other in rows}) > 1
    return f"{row.backbone} {line_of(row).name}" if several else line_of(row).name


def options_of(cell: Cell) -> str:
    """Its strategy and source, as they are typed."""
    run = cell.runs[0]
    words = [f"freeze={run.tags[Tag.STRATEGY]}"]
    if (frozen := run.params.get("freeze.frozen_stages", "null")) != "null":
        words.append(f"freeze.frozen_stages={frozen}")
    random = run.params.get(WEIGHTS) == "null" and not cell.is_baseline
    return " ".join([*words, *(f"model.weights={source}" for source in cell.source or ("null",) * random)])


def _sentences(advised: Row, options: str, best: Row, rows: Collection[Row]) -> Iterator[str]:
    setting = with_rate(advised)
    yield f"Use {advised.backbone} with {options}{f' ({setting})' if setting else ''}."
    yield (
        f"Expect {percent_text(advised.test_acc.estimate)} on images like the test images, with {_labels(advised)} "
        f"({how_sure(advised)})."
    )
    if advised.vs_baseline is not None:
        yield _against(advised.vs_baseline, "training from scratch")
    if advised is not best:
        yield (
            f"{name_in(best, rows)} is best on validation; on test the two are equivalent, "
            f"and this one trains in {advised.seconds:.1f} s instead of {best.seconds:.1f} s."
        )
    elif best.num_seeds < FEWEST_SEEDS:
        yield f"With {_seeds(best)} this compares trained networks, not methods."
    yield from _beside(best, [row for row in rows if row is not advised], rows)


def _labels(row: Row) -> str:
    """What the claim is about; seeds that share most of their labels say little of others."""
    shared = f"any labels (two seeds here share {row.shared_labels:.0%})"
    return shared if row.shared_labels else "these labels"


def _bounds(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def how_sure(row: Row) -> str:
    """The interval of its accuracy, or that there is none: one group of test images says nothing of another."""
    if math.isnan(row.test_acc.low):
        return f"no interval: its {row.num_test_images:,} test images are in {row.num_test_groups} group(s)"
    return f"95 % interval {_bounds(row.test_acc)}{_of_one_network(row)}"


def _of_one_network(row: Row) -> str:
    """Beside the method's interval, which says nothing of a single network."""
    return "" if math.isnan(row.network_acc.low) else f"; one network trained so: {_bounds(row.network_acc)}"


def _beside(best: Row, others: Sequence[Row], rows: Collection[Row]) -> Iterator[str]:
    """What test says of the others that are not worse than what is best on validation."""
    by_verdict: dict[str, list[str]] = defaultdict(list)
    for row in others:
        if row.vs_best is not None:
            needed = f" (about {row.vs_best.needed_text} are needed)" if row.vs_best.needed_text else ""
            verdict = row.vs_best.verdict if row.vs_best.is_claimed else "not claimed"
            by_verdict[verdict].append(name_in(row, rows) + needed)
    name = name_in(best, rows)
    if by_verdict["inconclusive"]:
        yield f"Not significantly different from {name} on test: {', '.join(by_verdict['inconclusive'])}."
    if by_verdict["equivalent"]:
        yield f"Equivalent to {name} on test: {', '.join(by_verdict['equivalent'])}."
    if by_verdict["better"]:
        yield (
            f"Significantly better than {name} on test: {', '.join(by_verdict['better'])}; not chosen, since every "
            "choice is made on validation: what is chosen on test looks better than it is."
        )


def _against(comparison: Comparison, what: str) -> str:
    if math.isnan(comparison.difference.estimate):
        return f"It is not compared with {what}: {comparison.wording}."
    difference = points(comparison.difference)
    match comparison.verdict:
        case "better" | "worse" if not comparison.is_claimed:
            return (
                f"Taken alone that is {comparison.verdict} than {what}: {difference}; among all comparisons of this "
                "study it is not significant."
            )
        case "better" | "worse":
            counted = "" if comparison.all_counted or comparison.verdict == "worse" else ", when it does not collapse"
            return f"That is {comparison.verdict} than {what}{counted}: {difference}."
        case "equivalent":
            return f"That is equivalent to {what}: {difference}."
        case "inconclusive":
            return f"The difference to {what} is not significant: {difference}."
    return f"The difference to {what} is {difference}: {comparison.wording}."


def _evidence(advised: Row, best: Row, rows: Collection[Row]) -> Iterator[str]:
    """rows: those that were ranked."""
    yield (
        f"{len(rows)} strategies compared at the settings that validation chose, {_seeds(advised)}; "
        f"validation accuracy {percent_text(advised.val_acc)}, of the best {percent_text(best.val_acc)}"
    )
    if not math.isnan(advised.selection_frequency):
        yield f"selection frequency of this setting: {advised.selection_frequency:.0%} of {RESAMPLES}"
    if not math.isnan(best.best_frequency):
        name = name_in(best, rows)
        yield f"selection frequency of {name} as the best row: {best.best_frequency:.0%} of {RESAMPLES}"
    if advised.vs_baseline is not None:
        yield f"against the baseline: {advised.vs_baseline.wording}"
    if advised.time_to_baseline is not None:
        yield time_to_baseline_text(advised.time_to_baseline)
    if len(advised.rates) > 1:
        tried = len(advised.rates)
        yield f"learning rates within one point of the best on validation, of {tried} tried: {good_range(advised)}"
    yield (
        f"{advised.seconds:.1f} s of training, {advised.trainable_parameters:,} trainable parameters, "
        f"calibration error {percent_text(advised.calibration_error)}"
    )


def time_to_baseline_text(found: TimeToBaseline) -> str:
    """When its validation accuracy reaches what the baseline ends with."""
    if found.epochs is None:
        return "never reaches the validation accuracy that the baseline ends with"
    time = "" if found.seconds is None or math.isnan(found.seconds) else f" in {found.seconds:.1f} s"
    factor = "" if found.factor is None else f", {found.factor:.1f} times as fast as the baseline"
    return f"reaches the baseline's validation accuracy{time} ({found.when}){factor}"


def _would_change(advised: Row, rows: Collection[Row]) -> Iterator[str]:
    if advised.num_seeds < FEWEST_SEEDS:
        yield f"three seeds or more: so far {_seeds(advised)}"
    if advised.vs_baseline is not None and advised.vs_baseline.needed_text:
        yield f"a significant difference to the baseline, for which about {advised.vs_baseline.needed_text} are needed"
    if advised.diagnosis:
        yield f"what its learning curves show: {advised.diagnosis}"
    if not math.isnan(advised.selection_frequency) and advised.selection_frequency < RARE:
        yield "more validation images: another setting is chosen in most resamples"
    if any(row.best_frequency < RARE for row in rows):
        yield "more validation images: another row is best on them in most resamples"


def _seeds(row: Row) -> str:
    return f"{row.num_seeds} seed{'s' if row.num_seeds > 1 else ''}"
