"""From the configuration to numbers, without torch: which solver, which rate, which decay, how many images per step."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from operator import attrgetter

from tl_sweep.base.errors import Misfit, UserError
from tl_sweep.config.keys import default_of, field_paths
from tl_sweep.config.schema import Config
from tl_sweep.models.catalog import has_norm
from tl_sweep.training.objectives.registry import OBJECTIVES

BACKBONE_ALONE = ("optim.backbone_lr_scale", "optim.layer_decay", "freeze.batch_norm")


def solver_of(config: Config) -> str:
    """``sgd``, ``adamw`` or ``lbfgs``.

    ``optim=auto`` is the strategy's own solver. Where that is L-BFGS and the run asks for something that L-BFGS has
    not (a learning rate, mixed images, head dropout, another objective than cross-entropy), it is the first optimiser
    that the strategy gives a rate for.

    Raises:
        UserError: it depends on the objective, and there is none of that name.
    """
    if config.optim.name != "auto":
        return config.optim.name
    wants_steps = config.optim.lr is not None or config.augment.mixup or config.augment.cutmix or config.model.dropout
    if config.freeze.solver != "lbfgs":
        return config.freeze.solver
    return next(iter(config.freeze.lr)) if wants_steps or not OBJECTIVES[config.objective.name].solvable else "lbfgs"


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


def weight_decay_of(config: Config) -> float:
    """AdamW's decay is multiplied by the rate (decoupled), SGD's is part of the gradient: hence two defaults, PyTorch's
    for AdamW and He et al.'s (2016) for SGD."""
    if config.optim.weight_decay is not None:
        return config.optim.weight_decay
    return 1e-2 if solver_of(config) == "adamw" else 1e-4


def batch_size_of(config: Config, num_train: int) -> int:
    """Images per step: as configured, or 32, fewer (down to 8) so that an epoch of few images still has ten steps.

    32 is the largest that Masters & Luschi (2018) find no worse than smaller ones; ten steps, and eight images for
    BatchNorm to average over, are our own rule.
    """
    return max(8, min(32, num_train // 10)) if config.batch_size is None else config.batch_size


def backbone_scale_of(config: Config) -> float:
    given = config.optim.backbone_lr_scale
    return config.freeze.backbone_lr_scale if given is None else given


def learns_only_the_head(config: Config) -> bool:
    """Whether every phase freezes all stages."""
    return all(phase.frozen == "all" for phase in config.freeze.phases)


def unread_keys(config: Config, given: Collection[str]) -> Iterator[Misfit]:
    """Keys of the recipe that were given, or are not as by default, and that this strategy and solver do not read."""
    solver, head_alone = solver_of(config), learns_only_the_head(config)
    for name, item in field_paths(config):
        value, solvers = attrgetter(name)(config), item.metadata["solvers"]
        if name not in given and value == default_of(item):
            continue
        if solver not in solvers:
            readers = " or ".join(map(solver_name, solvers))
            yield Misfit(f"{name}={value}: only {readers} reads it, not {solver_name(solver)}", unread=name)
        elif head_alone and name in BACKBONE_ALONE:
            yield Misfit(f"{name}={value}: freeze={config.freeze.name} trains no stage of the backbone", unread=name)


def solver_name(solver: str) -> str:
    """As people call it."""
    return {"lbfgs": "logistic regression (L-BFGS)", "adamw": "AdamW", "sgd": "SGD"}[solver]


def is_baseline(config: Config) -> bool:
    """Whether pretrained runs are compared with it: its strategy starts at random, and learns more than a head."""
    return not config.freeze.pretrained and not learns_only_the_head(config)
