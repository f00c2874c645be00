"""Warnings: what a reader must know before believing a comparison."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

from tl_sweep.comparison.commands import command_of
from tl_sweep.comparison.model_selection import FEWEST_SEEDS, Candidate, Cell, seed_numbers, seed_of
from tl_sweep.comparison.ranking import ranking_of
from tl_sweep.comparison.study import Row, named
from tl_sweep.comparison.verdict import baseline_of, by_task
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.record import RunRecord

FEW_TRIALS = 3
NOISY_CHOICE = 0.02  # standard error of a difference in validation accuracy that settings were chosen by


def notes_on(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    """All warnings about the rows of one data set."""
    yield from _few_seeds(dataset, rows)
    yield from _groups_of_images(dataset, rows)
    yield from _collapsed(rows)
    yield from _not_claimed(dataset, rows)
    yield from _lacking_seeds(rows)
    yield from _noisy_choices(dataset, rows)
    yield from _unequal_trials(dataset, rows)
    yield from _better_incomplete_settings(rows)
    yield from _longest_schedules(rows)
    yield from _one_schedule(dataset, rows)
    yield from _shared_features(dataset, rows)
    yield from _several_machines(dataset, rows)
    yield from _cut_away(dataset, rows)
    yield from _no_baseline(dataset, rows)


def _few_seeds(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    few = [row for row in rows.values() if row.num_seeds < FEWEST_SEEDS]
    if few:
        yield (
            f"{dataset}: {len(few)} of {len(rows)} rows have fewer than three seeds: they compare trained networks, "
            "not methods"
        )


def _groups_of_images(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    """By which intervals and verdicts go; or that they were not recorded."""
    unknown = [row for row in rows.values() if not row.num_test_groups]
    if unknown:
        yield (
            f"{dataset}: {len(unknown)} of {len(rows)} rows come from runs that did not yet record which images belong "
            "together: each test image counts as its own; where several are of one patient or place, intervals are "
            "too short"
        )
    grouped = {
        (row.num_test_images, row.num_test_groups, f"{row.effective_test_groups:.3g}")
        for row in rows.values()
        if 0 < row.num_test_groups < row.num_test_images
    }
    for images, groups, equal in sorted(grouped):
        yield (
            f"{dataset}: its {images:,} test images are in {groups:,} groups, which count as {equal} of equal size: "
            "intervals and verdicts go by groups"
        )


def _collapsed(rows: Mapping[Cell, Row]) -> Iterator[str]:
    for row in rows.values():
        if row.num_collapsed:
            yield (
                f"{row.label}: {row.num_collapsed} of {row.num_seeds} runs collapsed (their validation accuracy is far "
                "below that of the best seed, near chance): its figures on test are those of the others"
            )


def _not_claimed(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    alone = [
        row.label
        for row in rows.values()
        if row.vs_baseline is not None and row.vs_baseline.verdict in ("better", "worse")
        if not row.vs_baseline.is_claimed
    ]
    if alone:
        yield (
            f"{dataset}: {len(alone)} difference{'s' * (len(alone) > 1)} to the baseline would be significant in a "
            "study of its own family alone, and is not among all comparisons of this study (Benjamini and Hochberg, "
            f"5 %), as of {alone[0]}"
        )


def _lacking_seeds(rows: Mapping[Cell, Row]) -> Iterator[str]:
    """What stands last because it lacks seeds, and is never recommended."""
    for task in by_task(rows):
        for cell, seeds in ranking_of(task).lacks.items():
            numbers = ", ".join(
                "/".join(dict.fromkeys(dict(seed).values())) for seed in sorted(seeds, key=seed_numbers)
            )
            several, them = ("s", "them") if len(seeds) > 1 else ("", "it")
            yield (
                f"{rows[cell].label}: lacks seed{several} {numbers}, on which rows are compared: it stands last and is "
                f"not chosen until it has {them}: {command_of(cell.runs, seeds)}"
            )


def _noisy_choices(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
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


def _unequal_trials(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    tuned = [row for row in rows.values() if row.rates]  # logistic regression has no rate to tune
    trials = {row.trials for row in tuned}
    if len(trials) > 1:
        most = max(tuned, key=lambda row: row.trials)
        yield (
            f"{dataset}: unequal numbers of settings were tried, from {min(trials)} to {max(trials)} ({most.label}); "
            "more trials favour the chosen setting"
        )


def _better_incomplete_settings(rows: Mapping[Cell, Row]) -> Iterator[str]:
    for cell, row in rows.items():
        ahead = [candidate for candidate in cell.incomplete if _leads(candidate, cell)]
        if ahead:
            setting = ", ".join(f"{key}={value}" for key, value in ahead[0].setting)
            lacks = {*map(seed_of, cell.chosen.runs)} - {*map(seed_of, ahead[0].runs)}
            yield (
                f"{row.label}: {setting} is ahead of the chosen setting on validation, on the seeds that both have, "
                f"but was not run on all: run the others, and it can be chosen: {command_of(ahead[0].runs, lacks)}"
            )


def _longest_schedules(rows: Mapping[Cell, Row]) -> Iterator[str]:
    for cell, row in rows.items():
        if cell.is_baseline and _longest_won(cell):
            yield f"{row.label}: its longest schedule ({cell.chosen.epochs} epochs) won; a longer one may do better"


def _several_machines(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    machines = sorted({_machine(run) for cell in rows for run in cell.runs})
    if len(machines) > 1:
        yield f"{dataset}: training times come from different machines and do not compare: {'; '.join(machines)}"


def _cut_away(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    tags = [run.tags for cell in rows for run in cell.runs]
    shares = [float(of_run[Tag.DATA_CUT_AWAY]) for of_run in tags if Tag.DATA_CUT_AWAY in of_run]
    if shares:
        text = f"{max(shares):.0%}".replace("%", " %")
        unseen = f"{text} of the pictures' pixels were seen by no network"
        yield f"{dataset}: {unseen}: data.fit=whole or pad shows all of them"


def _no_baseline(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    without = {named(cell.backbone, axes=cell.task) for cell in rows if baseline_of(cell, rows) is None}
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
    """The baseline converges later than what is pretrained: equal epochs are not a fair comparison alone."""
    single: dict[tuple[str, int], list[str]] = defaultdict(list)
    baselines = {cell: baseline_of(cell, rows) for cell in rows}
    for cell, row in rows.items():
        others = [other for other, baseline in baselines.items() if baseline is cell is not other]
        longest = max((epochs for other in others for epochs in _lengths(other)), default=0)
        if cell.is_baseline and len(_lengths(cell)) == 1 and cell.chosen.epochs <= longest:
            single[cell.runs[0].tags[Tag.STRATEGY], cell.chosen.epochs].append(row.label)
    for (strategy, epochs), labels in single.items():
        more = f" and {len(labels) - 1} more" * (len(labels) > 1)
        yield (
            f"{dataset}: {labels[0]}{more} had no longer schedule than the others, and training from scratch converges "
            f"later: freeze={strategy} epochs={epochs},{3 * epochs},{10 * epochs} gives it one"
        )


def _shared_features(dataset: str, rows: Mapping[Cell, Row]) -> Iterator[str]:
    """Times of runs that found all their frozen features computed by others are not what a run alone would take."""
    found = [row.label for cell, row in rows.items() if any(map(_computed_no_feature, cell.runs))]
    if found:
        yield (
            f"{dataset}: training times of {len(found)} row{'s' * (len(found) > 1)} leave out, for one seed or more, "
            f"frozen features that other runs had computed, as in {found[0]}"
        )


def _computed_no_feature(run: RunRecord) -> bool:
    return run.metrics.get(Metric.CACHE_HIT_ROWS, 0) > 0 and run.metrics.get(Metric.CACHE_MISSED_ROWS, 0) == 0
