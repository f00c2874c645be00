"""From rates to optimisers: which parameters learn at which rate, on which schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from tl_sweep.base.errors import Misfit, UserError
from tl_sweep.config.schema import Config
from tl_sweep.models.catalog import has_norm
from tl_sweep.models.stages import StagedModel
from tl_sweep.training.freeze import Phase, make_plan
from tl_sweep.training.rates import backbone_scale_of, head_lr_of, solver_of, weight_decay_of


def plan_problems(config: Config, num_stages: int) -> Iterator[str]:
    """Why this strategy means nothing on the configured network, which has ``num_stages`` stages."""
    name = config.freeze.name
    try:
        plan = make_plan(config.freeze, num_stages, config.epochs)
    except UserError as error:
        yield Misfit(str(error))
        return
    if not has_norm(config.model) and any(phase.parameters == "norm" for phase in plan):
        yield Misfit(f"freeze={name}: {config.model.name} has no normalisation layers to train")
    if solver_of(config) == "lbfgs" and any(phase.frozen_stages < num_stages for phase in plan):
        text = f"optim=lbfgs: solves a head on frozen features; freeze={name} trains more: use optim=adamw or sgd"
        yield Misfit(text)


@dataclass(frozen=True)
class Group:
    """Parameters that share a peak rate: the head, one stage, or the objective's own modules.

    decay: false for norms and biases (He et al. 2019, "Bag of tricks").
    """

    name: str
    parameters: list[nn.Parameter]
    lr: float
    decay: bool


def parameter_groups(
    model: StagedModel, phase: Phase, config: Config, of_objective: Iterable[nn.Parameter] = ()
) -> list[Group]:
    """rate = lr × phase scale × backbone scale (1 for the head) × layer_decay ** distance from the head.

    of_objective: parameters of the objective's own modules; they learn at the head's rate.
    """
    head_lr = head_lr_of(config)
    assert head_lr is not None
    rooms = [("head", list(model.head_parameters().values()), head_lr * phase.lr_scale)]
    for stage in range(model.num_stages):
        distance = model.num_stages - stage
        scale = phase.lr_scale * backbone_scale_of(config) * config.optim.layer_decay**distance
        rooms.append((model.stages[stage].name, list(model.stage_parameters(stage).values()), head_lr * scale))
    rooms.append(("objective", list(of_objective), head_lr * phase.lr_scale))
    groups = []
    for name, parameters, lr in rooms:
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        for decay in (True, False):
            chosen = [parameter for parameter in learning if (parameter.ndim > 1) is decay]
            if chosen:
                groups.append(Group(name, chosen, lr, decay))
    return groups


def make_optimizer(groups: list[Group], config: Config) -> torch.optim.Optimizer:
    decay = weight_decay_of(config)
    described = [
        {"params": group.parameters, "lr": group.lr, "weight_decay": decay if group.decay else 0.0} for group in groups
    ]
    if solver_of(config) == "sgd":
        return torch.optim.SGD(described, lr=0.0, momentum=config.optim.momentum)
    return torch.optim.AdamW(described, lr=0.0)


def warmup_then_cosine(step: int, num_steps: int, warmup: float) -> float:
    """Factor of the peak rate at ``step`` of ``num_steps``: linear from 1/w to 1, then half a cosine towards 0.

    SGDR's schedule without restarts (Loshchilov & Hutter 2017) after Goyal et al.'s (2017) warm-up.
    """
    warmup_steps = round(warmup * num_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, num_steps - warmup_steps)))


def make_schedule(optimizer: torch.optim.Optimizer, num_steps: int, warmup: float) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: warmup_then_cosine(step, num_steps, warmup))
