"""The verdict as one HTML page that needs nothing else: no network, no files beside it."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tl_sweep.comparison.label_efficiency import LABELS
from tl_sweep.comparison.recommendation import good_range, setting_of
from tl_sweep.comparison.study import Comparison, Interval, Row, Study
from tl_sweep.comparison.task import line_of, short, shown, task_of
from tl_sweep.report.catalogue import Catalogue, catalogue_of
from tl_sweep.report.charts import Chart, charts_of, palette_of
from tl_sweep.report.drawing import number
from tl_sweep.report.table import percent, transfer_table

TEMPLATES = Path(__file__).parent / "templates"
MISSING = "–"
MOST_PICTURE_BYTES = 150_000  # of all pictures together: the page has to stay small
NO_MISTAKE = "No test image was wrong."
NOT_KEPT = "Mistakes are shown of the best row of each task."
SYMBOLS = {"better": "▲", "worse": "▼", "equivalent": "=", "inconclusive": "?"}


@dataclass(frozen=True)
class Column:
    """One column of the table. note: what stands small beside a value. help: what the heading means."""

    heading: str
    group: str
    value: Callable[[Row], str]
    help: str = ""
    note: Callable[[Row], str] | None = None
    numeric: bool = True


def render(study: Study) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    catalogue, columns = catalogue_of(study), columns_of(study.rows)
    charts = charts_of(study, catalogue)
    scripts = [get_plotlyjs(), *((TEMPLATES / name).read_text() for name in ("table.js", "charts.js"))]
    return environment.get_template("page.html.j2").render(
        study=study,
        columns=columns,
        groups=[(name, len(list(same))) for name, same in groupby(column.group for column in columns)],
        filters=filters_of(study.rows),
        gains=transfer_table(study),
        palette=palette_of(study),
        line_of=line_of,
        margin=f"{100 * study.margin:g} point{'s' if study.margin != 0.01 else ''}",
        charts=charts,
        catalogue=catalogue,
        leading=leading_row(study.rows),
        task_of=task_of,
        data=data_of(charts, catalogue),
        css=Markup((TEMPLATES / "page.css").read_text()),
        scripts=[Markup(script) for script in scripts],
        hashes=" ".join(f"'sha256-{digest(script)}'" for script in scripts),
    )


def leading_row(rows: Sequence[Row]) -> Row | None:
    """Whose task and backbone the charts show at first."""
    return next((row for row in rows if row.is_best), rows[0] if rows else None)


def digest(script: str) -> str:
    """By which the page's content policy lets it run, and nothing else."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def data_of(charts: Sequence[Chart], catalogue: Catalogue) -> dict[str, Any]:
    """What the page's script is given: the charts, what can be selected, and the mistakes of the detailed rows."""
    pictures: dict[str, int] = {}
    details = [
        {
            "task": catalogue.tasks.index(task_of(row)),
            "backbone": catalogue.backbones.index(row.backbone),
            "label": line_of(row),
            "val_acc": number(row.val_acc),
            "mistakes": mistakes_of(row, pictures),
            "note": "" if row.mistakes else NO_MISTAKE if row.is_best else NOT_KEPT,
        }
        for row in catalogue.details
    ]
    return {
        "charts": [
            {"name": chart.name, "by": chart.by, "choices": chart.choices, "figures": chart.figures} for chart in charts
        ],
        "tasks": [catalogue.datasets.index(task.dataset) for task in catalogue.tasks],
        "details": details,
        "pictures": list(pictures),
    }


