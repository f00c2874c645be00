"""A weight file on this machine: whether it is what it says it is, and what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.file_state import FileState, state_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WeightsFile:
    """A file that exists and has been hashed. sha256: all 64 hex digits."""

    path: Path
    sha256: str


def verified(path: Path, sha256_prefixes: Iterable[str] = ()) -> WeightsFile:
    """The file at ``path``, if it exists and its hash begins as promised.

    Raises:
        UserError: it does not.
    """
    if not path.is_file():
        siblings = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"{path}: there is no such weight file;{did_you_mean(path.name, siblings)}".removesuffix(";"))
    for prefix in sha256_prefixes:
        require_sha256(path, prefix)
    return WeightsFile(path, digest_of(path))


def require_sha256(path: Path, prefix: str) -> None:
    """Raise ``UserError`` unless the file's SHA-256 begins with these hex digits."""
    digest = digest_of(path)
    if not digest.startswith(prefix.lower()):
        claim = f"{path}: its SHA-256 begins with {digest[: len(prefix)]}"
        if prefix in path.name:
            raise UserError(f"{claim}, its name says {prefix}; remove it, or rename it if these digits are no hash")
        raise UserError(f"{claim}, {prefix} was expected; it is truncated or another file")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; computed once as long as the file stays what it is."""
    return _digest(path, state_of(path))


@lru_cache(maxsize=256)
def _digest(path: Path, state: FileState) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or PyTorch file by name, on the CPU; nothing in the file is executed.

    A state dict may be wrapped (``{"state_dict": …}``), its names may begin with ``module.``.

    Raises:
        UserError: the file is missing, truncated, or holds something else.
    """
    verified(path)
    return dict(_tensors(path, state_of(path)))


@lru_cache(maxsize=2)  # the jobs of a sweep take turns with few files; whoever reads must not write to a tensor
def _tensors(path: Path, state: FileState) -> dict[str, Tensor]:
    content = _read(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return _plain_state_dict(content, path)


def description_of(path: Path) -> dict[str, str]:
    """What a file that we wrote says of itself: source, accuracy there, recipe, pooled; empty for any other file.

    Raises:
        UserError: a truncated file.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, framework="numpy") as content:
            return content.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path}: truncated, or no file of weights alone ({error})") from error


def _read(path: Path) -> Any:
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch's words advise to execute what is in the file
            reason = "PyTorch finds something else than tensors in it"
        raise UserError(f"{path}: truncated, or no file of weights alone ({reason})") from error


def _plain_state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: holds no state dict but {type(content).__name__}; save model.state_dict()")
    strangers = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise UserError(f"{path}: {strangers[0]!r} in it is no tensor; save model.state_dict()")
    wrapped = all(name.startswith("module.") for name in content)  # by nn.DataParallel
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in content.items()}
