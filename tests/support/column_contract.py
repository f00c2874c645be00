"""What every column of a comparison has to do; see ``tl_sweep/report/column.py``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from make_study import make_study

from tl_sweep.comparison.study import UNKNOWN, Interval, Row, Study
from tl_sweep.report.column import TABLES, Column
from tl_sweep.report.columns import COLUMNS, in_files
from tl_sweep.report.page import study_page
from tl_sweep.report.table import as_csv, as_json, as_markdown

ONE = make_study(shots=("5", "null"))
STUDY = replace(ONE, rows=(*ONE.rows[:-1], replace(ONE.rows[-1], dataset="leaves")))  # two data sets


def without_figures(row: Row) -> Row:
    """The row as it is where runs lack all that they can lack."""
    hints = get_type_hints(Row)
    gone: dict[str, Any] = {
        item.name: math.nan if hints[item.name] is float else None
        for item in fields(Row)
        if hints[item.name] is float or NoneType in get_args(hints[item.name])
    }
    return replace(
        row,
        **gone,
        test_acc=Interval(0.5, math.nan, math.nan),
        network_acc=UNKNOWN,
        setting=(),
        rates=(),
        diagnosis="",
        metrics={},
    )


STUDIES = {
    "a study": STUDY,
    "without figures": replace(STUDY, rows=tuple(map(without_figures, STUDY.rows))),
    "hostile names": replace(
        STUDY, rows=tuple(replace(row, backbone="a|b\\|c\nd <i>") for row in STUDY.rows), gains=()
    ),
}


@cache
def shown(how: Callable[[Study], str], name: str, keys: tuple[str, ...]) -> str:
    """One of ``STUDIES`` as text, made once for all columns that are registered (``keys``)."""
    return how(STUDIES[name])


class ColumnContract:
    """Subclass it, and say which columns by the fixture ``column``."""

    @pytest.fixture
    def column(self) -> Column:
        raise NotImplementedError

    @pytest.fixture(params=STUDIES, ids=str)
    def name(self, request: pytest.FixtureRequest) -> str:
        return request.param

    def test_its_key_is_its_own(self, column: Column) -> None:
        assert [other.key for other in in_files(STUDY.rows)].count(column.key) == 1

    def test_it_says_what_it_is(self, column: Column) -> None:
        assert column.heading.strip()
        assert column.help.strip()
        assert column.title.startswith(column.heading)
        assert column.title.endswith(column.unit)

    def test_it_has_a_text_for_every_row(self, column: Column, name: str) -> None:
        for row in STUDIES[name].rows:
            for text in (column.text(row), column.cell(row), column.small(row)):
                assert isinstance(text, str)
                assert "nan" not in text
                assert "None" not in text

    def test_its_plain_value_is_a_number_a_text_or_nothing(self, column: Column, name: str) -> None:
        for row in STUDIES[name].rows:
            value = column.plain(row)
            assert isinstance(value, (str, int, float, NoneType))
            assert not isinstance(value, float) or math.isfinite(value)

    def test_it_is_in_csv_and_json(self, column: Column, name: str) -> None:
        lines = list(csv.DictReader(io.StringIO(shown(as_csv, name, tuple(COLUMNS)), newline="")))
        found = json.loads(shown(as_json, name, tuple(COLUMNS)), parse_constant=lambda word: pytest.fail(word))
        values = [column.plain(row) for row in STUDIES[name].rows]
        assert [line[column.key] for line in lines] == ["" if value is None else str(value) for value in values]
        assert all(column.key in row for row in found["rows"])

    def test_it_is_in_the_markdown_table_that_it_names(self, column: Column, name: str) -> None:
        tables = shown(as_markdown, name, tuple(COLUMNS)).split("\n\n")[: len(TABLES)]
        for table, text in zip(TABLES, tables, strict=True):
            headings, _, *lines = [list(cells_of(line)) for line in text.splitlines()]
            found = [dict(zip(headings, line, strict=True)) for line in lines]
            texts = [column.cell(row) for row in STUDIES[name].rows]
            if column.table:
                assert (column.title in headings) == (column.table == table)
            if column.title in headings:
                assert [row[column.title] for row in found] == [" ".join(text.split()) for text in texts]

    def test_it_is_on_the_page_with_its_help_if_it_has_a_group(self, column: Column, name: str) -> None:
        page, is_shown = shown(study_page, name, tuple(COLUMNS)), column.group is not None
        assert (f'<button type="button">{column.title}</button>' in page) is is_shown
        assert (f"<dt>{column.title}</dt>" in page) is is_shown


def cells_of(line: str) -> Iterator[str]:
    """The texts of a Markdown row: what follows a backslash is text, another bar ends a cell."""
    cell, letters = "", iter(line.removeprefix("| "))
    for letter in letters:
        if letter == "|":
            yield cell.strip()
            cell = ""
        else:
            cell += next(letters) if letter == "\\" else letter
