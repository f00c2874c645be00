"""The rules that values and their combinations keep, each problem in one line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tl_sweep.base.errors import Misfit
from tl_sweep.base.rules import broken_field
from tl_sweep.config.schema import Config


def broken_rules(value: Any, prefix: str) -> Iterator[str]:
    for item in dataclasses.fields(value):
        given, name = getattr(value, item.name), f"{prefix}{item.name}"
        if dataclasses.is_dataclass(given):
            yield from broken_rules(given, f"{name}.")
        elif isinstance(given, list) and given and dataclasses.is_dataclass(given[0]):
            for index, element in enumerate(given):
                yield from broken_rules(element, f"{name}[{index}].")
        elif given is not None:
            yield from broken_field(name, given, item.metadata)


def unread_depth(node: DictConfig) -> Iterator[str]:
    """A depth is given, and the strategy's file does not refer to it."""
    depth, name, phases = node.freeze.frozen_stages, node.freeze.name, node.freeze.phases
    if depth is not None and not any(OmegaConf.is_interpolation(phase, "frozen") for phase in phases):
        text = f"freeze.frozen_stages={depth}: only freeze=depth reads it, not freeze={name}"
        yield Misfit(text, unread="freeze.frozen_stages")


def is_positive(text: str) -> bool:
    """Whether it is a number above 0, and finite."""
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def broken_combinations(config: Config) -> Iterator[str]:
    freeze, optim, augment = config.freeze, config.optim, config.augment
    if config.data.shots is not None and config.data.fraction is not None:
        yield Misfit(f"data.shots={config.data.shots} and data.fraction={config.data.fraction}: give one of them")
    if config.data.bands is not None and len(config.data.bands) not in (1, 3):
        yield f"data.bands={config.data.bands}: three bands (red, green, blue) or one"
    if config.data.white != "auto" and not is_positive(config.data.white):
        yield f"data.white={config.data.white}: auto, or a number above 0"
    if not freeze.phases:
        yield f"freeze={freeze.name}: freeze.phases is empty; a strategy is at least one phase"
    for index, phase in enumerate(freeze.phases):
        if phase.frozen is None:
            yield Misfit(f"freeze={freeze.name}: how deep? give freeze.frozen_stages=0, 1, … (or several, with -m)")
        elif phase.frozen not in ("all", "half", "each") and not phase.frozen.isdigit():
            yield f"freeze.phases[{index}].frozen={phase.frozen}: allowed: a number of stages, half, all, each"
    if optim.name == "lbfgs":
        if optim.lr is not None:
            text = f"optim.lr={optim.lr}: L-BFGS searches its own step; drop it, or use optim=sgd"
            yield Misfit(text, unread="optim.lr")
        if augment.mixup or augment.cutmix:
            yield Misfit("optim=lbfgs: mixed images (augment.mixup, augment.cutmix) need optim=sgd or adamw")
    if not optim.l2:
        yield "optim.l2=[]: at least one penalty is needed"
    if not freeze.pretrained and config.model.sha256 is not None:
        yield Misfit(
            f"model.sha256={config.model.sha256}: freeze={freeze.name} loads no weights", unread="model.sha256"
        )
    if config.device == "cpu" and config.precision == "bfloat16":
        yield Misfit("precision=bfloat16: only with device=cuda (on most CPUs it is slower than float32)")
