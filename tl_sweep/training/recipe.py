"""From the configuration to numbers: which solver, which rate for which group, which schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from tl_sweep.config import Config
from tl_sweep.models.names import has_norm
from tl_sweep.models.stages import StagedModel
from tl_sweep.training.freeze import Phase, make_plan
from tl_sweep.types import UserError


def solver_of(config: Config) -> str:
    """``sgd``, ``adamw`` or ``lbfgs``.

    ``optim=auto`` is the strategy's own solver. Where that is L-BFGS and the run asks for something that L-BFGS has
    not (a learning rate, mixed images, head dropout), it is the first optimiser that the strategy gives a rate for.
    """
    if config.optim.name != "auto":
        return config.optim.name
    wants_steps = config.optim.lr is not None or config.augment.mixup or config.augment.cutmix or config.model.dropout
    if config.freeze.solver == "lbfgs" and wants_steps:
        return next(iter(config.freeze.lr))
    return config.freeze.solver


def head_lr_of(config: Config) -> float | None:
    """The head's peak rate in a phase of scale 1, or ``None`` where the solver has none.

    Raises:
        UserError: the strategy has no default rate for this optimiser and none was given.
    """
    solver = solver_of(config)
    if solver == "lbfgs":
        return None
    lr = config.optim.lr if config.optim.lr is not None else default_lrs(config).get(solver)
    if lr is None:
        raise UserError(f"optim.lr: freeze={config.freeze.name} has no default for optim={solver}; give optim.lr=…")
    return lr * config.optim.lr_scale


def default_lrs(config: Config) -> dict[str, float]:
    """The strategy's own rates, by optimiser."""
    rates = config.freeze.lr
    return rates if has_norm(config.model) else rates | config.freeze.lr_without_norm


def plan_problems(config: Config, num_stages: int) -> Iterator[str]:
    """Why this strategy means nothing on the configured network, which has ``num_stages`` stages."""
    name = config.freeze.name
    try:
        plan = make_plan(config.freeze, num_stages, config.epochs)
    except UserError as error:
        yield str(error)
        return
    if not has_norm(config.model) and any(phase.parameters == "norm" for phase in plan):
        yield f"freeze={name}: {config.model.name} has no normalisation layers to train"
    if solver_of(config) == "lbfgs" and any(phase.frozen_stages < num_stages for phase in plan):
        yield f"optim=lbfgs: solves a head on frozen features; freeze={name} trains more: use optim=adamw or sgd"


def weight_decay_of(config: Config) -> float:
    """AdamW's decay is multiplied by the rate (decoupled), SGD's is part of the gradient: hence two defaults."""
    if config.optim.weight_decay is not None:
        return config.optim.weight_decay
    return 1e-2 if solver_of(config) == "adamw" else 1e-4


def batch_size_of(config: Config, num_train: int) -> int:
    """Images per step: as configured, or 32, fewer (down to 8) so that an epoch of few images still has ten steps."""
    return max(8, min(32, num_train // 10)) if config.batch_size is None else config.batch_size


def backbone_scale_of(config: Config) -> float:
    given = config.optim.backbone_lr_scale
    return config.freeze.backbone_lr_scale if given is None else given


@dataclass(frozen=True)
class Group:
    """Parameters that share a peak rate: the head, or one stage; ``decay`` is false for norms and biases."""

    name: str
    parameters: list[nn.Parameter]
    lr: float
    decay: bool


def parameter_groups(model: StagedModel, phase: Phase, config: Config) -> list[Group]:
    """rate = lr × phase scale × backbone scale (1 for the head) × layer_decay ** distance from the head."""
    head_lr = head_lr_of(config)
    assert head_lr is not None
    rooms = [("head", model.head_parameters(), head_lr * phase.lr_scale)]
    for stage in range(model.num_stages):
        distance = model.num_stages - stage
        scale = phase.lr_scale * backbone_scale_of(config) * config.optim.layer_decay**distance
        rooms.append((model.stages[stage].name, model.stage_parameters(stage), head_lr * scale))
    groups = []
    for name, parameters, lr in rooms:
        learning = [parameter for parameter in parameters.values() if parameter.requires_grad]
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