def mistakes_of(row: Row, pictures: dict[str, int]) -> list[dict[str, Any]]:
    """pictures: those on the page so far, each once, with their places; filled until there are too many."""
    said = []
    for mistake in row.mistakes:
        fits = sum(map(len, pictures)) + len(mistake.picture) <= MOST_PICTURE_BYTES
        if mistake.picture.startswith("data:image/") and (fits or mistake.picture in pictures):
            pictures.setdefault(mistake.picture, len(pictures))
        said.append(
            {
                "id": mistake.id,
                "label": mistake.label,
                "predicted": mistake.predicted,
                "confidence": percent(mistake.confidence),
                "picture": pictures.get(mistake.picture),
            }
        )
    return said


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """All columns of the table, in order."""
    return [*_what(rows), *ACCURACY, *AGAINST, *COST, *CHOICE]


def filters_of(rows: Sequence[Row]) -> dict[int, list[str]]:
    """The values to choose from, by the column's place: columns that say what a row is and have more than one."""
    values = {place: [column.value(row) for row in rows] for place, column in enumerate(_what(rows))}
    distinct = {place: list(dict.fromkeys(column)) for place, column in values.items()}
    return {place: column for place, column in distinct.items() if len(column) > 1}


def _what(rows: Sequence[Row]) -> list[Column]:
    """What tells a row from the others."""
    several = len({row.dataset for row in rows}) > 1
    keys = list(dict.fromkeys(key for row in rows for key, _ in row.axes))
    return [
        *([Column("data set", "", lambda row: row.dataset, numeric=False)] if several else []),
        Column("backbone", "", lambda row: row.backbone, numeric=False),
        Column("strategy", "", lambda row: row.strategy, numeric=False),
        *(Column(short(key), "", _axis(key), numeric=key in LABELS) for key in keys),
    ]


def _axis(key: str) -> Callable[[Row], str]:
    return lambda row: shown(key, dict(row.axes).get(key, MISSING))


def marks(row: Row) -> str:
    """``best``, ``like the best``, ``better on test``, ``front``; empty for most rows."""
    standing = {"best": row.is_best, "like the best": row.indistinguishable, "better on test": row.better_than_best}
    return ", ".join(name for name, holds in {**standing, "front": row.on_front}.items() if holds)


def verdict(comparison: Comparison | None) -> str:
    """A symbol and the word, so that colour is not alone."""
    if comparison is None or not comparison.verdict:
        return MISSING
    return f"{SYMBOLS[comparison.verdict]} {comparison.verdict}"


def wording(comparison: Comparison | None) -> str:
    return "" if comparison is None else comparison.wording


def time_to_scratch(row: Row) -> str:
    """When it is as accurate as tuned scratch ends; ``never``."""
    if row.time_to_baseline is None:
        return MISSING
    return "never" if row.time_to_baseline.epochs is None else f"{seconds(row.time_to_baseline.seconds or math.nan)} s"


def how_much_sooner(row: Row) -> str:
    time_to_baseline = row.time_to_baseline
    if time_to_baseline is None or time_to_baseline.epochs is None:
        return ""
    factor = "" if time_to_baseline.factor is None else f", {time_to_baseline.factor:.1f} times as fast"
    return f"{time_to_baseline.when}{factor}"


