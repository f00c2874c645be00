"""The verdict as one HTML page that needs nothing else: no network, no files beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tl_sweep.comparison.line import line_of
from tl_sweep.comparison.study import Row, Study
from tl_sweep.comparison.task import task_of
from tl_sweep.report.charts import Chart, charts_of, palette_of
from tl_sweep.report.column import Column
from tl_sweep.report.columns import naming, on_page
from tl_sweep.report.drawing import number
from tl_sweep.report.formats import one_digit
from tl_sweep.report.menus import Menus, menus_of
from tl_sweep.report.table import GAINS, transfer_table

TEMPLATES = Path(__file__).parent / "templates"
MOST_PICTURE_BYTES = 150_000  # of all pictures together: the page has to stay small
NO_MISTAKE = "No test image was wrong."
NOT_KEPT = "Mistakes are shown of the best row of each task."


def study_page(study: Study) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    menus, columns = menus_of(study), on_page(study.rows)
    charts = charts_of(study, menus)
    scripts = [get_plotlyjs(), *((TEMPLATES / name).read_text() for name in ("table.js", "charts.js"))]
    return environment.get_template("page.html.j2").render(
        study=study,
        columns=columns,
        groups=[(name, len(list(same))) for name, same in groupby(column.group for column in columns)],
        filters=filters_of(study.rows, columns),
        gains=transfer_table(study),
        gains_title=GAINS,
        palette=palette_of(study),
        line_of=line_of,
        margin=f"{100 * study.margin:g} point{'s' if study.margin != 0.01 else ''}",
        charts=charts,
        menus=menus,
        leading=leading_row(study.rows),
        task_of=task_of,
        data=data_of(charts, menus),
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


def data_of(charts: Sequence[Chart], menus: Menus) -> dict[str, Any]:
    """What the page's script is given: the charts, what can be selected, and the mistakes of the detailed rows."""
    pictures: dict[str, int] = {}
    details = [
        {
            "task": menus.tasks.index(task_of(row)),
            "backbone": menus.backbones.index(row.backbone),
            "label": line_of(row).name,
            "val_acc": number(row.val_acc),
            "mistakes": mistakes_of(row, pictures),
            "note": "" if row.mistakes else NO_MISTAKE if row.is_best else NOT_KEPT,
        }
        for row in menus.details
    ]
    return {
        "charts": [
            {"name": chart.name, "by": chart.by, "choices": chart.choices, "figures": chart.figures} for chart in charts
        ],
        "tasks": [menus.datasets.index(task.dataset) for task in menus.tasks],
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
                "confidence": one_digit(100 * mistake.confidence),
                "picture": pictures.get(mistake.picture),
            }
        )
    return said


def filters_of(rows: Sequence[Row], columns: Sequence[Column]) -> dict[int, list[str]]:
    """The values to choose from, by the column's place: columns that say what a row is and have more than one."""
    names = {column.key for column in naming(rows)}
    values = {
        place: list(dict.fromkeys(map(column.text, rows)))
        for place, column in enumerate(columns)
        if column.key in names
    }
    return {place: column for place, column in values.items() if len(column) > 1}
