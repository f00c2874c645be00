"""The images of one split, decoded, and the views of them that a model sees."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tl_sweep.data.views import ViewPlan, clean, normalise
from tl_sweep.types import Preprocessing, UserError


@dataclass(frozen=True)
class Compute:
    """Where and how precisely the arithmetic is done."""

    device: torch.device
    precision: str  # float32 or bfloat16

    def autocast(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def make_compute(device: str, precision: str) -> Compute:
    """``auto`` is CUDA where there is one, and bfloat16 autocast there.

    Raises:
        UserError: ``device=cuda`` on a machine without it.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no CUDA device here; use device=cpu or device=auto")
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return Compute(
        torch.device(name), ("bfloat16" if name == "cuda" else "float32") if precision == "auto" else precision
    )


@dataclass(frozen=True)
class Examples:
    """Images of a split at the working resolution, with labels.

    images_NCHW: uint8. labels_N: int64, on the device. hashes_N: (N, 16) uint8, content hash of each image.
    """

    images_NCHW: Tensor
    labels_N: Tensor
    hashes_N: np.ndarray
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    views: ViewPlan

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def device(self) -> torch.device:
        return self.labels_N.device

    def labels(self, indices_B: np.ndarray) -> Tensor:
        return self.labels_N[torch.as_tensor(indices_B, device=self.device)]

    def inputs(self, indices_B: np.ndarray, epoch: int | None) -> Tensor:
        """Normalised float32 (B, C, image_px, image_px), channels-last; ``epoch=None``: the clean centre crop."""
        image_px = self.preprocessing.image_px
        if epoch is None:
            images_BCHW = clean(self.images_NCHW[torch.as_tensor(indices_B)].to(self.device), image_px)
        else:
            images_BCHW = self.views.images(self.images_NCHW, self.hashes_N, indices_B, epoch, image_px).to(self.device)
        return normalise(images_BCHW, self.preprocessing).contiguous(memory_format=torch.channels_last)
