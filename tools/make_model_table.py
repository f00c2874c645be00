"""Writes tl_sweep/models/sources/torchvision.json: what is known of torchvision's models before torch is imported.

    python tools/make_model_table.py

Smallest images are measured, without arithmetic, by running each network on the meta device.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torchvision import models

from tl_sweep.models.sources.torchvision_tables import FAMILIES
from tl_sweep.training.freeze import has_norm_layers

TABLE = Path(__file__).parents[1] / "tl_sweep" / "models" / "sources" / "torchvision.json"
LARGEST_MINIMUM_PX = 128


def runs_at(module: torch.nn.Module, image_px: int) -> bool:
    try:
        module(torch.empty(2, 3, image_px, image_px, device="meta"))
    except RuntimeError:
        return False
    return True


def smallest_px(module: torch.nn.Module) -> int:
    """By bisection: a network that runs at some size runs at every larger one."""
    low, high = 1, LARGEST_MINIMUM_PX
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if runs_at(module, middle) else (middle + 1, high)
    return low


def facts(name: str, family: str) -> dict[str, int | bool | None]:
    # A RegNet's constructor computes with tensors, which the meta device cannot; all its convolutions are padded.
    if family == "regnet" or family not in FAMILIES:
        return {"min_px": 1, "patch_px": None, "norm": True}
    with torch.device("meta"):
        module = models.get_model(name, weights=None).eval()
    norm = has_norm_layers(module)
    if family == "vision_transformer":
        return {"min_px": module.patch_size, "patch_px": module.patch_size, "norm": norm}
    return {"min_px": smallest_px(module), "patch_px": None, "norm": norm}


def row(name: str) -> dict[str, Any]:
    weights = models.get_model_weights(name)
    transforms = weights.DEFAULT.transforms()
    family = models.get_model_builder(name).__module__.rpartition(".")[2]
    return {
        "family": family if family in FAMILIES else None,
        "weights": {member.name: member.url for member in weights},
        "default": weights.DEFAULT.name,
        "mean": transforms.mean,
        "std": transforms.std,
        "interpolation": transforms.interpolation.value,
        "hidden": family in FAMILIES and FAMILIES[family].pooled is not None,
        **facts(name, family),
    }


def main() -> None:
    rows = {name: row(name) for name in models.list_models(module=models)}
    lines = [f"{json.dumps(name)}: {json.dumps(rows[name])}" for name in sorted(rows)]
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(rows)} models in {TABLE}")


if __name__ == "__main__":
    main()
