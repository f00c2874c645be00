"""Where a run computes, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from tl_sweep.base.errors import UserError


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
