"""What runs left behind besides their last metrics: predictions image by image, and curves. N images, S seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from tl_sweep.report.study import Point
from tl_sweep.tracking.record import RunRecord, metric_lines
from tl_sweep.types import UserError

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = "predictions.parquet"

Locate = Callable[[RunRecord], Path]  # the folder with a run's files, here on this machine


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Which images of a split a run got right. images: names and labels, in the order of ``correct_N``."""

    images: object
    correct_N: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """The files of runs, each read once and no more of it than asked for."""

    locate: Locate

    def outcomes(self, run: RunRecord, split: str) -> Outcomes:
        """Of ``val`` or ``test``.

        Raises:
            UserError: the run's predictions are missing.
        """
        return self._splits(run)[split]

    def table(self, runs: Sequence[RunRecord], split: str) -> np.ndarray:
        """correct_SN: which seed's network got which image right.

        Raises:
            UserError: the runs did not see the same images.
        """
        all_outcomes = [self.outcomes(run, split) for run in runs]
        for run, outcomes in zip(runs, all_outcomes, strict=True):
            if not outcomes.images.equals(all_outcomes[0].images):  # type: ignore[attr-defined]
                raise UserError(
                    f"run {run.run_id or run.tags['key']}: its {split} images are not those of its siblings"
                )
        return np.stack([outcomes.correct_N for outcomes in all_outcomes])

    def frame(self, run: RunRecord) -> pd.DataFrame:
        """Everything that is kept of the test split: id, label, predicted, a probability per class."""
        import pandas as pd

        frame = pd.read_parquet(self._path(run))
        return frame[frame["split"] == "test"].reset_index(drop=True)

    def curve(self, runs: Sequence[RunRecord]) -> tuple[Point, ...]:
        """Training and validation by epoch, averaged over the runs that got so far."""
        by_epoch: dict[int, list[dict[str, float]]] = {}
        for run in runs:
            for line in metric_lines(self.locate(run)):
                if "val/acc" in line:
                    by_epoch.setdefault(int(line["step"]) + 1, []).append(line)
        return tuple(_point(epoch, lines) for epoch, lines in sorted(by_epoch.items()))

    def _path(self, run: RunRecord) -> Path:
        path = self.locate(run) / PREDICTIONS
        if not path.exists():
            raise UserError(f"run {run.run_id or run.tags['key']}: {path} is missing: there is nothing to compare")
        return path

    def _splits(self, run: RunRecord) -> dict[str, Outcomes]:
        return _read_outcomes(self._path(run))


POINT = {"seconds": "seconds_elapsed", **{f"{s}_{q}": f"{s}/{q}" for s in ("train", "val") for q in ("loss", "acc")}}


def _point(epoch: int, lines: list[dict[str, float]]) -> Point:
    names = [item.name for item in fields(Point) if item.name != "epoch"]
    return Point(epoch, **{name: fmean(line.get(POINT[name], math.nan) for line in lines) for name in names})


@lru_cache(maxsize=4096)
def _read_outcomes(path: Path) -> dict[str, Outcomes]:
    import pyarrow.compute as arrow
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["split", "id", "label", "predicted"])
    correct_N = arrow.equal(table["label"], table["predicted"]).to_numpy(zero_copy_only=False)
    splits = table["split"].to_numpy(zero_copy_only=False)
    return {
        split: Outcomes(table.filter(splits == split).select(["id", "label"]), correct_N[splits == split])
        for split in ("val", "test")
    }
