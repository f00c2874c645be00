"""Transfer learning, compared honestly: which backbone, which layers to freeze, which learning rate.

The names below are imported on first use, so that ``import tl_sweep`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tl_sweep.run.finished import load_run
    from tl_sweep.textbook import (
        ResidualBlock,
        fine_tune_resnet,
        freeze_pretrained_layers,
        load_pretrained_resnet,
    )

__all__ = ["ResidualBlock", "fine_tune_resnet", "freeze_pretrained_layers", "load_pretrained_resnet", "load_run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.run.finished" if name == "load_run" else f"{__name__}.textbook"), name)
