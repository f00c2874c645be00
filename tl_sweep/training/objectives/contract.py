"""The contract of an objective: what a run minimises, and which modules and images of its own it needs for that.

B images of a batch, D features, K classes. torch is imported when something is computed, not before: whether L-BFGS
solves an objective is part of a run's key, and a key is found without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tl_sweep.training.examples import Examples


@dataclass(frozen=True)
class Step:
    """The batch of one training step, as an objective sees it.

    features_BD, logits_BK: of the training images. targets: their labels, int64 (B,), or (B, K) shares of classes
    where images are mixed. streams: B images of each stream that the objective asked for, as the frozen stages leave
    them; ``network`` gives their features and logits. modules: the objective's own. progress: share of the run's steps
    that are done, in [0, 1).
    """

    features_BD: Tensor
    logits_BK: Tensor
    targets: Tensor
    streams: Mapping[str, Tensor]
    modules: nn.ModuleDict
    network: Callable[[Tensor], tuple[Tensor, Tensor]]
    progress: float


@dataclass(frozen=True)
class Objective(ABC):
    """What a run minimises. Made once per run; nothing but its modules may change from step to step.

    So a run that was cut short goes on exactly, and one seed gives one result. Random numbers come from torch's global
    generator, which each epoch seeds anew.

    options: numbers by name, ``objective.options`` of the configuration. class_weights_K: of the cross-entropy,
    ``data.balance``; None: all equal. label_smoothing: of the cross-entropy, ``optim.label_smoothing``.
    """

    options: Mapping[str, float]
    class_weights_K: Tensor | None
    label_smoothing: float

    reads: ClassVar[tuple[str, ...]] = ()
    """Names of the options that it needs, all of them; it is given no others."""
    solvable: ClassVar[bool] = False
    """Whether, on frozen features, it is the head's cross-entropy and nothing else, so that L-BFGS may solve it."""

    def modules(self, feature_dim: int, num_classes: int) -> dict[str, nn.Module]:
        """New modules that learn beside the network, at the head's rate; no part of the exported model.

        feature_dim: D. num_classes: K. Called once per run, with torch's generator seeded by the run's seed.
        """
        return {}

    def streams(self, sets: Mapping[str, Examples]) -> dict[str, Examples]:
        """Further images to see in each step, as many as training images.

        sets: what the run has to learn from, by name: ``train``.
        """
        return {}

    @abstractmethod
    def loss(self, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        """What to minimise in this step, a mean over images; and scalars whose mean over an epoch is recorded as
        ``train/<name>`` beside ``train/loss`` and ``train/acc``.

        Called in the run's autocast: what needs float32 asks for it. The gradient must reach every own module.
        """

    def cross_entropy(self, logits_BK: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats, in float32, with the run's class weights and label smoothing.

        targets: int64 (B,), or (B, K) shares of classes.
        """
        from torch.nn import functional as F

        return F.cross_entropy(logits_BK.float(), targets, self.class_weights_K, label_smoothing=self.label_smoothing)
