"""What is written down about a run after it: test metrics, predictions, figures, checkpoint."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from tl_sweep.comparison.evidence import PREDICTIONS, PROBABILITY
from tl_sweep.config.schema import Config
from tl_sweep.report import figures
from tl_sweep.tracking.record import metric_lines
from tl_sweep.training.checkpoint import TENSORS, save_checkpoint
from tl_sweep.training.evaluate import confusion_counts, final_metrics, predict
from tl_sweep.training.freeze import fingerprint, frozen_tensors
from tl_sweep.training.prefix import Demand, usage_metrics

if TYPE_CHECKING:
    import numpy as np

    from tl_sweep.run.assemble import Run


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
        frames = [
            prediction_frame(run, "val", run.splits.val, predict(prefix, setup.val)),
            prediction_frame(run, "test", run.splits.test, predict(prefix, run.test)),
        ]
        write_whole(pd.concat(frames), folder / PREDICTIONS)
    names, test_labels_N = run.images.class_names, run.test.labels_N.cpu()
    logits_NK = log_probabilities(pd.read_parquet(folder / PREDICTIONS), "test", names)
    metrics = {f"test/{name}": value for name, value in final_metrics(logits_NK, test_labels_N, names).items()}
    metrics |= {
        "best/val_acc": best.val_acc,
        "best/val_loss": best.val_loss,
        "best/epoch": float(best.epoch),
        "peak_memory_mb": peak_memory_mb(setup.compute.device),
        "seconds": seconds,
    }
    figures.confusion(confusion_counts(logits_NK, test_labels_N), names, folder / "confusion.png")
    figures.curves(metric_lines(folder), folder / "curves.png")
    save_checkpoint(folder, config, names, run.weights, model, setup)
    metrics["checkpoint_bytes"] = float((folder / TENSORS).stat().st_size)
    frozen = frozen_tensors(model, always_frozen)
    usage = setup.cache.usage
    return Outcome(
        metrics | usage_metrics(usage),
        {
            "frozen.sha256": fingerprint(frozen),
            "frozen.tensors": str(len(frozen)),
            "cache": "; ".join(usage.decisions),
        },
    )


def write_whole(frame: pd.DataFrame, path: Path) -> None:
    """The whole file or none, whatever happens meanwhile."""
    partial = path.with_suffix(".partial")
    frame.to_parquet(partial, index=False)
    partial.replace(path)


def log_probabilities(frame: pd.DataFrame, split: str, class_names: tuple[str, ...]) -> Tensor:
    """Of a split's images, float64 (N, K); they give the metrics that the logits would."""
    chosen = frame[frame["split"] == split][[PROBABILITY + name for name in class_names]]
    return torch.tensor(chosen.to_numpy()).clamp_min(torch.finfo(torch.float64).tiny).log()


def prediction_frame(run: Run, split: str, indices: np.ndarray, logits_NK: Tensor) -> pd.DataFrame:
    """One row per image: split, id, label, predicted, and a probability per class."""
    names = run.images.class_names
    probabilities_NK = logits_NK.double().softmax(1).numpy()
    frame = pd.DataFrame(
        {
            "split": split,
            "id": [run.images.ids[index] for index in indices],
            "label": [names[label] for label in run.images.labels_N[indices]],
            "predicted": [names[label] for label in logits_NK.argmax(1).tolist()],
        }
    )
    return frame.assign(**{PROBABILITY + name: probabilities_NK[:, k] for k, name in enumerate(names)})


def peak_memory_mb(device: torch.device) -> float:
    """Of this process on the CPU (over its whole life), or of torch's allocator on the GPU, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
