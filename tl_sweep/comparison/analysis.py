"""From recorded runs to a ``Study``: what can be compared, what is chosen, how it compares, what follows from that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from tl_sweep.comparison import diagnosis, label_efficiency, verdict
from tl_sweep.comparison.effects import Effects
from tl_sweep.comparison.eligibility import datasets_of, sort_out
from tl_sweep.comparison.evidence import Evidence
from tl_sweep.comparison.looked import Looked, looked_at
from tl_sweep.comparison.model_selection import Cell, choose, mean_of
from tl_sweep.comparison.notes import notes_on
from tl_sweep.comparison.pairs import accuracies, accuracy_of
from tl_sweep.comparison.ranking import ranking_of
from tl_sweep.comparison.recommendation import recommend
from tl_sweep.comparison.study import Excluded, Recommendation, Row, Study, named
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.record import RunRecord

MARGIN = 0.01  # of accuracy: a difference that does not matter
MOST_MISTAKES = 8  # of one row

Speed = Callable[[RunRecord], float]  # images per second at inference of a run's network; nan where it is not known


@dataclass(frozen=True)
class Question:
    """What is asked of the runs. margin: a difference in accuracy below which two strategies count as equal. filters:
    what the runs were picked by. any_labels: whether claims are to hold for other labels of the same number, too."""

    title: str
    margin: float = MARGIN
    filters: tuple[str, ...] = ()
    any_labels: bool = False


@dataclass(frozen=True)
class Budget:
    """What every cell of a task gets where they are compared at equal cost: half of them took no longer than this, and
    none was given fewer epochs."""

    seconds: float
    epochs: int

    @staticmethod
    def of(task: Sequence[Cell]) -> Budget:
        epochs = min(candidate.epochs for cell in task for candidate in cell.candidates)
        return Budget(median(cell.mean(Metric.SECONDS) for cell in task), epochs)


def analyse(runs: Iterable[RunRecord], evidence: Evidence, speed: Speed, question: Question) -> Study:
    """Compare everything that is finished and whole; the rest is listed with the reason."""
    usable, excluded = sort_out(list(runs), evidence)
    rows: dict[str, dict[Cell, Row]] = {}
    picked = " ".join(question.filters)
    notes = [f"of the runs with {picked} alone: choices and p-values, too"] if picked else []
    missing: list[str] = []
    evidence.find_groups(usable)
    datasets = datasets_of(usable)
    is_only = len(datasets) == 1
    for dataset, members in datasets.items():
        cells = choose(members)
        excluded += _incomplete(members, cells)
        missing += [name if is_only else f"{dataset} · {name}" for name in _missing(cells)]
        rows[dataset] = _rows(dataset, cells, evidence, speed, question)
    excluded += [Excluded("no finished run", tuple(missing))] if missing else []
    rows = _claimed(rows)
    recommendations: list[Recommendation] = []
    for dataset, mine in rows.items():
        notes += notes_on(dataset, mine)
        recommendations += [recommend({cell: mine[cell] for cell in task}) for task in verdict.by_task(mine)]
    all_rows = [row for mine in rows.values() for row in mine.values()]
    lines = label_efficiency.gains(all_rows)
    return Study(
        title=question.title,
        margin=question.margin,
        rows=tuple(all_rows),
        gains=lines,
        crossings=label_efficiency.crossings(lines),
        recommendations=tuple(recommendations),
        notes=tuple(notes),
        excluded=tuple(excluded),
        num_runs=len(usable),
    )


def _claimed(rows: Mapping[str, Mapping[Cell, Row]]) -> dict[str, dict[Cell, Row]]:
    """With what the whole study may claim, of all comparisons with baselines, and of all with the best."""
    flat = [row for mine in rows.values() for row in mine.values()]
    vs_baseline = verdict.claimed([row.vs_baseline for row in flat])
    vs_best = verdict.claimed([row.vs_best for row in flat])
    judged = map(lambda row, one, other: replace(row, vs_baseline=one, vs_best=other), flat, vs_baseline, vs_best)
    return {dataset: {cell: next(judged) for cell in mine} for dataset, mine in rows.items()}


def nothing(title: str) -> Study:
    """A study that found nothing."""
    return Study(title, MARGIN, (), (), (), (), (), (), 0)


def _incomplete(runs: Sequence[RunRecord], cells: Sequence[Cell]) -> list[Excluded]:
    """Runs whose setting lacks a seed, and those on seeds that others lack."""
    used = {id(run) for cell in cells for run in (*cell.runs, *_compared(cell))}
    lacking = {id(run) for cell in cells for candidate in cell.incomplete for run in candidate.runs}
    left = {
        "their setting lacks a seed that others have, so that it was not compared": lacking,
        "on seeds that other settings lack, and of a setting that was not chosen": {*map(id, runs)} - used - lacking,
    }
    return [Excluded(why, tuple(run.name for run in runs if id(run) in ids)) for why, ids in left.items() if ids]


def _compared(cell: Cell) -> Iterator[RunRecord]:
    return (run for candidate in cell.candidates for run in candidate.runs)


def _missing(cells: Sequence[Cell]) -> Iterator[str]:
    """What a table of backbones × strategies × tasks lacks. A source counts for the backbones that have it, a number of
    frozen stages too; controls are nobody's duty."""
    asked = [cell for cell in cells if not cell.is_control]
    there = {(cell.backbone, cell.strategy, cell.source, cell.task) for cell in asked}
    sources = {(cell.backbone, cell.source) for cell in asked}
    own = {(cell.backbone, cell.strategy) for cell in asked}
    tasks = dict.fromkeys(cell.task for cell in asked)
    for backbone in dict.fromkeys(cell.backbone for cell in asked):
        for strategy, source, is_own in dict.fromkeys((c.strategy, c.source, c.freezes_a_number) for c in asked):
            if (source and (backbone, source) not in sources) or (is_own and (backbone, strategy) not in own):
                continue
            for task in tasks:
                if (backbone, strategy, source, task) not in there:
                    yield named(backbone, strategy, *source, axes=task)


