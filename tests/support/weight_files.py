"""Small weight files, and what is said of those that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import ModelConfig
from tl_sweep.models.build import build_model

SMALL = ModelConfig(name="resnet_small")


def problems_of(call: Callable[..., Any], *args: Any, **kwargs: Any) -> list[str]:
    """The lines of the ``UserError`` that the call raises."""
    with pytest.raises(UserError) as error:
        call(*args, **kwargs)
    return str(error.value).splitlines()


def small_state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return build_model(SMALL, 10, 32, weights=None, head_seed=seed).module.state_dict()


def saved(folder: Path, content: object, name: str = "a.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name
