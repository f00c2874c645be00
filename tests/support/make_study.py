"""A made-up study: the same on every machine, with every kind of value that a page has to show."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from tl_sweep.comparison.study import (
    Comparison,
    Excluded,
    Gain,
    Interval,
    Mistake,
    Point,
    Rate,
    Recommendation,
    Row,
    SampleSize,
    Study,
    TimeToBaseline,
)
from tl_sweep.tracking.record import RunRecord
from tl_sweep.tracking.strategy_label import OLDER

BACKBONES = ("resnet18", "vgg16_bn")
STRATEGIES = ("none", "early", "all", "scratch")
SHOTS = ("5", "10", "25", "null")
HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>x</b>", "a&lt;b 'q' \"q\"", "$x$ %{x}")
CLASSES = (*HOSTILE, "oak", "pine", "birch", "a tree whose name is longer than an axis has room for")
LABELS = {name: f"{name} ({label})" for name, label in OLDER.items()}
BETTER = {"none": 0.13, "early": 0.12, "all": 0.10, "scratch": 0.0}


def make_study(
    backbones: Sequence[str] = BACKBONES,
    strategies: Sequence[str] = STRATEGIES,
    shots: Sequence[str] = SHOTS,
    classes: Sequence[str] = CLASSES,
    epochs: int = 30,
) -> Study:
    """A row for each backbone, strategy and number of labels."""
    rng = np.random.default_rng(0)
    cells = [(b, s, n) for b in backbones for s in strategies for n in shots]
    rows = [_row(*cell, tuple(classes), epochs, rng) for cell in cells]
    rows = [_against(row, rows) for row in rows]
    gains = tuple(_gain(b, s, rows) for b in backbones for s in strategies)
    return Study(
        title="trees: 2 backbones × 4 strategies × 4 numbers of labels",
        margin=0.01,
        rows=tuple(rows),
        gains=gains,
        crossings=(
            f"{backbones[0]}: fine-tuning (none) reaches frozen features (all) between 5 and 10 labels per class",
            f"{backbones[0]}: scratch does not reach none with up to all labels",
        ),
        recommendations=(
            Recommendation(
                task="trees, 10 labels per class",
                text="Take resnet18 and learn all of its layers (freeze=none) at lr_scale=3: 84.6 % of the test "
                "images, 13.0 points more than from scratch. freeze=all costs a tenth of the time and 2.8 points.",
                evidence=(
                    "13.0 points better than the baseline, 95 % interval 11.2 to 14.8 (p = 0.0021, 5 seeds)",
                    "selection frequency of this setting: 61 % of resamples of the validation images",
                ),
                would_change=(
                    "a significant difference between none and early: 12 seeds or 4,100 test images are needed",
                    "a class named <script>alert(1)</script> that is looked at more closely",
                ),
                command="python -m tl_sweep.train -m model=resnet18 freeze=none optim.lr_scale=3 seed=0,1,2,3,4 "
                "data=image_folder data.root='/data/My <Photos>'",
            ),
        ),
        notes=(
            "The rate of vgg16_bn · scratch is the largest that was tried: higher ones may be better.",
            "2 classes have fewer than 20 test images: <b>x</b>, birch",
        ),
        excluded=(
            Excluded("failed: out of memory", ("0f3a9c", "77b1de")),
            Excluded("an older schema", ("<i>c4</i>",)),
        ),
        num_runs=len(rows) * 15,
        compare_link='http://127.0.0.1:5000/#/compare-runs?runs=["0f3a9c","77b1de"]&experiments=["1"]',
    )


def _row(
    backbone: str, strategy: str, shots: str, classes: tuple[str, ...], epochs: int, rng: np.random.Generator
) -> Row:
    labels = 120 if shots == "null" else int(shots)
    acc = 0.5 + 0.1 * math.log(labels) / 1.2 + BETTER.get(strategy, 0.08) / (1 + labels / 60) + rng.normal(0, 0.006)
    acc -= 0.02 * (sum(map(ord, backbone)) % 5)
    seconds = (4 if strategy == "all" else 40 + 20 * rng.random()) * (1 + labels / 100)
    parameters = 4104 if strategy == "all" else 11_180_616
    return Row(
        dataset="trees",
        backbone=backbone,
        strategy=strategy,
        strategy_label=LABELS[strategy],
        axes=(("data.shots", shots),),
        setting=() if strategy == "all" else (("optim.lr_scale", "3.0"),),
        run_ids=tuple(f"{rng.integers(1 << 40):010x}" for _ in range(5)),
        num_seeds=5,
        num_val_images=200,
        num_test_images=505,
        trials=1 if strategy == "all" else 3,
        selection_frequency=math.nan if strategy == "all" else 0.61,
        val_acc=acc + 0.01,
        test_acc=Interval(acc, acc - 0.021, acc + 0.019),
        network_acc=Interval(acc, acc - 0.034, acc + 0.031),
        num_test_groups=505,
        effective_test_groups=505.0,
        macro_f1=acc - 0.013,
        calibration_error=math.nan if strategy == "all" else 0.031,
        seconds=seconds,
        trainable_parameters=parameters,
        checkpoint_bytes=4.0 * parameters,
        inference_images_per_s=math.nan if (strategy, shots) == ("early", "5") else 1234.5,
        budget_s=4.2,
        val_acc_at_budget=acc - 0.2 if strategy != "all" else acc,
        budget_epochs=10,
        val_acc_at_equal_epochs=math.nan if strategy == "all" else acc - 0.1,
        vs_baseline=None,
        vs_best=None,
        is_best=False,
        time_to_baseline=None,
        diagnosis="not converged: validation still rises in the last fifth of the epochs; train longer"
        if strategy == "scratch"
        else "",
        on_front=strategy in ("none", "all"),
        kind={"scratch": "baseline", "none": "fine-tuning", "all": "frozen features"}.get(strategy, ""),
        rates=() if strategy == "all" else _rates(acc),
        curve=() if strategy == "all" else _curve(acc, seconds, epochs, rng),
        class_names=classes,
        confusion_KK=_confusion(acc, len(classes), rng),
        mistakes=tuple(_mistake(number, classes) for number in range(6)),
    )


def _rates(acc: float) -> tuple[Rate, ...]:
    return (Rate(0.003, acc - 0.09, False), Rate(0.01, acc - 0.02, False), Rate(0.03, acc + 0.01, True))


def _curve(acc: float, seconds: float, epochs: int, rng: np.random.Generator) -> tuple[Point, ...]:
    points = []
    for epoch in range(1, epochs + 1):
        reached = 1 - math.exp(-4 * epoch / epochs)
        val_acc = acc * reached + rng.normal(0, 0.004)
        loss = 2 * (1 - reached) + 0.4
        points.append(
            Point(epoch, seconds * epoch / epochs, loss - 0.2, min(1.0, val_acc + 0.08 * reached), loss, val_acc)
        )
    return tuple(points)


def _confusion(acc: float, K: int, rng: np.random.Generator) -> tuple[tuple[int, ...], ...]:
    counts_KK = rng.poisson(100 * (1 - acc) / K, (K, K)) * (rng.random((K, K)) < min(1.0, 10 / K))
    np.fill_diagonal(counts_KK, round(100 * acc))
    return tuple(tuple(int(count) for count in line) for line in counts_KK)


def _mistake(number: int, classes: Sequence[str]) -> Mistake:
    label, predicted = classes[number % len(classes)], classes[(number + 1) % len(classes)]
    picture = "" if number == 5 else _picture(number)
    return Mistake(f"train/{label}/{number:04d}.jpg", label, predicted, 0.998 - 0.01 * number, picture)


def _picture(number: int) -> str:
    """48 px of a smooth pattern."""
    y_HW, x_HW = np.mgrid[0:48, 0:48] / 48
    waves = [np.sin(3 * x_HW * (number + 1) + k) + np.cos(4 * y_HW + number * k) for k in range(3)]
    pixels_HWC = (127 + 60 * np.stack(waves, -1)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _against(row: Row, rows: Sequence[Row]) -> Row:
    """``row`` with its comparisons, among all ``rows``."""
    task = [other for other in rows if other.axes == row.axes]
    scratch = next((other for other in task if (other.backbone, other.is_baseline) == (row.backbone, True)), row)
    best = max(task, key=lambda other: other.val_acc)
    lead, behind = (row.test_acc.estimate - other.test_acc.estimate for other in (scratch, best))
    return replace(
        row,
        vs_baseline=None if row.is_baseline else _comparison(lead, "scratch"),
        vs_best=None if row is best else _comparison(behind, best.strategy),
        is_best=row is best,
        time_to_baseline=None if row.is_baseline else _time_to_baseline(row, scratch),
    )


def _comparison(lead: float, other: str) -> Comparison:
    interval = Interval(lead, lead - 0.018, lead + 0.018)
    if abs(lead) < 0.02:
        wording = (
            f"no significant difference to {other} (p = 0.21, 5 seeds); about 12 seeds or 4,100 test images are needed"
        )
        return Comparison(interval, 0.21, "inconclusive", wording, SampleSize(12, 4100))
    word = "better" if lead > 0 else "worse"
    return Comparison(interval, 0.0021, word, f"{word} than {other} (p = 0.0021, 5 seeds)")


def _time_to_baseline(row: Row, scratch: Row) -> TimeToBaseline:
    if row.test_acc.estimate < scratch.test_acc.estimate:
        return TimeToBaseline(None, None, None)
    return TimeToBaseline(3, 0.12 * row.seconds, None if row.strategy == "all" else 4.125)


def _gain(backbone: str, strategy: str, rows: Sequence[Row]) -> Gain:
    line = [row for row in rows if (row.backbone, row.strategy) == (backbone, strategy)]
    shots = tuple("all" if row.axes[0][1] == "null" else row.axes[0][1] for row in line)
    return Gain(
        "trees",
        backbone,
        strategy,
        LABELS[strategy],
        "",
        shots,
        tuple(row.test_acc for row in line),
        tuple(None if row.vs_baseline is None else row.vs_baseline.difference for row in line),
        (None,) * len(line) if strategy == "scratch" else (17.3, *[None] * (len(line) - 1)),
        kind=line[0].kind,
    )


def recorded_run(
    strategy: str = "none",
    *,
    val: float = 0.5,
    test: float = 0.5,
    val_loss: float = 1.0,
    seed: int = 0,
    lr_scale: float = 1.0,
    backbone: str = "resnet18",
    status: str = "FINISHED",
    control: str = "",
    **params: str,
) -> RunRecord:
    """A run as the store gives it back; dots in the names of further parameters are written ``__``."""
    values = {
        "seed": str(seed),
        "data.subset_seed": str(seed),
        "optim.lr_scale": str(lr_scale),
        "freeze.name": strategy,
        "freeze.pretrained": "false" if strategy == "scratch" else "true",
    }
    return RunRecord(
        run_id=f"{strategy}-{seed}-{lr_scale}",
        status=status,
        params=values | {name.replace("__", "."): value for name, value in params.items()},
        tags={"backbone": backbone, "strategy": strategy, "control": control, "trainable_parameters": "1234567"},
        metrics={"best/val_acc": val, "best/val_loss": val_loss, "test/acc": test, "seconds": 2.0 + seed},
    )