def _rows(dataset: str, cells: Sequence[Cell], evidence: Evidence, speed: Speed, question: Question) -> dict[Cell, Row]:
    """A row per cell, in an order that puts what was asked the same together, the best on validation first."""
    looked, margin = {cell: looked_at(cell, evidence, question.any_labels) for cell in cells}, question.margin
    vs_baseline = verdict.against_baseline(looked, evidence, margin)
    families = verdict.families_of(cells).values()
    effects = {cell: one for mine in families for cell, one in accuracies([looked[c] for c in mine], evidence).items()}
    rows: dict[Cell, Row] = {}
    for task in verdict.by_task(cells):
        ranking = ranking_of(task)
        vs_best = verdict.against_best(ranking, looked, vs_baseline, evidence, margin)
        budget = Budget.of(task)
        mine = {
            cell: replace(
                _row(dataset, looked[cell], effects.get(cell), evidence, speed(cell.runs[0]), budget),
                val_acc=mean_of(ranking.counted[cell], Metric.BEST_VAL_ACC),
                vs_baseline=vs_baseline.get(cell),
                vs_best=vs_best.get(cell),
            )
            for cell in ranking.cells
        }
        mine[ranking.best] = replace(
            mine[ranking.best],
            is_best=True,
            best_frequency=verdict.best_frequency(ranking, evidence),
            mistakes=evidence.mistakes(ranking.best.runs, MOST_MISTAKES),
        )
        rows |= _with_neighbours(mine)
    return rows


