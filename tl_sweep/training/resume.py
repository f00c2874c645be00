"""A run cut short goes on where it was: its ``TrainState`` on disk, after epochs, whole or not at all.

A file's name ends in a digest of its content, and the two newest are kept: one that is damaged is noticed, and the one
before it taken.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from pathlib import Path
from typing import Any

import torch

from tl_sweep.base.atomic_files import atomic_write, partial_files
from tl_sweep.base.errors import JobFailed
from tl_sweep.training.state import Best, Setup, TrainState

log = logging.getLogger(__name__)

FORMAT = 1
KEPT = 2
STATES = "epoch-*.pt"
SHARE = 0.05  # of a run's time that writing states may cost (our own rule, D23): short epochs are not kept one by one
COUNTERS = ("epoch", "phase", "phase_epoch", "waited", "frozen")


class Checkpoints:
    """The states of one run, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cost_s, self.saved_s = 0.0, time.perf_counter()

    def save(self, state: TrainState, setup: Setup, seconds: float, *, at_once: bool = False) -> None:
        """Keep the state, unless that would take more than its share of the time and need not be ``at_once``.

        seconds: what the run has cost so far, over all attempts.

        Raises:
            JobFailed: it cannot be written; the states kept before are whole.
        """
        started_s = time.perf_counter()
        if (started_s - self.saved_s) * SHARE < self.cost_s and not at_once:
            return
        content = io.BytesIO()
        torch.save(snapshot(state, setup) | {"seconds": seconds}, content)
        try:
            self._write(state.epoch, content.getbuffer())
        except OSError as error:
            raise JobFailed(
                f"{self.folder}: the state after epoch {state.epoch} cannot be written: {error.strerror}; the one "
                "before is whole: mend that, and the same command goes on from there"
            ) from error
        for path in self._newest_first()[KEPT:]:
            path.unlink()
        self.saved_s = time.perf_counter()
        self.cost_s = self.saved_s - started_s

    def load(self, state: TrainState, setup: Setup) -> float:
        """Put the newest whole state into ``state``; returns the seconds that the run has cost so far."""
        for path in self._newest_first():
            saved = _read(path)
            if saved is None:
                log.warning("%s is damaged: taking the state before it, or starting from the beginning", path)
                continue
            put_back(state, setup, saved)
            log.info("going on after epoch %d of an attempt that was cut short", state.epoch)
            return float(saved["seconds"])
        return 0.0

    def remove(self) -> None:
        """For a run that is done."""
        for path in [*self._newest_first(), *partial_files(self.folder, STATES)]:
            path.unlink()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(STATES), reverse=True)

    def _write(self, epoch: int, content: memoryview) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / f"epoch-{epoch:06d}-{_digest(content)}.pt") as file:
            file.write_bytes(content)


def snapshot(state: TrainState, setup: Setup) -> dict[str, Any]:
    """Everything of ``state`` that a fresh one of the same configuration has not."""
    parts = {"optimizer": state.optimizer, "schedule": state.schedule, "average": state.average}
    return {
        "format": FORMAT,
        **{name: getattr(state, name) for name in COUNTERS},
        "tensors": state.moving_tensors(setup.plan),
        "phase_best": None if state.phase_best is None else vars(state.phase_best),
        "best": None if state.best is None else vars(state.best),
        **{name: None if part is None else part.state_dict() for name, part in parts.items()},
    }


def put_back(state: TrainState, setup: Setup, saved: dict[str, Any]) -> None:
    """The inverse of ``snapshot``, on the fresh state of a run that is about to start."""
    for name in COUNTERS:
        setattr(state, name, saved[name])
    state.load_tensors(saved["tensors"])
    device = setup.compute.device
    for name in ("phase_best", "best"):
        kept = saved[name]
        if kept is not None:
            tensors = {key: tensor.to(device) for key, tensor in kept["tensors"].items()}
            setattr(state, name, Best(**{**kept, "tensors": tensors}))
    state.resumed = {name: saved[name] for name in ("optimizer", "schedule", "average")} if saved["optimizer"] else None


def _read(path: Path) -> dict[str, Any] | None:
    """The state in a file; None if the file is not what was written, or of another format."""
    content = path.read_bytes()
    if _digest(content) != path.stem.rpartition("-")[2]:
        return None
    saved: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return saved if saved["format"] == FORMAT else None


def _digest(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
