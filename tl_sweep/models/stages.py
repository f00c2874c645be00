"""A network seen as ordered stages and a head, beside a module that stays exactly as its authors wrote it.

Shapes: B batch, C channels, H height, W width, D features, K classes. ``z`` is whatever flows between two stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.utils.weak import WeakTensorKeyDictionary

UNCHANGING = WeakTensorKeyDictionary()
"""Digests of tensors that were read from a file: nobody writes to them, so that reading them once is enough."""

StageStep = str | Callable[[nn.Module, Tensor], Tensor]
"""A submodule by its dotted name, or a function of the whole module and what flows."""


@dataclass(frozen=True)
class Stage:
    """A run of steps that is frozen or trained as one.

    also_owns: dotted names of the submodules and parameters that its functions use.
    """

    name: str
    steps: tuple[StageStep, ...]
    also_owns: tuple[str, ...] = ()

    @property
    def owned(self) -> tuple[str, ...]:
        """Dotted names of every submodule and bare parameter of this stage."""
        return (*(step for step in self.steps if isinstance(step, str)), *self.also_owns)


def within(name: str, owned: Iterable[str]) -> bool:
    """Whether a dotted tensor name is one of ``owned`` or lies below one of them."""
    return any(name == owner or name.startswith(f"{owner}.") for owner in owned)


@dataclass(frozen=True)
class Recipe:
    """Source lines that rebuild the network without this package.

    constructor: an expression for the untouched network.
    head: an assignment to ``model``, with ``{features}`` and ``{classes}`` open.
    packages: distributions whose versions decide what the network computes.
    """

    constructor: str
    head: str
    packages: tuple[str, ...]


class StagedModel:
    """A module and its stage table: ``staged(x) = head(run(x))``, and ``run(z, k)`` continues from stage ``k``.

    The module is shared, not copied: moving, training or loading it is seen here. ``pooled`` says that the authors'
    hidden linear layers were left out.
    """

    def __init__(
        self,
        module: nn.Module,
        stages: tuple[Stage, ...],
        head_name: str,
        recipe: Recipe,
        *,
        pooled: bool = False,
    ) -> None:
        self.module = module
        self.stages = stages
        self.head_name = head_name
        self.recipe = recipe
        self.pooled = pooled
        # Names are looked up once, here: a forward pass then costs what the module's own does.
        self._waiting: dict[int, dict[str, Tensor]] = {}
        self._owner: dict[str, int] = {}
        self._steps = [[self._bind(step) for step in stage.steps] for stage in stages]

    def _bind(self, step: StageStep) -> Callable[[Tensor], Tensor]:
        return self.module.get_submodule(step) if isinstance(step, str) else partial(step, self.module)

    def wait_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Stages on the meta device shall hold these tensors, by their full names, once somebody loads them."""
        for stage in range(self.num_stages):
            mine = self.tensors_in_module(stage)
            self._waiting[stage] = {name: tensors[name].to(tensor.dtype) for name, tensor in mine.items()}
            for tensor in self._waiting[stage].values():
                UNCHANGING.setdefault(tensor, None)

    def load(self, first: int = 0, last: int | None = None) -> None:
        """Copy the waiting tensors of these stages into the module, channels-last, to where the head is."""
        device = next(iter(self.head_parameters().values())).device
        for stage in self._waiting.keys() & set(range(self.num_stages)[first:last]):
            tensors = self._waiting.pop(stage)
            for place in {name.rpartition(".")[0] for name in tensors}:
                self.module.get_submodule(place).to_empty(device=device, recurse=False)
            for name, mine in self.tensors_in_module(stage).items():
                mine.data = tensors[name].to(device, copy=True, memory_format=_layout(mine))

    @property
    def num_stages(self) -> int:
        return len(self.stages)

    @property
    def feature_dim(self) -> int:
        """D, the width of what the head reads."""
        return next(self.module.get_submodule(self.head_name).parameters()).shape[1]

    def run(self, z: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Continue from stage ``first`` up to, not including, stage ``last`` (None: to the pooled features)."""
        for steps in self._steps[first:last]:
            for step in steps:
                z = step(z)
        return z

    def head(self, features_BD: Tensor) -> Tensor:
        """Logits (B, K) of pooled features."""
        logits: Tensor = self.module.get_submodule(self.head_name)(features_BD)
        return logits.flatten(1)  # nothing to do for a linear head; SqueezeNet's original one yields (B, K, 1, 1)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        return self.head(self.run(images_BCHW))

    def stage_of(self, name: str) -> int:
        """Index of the stage that owns a parameter or buffer; ``num_stages`` stands for the head.

        Raises:
            KeyError: nothing owns a tensor of this name.
        """
        if name not in self._owner:
            owners = [*(stage.owned for stage in self.stages), (self.head_name,)]
            mine = [index for index, owned in enumerate(owners) if within(name, owned)]
            if not mine:
                raise KeyError(name)
            self._owner[name] = mine[0]
        return self._owner[name]

    def stage_modules(self, k: int) -> list[nn.Module]:
        """The submodules of stage ``k``, to put in train or eval mode as a whole."""
        return [self._submodules[name] for name in self.stages[k].owned if name in self._submodules]

    @cached_property
    def _submodules(self) -> dict[str, nn.Module]:
        return dict(self.module.named_modules())

    def stage_parameters(self, k: int) -> dict[str, Parameter]:
        """Parameters of stage ``k`` by their full dotted names (``k = num_stages``: of the head)."""
        return {name: p for name, p in self.module.named_parameters() if self.stage_of(name) == k}

    def stage_buffers(self, k: int) -> dict[str, Tensor]:
        """Buffers of stage ``k`` by their full dotted names."""
        return {name: b for name, b in self.module.named_buffers() if self.stage_of(name) == k}

    def tensors_in_module(self, k: int) -> dict[str, Tensor]:
        """Parameters and buffers of stage ``k``, on the meta device if it was not loaded yet."""
        return {**self.stage_parameters(k), **self.stage_buffers(k)}

    def tensors_of(self, k: int) -> dict[str, Tensor]:
        """Parameters and buffers of stage ``k``: everything that must not change while it is frozen."""
        return self._waiting.get(k) or self.tensors_in_module(k)

    def head_parameters(self) -> dict[str, Parameter]:
        """Parameters of the head by their full dotted names."""
        return self.stage_parameters(self.num_stages)

    def head_recipe(self, num_classes: int) -> str:
        """The line of plain PyTorch that gives an untouched ``model`` a head of this shape."""
        return self.recipe.head.format(features=self.feature_dim, classes=num_classes)


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
