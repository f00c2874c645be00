"""Runs recorded and commands run in this process."""

from __future__ import annotations

import io
import sys
import uuid
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from tl_sweep.config.schema import Config


@dataclass(frozen=True)
class Recorded:
    """A run that ended well: what it was told, where it lies, what it returned."""

    config: Config
    folder: Path
    uri: str
    run_id: str
    val_acc: float


def record(config: Config, folder: Path) -> Recorded:
    """Train, test and record in process, as one job of a sweep of its own."""
    from tl_sweep.run.context import Position
    from tl_sweep.run.execute import run_job
    from tl_sweep.run.key import key_of
    from tl_sweep.run.log_file import log_to
    from tl_sweep.tracking.store import runs_of_sweep

    folder.mkdir(parents=True)
    sweep, uri = uuid.uuid4().hex[:12], config.tracking.uri
    assert uri is not None
    with log_to(folder / "run.log"):
        position = Position(sweep_id=sweep, overrides=("epochs=2", "seed=0"), key=key_of(config))
        val_acc = run_job(config, folder, position)
    (run,) = runs_of_sweep(uri, config.tracking.experiment, sweep)
    return Recorded(config, folder, uri, run.run_id, val_acc)


@dataclass(frozen=True)
class Answer:
    """What a command left behind: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def answer_of(main: Callable[[], None], *arguments: str) -> Answer:
    """Run a command's ``main`` in this process and folder."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["command", *arguments])
        patch.setenv("HYDRA_FULL_ERROR", "0")
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def table_lines(out: str) -> list[str]:
    """The lines of a comparison's first table as printed, its header first; a row's further lines, where a cell is
    folded, are joined to its first."""
    lines = out.splitlines()
    rule = next(place for place, line in enumerate(lines) if line.strip("─ ") == "" and "─" in line)
    header = lines[rule - 1]
    rows: list[str] = []
    for line in lines[rule + 1 :]:
        if ":" in line:  # the next table's title, or a sentence
            break
        if line.strip() and line[header.index("backbone") :][:8].strip():
            rows.append(line)
        elif line.strip():
            rows[-1] += f" {line.strip()}"
    return [header, *rows]