def _row(
    dataset: str,
    looked: Looked,
    effects: Effects | None,
    evidence: Evidence,
    images_per_s: float,
    budget: Budget,
) -> Row:
    """What can be said of a cell without looking at its neighbours, and of its accuracy (``effects``) among them."""
    cell = looked.cell
    runs, curve = cell.runs, evidence.curve(cell.runs)
    method_acc, network_acc = accuracy_of(looked, effects, evidence)
    class_names, counts_KK = evidence.confusion(runs)
    return Row(
        dataset=dataset,
        backbone=cell.backbone,
        strategy=cell.strategy,
        strategy_label=cell.label,
        axes=cell.axes,
        setting=cell.setting,
        run_ids=tuple(run.name for run in runs),
        num_seeds=len(runs),
        num_val_images=len(evidence.outcomes(runs[0], "val").correct_N),
        num_test_images=len(evidence.outcomes(runs[0], "test").correct_N),
        trials=len(cell.candidates),
        selection_frequency=verdict.selection_frequency(cell, evidence),
        val_acc=cell.mean(Metric.BEST_VAL_ACC),
        test_acc=method_acc,
        macro_f1=cell.mean(Metric.TEST_MACRO_F1),
        calibration_error=cell.mean(Metric.TEST_CALIBRATION_ERROR),
        seconds=cell.mean(Metric.SECONDS),
        trainable_parameters=trainable(cell),
        checkpoint_bytes=cell.mean(Metric.CHECKPOINT_BYTES),
        inference_images_per_s=images_per_s,
        budget_s=budget.seconds,
        val_acc_at_budget=diagnosis.val_acc_after(curve, budget.seconds),
        budget_epochs=budget.epochs,
        val_acc_at_equal_epochs=max(
            (candidate.mean(Metric.BEST_VAL_ACC) for candidate in cell.candidates if candidate.epochs == budget.epochs),
            default=math.nan,
        ),
        vs_baseline=None,
        vs_best=None,
        is_best=False,
        time_to_baseline=None,
        diagnosis="",
        on_front=False,
        kind=cell.kind,
        network_acc=network_acc,
        shared_labels=looked.shared_labels,
        num_collapsed=looked.collapses.count,
        **_group_counts(runs[0], evidence),
        metrics={name: cell.mean(name) for name in sorted({name for run in runs for name in run.metrics})},
        rates=diagnosis.rates_of(cell),
        curve=curve,
        class_names=class_names,
        confusion_KK=tuple(map(tuple, counts_KK.tolist())),
    )


def _group_counts(run: RunRecord, evidence: Evidence) -> dict[str, Any]:
    """Fields of its row."""
    groups, num_images = evidence.groups(run), len(evidence.outcomes(run, "test").correct_N)
    if not evidence.has_groups(run):
        return {"num_test_groups": 0, "effective_test_groups": math.nan}
    if groups is None:
        return {"num_test_groups": num_images, "effective_test_groups": float(num_images)}
    return {"num_test_groups": len(groups.share_G), "effective_test_groups": groups.effective}


def _with_neighbours(rows: Mapping[Cell, Row]) -> dict[Cell, Row]:
    """The rows of one task with what follows from the others: front, time to baseline accuracy, diagnosis."""
    finished: dict[Cell, Row] = {}
    for cell, row in rows.items():
        baseline = verdict.baseline_of(cell, rows)
        time_to_baseline = None
        if baseline is not None and baseline is not cell:
            time_to_baseline = diagnosis.time_to_baseline(row.curve, rows[baseline].curve, rows[baseline].val_acc)
        finished[cell] = replace(
            row,
            time_to_baseline=time_to_baseline,
            diagnosis=diagnosis.diagnose(cell, row.curve, row.rates, tuple(rows), _as_good_as(cell, rows)),
            on_front=not any(_dominates(other, row) for other in rows.values()),
        )
    return finished


def _as_good_as(cell: Cell, rows: Mapping[Cell, Row]) -> Cell | None:
    """What needs no source and is as good on validation as this cell's frozen features: random features, or the
    baseline where they were not tried. None where the features are better, or test finds that they are (validation
    images can be few)."""
    versus = rows[cell].vs_baseline
    if not cell.learns_only_the_head or cell.is_control or (versus is not None and versus.verdict == "better"):
        return None
    mine = [other for other in rows if other.backbone == cell.backbone]
    rivals = [other for other in mine if other.is_control] or [other for other in mine if other.is_baseline]
    return next((rival for rival in rivals if rows[cell].val_acc <= rows[rival].val_acc), None)


def _dominates(other: Row, row: Row) -> bool:
    """At least as good in accuracy, training time, inference time and parameters, and better in one."""

    def merits(row: Row) -> tuple[float, ...]:
        speed = 0.0 if math.isnan(row.inference_images_per_s) else row.inference_images_per_s
        return row.test_acc.estimate, -row.seconds, speed, -row.trainable_parameters

    pairs = list(zip(merits(other), merits(row), strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def trainable(cell: Cell) -> int:
    return round(fmean(int(run.tags[Tag.TRAINABLE_PARAMETERS]) for run in cell.runs))
