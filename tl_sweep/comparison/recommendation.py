"""What follows from a comparison, in words: a recommendation per task, and warnings about how far it can be trusted."""

from __future__ import annotations

import math
import re
import shlex
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from tl_sweep.comparison.diagnosis import good_rates
from tl_sweep.comparison.model_selection import FEWEST_SEEDS, WEIGHTS, Candidate, Cell, seed_of
from tl_sweep.comparison.study import Arrival, Comparison, Interval, Recommendation, Row, named
from tl_sweep.comparison.task import line_of, task_of
from tl_sweep.comparison.verdict import best_of, scratch_of
from tl_sweep.config.schema import field_paths
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.record import RunRecord

FEW_TRIALS = 3
NOISY_CHOICE = 0.02  # standard error of a difference in validation accuracy that settings were chosen by
UNSTABLE = 0.5
WORDS = re.compile(r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+")  # overrides, whose values may have blanks inside quotes
NOT_THE_SETTING = {name for name, item in field_paths() if item.metadata["execution"]} - {"data.root"} | {
    "seed",
    "sweep",
}


def percent(share: float) -> str:
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
    """For one task: what is best on validation, unless something equivalent trains faster."""
    best = rows[best_of(rows)]
    equals = [row for row in rows.values() if row.indistinguishable]
    equivalent = [row for row in equals if row.vs_best is not None and row.vs_best.verdict == "equivalent"]
    advised = min([best, *equivalent], key=lambda row: row.seconds)
    cell = next(cell for cell, row in rows.items() if row is advised)
    return Recommendation(
        task=task_of(advised).label,
        text=" ".join(_sentences(advised, options_of(cell), best, rows.values())),
        evidence=tuple(_evidence(advised, best, rows)),
        would_change=tuple(_would_change(advised, rows.values())),
        command=command_of(cell),
    )


def name_in(row: Row, rows: Collection[Row]) -> str:
    """What tells it from the others that were asked the same: strategy, source, backbone where there are several."""
    several = len({other.backbone for other in rows}) > 1
    return f"{row.backbone} {line_of(row)}" if several else line_of(row)


def options_of(cell: Cell) -> str:
    """Its strategy and source, as they are typed."""
    run = cell.runs[0]
    words = [f"freeze={run.tags[Tag.STRATEGY]}"]
    if (frozen := run.params.get("freeze.frozen_stages", "null")) != "null":
        words.append(f"freeze.frozen_stages={frozen}")
    random = run.params.get(WEIGHTS) == "null" and not cell.is_scratch
    return " ".join([*words, *(f"model.weights={source}" for source in cell.source or ("null",) * random)])


def _sentences(advised: Row, options: str, best: Row, rows: Collection[Row]) -> Iterator[str]:
    setting = with_rate(advised)
    yield f"Use {advised.backbone} with {options}{f' ({setting})' if setting else ''}."
    yield (
        f"Expect {percent(advised.test_acc.estimate)} on images like the test images "
        f"(95 % interval {100 * advised.test_acc.low:.1f} to {100 * advised.test_acc.high:.1f})."
    )
    if advised.vs_scratch is not None:
        yield _against(advised.vs_scratch, "training from scratch")
    if advised is not best:
        yield (
            f"{name_in(best, rows)} is best on validation; on test the two are equivalent, "
            f"and this one trains in {advised.seconds:.1f} s instead of {best.seconds:.1f} s."
        )
    elif best.num_seeds < FEWEST_SEEDS:
        yield f"{_seeds(best).capitalize()} cannot tell methods apart, only these networks."
    yield from _beside(best, [row for row in rows if row is not advised], rows)


def _beside(best: Row, others: Sequence[Row], rows: Collection[Row]) -> Iterator[str]:
    """What test says of the others that are not worse than what is best on validation."""
    told: dict[str, list[str]] = defaultdict(list)
    for row in others:
        if row.vs_best is not None:
            ways = f" (about {row.vs_best.ways} would)" if row.vs_best.ways else ""
            told[row.vs_best.verdict].append(name_in(row, rows) + ways)
    name = name_in(best, rows)
    if told["cannot tell"]:
        yield f"Test cannot tell from {name}: {', '.join(told['cannot tell'])}."
    if told["equivalent"]:
        yield f"Test finds equivalent to {name}: {', '.join(told['equivalent'])}."
    if told["better"]:
        yield (
            f"Test finds better than {name}: {', '.join(told['better'])}; not chosen, since validation chooses, "
            "and what test chooses looks better than it is."
        )


def _against(comparison: Comparison, what: str) -> str:
    if math.isnan(comparison.difference.estimate):
        return f"It is not compared with {what}: {comparison.wording}."
    difference = points(comparison.difference)
    match comparison.verdict:
        case "better" | "worse":
            return f"That is {comparison.verdict} than {what}: {difference}."
        case "equivalent":
            return f"That is equivalent to {what}: {difference}."
        case "cannot tell":
            return f"It cannot be told from {what}: {difference}."
    return f"The difference to {what} is {difference}: {comparison.wording}."


def _evidence(advised: Row, best: Row, rows: Mapping[Cell, Row]) -> Iterator[str]:
    yield (
        f"{len(rows)} strategies compared at the settings that validation chose, {_seeds(advised)}; "
        f"validation accuracy {percent(advised.val_acc)}, of the best {percent(best.val_acc)}"
    )
    if not math.isnan(advised.stability):
        yield f"this setting is chosen in {advised.stability:.0%} of resamples of validation images and seeds"
    if not math.isnan(best.best_again):
        again = f"{best.best_again:.0%} of resamples of validation images and seeds"
        yield f"{name_in(best, rows.values())} is best on validation in {again}"
    if advised.vs_scratch is not None:
        yield f"against scratch: {advised.vs_scratch.wording}"
    if advised.arrival is not None:
        yield arrival_text(advised.arrival)
    if len(advised.rates) > 1:
        tried = len(advised.rates)
        yield f"learning rates within one point of the best on validation, of {tried} tried: {good_range(advised)}"
    yield (
        f"{advised.seconds:.1f} s of training, {advised.trainable_parameters:,} trainable parameters, "
        f"calibration error {percent(advised.calibration_error)}"
    )


def arrival_text(arrival: Arrival) -> str:
    """When it reaches what scratch ends with, on validation."""
    if arrival.epochs is None:
        return "never reaches the validation accuracy that scratch ends with"
    time = "" if arrival.seconds is None or math.isnan(arrival.seconds) else f", {arrival.seconds:.1f} s"
    factor = "" if arrival.factor is None else f": {arrival.factor:.1f} times as fast as scratch"
    return f"reaches the validation accuracy that scratch ends with ({arrival.when}{time}){factor}"


def _would_change(advised: Row, rows: Collection[Row]) -> Iterator[str]:
    if advised.num_seeds < FEWEST_SEEDS:
        yield f"three seeds or more: so far {_seeds(advised)}"
    if advised.vs_scratch is not None and advised.vs_scratch.ways:
        yield f"to tell it from scratch: about {advised.vs_scratch.ways}"
    if advised.diagnosis:
        yield f"its own curves: {advised.diagnosis}"
    if not math.isnan(advised.stability) and advised.stability < UNSTABLE:
        yield "more validation images: another setting is chosen in most resamples"
    if any(row.best_again < UNSTABLE for row in rows):
        yield "more validation images: another row is best on them in most resamples"


def _seeds(row: Row) -> str:
    return f"{row.num_seeds} seed{'s' if row.num_seeds > 1 else ''}"


def command_of(cell: Cell) -> str:
    """Trains the chosen setting again, with each of its seeds."""
    pairs = [(run.params["seed"], run.params.get("data.subset_seed", run.params["seed"])) for run in cell.runs]
    follow = all(seed == subset for seed, subset in pairs)  # the default
    drawn = [] if follow else [f"data.subset_seed={','.join(dict.fromkeys(subset for _, subset in pairs))}"]
    seeds = ",".join(dict.fromkeys(run.params["seed"] for run in cell.runs))
    dropped = NOT_THE_SETTING | {"data.subset_seed"} if drawn else NOT_THE_SETTING
    overrides = WORDS.findall(cell.runs[0].tags.get(Tag.OVERRIDES, ""))
    kept = [shlex.quote(word) for word in overrides if word.lstrip("+").partition("=")[0] not in dropped]
    kept = [word for word in kept if not word.startswith("hydra")]
    return " ".join(["python -m tl_sweep.train -m", *kept, *drawn, f"seed={seeds}"])


def notes_on(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    """What a reader must know before believing the table."""
    few = [row for row in rows.values() if row.num_seeds < FEWEST_SEEDS]
    if few:
        yield (
            f"{dataset}: {len(few)} of {len(rows)} rows have fewer than three seeds: they show what these networks do, "
            "not what the methods do"
        )
    noisy: dict[str, list[str]] = defaultdict(list)
    for row in rows.values():
        error = _error_of_choice(row)
        if row.trials >= FEW_TRIALS and error > NOISY_CHOICE:
            noisy[f"{100 * error:.0f}"].append(f"{row.label} ({row.trials} settings)")
    if noisy:
        worst = max(noisy, key=float)
        count = sum(map(len, noisy.values()))
        yield (
            f"{dataset}: in {count} of {len(rows)} rows the setting was chosen on few validation images: a difference "
            f"between two settings has a standard error of up to {worst} points, as in {noisy[worst][0]}"
        )
    tuned = [row for row in rows.values() if row.rates]  # a solved head has nothing to tune
    trials = {row.trials for row in tuned}
    if len(trials) > 1:
        most = max(tuned, key=lambda row: row.trials)
        yield (
            f"{dataset}: unequal numbers of settings were tried, from {min(trials)} to {max(trials)} ({most.label}); "
            "the more, the better the chosen one"
        )
    for cell, row in rows.items():
        ahead = [candidate for candidate in cell.incomplete if _leads(candidate, cell)]
        if ahead:
            setting = ", ".join(f"{key}={value}" for key, value in ahead[0].setting)
            yield (
                f"{row.label}: {setting} is ahead of the chosen setting on validation, on the seeds that both have, "
                f"but was not run on all of them: run the others, and it can be chosen"
            )
        if cell.is_scratch and _longest_won(cell):
            yield f"{row.label}: its longest schedule ({cell.chosen.epochs} epochs) won; a longer one may do better"
    yield from _one_schedule(dataset, rows)
    yield from _shared_features(dataset, rows)
    machines = sorted({_machine(run) for cell in rows for run in cell.runs})
    if len(machines) > 1:
        yield f"{dataset}: seconds were taken in different places and do not compare: {'; '.join(machines)}"
    without = {named(cell.backbone, axes=cell.task) for cell in rows if scratch_of(cell, rows) is None}
    if without:
        yield f"{dataset}: no baseline for {', '.join(sorted(without))}: add freeze=scratch"


def _machine(run: RunRecord) -> str:
    where = run.tags.get(Tag.DEVICE, "")
    threads = f", {run.tags[Tag.THREADS]} threads" if where == "cpu" and Tag.THREADS in run.tags else ""
    return f"{run.tags.get(Tag.HOST, 'an unknown machine')} ({where}{threads})"


def _error_of_choice(row: Row) -> float:
    """Standard error of the difference between two settings' validation accuracies, were their mistakes independent."""
    count = row.num_val_images * row.num_seeds
    accuracy = (row.val_acc * count + 1) / (count + 2)  # where all are right, that is not known to be so of others
    return math.sqrt(2 * accuracy * (1 - accuracy) / count)


def _leads(candidate: Candidate, chosen: Cell) -> bool:
    """Whether it is better on validation over the seeds that both have."""
    theirs = {seed_of(run): run.metrics[Metric.BEST_VAL_ACC] for run in chosen.runs}
    gains = [
        run.metrics[Metric.BEST_VAL_ACC] - theirs[seed_of(run)] for run in candidate.runs if seed_of(run) in theirs
    ]
    return bool(gains) and sum(gains) > 0


def _longest_won(cell: Cell) -> bool:
    lengths = _lengths(cell)
    return len(lengths) > 1 and cell.chosen.epochs == max(lengths)


def _lengths(cell: Cell) -> set[int]:
    return {candidate.epochs for candidate in (*cell.candidates, *cell.incomplete)}


def _one_schedule(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    """Scratch converges later than what is pretrained: equal epochs are not a fair comparison alone."""
    single: dict[int, list[str]] = defaultdict(list)
    for cell, row in rows.items():
        others = [other for other in rows if other is not cell and scratch_of(other, rows) is cell]
        longest = max((epochs for other in others for epochs in _lengths(other)), default=0)
        if cell.is_scratch and len(_lengths(cell)) == 1 and cell.chosen.epochs <= longest:
            single[cell.chosen.epochs].append(row.label)
    for epochs, labels in single.items():
        more = f" and {len(labels) - 1} more" * (len(labels) > 1)
        yield (
            f"{dataset}: {labels[0]}{more} had no longer schedule than the others, and scratch converges later: "
            f"freeze=scratch epochs={epochs},{3 * epochs},{10 * epochs} gives it one"
        )


def _shared_features(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    """Times of runs that found all their frozen features computed by others are not what a run alone would take."""
    found = [row.label for cell, row in rows.items() if any(map(_computed_no_feature, cell.runs))]
    if found:
        yield (
            f"{dataset}: seconds of {len(found)} row{'s' * (len(found) > 1)} leave out, for a seed at least, frozen "
            f"features that were there already, as in {found[0]}"
        )


def _computed_no_feature(run: RunRecord) -> bool:
    return run.metrics.get(Metric.CACHE_HIT_ROWS, 0) > 0 and run.metrics.get(Metric.CACHE_MISSED_ROWS, 0) == 0
