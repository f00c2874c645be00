"""A comparison on a terminal, as Markdown, csv and json. The texts of a row are made here, once for all of them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tl_sweep.comparison.label_efficiency import amount, number_of
from tl_sweep.comparison.recommendation import good_range, setting_of
from tl_sweep.comparison.study import Comparison, Gain, Interval, Row, Study
from tl_sweep.comparison.task import Task, short, shown, task_of

MOST_RUNS_NAMED = 5
GAINS = "gain over scratch in points, by labelled images per class (with how many scratch is as accurate)"


def interval(value: Interval, digits: int = 1) -> str:
    """``93.8 [93.1, 94.6]``, in percent."""
    return f"{100 * value.estimate:.{digits}f} [{100 * value.low:.{digits}f}, {100 * value.high:.{digits}f}]"


def in_points(value: Interval | None) -> str:
    """``+9.6 [+8.1, +11.1]``: a difference."""
    if value is None or math.isnan(value.estimate):
        return "–"
    return f"{100 * value.estimate:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def difference(comparison: Comparison | None) -> str:
    return "–" if comparison is None else in_points(comparison.difference)


def time_to_baseline(row: Row) -> str:
    """Time to the validation accuracy that scratch ends with, and how many times as fast as scratch."""
    if row.time_to_baseline is None:
        return "–"
    seconds = row.time_to_baseline.seconds
    time = "" if seconds is None or math.isnan(seconds) else f", {seconds:.1f} s"
    factor = "" if row.time_to_baseline.factor is None else f", ×{row.time_to_baseline.factor:.1f}"
    return f"{row.time_to_baseline.when}{time}{factor}"


def place(row: Row) -> str:
    """``best`` on validation; on test, ``=`` is not significantly different from it, and ``>`` better."""
    return "best" if row.is_best else "=" if row.indistinguishable else ">" if row.better_than_best else ""


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def front(row: Row) -> str:
    return "front" if row.on_front else ""


Texts = dict[str, Callable[[Row], str]]  # by heading

ANSWERS: Texts = {
    "setting": lambda row: setting_of(row) or "–",
    "selection frequency": lambda row: "–" if math.isnan(row.selection_frequency) else f"{row.selection_frequency:.0%}",
    "val acc": lambda row: percent(row.val_acc),
    "test acc": lambda row: interval(row.test_acc),
    "vs scratch": lambda row: difference(row.vs_scratch),
    "verdict": lambda row: "" if row.vs_scratch is None else row.vs_scratch.verdict or "–",
    "seeds": lambda row: str(row.num_seeds),
    "seconds": lambda row: f"{row.seconds:.1f}",
    "time to baseline accuracy": time_to_baseline,
}
COSTS: Texts = {
    "macro-F1": lambda row: percent(row.macro_f1),
    "calibration error": lambda row: percent(row.calibration_error),
    "trainable": lambda row: f"{row.trainable_parameters:,}",
    "checkpoint": lambda row: "–" if math.isnan(row.checkpoint_bytes) else decimal(round(row.checkpoint_bytes)),
    "images/s": lambda row: "–" if math.isnan(row.inference_images_per_s) else f"{row.inference_images_per_s:,.0f}",
    "Pareto": front,
}
LEFT = ("setting", "verdict", "Pareto")
TABLES = (
    (
        "chosen on validation, which finds one best; on test, = is not significantly different from it, > better\n"
        "accuracies in %, with 95 % intervals; selection frequency: share of resamples that choose the same setting",
        ANSWERS,
    ),
    ("front: no other is as good or better in accuracy, training time, inference time and parameters alike", COSTS),
)


def names(study: Study) -> Texts:
    """What tells a row from the others."""
    several = len({row.dataset for row in study.rows}) > 1
    axes = dict.fromkeys(key for row in study.rows for key, _ in row.axes)
    return {
        **({"data set": lambda row: row.dataset} if several else {}),
        "": place,
        "backbone": lambda row: row.backbone,
        "strategy": lambda row: row.strategy,
        **{short(key): partial(_axis, key) for key in axes},
    }


def _axis(key: str, row: Row) -> str:
    return shown(key, dict(row.axes).get(key, "–"))


def table_of(study: Study, title: str, texts: Texts) -> Table:
    """A row per backbone, strategy and axis, at the setting that validation chose."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = names(study) | texts
    for heading in columns:
        left = heading in LEFT or heading not in texts
        table.add_column(escape(heading), justify="left" if left else "right", overflow="fold")
    before: Task | None = None
    for row in study.rows:
        task = task_of(row)
        if before is not None and task != before:
            table.add_section()
        before = task
        table.add_row(*(escape(text(row)) for text in columns.values()), style="dim" if row.is_scratch else "")
    return table


