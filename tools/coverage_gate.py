"""Ends `make coverage`: how much of the package the tests run, and whether each module below 90 % has a reason.

Reads what coverage.py has written as JSON, and reasons from the table under "Coverage" in CONTRIBUTING.md.
Prints the total, and every module below; exit code 1 if one of them has no reason there.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.arguments import argument, read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError

HEADING = "## Coverage\n"


@dataclass(frozen=True)
class Arguments:
    report: Path = argument(Path("build/coverage.json"), "what coverage.py has written")
    document: Path = argument(Path("CONTRIBUTING.md"), "where the reasons stand")
    least: float = argument(90.0, "percent of a module's lines and branches", ge=0, le=100)


def reasons_in(text: str) -> dict[str, str]:
    """Module to reason, from the table's rows: ``| `tl_sweep/launch/ray.py` | needs Ray |``."""
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w/.]+)` \| (.*\S) \|$", section, re.MULTILINE))


def below(report: dict[str, dict[str, dict[str, dict[str, float]]]], least: float) -> dict[str, float]:
    """Percent of each module that has less, the least covered first."""
    percents = {name: file["summary"]["percent_covered"] for name, file in report["files"].items()}
    return {name: percent for name, percent in sorted(percents.items(), key=lambda item: item[1]) if percent < least}


def check(arguments: Arguments) -> None:
    """
    Raises:
        UserError: there is no report, or modules below have no reason.
    """
    if not arguments.report.exists():
        raise UserError(f"report={arguments.report}: there is none; `make coverage` writes it")
    report = json.loads(arguments.report.read_text())
    reasons, found = reasons_in(arguments.document.read_text()), below(report, arguments.least)
    print(f"coverage: {report['totals']['percent_covered']:.1f} % of lines and branches")
    for name, percent in found.items():
        print(f"  {percent:5.1f} %  {name}: {reasons.get(name, 'NO REASON GIVEN')}")
    for name in sorted(reasons.keys() - found.keys()):
        print(f"  {name} needs no reason any more")
    missing = found.keys() - reasons.keys()
    if missing:
        raise UserError(
            f"{len(missing)} modules below {arguments.least:g} %: test them, or say in {arguments.document} why not"
        )


def main() -> None:
    with errors_for_people():
        check(read(Arguments, sys.argv[1:], __doc__))


if __name__ == "__main__":
    main()
