"""Small configurations, and where real weights and photographs are, if they are here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tl_sweep.array_store.store import RowStore
from tl_sweep.config.loading import compose
from tl_sweep.config.schema import Config
from tl_sweep.run.assemble import Run, assemble
from tl_sweep.run.weights import obtain

ROOT = Path(__file__).parents[2]
ASSETS = ROOT.parent / "shared" / "assets"


def config_in(folder: Path, uri: str | None, options: dict[str, str] | None = None, **values: Any) -> Config:
    """Five labelled digits per class at 16 px on our small net from random weights; options by group, values nested."""
    chosen = {"model": "resnet_small", "freeze": "none", "optim": "auto", "data": "digits", "augment": "light"}
    base = {
        "model": {"weights": None},
        "data": {"image_size": 16, "shots": 5},
        "epochs": 2,
        "threads": 1,
        "num_workers": 1,
        "output": {"dir": str(folder / "runs")},
        "weights": {"dir": str(folder / "weights")},
        "cache": {"dir": str(folder / "rows")},
        "tracking": {"uri": uri},
    }
    return compose(chosen | (options or {}), merged(base, values))


def merged(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``values`` over ``base``, nested dictionaries key by key."""
    both = dict(base)
    for name, value in values.items():
        inner = both.get(name)
        both[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def assembled(config: Config, store: RowStore | None = None, *, shared: bool = False) -> Run:
    """A run about to start, with its weights."""
    return assemble(config, obtain(config), store, shared=shared)
