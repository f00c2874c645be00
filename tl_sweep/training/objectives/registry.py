"""Which objectives there are, and whether a configuration's fits its other choices. Needs no torch by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tl_sweep.base.errors import Misfit, UserError
from tl_sweep.base.registry import Registry
from tl_sweep.config.schema import Config
from tl_sweep.training.objectives.contract import Objective

if TYPE_CHECKING:
    from torch import Tensor

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective.name",
    "tl_sweep.objectives",
    {"cross_entropy": "tl_sweep.training.objectives.cross_entropy:CrossEntropy"},
)


def make_objective(config: Config, class_weights_K: Tensor | None) -> Objective:
    """The configured objective.

    Raises:
        UserError: there is none of that name, or it does not fit the configuration.
    """
    problems = list(objective_problems(config))
    if problems:
        raise UserError("\n".join(problems))
    kind = OBJECTIVES[config.objective.name]
    return kind(config.objective.options, class_weights_K, config.optim.label_smoothing)


def objective_problems(config: Config) -> Iterator[str]:
    """Why this objective cannot be had, or means nothing with the other choices."""
    name, options = config.objective.name, config.objective.options
    try:
        kind = OBJECTIVES[name]
    except UserError as error:
        yield str(error)
        return
    for option in kind.reads:
        if option not in options:
            yield f"objective.options.{option}: objective={name} needs it; give +objective.options.{option}=…"
    for option, value in options.items():
        if option not in kind.reads:
            key = f"objective.options.{option}"
            yield Misfit(f"{key}={value:g}: objective={name} does not read it", unread=key)
    if config.optim.name == "lbfgs" and not kind.solvable:
        yield Misfit(f"optim=lbfgs: solves cross-entropy alone; objective={name} takes steps: use optim=adamw or sgd")
