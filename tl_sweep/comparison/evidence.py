"""What runs left behind besides their last metrics: predictions by image, and curves. N images, S seeds, K classes."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from tl_sweep.base.errors import UserError
from tl_sweep.comparison.effects import Groups
from tl_sweep.comparison.study import Mistake, Point
from tl_sweep.tracking.names import Metric
from tl_sweep.tracking.predictions import (
    PREDICTIONS,
    Outcomes,
    class_names_of,
    probabilities_in,
    read_outcomes,
    recorded_groups,
    test_frame,
)
from tl_sweep.tracking.record import RECORD, RunRecord, metric_lines

if TYPE_CHECKING:
    import pyarrow as pa


Locate = Callable[
    [RunRecord, str], Path
]  # a file of the run's, here on this machine; raises UserError where it is gone
Picture = Callable[[RunRecord, str], str]  # an image by its id as a data URI; empty where it is not at hand


@dataclass(frozen=True)
class Evidence:
    """The files of runs, each read once and no more of it than asked for."""

    locate: Locate
    picture: Picture
    image_sets: list[pa.Table] = field(default_factory=list, repr=False)
    group_sets: dict[int, Groups | None] = field(default_factory=dict, repr=False)
    without_groups: set[int] = field(default_factory=set, repr=False)
    test_accuracies: dict[str, float] = field(default_factory=dict, repr=False)

    def outcomes(self, run: RunRecord, split: str) -> Outcomes:
        """Of ``val`` or ``test``.

        Raises:
            UserError: the run's predictions are missing.
        """
        return read_outcomes(self.locate(run, PREDICTIONS))[split]

    def table(self, runs: Sequence[RunRecord], split: str) -> np.ndarray:
        """correct_SN: which run's network got which image right.

        Raises:
            UserError: the runs did not see the same images.
        """
        all_outcomes = [self.outcomes(run, split) for run in runs]
        for run, outcomes in zip(runs, all_outcomes, strict=True):
            if not outcomes.images.equals(all_outcomes[0].images):
                raise UserError(f"run {run.name}: its {split} images are not those of its siblings")
        return np.stack([outcomes.correct_N for outcomes in all_outcomes])

    def accuracy(self, run: RunRecord) -> float:
        """On test, by its predictions."""
        if run.name not in self.test_accuracies:
            self.test_accuracies[run.name] = float(self.outcomes(run, "test").correct_N.mean())
        return self.test_accuracies[run.name]

    def shared_labels(self, runs: Sequence[RunRecord]) -> float:
        """The share of labelled images that two of these runs have in common, in the mean; 1 for a single run.

        Raises:
            UserError: a run's split is missing.
        """
        splits = (json.loads(self.locate(run, SPLIT).read_text()) for run in runs)
        labelled = [{*split["train"], *split["val"]} for split in splits]
        both = [len(one & other) / max(len(one), len(other)) for one, other in itertools.combinations(labelled, 2)]
        return fmean(both) if both else 1.0

    def chance(self, run: RunRecord) -> float:
        """Accuracy of the constant answer: the largest class's share of the test images."""
        labels = self.outcomes(run, "test").images["label"]
        return max(count["counts"].as_py() for count in labels.value_counts()) / len(labels)

    def groups(self, run: RunRecord) -> Groups | None:
        """Which test images belong together; None where each is its own, or that was not recorded."""
        number = self.image_set(run, "test")
        if number not in self.group_sets:
            names_N = recorded_groups(self.locate(run, PREDICTIONS), "test")
            groups = None if names_N is None else Groups.of(names_N)
            self.group_sets[number] = None if groups is None or groups.are_single else groups
            self.without_groups.update([number] if names_N is None else [])
        return self.group_sets[number]

    def find_groups(self, runs: Sequence[RunRecord]) -> None:
        """Of all test images: of equal ones, the newest run says most."""
        newest = {self.image_set(run, "test"): run for run in sorted(runs, key=lambda run: run.started_s)}
        for run in newest.values():
            self.groups(run)

    def has_groups(self, run: RunRecord) -> bool:
        """Whether it was recorded which test images belong together."""
        self.groups(run)
        return self.image_set(run, "test") not in self.without_groups

    def image_set(self, run: RunRecord, split: str) -> int:
        """A number for the names and labels of the split's images, the same for equal ones."""
        images, known = self.outcomes(run, split).images, self.image_sets
        number = next((place for place, other in enumerate(known) if other.equals(images)), len(known))
        if number == len(known):
            known.append(images)
        return number

    def confusion(self, runs: Sequence[RunRecord]) -> tuple[tuple[str, ...], np.ndarray]:
        """Class names and counts_KK over all runs; rows are labels, columns predictions."""
        import pyarrow as pa
        import pyarrow.compute as arrow

        names = self.class_names(runs[0])
        known, K = pa.array(names), len(names)
        counts_KK = np.zeros((K, K), dtype=int)
        for run in runs:
            outcomes = self.outcomes(run, "test")
            labels_N, predicted_N = (
                arrow.index_in(column, known).to_numpy(zero_copy_only=False)
                for column in (outcomes.images["label"], outcomes.predicted_N)
            )
            counts_KK += np.bincount(labels_N * K + predicted_N, minlength=K * K).reshape(K, K)
        return names, counts_KK

    def class_names(self, run: RunRecord) -> tuple[str, ...]:
        return class_names_of(self.locate(run, PREDICTIONS))

    def mistakes(self, runs: Sequence[RunRecord], most: int) -> tuple[Mistake, ...]:
        """Test images that the mean of the runs' probabilities gets wrong, the most confident first."""
        frames = [test_frame(self.locate(run, PREDICTIONS)) for run in runs]
        names = self.class_names(runs[0])
        mean_NK = np.mean([probabilities_in(frame, names) for frame in frames], axis=0)
        predicted_N, confidence_N = mean_NK.argmax(1), mean_NK.max(1)
        wrong_N = np.array(names, dtype=object)[predicted_N] != frames[0]["label"].to_numpy()
        worst = sorted(np.flatnonzero(wrong_N), key=lambda n: -confidence_N[n])[:most]
        return tuple(
            Mistake(
                id=(image := str(frames[0]["id"][n])),
                label=str(frames[0]["label"][n]),
                predicted=names[predicted_N[n]],
                confidence=float(confidence_N[n]),
                picture=self.picture(runs[0], image),
            )
            for n in worst
        )

    def curve(self, runs: Sequence[RunRecord]) -> tuple[Point, ...]:
        """Training and validation by epoch, averaged over the runs that got so far."""
        by_epoch: dict[int, list[dict[str, float]]] = {}
        for run in runs:
            for line in metric_lines(self.locate(run, RECORD).parent):
                if Metric.VAL_ACC in line:
                    by_epoch.setdefault(int(line["step"]) + 1, []).append(line)
        return tuple(_point(epoch, lines) for epoch, lines in sorted(by_epoch.items()))


SPLIT = "split.json"
POINT = {  # its fields, and the metrics that they are means of
    "seconds": Metric.SECONDS_ELAPSED,
    "train_loss": Metric.TRAIN_LOSS,
    "train_acc": Metric.TRAIN_ACC,
    "val_loss": Metric.VAL_LOSS,
    "val_acc": Metric.VAL_ACC,
}


def _point(epoch: int, lines: list[dict[str, float]]) -> Point:
    names = [item.name for item in fields(Point) if item.name != "epoch"]
    return Point(epoch, **{name: fmean(line.get(POINT[name], math.nan) for line in lines) for name in names})
