"""The columns of a comparison: each keeps the contract, and one more takes one registration."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from column_contract import STUDY, ColumnContract
from rich.console import Console

from tl_sweep.comparison.study import Study
from tl_sweep.report import formats
from tl_sweep.report.column import TABLES, Column, recorded
from tl_sweep.report.columns import COLUMNS, in_files, in_table, on_page
from tl_sweep.report.page import study_page
from tl_sweep.report.table import as_csv, as_json, as_markdown, print_study


class TestColumns(ColumnContract):
    @pytest.fixture(params=in_files(STUDY.rows), ids=lambda column: column.key)
    def column(self, request: pytest.FixtureRequest) -> Column:
        return request.param


class TestAColumnForARecordedMetric(ColumnContract):
    """Nothing of the package knows ``test/top5_acc``."""

    @pytest.fixture
    def column(self) -> Iterator[Column]:
        top5 = recorded(
            "test/top5_acc",
            "top-5 accuracy",
            "%",
            "how often the label is among the five likeliest classes",
            write=formats.one_digit,
            scale=100,
            table="cost",
            group="accuracy",
            axes="y",
        )
        COLUMNS.register(top5.key, top5)
        yield top5
        COLUMNS.unregister(top5.key)

    @pytest.fixture
    def measured(self) -> Study:
        return replace(STUDY, rows=tuple(replace(row, metrics={"test/top5_acc": 0.987}) for row in STUDY.rows))

    def test_its_figures_are_on_the_terminal_and_in_markdown(self, column: Column, measured: Study) -> None:
        console = Console(width=300, record=True, file=io.StringIO())
        print_study(measured, console)
        for text in (console.export_text(), as_markdown(measured)):
            assert all(word in text for word in column.title.split())  # a heading may break
            assert text.count("98.7") == len(measured.rows)

    def test_its_figures_are_in_csv_and_json(self, column: Column, measured: Study) -> None:
        lines = list(csv.DictReader(io.StringIO(as_csv(measured))))
        rows = json.loads(as_json(measured))["rows"]
        assert {line["test/top5_acc"] for line in lines} == {"0.987"}
        assert {row["test/top5_acc"] for row in rows} == {0.987}

    def test_its_figures_are_on_the_page_and_an_axis_of_its_chart(self, column: Column, measured: Study) -> None:
        page = study_page(measured)
        assert page.count('<td class="n">98.7</td>') == len(measured.rows)
        assert '<option value="test/top5_acc">top-5 accuracy, %</option>' in page
        groups = [found.group for found in on_page(measured.rows)]
        assert groups.count("accuracy") == 6, "it stands with its group"


@pytest.mark.parametrize("width", [80, 120, 400])
def test_a_narrow_terminal_breaks_tables_not_words(width: int) -> None:
    study = replace(STUDY, gains=())
    console = Console(width=width, record=True, file=io.StringIO())
    print_study(study, console)
    text = console.export_text()
    cells = {column.cell(row) for table in TABLES for column in in_table(study.rows, table) for row in study.rows}
    assert {cell for cell in cells if cell not in text} == set()
    parts = [line for line in text.splitlines() if line.startswith(" mark ")]
    assert (len(parts) == len(TABLES)) == (width == 400)
    assert all(word in part for part in parts for word in ("backbone", "strategy"))


def test_a_table_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="column x: table='resluts', allowed: results, cost"):
        recorded("x", "x", "", "x", table="resluts")
