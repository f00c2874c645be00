"""A run's own record: an append-only file of events in its folder. Every tracking store holds a copy of it.

A line is one event: ``start`` (once per attempt), ``metrics``, ``tags``, ``end``. Each is on the disk before the call
returns, and a line that a crash cut short is dropped, so that what was told is never lost and never half there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from tl_sweep.base.errors import JobFailed
from tl_sweep.tracking.names import EVERYTHING, HEAD, SOME, YES, Tag, phases_in

RECORD = "record.jsonl"
STATE = "state"  # a subfolder for what is needed while a run is not done; no artifact
LOCKS = ".locks"
REPLACED = "replaced"  # where runs go that were started over
DAMAGED = "DAMAGED"  # status of a run whose record has lost what nobody recorded again
REASONS = {"FAILED": Tag.ERROR, "PAUSED": Tag.PAUSED, DAMAGED: Tag.ERROR}  # the tag that says why
PARTS = {"start": {"id", "params", "tags"}, "metrics": {"step", "values"}, "tags": {"tags"}, "end": {"status"}}


@dataclass(frozen=True)
class RunHeader:
    """What is known of a run before it starts.

    data: MLflow's dataset entry: name, digest (the fingerprint), source (a path or URL) and profile (counts).
    """

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    data: dict[str, str]


@dataclass(frozen=True)
class RunRecord:
    """A run as the reports see it.

    params: the flattened configuration. run_id: MLflow's, if known. started_s: Unix time of the last attempt.
    """

    run_id: str
    status: str
    params: dict[str, str]
    tags: dict[str, str] = field(repr=False)
    metrics: dict[str, float] = field(repr=False)
    started_s: float = 0.0

    @property
    def name(self) -> str:
        """What a person finds it by: MLflow's id, or its key where no store has it."""
        return self.run_id or self.tags.get(Tag.KEY, "")

    @property
    def is_baseline(self) -> bool:
        """Whether it is what pretrained runs are compared with: it starts at random by its strategy, and learns more
        than a head. By data, whatever the strategy is called."""
        if Tag.SCHEMA in self.tags:
            return Tag.BASELINE in self.tags
        return self.params.get("freeze.pretrained") == "false" and not self.tags.get(Tag.CONTROL)

    @property
    def learns_only_the_head(self) -> bool:
        """In every phase, as far as that is recorded."""
        return self._learns() == {HEAD}

    @property
    def learns_everything(self) -> bool:
        """In every phase, as far as that is recorded."""
        return self._learns() == {EVERYTHING}

    def _learns(self) -> set[str]:
        if Tag.SCHEMA in self.tags:
            return {phase.learns for phase in phases_in(self.tags)}
        stages = len(json.loads(self.tags.get(Tag.PARAMETERS_PER_STAGE, "{}"))) - 1  # the head is one of them
        return {_learns(phase, stages) for phase in json.loads(self.params.get("freeze.phases", "[]"))}


def _learns(phase: dict[str, Any], stages: int) -> str:
    """Of schema 1: what a phase, as it was configured, comes to on a network of so many stages."""
    if phase["frozen"] in ("all", str(stages)):
        return HEAD
    return EVERYTHING if (phase["frozen"], phase["parameters"]) == ("0", "all") else SOME


