"""One damaged line costs one run, at most, and is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tl_sweep.tracking.record import DAMAGED, Record

START = {"id": "1", "name": "a run", "destination": None, "params": {"seed": "0"}, "tags": {}, "data": {}}


def record_in(folder: Path, *, finished: bool = True) -> Record:
    folder.mkdir()
    record = Record(folder)
    record.append("start", **START)
    for step in range(3):
        record.append("metrics", step=step, values={"val/acc": step / 10})
    if finished:
        record.append("end", status="FINISHED")
    return record


@pytest.mark.parametrize("damage", [b"{\n", b"\x00\x00\n", b"[]\n", b'{"event": "metrics"}\n', b'{"event": 3}\n'])
def test_a_damaged_line_is_passed_over_and_named(tmp_path: Path, damage: bytes) -> None:
    record = record_in(tmp_path / "run")
    lines = record.path.read_bytes().splitlines(keepends=True)
    record.path.write_bytes(b"".join([*lines[:2], damage, *lines[2:]]))
    summary = record.summary()
    assert summary is not None
    assert summary.status == DAMAGED
    assert summary.tags["error"] == f"{record.path}: line 3 is damaged"
    assert record.steps() == {0, 1, 2}


def test_a_line_after_half_a_line_is_not_glued_to_it(tmp_path: Path) -> None:
    record = record_in(tmp_path / "run", finished=False)
    with record.path.open("ab") as file:
        file.write(b'{"event": "metrics", "time_ms": 1, "st')  # the disk was full
    record.append("metrics", step=4, values={"val/acc": 0.4})
    assert record.steps() == {0, 1, 2, 4}


def test_what_a_later_attempt_recorded_again_is_no_damage(tmp_path: Path) -> None:
    record = record_in(tmp_path / "run", finished=False)
    with record.path.open("ab") as file:
        file.write(b'{"event": "metr')
    record.append("end", status="FAILED")
    assert record.summary().status == DAMAGED  # type: ignore[union-attr]
    record.append("start", **START)
    record.append("end", status="FINISHED")
    assert record.summary().status == "FINISHED"  # type: ignore[union-attr]
