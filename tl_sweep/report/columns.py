"""The columns of a comparison: what the terminal, Markdown, csv, json, the page's table and its charts show of a row.

Another one is one call, ``COLUMNS.register(key, Column(...))``; ``recorded`` makes one for any metric that runs record.
An installed package adds its own through the entry point group ``tl_sweep.columns``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from tl_sweep.base.registry import Registry
from tl_sweep.comparison.label_efficiency import LABELS
from tl_sweep.comparison.recommendation import good_range, setting_of
from tl_sweep.comparison.study import Row
from tl_sweep.comparison.task import short, shown
from tl_sweep.report import formats
from tl_sweep.report.column import TABLES, Column, bounds_of, compared, of_row, share_of_row, value_at

COLUMNS: Registry[Column] = Registry("column", "tl_sweep.columns", {})
BASELINE, VALIDATION = "against the baseline", "choice on validation"  # groups


def naming(rows: Sequence[Row]) -> list[Column]:
    """What tells these rows from each other, and only that."""
    several = len({row.dataset for row in rows}) > 1
    return [*([DATASET] if several else []), BACKBONE, STRATEGY, *axis_columns(rows)]


def axis_columns(rows: Sequence[Row]) -> list[Column]:
    """What of data and source varies: number of labels, image size, weights, …"""
    keys = dict.fromkeys(key for row in rows for key, _ in row.axes)
    return [
        Column(
            key,
            short(key),
            "",
            f"what runs were given as {key}",
            partial(_axis, key),
            partial(shown, key),
            group="",
            kind="number" if key in LABELS else "text",
        )
        for key in keys
    ]


def _axis(key: str, row: Row) -> str | None:
    return dict(row.axes).get(key)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """All columns for these rows, those of one group beside each other in the order of registration."""
    columns = COLUMNS.usable().values()
    places = {group: place for place, group in enumerate(dict.fromkeys(column.group for column in columns))}
    return [MARK, *naming(rows), *sorted(columns, key=lambda column: places[column.group])]


def in_table(rows: Sequence[Row], table: str) -> list[Column]:
    """Of one table of the terminal and of Markdown: what names the rows, and its figures."""
    return [MARK, *naming(rows), *(column for column in columns_of(rows) if column.table == table)]


def on_page(rows: Sequence[Row]) -> list[Column]:
    return [column for column in columns_of(rows) if column.group is not None]


def in_files(rows: Sequence[Row]) -> list[Column]:
    """Of csv and json: all, in the order of registration, and the data set even if there is but one."""
    return [DATASET, MARK, *(column for column in naming(rows) if column is not DATASET), *COLUMNS.usable().values()]


def on_axis(axis: str) -> list[Column]:
    """What a reader may choose for an axis of the page's charts: ``x``, ``y`` or ``z``."""
    return [column for column in COLUMNS.usable().values() if axis in column.axes]


def _mark(row: Row) -> str:
    return "best" if row.is_best else "= best" if row.indistinguishable else "> best" if row.better_than_best else ""


def _seconds_to_baseline(row: Row) -> float | None:
    found = row.time_to_baseline
    return None if found is None else math.inf if found.epochs is None else found.seconds


