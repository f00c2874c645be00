"""What is written down about a run after it: test metrics, predictions, figures, checkpoint."""

from __future__ import annotations

import csv
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.config.schema import Config
from tl_sweep.run import figures
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.predictions import prediction_frame, read_probabilities, write_predictions
from tl_sweep.tracking.record import metric_lines
from tl_sweep.training.checkpoint import TENSORS, save_checkpoint
from tl_sweep.training.evaluate import ByClass, by_class, confusion_counts, final_metrics, logits_of
from tl_sweep.training.feature_cache import Demand, usage_metrics
from tl_sweep.training.freeze import fingerprint, frozen_tensors

if TYPE_CHECKING:
    import pandas as pd

    from tl_sweep.run.assemble import Run
    from tl_sweep.training.examples import Examples
    from tl_sweep.training.prefix import Prefix

PER_CLASS = "per_class.csv"


@dataclass(frozen=True)
class Outcome:
    metrics: dict[str, float]
    tags: dict[str, str]


def test_and_save(folder: Path, config: Config, run: Run, seconds: float) -> Outcome:
    """Evaluate test once, on the tensors that validation chose, and write everything that the run leaves behind.

    An attempt that was cut short after its test has left the predictions: they are read, if they have all
    probabilities. seconds: of the run so far.
    """
    best, setup, model = run.state.best, run.setup, run.state.model
    assert best is not None
    always_frozen = min(setup.plan, key=lambda phase: phase.frozen_stages)
    names, test_labels_N = run.images.class_names, run.test.labels_N.cpu()
    logits_NK = log_probabilities(test_probabilities(folder, run, always_frozen.frozen_stages))
    classes = by_class(logits_NK, test_labels_N)
    write_by_class(classes, names, folder / PER_CLASS)
    metrics = final_metrics(logits_NK, test_labels_N, names, classes)
    metrics |= {
        Metric.BEST_VAL_ACC: best.val_acc,
        Metric.BEST_VAL_LOSS: best.val_loss,
        Metric.BEST_EPOCH: float(best.epoch),
        Metric.PEAK_MEMORY_MB: peak_memory_mb(setup.compute.device),
        Metric.SECONDS: seconds,
    }
    figures.draw_confusion(confusion_counts(logits_NK, test_labels_N), names, folder / "confusion.png")
    figures.draw_curves(metric_lines(folder), folder / "curves.png", config.objective.name)
    save_checkpoint(folder, config, names, run.weights, model, setup)
    metrics[Metric.CHECKPOINT_BYTES] = float((folder / TENSORS).stat().st_size)
    frozen = frozen_tensors(model, always_frozen)
    usage = setup.cache.usage
    return Outcome(
        metrics | usage_metrics(usage),
        {
            Tag.FROZEN_SHA256: fingerprint(frozen),
            Tag.FROZEN_TENSORS: str(len(frozen)),
            Tag.CACHE: "; ".join(usage.decisions),
        },
    )


def test_probabilities(folder: Path, run: Run, frozen_stages: int) -> np.ndarray:
    """Of the test images, float64 (N, K): as they were written down, or as the network makes them, which is then
    written down, for validation, too."""
    known_NK = read_probabilities(folder, "test", run.images.class_names)
    if known_NK is not None:
        return known_NK
    setup = run.setup
    demands = [Demand(setup.val, [None]), Demand(run.test, [None])]
    prefix = setup.cache.prefix(run.state.model, frozen_stages, setup.compute, demands)
    of_split = {"val": probabilities(prefix, setup.val), "test": probabilities(prefix, run.test)}
    frames = [predictions(run, split, probabilities_NK) for split, probabilities_NK in of_split.items()]
    write_predictions(frames, run.images.class_names, folder)
    return of_split["test"]


def probabilities(prefix: Prefix, examples: Examples) -> np.ndarray:
    """What the network makes of images, float64 (N, K)."""
    return logits_of(prefix, examples).double().softmax(1).numpy()


def predictions(run: Run, split: str, probabilities_NK: np.ndarray) -> pd.DataFrame:
    """One row per image of a split."""
    indices, images = getattr(run.splits, split), run.images
    ids, groups = ([names[index] for index in indices] for names in (images.ids, run.splits.groups))
    return prediction_frame(split, ids, groups, images.labels_N[indices], images.class_names, probabilities_NK)


def log_probabilities(probabilities_NK: np.ndarray) -> Tensor:
    """They give the metrics that the logits would."""
    return torch.tensor(probabilities_NK).clamp_min(torch.finfo(torch.float64).tiny).log()


def write_by_class(classes: ByClass, class_names: Sequence[str], path: Path) -> None:
    """A line per class: test images, and recall, precision, F1 and AUROC of them; empty where there are none."""
    columns = [classes.images_K, classes.recall_K, classes.precision_K, classes.f1_K, classes.auroc_K]
    figures_KF = zip(*(column.tolist() for column in columns), strict=True)
    with atomic_write(path) as whole, whole.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["class", "test_images", "recall", "precision", "f1", "auroc"])
        for name, (images, *figures_F) in zip(class_names, figures_KF, strict=True):
            table.writerow([name, images, *(f"{figure:.6g}" if images else "" for figure in figures_F)])


def peak_memory_mb(device: torch.device) -> float:
    """Of this process on the CPU (over its whole life), or of torch's allocator on the GPU, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
