"""Cross-entropy of the training images' labels: how classifiers are usually trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tl_sweep.training.objectives.contract import Objective, Step

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Objective):
    solvable = True

    def loss(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        return self.cross_entropy(step.logits_BK, step.targets), {}