DATASET = of_row("dataset", "data set", "", "what was learned", group="", kind="text")
BACKBONE = of_row("backbone", "backbone", "", "the network", group="", kind="text")
STRATEGY = of_row("strategy_label", "strategy", "", "which part of it was trained, and how", group="", kind="name")
TYPED = of_row("strategy", "freeze", "", "the strategy as it is typed", kind="text")
KIND = of_row("kind", "kind", "", "baseline, control, frozen features or fine-tuning, by what was trained", kind="text")
MARK = Column(
    "mark",
    "mark",
    "",
    "best: on validation; = best: on test not told from that; > best: better on test, which has no part in the choice",
    _mark,
    group="",
    kind="text",
)
VAL_ACC = share_of_row(
    "val_acc",
    "validation accuracy",
    "on the validation images, by which every choice is made",
    table="results",
    group="accuracy",
    axes="y",
)
TEST_ACC = Column(
    "test_acc_estimate",
    "test accuracy",
    "%",
    "on the test images, at settings that other seeds chose; 95 % interval over seeds and images",
    lambda row: row.test_acc.estimate,
    formats.one_digit,
    scale=100,
    beside=lambda row: formats.bounds(row.test_acc),
    table="results",
    group="accuracy",
    axes="yz",
)
SECONDS = of_row(
    "seconds", "training time", "s", "of one run", formats.plain_seconds, table="results", group="cost", axes="x"
)
ACCURACY = (
    VAL_ACC,
    TEST_ACC,
    *bounds_of("test_acc", "test accuracy", "test_acc"),
    *bounds_of("network_acc", "one more network", "network_acc"),
    Column(
        "one_network",
        "one more network",
        "%",
        "where the test accuracy of one more network, trained in the same way, lies: 95 % interval",
        lambda row: formats.bounds(row.network_acc) or None,
        table="cost",
        group="accuracy",
        kind="text",
    ),
    share_of_row(
        "macro_f1", "macro-F1", "on the test images, each class counted alike", table="cost", group="accuracy"
    ),
    share_of_row(
        "calibration_error",
        "calibration error",
        "expected calibration error on the test images: how far confidence is from accuracy",
        table="cost",
        group="accuracy",
    ),
)
AGAINST = (
    *compared("vs_baseline", "vs baseline", "the baseline of the same backbone and task", BASELINE, "results", "z"),
    Column(
        "time_to_baseline_seconds",
        "time to baseline accuracy",
        "s",
        "training time until validation accuracy is what the tuned baseline ends with, and how many times as fast; "
        "by L-BFGS: of logistic regression, which has no epochs",
        _seconds_to_baseline,
        formats.plain_seconds,
        beside=lambda row: formats.when(row.time_to_baseline),
        table="results",
        group=BASELINE,
    ),
    Column(
        "time_to_baseline_epochs",
        "epochs to baseline accuracy",
        "",
        "the same in epochs; 0: logistic regression, which has none",
        value_at("time_to_baseline.epochs"),
    ),
    Column(
        "time_to_baseline_factor",
        "speed-up to baseline accuracy",
        "",
        "how many times as fast as the baseline",
        value_at("time_to_baseline.factor"),
    ),
    *compared("vs_best", "vs best", "the best row of the task", "against the best"),
)
COST = (
    SECONDS,
    share_of_row(
        "val_acc_at_budget",
        "validation accuracy at equal time",
        "the best within the same training time for all rows of a task",
        note=lambda row: f"in {formats.plain_seconds(row.budget_s)} s" if math.isfinite(row.val_acc_at_budget) else "",
        group="cost",
    ),
    of_row("budget_s", "equal time", "s", "the training time that is the same for all rows of a task"),
    share_of_row(
        "val_acc_at_equal_epochs",
        "validation accuracy at equal epochs",
        "after as many epochs for all rows of a task",
        note=lambda row: f"in {row.budget_epochs} epochs" if math.isfinite(row.val_acc_at_equal_epochs) else "",
        group="cost",
    ),
    of_row("budget_epochs", "equal epochs", "", "the epochs that are the same for all rows of a task"),
    of_row(
        "trainable_parameters",
        "trainable parameters",
        "",
        "in the phase where most are",
        formats.whole,
        table="cost",
        group="cost",
        axes="x",
    ),
    of_row(
        "checkpoint_bytes",
        "checkpoint",
        "MB",
        "what a run keeps on disk; in csv and json in bytes",
        formats.three_digits,
        scale=1e-6,
        table="cost",
        group="cost",
    ),
    of_row(
        "inference_images_per_s",
        "inference speed",
        "images/s",
        "where this comparison was made, in batches of 16, on the GPU or on one thread of the CPU",
        formats.three_digits,
        table="cost",
        group="cost",
        axes="x",
    ),
    of_row("on_front", "Pareto front", "", TABLES["cost"], formats.tick, table="cost", group="cost", kind="text"),
)
CHOICE = (
    Column(
        "setting",
        "chosen setting",
        "",
        "what varied, with the values that validation chose",
        lambda row: setting_of(row) or None,
        table="results",
        group=VALIDATION,
        kind="text",
    ),
    Column(
        "rate",
        "learning rate",
        "",
        "of the head, at that setting",
        lambda row: next((rate.lr for rate in row.rates if rate.chosen), None),
    ),
    Column(
        "good_rates",
        "good learning rates",
        "",
        "within one point of the best on validation, of those that were tried",
        lambda row: good_range(row) or None,
        group=VALIDATION,
        kind="text",
    ),
    of_row("trials", "settings tried", "", "how many were compared", group=VALIDATION),
    of_row(
        "selection_frequency",
        "selection frequency",
        "%",
        "share of resamples of validation images and seeds that choose the same setting",
        formats.whole,
        scale=100,
        table="results",
        group=VALIDATION,
    ),
    of_row("is_best", "best", "", "whether it is the best on validation", kind="text"),
    share_of_row(
        "best_frequency", "selection frequency of the best row", "share of resamples in which it is best again"
    ),
    of_row(
        "num_seeds",
        "seeds",
        "",
        "over which figures are averaged; and the images of each",
        note=formats.images_of,
        table="results",
        group=VALIDATION,
    ),
    of_row("num_val_images", "validation images", "", "of a seed"),
    of_row("num_test_images", "test images", "", "of a seed"),
    of_row("num_test_groups", "groups of test images", "", "of images that belong together; 0: not recorded"),
    of_row("effective_test_groups", "equal groups", "", "as how many of equal size those of test images count"),
    of_row("num_collapsed", "collapsed runs", "", "of the chosen ones, which are left out of figures on test"),
    Column("runs", "runs", "", "the chosen ones, by id", lambda row: " ".join(row.run_ids), kind="text"),
    Column(
        "diagnosis",
        "diagnosis",
        "",
        "what the learning curves show",
        lambda row: row.diagnosis or None,
        group="learning curves",
        kind="prose",
    ),
)
for _column in (TYPED, KIND, *ACCURACY, *AGAINST, *COST, *CHOICE):
    COLUMNS.register(_column.key, _column)
