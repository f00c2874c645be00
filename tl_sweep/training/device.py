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
        """Inside, forward passes run in this precision; parameters and gradients stay float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def device_problem(device: str) -> str:
    """Why ``device`` cannot be had on this machine; empty if it can."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if there.get(device, True):
        return ""
    return f"device={device}: torch sees no {device.upper()} device here; use device=cpu or device=auto"


def make_compute(device: str, precision: str) -> Compute:
    """``auto`` is CUDA where there is one, and bfloat16 autocast there.

    Raises:
        UserError: ``device=cuda`` or ``mps`` on a machine without it.
    """
    problem = device_problem(device)
    if problem:
        raise UserError(problem)
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    wanted = ("bfloat16" if name == "cuda" else "float32") if precision == "auto" else precision
    return Compute(torch.device(name), wanted)