@dataclass(frozen=True)
class Record:
    """The events of the run in ``folder``."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / RECORD

    def append(self, event: str, **content: Any) -> None:
        """Write one event and wait until it is on the disk.

        Raises:
            JobFailed: it cannot be written, e.g. because the disk is full; what stands there stays whole.
        """
        line = json.dumps({"event": event, "time_ms": int(time.time() * 1000), **content}) + "\n"
        try:
            with self.path.open("ab+") as file:
                file.write(b"" if _ends_a_line(file) else b"\n")  # so that half a line is not glued to this one
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # on a full disk half a line may stand there: whoever goes on mends it
            raise JobFailed(
                f"{self.path} cannot be written: {error.strerror}; mend that, and the same command goes on"
            ) from error

    def mend(self) -> None:
        """Drop a last line that a crash cut short. Only for who holds the run's lock."""
        if self.path.exists():
            content = self.path.read_bytes()
            if not content.endswith(b"\n"):
                os.truncate(self.path, content.rfind(b"\n") + 1)

    def events(self, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
        """Whole events from byte ``offset`` on, each with the offset behind it. A line that is none is passed over:
        ``summary`` says whether it matters."""
        for _, event, behind in self._lines(offset):
            if event is not None:
                yield event, behind

    def _lines(self, offset: int) -> Iterator[tuple[int, dict[str, Any] | None, int]]:
        """Its number, the event in it (None: it is none) and the offset behind it, of each line that has ended."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            lines = file.readlines()
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):  # else it is being written, or was cut short
                offset += len(line)
                yield number, _event_in(line), offset

    def steps(self) -> set[int]:
        """Epochs (and the end's step) whose metrics are recorded."""
        return {event["step"] for event, _ in self.events() if event["event"] == "metrics"}

    def summary(self) -> RunRecord | None:
        """The events folded into one: last values, the status of the last attempt, and the folder where it is, which is
        not always where it was. None: nothing was recorded."""
        status, started_s = "", 0.0
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        metrics: dict[str, float] = {}
        damaged = 0
        for number, event, _ in self._lines(0):
            if event is None:
                damaged = damaged or number
                continue
            match event["event"]:
                case "start":
                    damaged = 0  # a later attempt has recorded again what was lost
                    status, started_s = "RUNNING", event["time_ms"] / 1000
                    params, tags = event["params"], tags | event["tags"] | no_reasons(tags)
                case "metrics":
                    metrics |= event["values"]
                case "tags":
                    tags |= event["tags"]
                case "end":
                    status = event["status"]
                    tags |= {tag: event[tag] for tag in REASONS.values() if tag in event}
        if damaged:
            status, tags[Tag.ERROR] = DAMAGED, f"{self.path}: line {damaged} is damaged"
        tags |= {Tag.FOLDER: str(self.folder.absolute())}
        return RunRecord("", status, params, tags, metrics, started_s) if status else None


def _ends_a_line(file: IO[bytes]) -> bool:
    """Whether a file ends where a line does; an empty one does."""
    if not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _event_in(line: bytes) -> dict[str, Any] | None:
    """The event that a line is; None if it is none, and damaged."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    parts = PARTS.get(event.get("event", "")) if isinstance(event, dict) else None
    return event if parts is not None and event.keys() >= {"time_ms", *parts} else None


def no_reasons(tags: Mapping[str, str]) -> dict[str, str]:
    """What takes back why an attempt ended that had these tags."""
    return {Tag.ERROR: ""} | {tag: "" for tag in REASONS.values() if tag in tags}


def status_of(folder: Path) -> str | None:
    """``FINISHED``, ``FAILED``, ``PAUSED``, ``KILLED``, ``RUNNING`` (or cut short), ``DAMAGED``; None: no run."""
    summary = Record(folder).summary()
    return None if summary is None else summary.status


def metric_lines(folder: Path) -> list[dict[str, float]]:
    """``{"step": …, name: value, …}`` per recorded step, in the order of recording."""
    return [
        {"step": event["step"], **event["values"]}
        for event, _ in Record(folder).events()
        if event["event"] == "metrics"
    ]


def run_lock(folder: Path) -> FileLock:
    """Held by the process in which the run lives; the kernel lets go of it when that process ends, however it ends."""
    locks = folder.parent / LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / folder.name)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the run's lock; wait for a process that has it."""
    lock = run_lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{folder.name} is being run by another process: waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def folders_in(output_dir: Path) -> list[Path]:
    """Folders of runs, in the order of their names."""
    return sorted(path.parent for path in output_dir.glob(f"*/{RECORD}")) if output_dir.is_dir() else []


def close_dead(output_dir: Path) -> list[Path]:
    """End, as KILLED, the record of each run whose process is gone. Returns their folders."""
    return [folder for folder in folders_in(output_dir) if status_of(folder) == "RUNNING" and _close_if_dead(folder)]


def _close_if_dead(folder: Path) -> bool:
    lock = run_lock(folder)
    try:
        with lock.acquire(timeout=0):
            record = Record(folder)
            record.mend()
            if status_of(folder) != "RUNNING":  # it ended, or was taken up again, in between
                return False
            record.append("end", status="KILLED")
            return True
    except Timeout:
        return False


def adopt(folder: Path, sweep: str) -> None:
    """Let a finished run belong to another sweep, too. Only for who holds the run's lock."""
    record, tag = Record(folder), Tag.sweep_of(sweep)
    summary = record.summary()
    if sweep and summary is not None and summary.tags.get(tag) != YES:
        record.mend()
        record.append("tags", tags={tag: YES})


def put_aside(folder: Path) -> Path:
    """Move what an earlier run left out of the way; returns the new place. Only for who holds the run's lock."""
    record, number = Record(folder), 1
    record.mend()
    if status_of(folder) == "RUNNING":
        record.append("end", status="KILLED")
    record.append("tags", tags={Tag.REPLACED: YES})
    while (aside := folder.parent / REPLACED / f"{folder.name}-{number}").exists():
        number += 1
    aside.parent.mkdir(exist_ok=True)
    return folder.rename(aside)
