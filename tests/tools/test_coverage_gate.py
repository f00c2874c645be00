"""A module that the tests hardly run has a reason, or `make coverage` fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import coverage_gate
import pytest
from commands import Answer

DOCUMENT = """# Contributing

| `tl_sweep/elsewhere.py` | of another table |

## Coverage

| module | reason |
|---|---|
| `tl_sweep/cards.py` | needs a GPU |
| `tl_sweep/mended.py` | was hard to test |

## Ways of working

| `tl_sweep/elsewhere.py` | of another table |
"""


@pytest.fixture
def gate(command: Callable[..., Answer]) -> Callable[..., Answer]:
    def check(*words: str, **percents: float) -> Answer:
        files = {f"tl_sweep/{name}.py": {"summary": {"percent_covered": percent}} for name, percent in percents.items()}
        report = {"totals": {"percent_covered": 97.25}, "files": files}
        Path("coverage.json").write_text(json.dumps(report))
        Path("CONTRIBUTING.md").write_text(DOCUMENT)
        return command(coverage_gate.main, "report=coverage.json", *words)

    return check


def test_what_is_covered_or_has_a_reason_passes(gate: Callable[..., Answer]) -> None:
    answer = gate(loop=90.0, cards=12.5, mended=95.0)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "coverage: 97.2 % of lines and branches",
        "   12.5 %  tl_sweep/cards.py: needs a GPU",
        "  tl_sweep/mended.py needs no reason any more",
    ]


def test_what_is_below_without_a_reason_fails(gate: Callable[..., Answer]) -> None:
    answer = gate(loop=89.9, elsewhere=0.0, cards=12.5, mended=0.5)
    assert answer.code == 1
    assert answer.out.splitlines()[1:] == [
        "    0.0 %  tl_sweep/elsewhere.py: NO REASON GIVEN",
        "    0.5 %  tl_sweep/mended.py: was hard to test",
        "   12.5 %  tl_sweep/cards.py: needs a GPU",
        "   89.9 %  tl_sweep/loop.py: NO REASON GIVEN",
    ]
    assert answer.err == "error: 2 modules below 90 %: test them, or say in CONTRIBUTING.md why not\n"


def test_the_bound_may_be_another(gate: Callable[..., Answer]) -> None:
    assert gate("least=80", loop=80.0, cards=70.0).code == 0
    assert gate("least=95", loop=94.0).code == 1


def test_without_a_report_it_says_what_writes_one(command: Callable[..., Answer]) -> None:
    answer = command(coverage_gate.main)
    assert (answer.code, answer.err) == (
        1,
        "error: report=build/coverage.json: there is none; `make coverage` writes it\n",
    )
