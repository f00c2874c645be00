"""What a weight file must hold, and how it is told from another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from weight_files import problems_of, saved, small_state

from tl_sweep.models.weights.files import WeightsFile, digest_of, read_tensors, verified


def test_a_digest_is_computed_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(b"one")
    assert digest_of(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert verified(path) == WeightsFile(path, hashlib.sha256(b"three").hexdigest())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
    ids=["plain", "state_dict", "model", "data-parallel", "both"],
)
def test_state_dicts_are_unwrapped(wrap: Callable[[dict[str, Tensor]], object], tmp_path: Path) -> None:
    state = small_state()
    tensors = read_tensors(saved(tmp_path, wrap(state)))
    assert list(tensors) == list(state)
    assert all(torch.equal(tensors[name], state[name]) for name in state)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(small_state(), tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors").keys() == small_state().keys()


class Foreign:
    """Not a tensor: unpickling it would run code of somebody's."""


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(suffix: str, share: float, tmp_path: Path) -> None:
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    save_file(small_state(), whole) if suffix == ".safetensors" else torch.save(small_state(), whole)
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    (problem,) = problems_of(read_tensors, path)
    assert problem.startswith(f"{path}: truncated, or no file of weights alone (")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (Foreign(), "truncated, or no file of weights alone ("),
        ([1, 2], "holds no state dict but list; save model.state_dict()"),
        ({}, "holds no state dict but dict; save model.state_dict()"),
        ({"fc.weight": torch.zeros(1), "epoch": 3}, "'epoch' in it is no tensor; save model.state_dict()"),
    ],
    ids=["object", "list", "empty", "mixed"],
)
def test_a_file_of_something_else_is_refused(content: object, problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path, content)
    (message,) = problems_of(read_tensors, path)
    assert message.startswith(f"{path}: {problem}")