def transfer_table(study: Study) -> tuple[list[str], list[list[str]]]:
    """Headings, and a line per backbone and strategy: what it gains over scratch by labelled images per class, and with
    how many of them scratch is as accurate. Empty where the number of labels does not vary."""
    lines = [line for line in study.gains if any(line.gains)]
    shots = sorted({labels for line in lines for labels in line.shots}, key=number_of)
    several = len({line.dataset for line in lines}) > 1
    body = [
        [*([line.dataset] if several else []), line.backbone, line.name, *(_gain(line, labels) for labels in shots)]
        for line in lines
    ]
    return ["data set"] * several + ["backbone", "strategy", *(amount(number_of(labels)) for labels in shots)], body


def _gain(line: Gain, labels: str) -> str:
    if labels not in line.shots:
        return ""
    place = line.shots.index(labels)
    needs = line.scratch_needs[place] if line.scratch_needs else None
    return in_points(line.gains[place]) + ("" if needs is None else f" (scratch: {amount(needs)})")


def verdict(study: Study) -> Group:
    """What to do, what to know before believing it, and what was left out."""
    return Group(*(Text(line) for line in lines(study)))


def lines(study: Study) -> Iterator[str]:
    for advice in study.recommendations:
        yield f"{advice.task}: {advice.text}"
        yield from (f"    {sentence}" for sentence in advice.evidence)
        yield from (f"    would change it: {sentence}" for sentence in advice.would_change)
        yield f"    {advice.command}"
    yield from (f"labels: {sentence}" for sentence in study.crossings)
    yield from (f"note: {note}" for note in study.notes)
    for row in study.rows:
        if row.diagnosis:
            yield f"diagnosis: {row.label}: {row.diagnosis}"
    for excluded in study.excluded:
        more = len(excluded.runs) - MOST_RUNS_NAMED
        named = ", ".join(excluded.runs[:MOST_RUNS_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield f"left out: {excluded.why}: {named}"


def print_study(study: Study, console: Console) -> None:
    if study.rows:
        console.print(*(table_of(study, title, texts) for title, texts in TABLES))
    headings, body = transfer_table(study)
    if body:
        table = Table(*map(escape, headings), title=GAINS, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for line in body:
            table.add_row(*map(escape, line))
        console.print(table)
    console.print(verdict(study), soft_wrap=True)


def as_markdown(study: Study) -> str:
    tables = []
    for _, texts in TABLES if study.rows else ():
        columns = names(study) | texts
        tables.append(_markdown([*columns], [[text(row) for text in columns.values()] for row in study.rows]))
    headings, body = transfer_table(study)
    if body:
        tables.append(f"{GAINS}:\n\n{_markdown(headings, body)}")
    return "\n\n".join([*tables, "\n".join(f"- {line.strip()}" for line in lines(study))])


def _markdown(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    cells = [[text.replace("|", "\\|") for text in line] for line in body]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, ["---"] * len(headings), *cells])


def as_csv(study: Study) -> str:
    """A line per row with plain numbers: accuracies as fractions of 1, times in seconds, sizes in bytes."""
    flat = [_flat(row) for row in study.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in flat for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().rstrip("\n")


def _flat(row: Row) -> dict[str, Any]:
    simple = {name: value for name, value in vars(row).items() if isinstance(value, (str, int, float))}
    return {
        **simple,
        **dict(row.axes),
        "setting": setting_of(row),
        "rate": next((rate.lr for rate in row.rates if rate.chosen), ""),
        "good_rates": good_range(row),
        **{f"test_acc_{name}": value for name, value in vars(row.test_acc).items()},
        **_flat_comparison("vs_scratch", row.vs_scratch),
        **_flat_comparison("vs_best", row.vs_best),
        **(
            {}
            if row.time_to_baseline is None
            else {f"time_to_baseline_{name}": value for name, value in vars(row.time_to_baseline).items()}
        ),
        "runs": " ".join(row.run_ids),
    }


def _flat_comparison(name: str, comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {}
    bounds = {f"{name}_{bound}": value for bound, value in vars(comparison.difference).items()}
    return {**bounds, f"{name}_p": comparison.p, f"{name}_verdict": comparison.verdict}


def as_json(study: Study) -> str:
    """Everything; what is not a number is null."""
    return json.dumps(_without_nan(asdict(study)), indent=1, ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return (
        [_without_nan(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
    )


FORMATS: dict[str, Callable[[Study], str]] = {"csv": as_csv, "json": as_json, "md": as_markdown}
