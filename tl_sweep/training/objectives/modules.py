"""The modules that an objective brings along."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tl_sweep.training.objectives.contract import Objective

STREAM = (0, 0, 1)  # beside the run's seed: these numbers are drawn for nothing else, unlike those of (seed, epoch)


def make_modules(objective: Objective, feature_dim: int, num_classes: int, seed: int) -> nn.ModuleDict:
    """On the CPU. Initial values depend on ``seed`` alone, and torch's global generator is left as it was."""
    drawn = np.random.default_rng([seed, *STREAM]).integers(2**63)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(drawn))
        return nn.ModuleDict(objective.modules(feature_dim, num_classes))
