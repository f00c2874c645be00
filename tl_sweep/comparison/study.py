"""What a comparison found, as plain values. The terminal, csv, json, Markdown and the page show it and compute nothing.

Accuracies and differences are fractions of 1, times are seconds, sizes are bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

NO_SOURCE = "–"
BASELINE, CONTROL, FEATURES, TUNING = "baseline", "control", "frozen features", "fine-tuning"  # kinds of strategies
SOLVER = "logistic regression (L-BFGS)"

Axes = tuple[tuple[str, str], ...]


def named(*names: str, axes: Axes) -> str:
    """``resnet18 · none · data.shots=5``; that there is no source is not told."""
    return " · ".join([*names, *(f"{key}={value}" for key, value in axes if value != NO_SOURCE)])


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; bounds are nan where there is nothing to estimate them from."""

    estimate: float
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class SampleSize:
    """How many seeds (with the same images), or images (with the same seeds), a significant result needs; None: more
    than are considered."""

    seeds: int | None
    images: int | None


@dataclass(frozen=True)
class Comparison:
    """A strategy against another one, on the same seeds and test images.

    p: adjusted for the declared family (Holm); nan where there is no verdict. verdict: better, worse, equivalent,
    inconclusive, or empty where there are too few seeds or groups of images; all but the last are about seeds that do
    not collapse. wording: what the verdict is about and what a significant one needs. needed: None unless inconclusive,
    or planned and not yet there. needed_text: what of it goes beyond what there is. p_alone: of a difference, adjusted
    for how often it was looked at alone. is_claimed: whether the whole study may claim a difference, of all that it
    could. all_counted: better even if as many seeds collapse as may.
    """

    difference: Interval
    p: float
    verdict: str
    wording: str
    needed: SampleSize | None = None
    needed_text: str = ""
    p_alone: float = math.nan
    is_claimed: bool = True
    all_counted: bool = False


@dataclass(frozen=True)
class Point:
    """A moment of training, averaged over seeds. seconds: of training so far."""

    epoch: int
    seconds: float
    train_loss: float
    train_acc: float
    val_loss: float
    val_acc: float


@dataclass(frozen=True)
class TimeToBaseline:
    """When a strategy's validation accuracy first reaches what the tuned baseline ends with.

    None: never. epochs: 0 for logistic regression, which has none. factor: the baseline's seconds to get there, over
    this strategy's.
    """

    epochs: int | None
    seconds: float | None
    factor: float | None

    @property
    def when(self) -> str:
        return "never" if self.epochs is None else f"at epoch {self.epochs}" if self.epochs else f"by {SOLVER}"


@dataclass(frozen=True)
class Rate:
    """A learning rate that was tried for a cell: its validation accuracy (mean over seeds)."""

    lr: float
    val_acc: float
    chosen: bool


@dataclass(frozen=True)
class Mistake:
    """A test image that the chosen networks got wrong with the most confidence. picture: a data URI; empty if the image
    is not at hand."""

    id: str
    label: str
    predicted: str
    confidence: float
    picture: str = ""