def points(share: float) -> str:
    """A difference, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−") if math.isfinite(share) else MISSING


def bounds(interval: Interval, show: Callable[[float], str] = percent) -> str:
    return f"{show(interval.low)} to {show(interval.high)}" if math.isfinite(interval.low) else ""


def difference(comparison: Comparison | None) -> str:
    return MISSING if comparison is None else points(comparison.difference.estimate)


def difference_bounds(comparison: Comparison | None) -> str:
    return "" if comparison is None else bounds(comparison.difference, points)


def seconds(value: float) -> str:
    if not math.isfinite(value):
        return MISSING
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def amount(value: float, unit: float = 1) -> str:
    """To three digits."""
    value = value / unit
    return MISSING if not math.isfinite(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


ACCURACY = (
    Column(
        "mark",
        "",
        marks,
        "best on validation; like the best: not significantly different from that on test; better on test: "
        "significantly better than that on test, which plays no part in the choice; front: no other row is as good or "
        "better in accuracy, training time, inference time and parameters alike (Pareto)",
        numeric=False,
    ),
    Column(
        "val acc", "accuracy, %", lambda row: percent(row.val_acc), "on the validation images, which made every choice"
    ),
    Column(
        "test acc",
        "accuracy, %",
        lambda row: percent(row.test_acc.estimate),
        "on the test images, with its 95 % interval",
        lambda row: bounds(row.test_acc),
    ),
    Column(
        "macro-F1", "accuracy, %", lambda row: percent(row.macro_f1), "on the test images, each class counted alike"
    ),
    Column(
        "calibration",
        "accuracy, %",
        lambda row: percent(row.calibration_error),
        "expected calibration error on the test images: how far confidence is from accuracy",
    ),
)
AGAINST = (
    Column(
        "difference",
        "against scratch",
        lambda row: difference(row.vs_scratch),
        "of test accuracy to scratch of the same backbone and task, in points, with its 95 % interval",
        lambda row: difference_bounds(row.vs_scratch),
    ),
    Column(
        "verdict",
        "against scratch",
        lambda row: verdict(row.vs_scratch),
        "on methods, for other seeds and images",
        lambda row: wording(row.vs_scratch),
        numeric=False,
    ),
    Column(
        "time to its accuracy",
        "against scratch",
        time_to_scratch,
        "training time until validation accuracy is what tuned scratch ends with",
        how_much_sooner,
    ),
    Column(
        "vs best",
        "against the best",
        lambda row: difference(row.vs_best),
        "difference of test accuracy to the best row of the task, in points",
        lambda row: difference_bounds(row.vs_best),
    ),
    Column("verdict", "against the best", lambda row: verdict(row.vs_best), "as against scratch", numeric=False),
)
COST = (
    Column("seconds", "cost", lambda row: seconds(row.seconds), "of training"),
    Column(
        "val acc at equal time",
        "cost",
        lambda row: percent(row.val_acc_at_budget),
        "the best validation accuracy, %, within the same training time for all rows of a task",
        lambda row: f"in {seconds(row.budget_s)} s" if math.isfinite(row.val_acc_at_budget) else "",
    ),
    Column(
        "val acc at equal epochs",
        "cost",
        lambda row: percent(row.val_acc_at_equal_epochs),
        "the same after as many epochs for all rows of a task",
        lambda row: f"in {row.budget_epochs} epochs" if math.isfinite(row.val_acc_at_equal_epochs) else "",
    ),
    Column("trainable", "cost", lambda row: f"{row.trainable_parameters:,}", "parameters that learn"),
    Column("checkpoint, MB", "cost", lambda row: amount(row.checkpoint_bytes, 1e6), "what a run keeps on disk"),
    Column(
        "images/s",
        "cost",
        lambda row: amount(row.inference_images_per_s),
        "inference where this page was made, in batches of 16, on the GPU or on one thread of the CPU",
    ),
)
CHOICE = (
    Column(
        "chosen setting",
        "choice on validation",
        lambda row: setting_of(row) or MISSING,
        "the free settings",
        numeric=False,
    ),
    Column("trials", "choice on validation", lambda row: str(row.trials), "how many settings were compared"),
    Column(
        "chosen again, %",
        "choice on validation",
        lambda row: f"{100 * row.selection_frequency:.0f}" if math.isfinite(row.selection_frequency) else MISSING,
        "in how many resamples of validation images and seeds",
    ),
    Column(
        "good rates",
        "choice on validation",
        lambda row: good_range(row) or MISSING,
        "learning rates within one point of the best on validation, of those that were tried",
        numeric=False,
    ),
    Column(
        "seeds",
        "choice on validation",
        lambda row: str(row.num_seeds),
        "and the images of each",
        lambda row: f"{row.num_val_images:,} val, {row.num_test_images:,} test",
    ),
    Column("diagnosis", "", lambda row: row.diagnosis or MISSING, "what the curves say", numeric=False),
)
