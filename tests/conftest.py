"""What several test files share: one thread of torch, and small configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tl_sweep.config import Config, compose

ASSETS = Path(__file__).parents[1].parent / "shared" / "assets"


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """Five labelled digits per class at 32 px on our small net from random weights; options by group, values nested."""

    def make(options: dict[str, str] | None = None, **values: Any) -> Config:
        chosen = {"model": "resnet_small", "freeze": "none", "optim": "auto", "data": "digits", "augment": "light"}
        base = {
            "model": {"weights": None},
            "data": {"shots": 5},
            "epochs": 2,
            "threads": 1,
            "num_workers": 1,
            "output": {"dir": str(tmp_path / "runs")},
            "weights": {"dir": str(tmp_path / "weights")},
            "tracking": {"uri": f"sqlite:///{tmp_path / 'mlflow.db'}"},
        }
        return compose(chosen | (options or {}), _merged(base, values))

    return make


def _merged(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in values.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