@dataclass(frozen=True)
class Row:
    """One backbone and strategy (and labels per class, source, …) at the setting that validation chose.

    strategy: as it is typed. strategy_label: with what the field calls it. kind: by what it was recorded to do, not by
    its name: ``baseline`` (starts at random), ``control`` (random features), ``frozen features`` (the head alone
    learns), ``fine-tuning`` (everything does); else empty. axes: what else tells it from its neighbours, e.g.
    ``data.shots``. setting: the chosen free settings. trials: how many settings were compared.
    selection_frequency: share of resamples that choose this setting again; nan if it was the only one. best_frequency:
    share of resamples in which validation finds this row best again; nan but for the best of several rows. run_ids: of
    the chosen runs, one per seed. num_val_images, num_test_images: of a seed. test_acc is nan-free; the other figures
    are nan where runs lack them. budget_s, budget_epochs: the training time and the epochs at which val_acc_at_budget
    and val_acc_at_equal_epochs are taken, the same for all rows of a task; nan where no run had so few. diagnosis: one
    sentence about the curves, or empty. on_front: no other row is better in accuracy, training time, inference time and
    parameters at once. metrics: all that the chosen runs recorded at their end, by name, as means over seeds; nan where
    a run lacks one. confusion_KK: rows are labels; counts over all seeds. test_acc: at settings that the other half of
    the seeds chose, without seeds that collapsed (num_collapsed). network_acc: the same, with the interval of one more
    network. num_test_groups, effective_test_groups: of images that belong together, and as how many equal ones they
    count; the number of images where each is its own; 0 and nan where runs are too old to say. shared_labels: see
    ``Looked``.
    """

    dataset: str
    backbone: str
    strategy: str
    strategy_label: str
    axes: Axes
    setting: Axes
    run_ids: tuple[str, ...]
    num_seeds: int
    num_val_images: int
    num_test_images: int
    trials: int
    selection_frequency: float
    val_acc: float
    test_acc: Interval
    macro_f1: float
    calibration_error: float
    seconds: float
    trainable_parameters: int
    checkpoint_bytes: float
    inference_images_per_s: float
    budget_s: float
    val_acc_at_budget: float
    budget_epochs: int
    val_acc_at_equal_epochs: float
    vs_baseline: Comparison | None
    vs_best: Comparison | None
    is_best: bool
    time_to_baseline: TimeToBaseline | None
    diagnosis: str
    on_front: bool
    kind: str = ""
    best_frequency: float = math.nan
    network_acc: Interval = UNKNOWN
    shared_labels: float = 0.0
    num_collapsed: int = 0
    num_test_groups: int = 0
    effective_test_groups: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    rates: tuple[Rate, ...] = ()
    curve: tuple[Point, ...] = ()
    class_names: tuple[str, ...] = ()
    confusion_KK: tuple[tuple[int, ...], ...] = ()
    mistakes: tuple[Mistake, ...] = ()

    @property
    def is_baseline(self) -> bool:
        return self.kind == BASELINE

    @property
    def indistinguishable(self) -> bool:
        """Test finds it neither better nor worse than the best on validation."""
        return self.vs_best is not None and self.vs_best.verdict in ("inconclusive", "equivalent")

    @property
    def better_than_best(self) -> bool:
        """Test finds it better than the best on validation, which is the one that was chosen."""
        return self.vs_best is not None and self.vs_best.verdict == "better"

    @property
    def label(self) -> str:
        """``resnet18 · none (full fine-tuning)``, with its axes."""
        return named(self.backbone, self.strategy_label, axes=self.axes)


@dataclass(frozen=True)
class Gain:
    """A strategy's lead over the baseline of the same backbone, by labelled images per class (``all`` comes last).

    strategy, strategy_label, kind: see ``Row``. source: its weights, where sources vary. task: what else of the data
    varies, e.g. the image size. baseline_needs: with how many labels per class the baseline reaches the same test
    accuracy, between two that were tried; None: with none of those that were tried.
    """

    dataset: str
    backbone: str
    strategy: str
    strategy_label: str
    source: str
    shots: tuple[str, ...]
    test_acc: tuple[Interval, ...]
    gains: tuple[Interval | None, ...]
    baseline_needs: tuple[float | None, ...] = ()
    task: Axes = ()
    kind: str = ""

    @property
    def is_baseline(self) -> bool:
        return self.kind == BASELINE


@dataclass(frozen=True)
class Excluded:
    """Runs that are not in the comparison, and why."""

    why: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Recommendation:
    """What to do, in words. task: the data set and the number of labels. text: one paragraph. evidence: what it rests
    on. would_change: what would change it. command: reproduces it. settle: commands that train the seeds which would
    settle what is open, if seeds would."""

    task: str
    text: str
    evidence: tuple[str, ...]
    would_change: tuple[str, ...]
    command: str
    settle: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A comparison. margin: below which a difference does not matter. notes: warnings. crossings: sentences about
    labelled images per class. num_runs: finished ones. compare_link: MLflow's own page of the chosen runs, if any.
    """

    title: str
    margin: float
    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]
    crossings: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    num_runs: int
    compare_link: str = ""
