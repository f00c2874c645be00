"""A comparison on a terminal, as Markdown, csv and json; its columns are those of ``columns.py``."""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tl_sweep.comparison.label_efficiency import amount, number_of
from tl_sweep.comparison.line import line_by_labels
from tl_sweep.comparison.study import Gain, Row, Study
from tl_sweep.comparison.task import Task, task_of
from tl_sweep.report.column import TABLES, Column
from tl_sweep.report.columns import BACKBONE, DATASET, STRATEGY, in_files, in_table
from tl_sweep.report.formats import difference

MOST_RUNS_NAMED = 5
GAINS = (
    "difference to the baseline in points, by labelled images per class "
    "(in parentheses: with how many of them the baseline is as accurate)"
)


def terminal_table(rows: Sequence[Row], columns: Sequence[Column], title: str) -> Table:
    """A row per backbone, strategy and axis, at the setting that validation chose."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        heading = _heading(rows, column)
        table.add_column(escape(heading), justify="right" if column.is_number else "left", overflow="fold")
    before: Task | None = None
    for row in rows:
        task = task_of(row)
        if before is not None and task != before:
            table.add_section()
        before = task
        table.add_row(*(escape(column.cell(row)) for column in columns), style="dim" if row.is_baseline else "")
    return table


def _heading(rows: Sequence[Row], column: Column) -> str:
    """In two lines where it is wider than the texts below it."""
    width = max(1, *map(len, map(column.cell, rows)))
    while len(lines := textwrap.wrap(column.title, width, break_long_words=False, break_on_hyphens=False)) > 2:
        width += 1
    return "\n".join(lines)


def as_wide_as(width: int, rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[list[Column]]:
    """The columns of one table after the other, each as wide as fits into ``width`` letters: a table that is wider
    would have to break words. What names a row stands in all of them."""
    names, part = [column for column in columns if not column.table], list[Column]()
    for column in columns:
        if column.table and part and _width(rows, [*names, *part, column]) > width:
            yield [*names, *part]
            part = []
        part += [column] * bool(column.table)
    yield [*names, *part]


def _width(rows: Sequence[Row], columns: Sequence[Column]) -> int:
    texts = [[*_heading(rows, column).splitlines(), *map(column.cell, rows)] for column in columns]
    return 1 + sum(2 + max(map(len, column)) for column in texts)


def transfer_table(study: Study) -> tuple[list[str], list[list[str]]]:
    """Headings, and a line per backbone and strategy: its difference to the baseline by labelled images per class, and
    how many of them the baseline needs for the same accuracy. Empty where the number of labels does not vary."""
    lines = [line for line in study.gains if any(line.gains)]
    shots = sorted({labels for line in lines for labels in line.shots}, key=number_of)
    several = len({line.dataset for line in lines}) > 1
    body = [
        [
            *([line.dataset] if several else []),
            line.backbone,
            line_by_labels(line).name,
            *(_gain(line, labels) for labels in shots),
        ]
        for line in lines
    ]
    names = [*([DATASET] if several else []), BACKBONE, STRATEGY]
    return [*(name.heading for name in names), *(amount(number_of(labels)) for labels in shots)], body


def _gain(line: Gain, labels: str) -> str:
    if labels not in line.shots:
        return ""
    place = line.shots.index(labels)
    needs = line.baseline_needs[place] if line.baseline_needs else None
    return difference(line.gains[place]) + ("" if needs is None else f" ({amount(needs)})")


def sentences(study: Study) -> Iterator[str]:
    """What to do, what to know before believing it, and what was left out."""
    for advice in study.recommendations:
        yield f"{advice.task}: {advice.text}"
        yield from (f"    {sentence}" for sentence in advice.evidence)
        yield from (f"    would change it: {sentence}" for sentence in advice.would_change)
        if advice.settle:
            yield "    to settle it, the seeds that are missing:"
        yield from (f"    {command}" for command in advice.settle or (advice.command,))
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
        for name, title in TABLES.items():
            parts = as_wide_as(console.width, study.rows, in_table(study.rows, name))
            for place, columns in enumerate(parts):
                console.print(terminal_table(study.rows, columns, "" if place else title))
    headings, body = transfer_table(study)
    if body:
        table = Table(*map(escape, headings), title=GAINS, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for line in body:
            table.add_row(*map(escape, line))
        console.print(table)
    console.print(Group(*map(Text, sentences(study))), soft_wrap=True)


def as_markdown(study: Study) -> str:
    tables = []
    for name in TABLES if study.rows else ():
        columns = in_table(study.rows, name)
        cells = [[column.cell(row) for column in columns] for row in study.rows]
        tables.append(_markdown([column.title for column in columns], cells))
    headings, body = transfer_table(study)
    if body:
        tables.append(f"{GAINS}:\n\n{_markdown(headings, body)}")
    return "\n\n".join([*tables, "\n".join(f"- {line.strip()}" for line in sentences(study))])


def _markdown(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [list(map(_escaped, line)) for line in (headings, *body)]
    lines.insert(1, ["---"] * len(headings))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(text: str) -> str:
    """As the text of one cell: a name may have a bar, a backslash or a line break."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").splitlines())


def as_csv(study: Study) -> str:
    """A line per row with plain numbers: accuracies as fractions of 1, times in seconds, sizes in bytes."""
    columns = in_files(study.rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    writer.writerows([column.plain(row) for column in columns] for row in study.rows)
    return text.getvalue().rstrip("\n")


def as_json(study: Study) -> str:
    """Everything; what is not a number is null. A row has all columns of csv, and its own fields."""
    columns = in_files(study.rows)
    rows = [{column.key: column.plain(row) for column in columns} | asdict(row) for row in study.rows]
    return json.dumps(_without_nan(asdict(study) | {"rows": rows}), indent=1, ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return (
        [_without_nan(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
    )


FORMATS: dict[str, Callable[[Study], str]] = {"csv": as_csv, "json": as_json, "md": as_markdown}
