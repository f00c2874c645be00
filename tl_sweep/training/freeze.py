"""Who learns, in which phase: the only module that writes ``requires_grad``; and the proof that the rest stood still.

A strategy is a list of phases (``conf/freeze/*.yaml``). ``make_plan`` makes whole epochs of it for a model of n
stages; ``enter`` makes a phase true on a model; ``fingerprint`` proves that what was frozen is bit-identical.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn

from tl_sweep.base.errors import JobFailed, UserError
from tl_sweep.config.schema import FreezeConfig, PhaseConfig
from tl_sweep.models.stages import UNCHANGING, StagedModel

NORM_LAYERS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Phase:
    """Some epochs in which the same tensors learn.

    frozen_stages: leading stages that stand still, buffers included.
    parameters: ``all``, or ``norm`` when only normalisation layers of the other stages (and the head) learn.
    """

    frozen_stages: int
    parameters: str
    lr_scale: float
    epochs: int


def make_plan(freeze: FreezeConfig, num_stages: int, epochs: int) -> tuple[Phase, ...]:
    """Phases for a network of ``num_stages`` stages that together take ``epochs`` epochs, at least one each.

    Raises:
        UserError: fewer epochs than phases, or more frozen stages than there are.
    """
    expanded = [(frozen, phase) for phase in freeze.phases for frozen in _frozen_counts(phase, num_stages)]
    too_many = [frozen for frozen, _ in expanded if frozen > num_stages]
    if too_many:
        raise UserError(f"freeze={freeze.name}: {too_many[0]} stages are to be frozen, the model has {num_stages}")
    if epochs < len(expanded):
        raise UserError(
            f"epochs={epochs}: freeze={freeze.name} has {len(expanded)} phases on this model, one epoch each"
        )
    shares = share_out(epochs, [phase.share for _, phase in expanded])
    return tuple(
        Phase(frozen, phase.parameters, phase.lr_scale, share)
        for (frozen, phase), share in zip(expanded, shares, strict=True)
    )


def share_out(epochs: int, weights: list[float]) -> list[int]:
    """Whole epochs in proportion to ``weights``, at least one each, largest remainders first."""
    spare = epochs - len(weights)
    exact = [spare * weight / sum(weights) for weight in weights]
    shares = [1 + int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: exact[index] % 1, reverse=True)
    for index in by_remainder[: epochs - sum(shares)]:
        shares[index] += 1
    return shares


def _frozen_counts(phase: PhaseConfig, num_stages: int) -> list[int]:
    match phase.frozen:
        case "all":
            return [num_stages]
        case "half":
            return [-(-num_stages // 2)]
        case "each":
            return list(range(num_stages - 1, -1, -1))
        case count:
            return [int(str(count))]


def has_norm_layers(module: nn.Module) -> bool:
    return any(isinstance(layer, NORM_LAYERS) for layer in module.modules())


def trainable_parameters(model: StagedModel, phase: Phase) -> dict[str, nn.Parameter]:
    """What learns in ``phase``, by dotted name, stem first and head last."""
    chosen: dict[str, nn.Parameter] = {}
    for stage in range(phase.frozen_stages, model.num_stages):
        chosen |= model.stage_parameters(stage)
    if phase.parameters == "norm":
        norms = _norm_parameters(model.module)
        chosen = {name: parameter for name, parameter in chosen.items() if name in norms}
    return chosen | model.head_parameters()


def frozen_tensors(model: StagedModel, phase: Phase) -> dict[str, Tensor]:
    """What must not change in ``phase``: its frozen stages whole, and parameters elsewhere that do not learn."""
    frozen: dict[str, Tensor] = {}
    for stage in range(phase.frozen_stages):
        frozen |= model.tensors_of(stage)
    learning = trainable_parameters(model, phase)
    for stage in range(phase.frozen_stages, model.num_stages):
        still = {name: parameter for name, parameter in model.stage_parameters(stage).items() if name not in learning}
        frozen |= still
    return frozen


def moving_tensors(model: StagedModel, plan: tuple[Phase, ...]) -> list[str]:
    """Names of the parameters and buffers that some phase of ``plan`` changes."""
    still = set.intersection(*(set(frozen_tensors(model, phase)) for phase in plan))
    return [name for name in model.module.state_dict() if name not in still]


def enter(model: StagedModel, phase: Phase) -> dict[str, nn.Parameter]:
    """Make ``phase`` true: exactly its parameters require gradients. Returns them."""
    set_trainable(model.module.parameters(), False)
    learning = trainable_parameters(model, phase)
    set_trainable(learning.values(), True)
    return learning


def set_training_mode(model: StagedModel, phase: Phase, batch_norm: str) -> None:
    """Frozen stages as a whole in eval mode (BatchNorm, dropout, stochastic depth), the others in training mode.

    batch_norm: ``eval`` keeps the statistics of trainable stages, too, while their affine parameters learn.
    """
    model.module.train()
    for stage in range(phase.frozen_stages):
        for module in model.stage_modules(stage):
            module.eval()
    if batch_norm == "eval":
        for module in model.module.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of ``tensors``, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + b"\0" + tensor_digest(tensors[name]))
    return digest.hexdigest()


def tensor_digest(tensor: Tensor) -> bytes:
    """SHA-256 over type, shape and bytes."""
    known: bytes | None = UNCHANGING.get(tensor)
    if known is not None:
        return known
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    if tensor in UNCHANGING:
        UNCHANGING[tensor] = digest.digest()
    return digest.digest()


def require_unchanged(before: str, tensors: Mapping[str, Tensor], phase_name: str) -> None:
    """Raise ``JobFailed`` unless ``tensors`` still have the fingerprint ``before``."""
    if fingerprint(tensors) != before:
        raise JobFailed(f"{phase_name}: frozen tensors changed during training; this is a defect, please report it")


def set_trainable(parameters: Iterable[nn.Parameter], trainable: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(trainable)


def hold_in_eval(modules: Iterable[nn.Module], hold: bool = True) -> None:
    """Keep modules in eval mode through later calls of ``.train()`` on them or on a module around them."""
    for top in modules:
        for module in top.modules():
            if hold:
                module.eval()
                module.train = MethodType(_stay_in_eval, module)  # type: ignore[method-assign]
            elif "train" in vars(module):
                del module.train


def _stay_in_eval(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def _norm_parameters(module: nn.Module) -> set[str]:
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, layer in module.named_modules()
        if isinstance(layer, NORM_LAYERS)
        for name, _ in layer.named_parameters(recurse=False)
    }
