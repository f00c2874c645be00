"""What stays and what changes while a run trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tl_sweep.config.schema import Config
from tl_sweep.models.stages import StagedModel
from tl_sweep.training import freeze
from tl_sweep.training.averaging import WeightAverage
from tl_sweep.training.device import Compute
from tl_sweep.training.examples import Examples
from tl_sweep.training.feature_cache import FeatureCache
from tl_sweep.training.mixing import Mixing
from tl_sweep.training.objectives.contract import Objective
from tl_sweep.training.optimizer import Group
from tl_sweep.training.prefix import Prefix

OF_OBJECTIVE = "objective."  # before the names of the tensors of its modules
# Below so many validation images the last epoch is taken, since a choice would be noise. Our own rule (D5): an accuracy
# of 90 % has a standard error of 2 points on 200 images, of 7 on 20.
FEWEST_TO_CHOOSE_ON = 200


@dataclass(frozen=True)
class Setup:
    """Everything that stays the same during a run."""

    config: Config
    plan: tuple[freeze.Phase, ...]
    train: Examples
    val: Examples
    compute: Compute
    cache: FeatureCache
    mixing: Mixing | None
    objective: Objective
    streams: Mapping[str, Examples]  # what the objective wants to see besides ``train``

    @property
    def validation_chooses(self) -> bool:
        return len(self.val) >= FEWEST_TO_CHOOSE_ON


@dataclass(frozen=True)
class Best:
    """The epoch that validation chose, and what ``TrainState.moving_tensors`` were then."""

    val_acc: float
    val_loss: float
    epoch: int
    tensors: dict[str, Tensor] = field(repr=False)

    def beats(self, other: Best | None) -> bool:
        return other is None or (self.val_acc, -self.val_loss) > (other.val_acc, -other.val_loss)


@dataclass
class TrainState:
    """All that changes during a run. Batch order, dropout and mixing follow from (seed, epoch): no RNG is kept.

    objective_modules: what the objective lets learn beside the model.
    epoch: finished ones, over all phases. phase: the one being trained; phase_epoch: finished ones in it; waited: how
    many of these since the last better one. frozen: fingerprint of what the phase freezes, taken when it began.
    resumed: what an earlier attempt left of the phase's optimiser, schedule and average, until the phase goes on.
    """

    model: StagedModel
    objective_modules: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    epoch: int = 0
    phase: int = 0
    phase_epoch: int = 0
    waited: int = 0
    frozen: str = ""
    prefix: Prefix | None = None  # the phase's frozen stages
    groups: list[Group] = field(default_factory=list)
    optimizer: torch.optim.Optimizer | None = None
    schedule: torch.optim.lr_scheduler.LambdaLR | None = None
    average: WeightAverage | None = None
    phase_best: Best | None = None
    best: Best | None = None
    resumed: dict[str, Any] | None = None

    def moving_tensors(self, plan: tuple[freeze.Phase, ...]) -> dict[str, Tensor]:
        """Every tensor that ``plan`` changes, by name: of the model, and of the objective's modules."""
        tensors = self._tensors()
        names = [*freeze.moving_tensors(self.model, plan), *self.objective_modules.state_dict(prefix=OF_OBJECTIVE)]
        return {name: tensors[name] for name in names}

    @torch.no_grad()
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy back what ``moving_tensors`` gave."""
        mine = self._tensors()
        for name, tensor in tensors.items():
            mine[name].copy_(tensor)

    def _tensors(self) -> dict[str, Tensor]:
        return self.model.module.state_dict() | self.objective_modules.state_dict(prefix=OF_OBJECTIVE)


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave; ``metrics`` are flat ``name -> value`` pairs, ready for a tracker."""

    epoch: int
    phase: int
    metrics: dict[str, float]

    def __str__(self) -> str:
        return f"phase {self.phase + 1}, " + ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
