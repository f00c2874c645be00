"""What is written down about a run after it: test metrics, predictions, figures, checkpoint."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tl_sweep.config.schema import Config
from tl_sweep.run import figures
from tl_sweep.tracking.names import Metric, Tag
from tl_sweep.tracking.predictions import PREDICTIONS, prediction_frame, read_probabilities, write_predictions
from tl_sweep.tracking.record import metric_lines
from tl_sweep.training.checkpoint import TENSORS, save_checkpoint
from tl_sweep.training.evaluate import confusion_counts, final_metrics, logits_of
from tl_sweep.training.feature_cache import Demand, usage_metrics
from tl_sweep.training.freeze import fingerprint, frozen_tensors

if TYPE_CHECKING:
    import pandas as pd

    from tl_sweep.run.assemble import Run
    from tl_sweep.training.examples import Examples
    from tl_sweep.training.prefix import Prefix


@dataclass(frozen=True)
class Outcome:
    metrics: dict[str, float]
    tags: dict[str, str]


def test_and_save(folder: Path, config: Config, run: Run, seconds: float) -> Outcome:
    """Evaluate test once, on the tensors that validation chose, and write everything that the run leaves behind.

    An attempt that was cut short after its test has left the predictions: they are read. seconds: of the run so far.
    """
    best, setup, model = run.state.best, run.setup, run.state.model
    assert best is not None
    always_frozen = min(setup.plan, key=lambda phase: phase.frozen_stages)
    if not (folder / PREDICTIONS).exists():
        prefix = setup.cache.prefix(
            model, always_frozen.frozen_stages, setup.compute, [Demand(setup.val, [None]), Demand(run.test, [None])]
        )
        frames = [predictions(run, "val", prefix, setup.val), predictions(run, "test", prefix, run.test)]
        write_predictions(frames, folder)
    names, test_labels_N = run.images.class_names, run.test.labels_N.cpu()
    logits_NK = log_probabilities(folder, "test", names)
    metrics = final_metrics(logits_NK, test_labels_N, names)
    metrics |= {
        Metric.BEST_VAL_ACC: best.val_acc,
        Metric.BEST_VAL_LOSS: best.val_loss,
        Metric.BEST_EPOCH: float(best.epoch),
        Metric.PEAK_MEMORY_MB: peak_memory_mb(setup.compute.device),
        Metric.SECONDS: seconds,
    }
    figures.draw_confusion(confusion_counts(logits_NK, test_labels_N), names, folder / "confusion.png")
    figures.draw_curves(metric_lines(folder), folder / "curves.png")
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


def predictions(run: Run, split: str, prefix: Prefix, examples: Examples) -> pd.DataFrame:
    """One row per image of a split: what the network makes of it."""
    indices, images = getattr(run.splits, split), run.images
    probabilities_NK = logits_of(prefix, examples).double().softmax(1).numpy()
    ids = [images.ids[index] for index in indices]
    return prediction_frame(split, ids, images.labels_N[indices], images.class_names, probabilities_NK)


def log_probabilities(folder: Path, split: str, class_names: tuple[str, ...]) -> Tensor:
    """Of a split's images, float64 (N, K); they give the metrics that the logits would."""
    probabilities_NK = torch.tensor(read_probabilities(folder, split, class_names))
    return probabilities_NK.clamp_min(torch.finfo(torch.float64).tiny).log()


def peak_memory_mb(device: torch.device) -> float:
    """Of this process on the CPU (over its whole life), or of torch's allocator on the GPU, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
