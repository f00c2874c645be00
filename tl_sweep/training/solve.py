"""A linear head on frozen features: multinomial logistic regression by L-BFGS, its L2 penalty chosen on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tl_sweep.base.errors import JobFailed, UserError
from tl_sweep.models.stages import StagedModel
from tl_sweep.tracking.names import Metric
from tl_sweep.training.evaluate import image_batches
from tl_sweep.training.feature_cache import Demand
from tl_sweep.training.prefix import Prefix

if TYPE_CHECKING:
    from tl_sweep.training.state import Setup

MOST_FEATURES = 2**30  # float32 numbers: 4 GiB, twice that while the views are put together
SMALLEST_STD = 1e-6  # what varies less is constant up to float32's rounding
# Of L-BFGS. Our own: the largest entry of a gradient that counts as zero, ten times float32's rounding; a bound on
# iterations, which on the digits' random features only the weakest penalty meets. The history is the longest that
# Nocedal & Wright (2006, section 7.2) find useful.
GRADIENT, ITERATIONS, HISTORY = 1e-6, 300, 20


def solve_head(prefix: Prefix, setup: Setup, epochs: range) -> dict[str, float]:
    """Fit the head to the features of every view that ``epochs`` would show; returns what was chosen.

    Each penalty of ``optim.l2`` is solved by L-BFGS (Liu & Nocedal 1989), strongest first, each from the solution
    before; the one with the smallest validation cross-entropy stays. A penalty of 1 weighs like one training image.

    Raises:
        UserError: the features would not fit into memory.
        JobFailed: features that are not finite.
    """
    optim, model, train, val = setup.config.optim, prefix.model, setup.train, setup.val
    views = Demand(train, epochs).views
    if len(views) * len(train) * model.feature_dim > MOST_FEATURES:
        raise UserError(
            f"optim=lbfgs: {len(views)} views of {len(train)} images are too many features for memory; "
            "set augment.views=1 (or a few), or optim=sgd"
        )
    model.module.eval()
    seen = [torch.cat(list(prefix.outputs(train, image_batches(train), view))) for view in views]
    train_MD, labels_M = torch.cat(seen), train.labels_N.repeat(len(seen))
    del seen
    val_ND = torch.cat(list(prefix.outputs(val, image_batches(val), None)))
    if not torch.isfinite(train_MD).all():
        raise JobFailed("the frozen features are not finite: the weights do not fit this model or its preprocessing")
    mean_D, std_D = train_MD.mean(0), train_MD.std(0, correction=0).clamp_min(SMALLEST_STD)
    for features_ND in (train_MD, val_ND):
        features_ND.sub_(mean_D).div_(std_D)

    weight_KD = torch.zeros(len(train.class_names), model.feature_dim, device=train_MD.device)
    bias_K = torch.zeros(len(train.class_names), device=train_MD.device)
    best: tuple[float, float, Tensor, Tensor] | None = None
    for l2 in sorted(optim.l2, reverse=True):
        _solve(weight_KD, bias_K, train_MD, labels_M, l2 / len(train), setup)
        val_loss = F.cross_entropy(F.linear(val_ND, weight_KD, bias_K), val.labels_N).item()
        if best is None or val_loss < best[0]:
            best = (val_loss, l2, weight_KD.clone(), bias_K.clone())
    assert best is not None
    _, l2, weight_KD, bias_K = best
    scores_MK = F.linear(train_MD, weight_KD, bias_K)
    _write_head(model, weight_KD / std_D, bias_K - (weight_KD / std_D) @ mean_D)
    return {
        Metric.L2: l2,
        Metric.TRAIN_LOSS: F.cross_entropy(scores_MK, labels_M).item(),
        Metric.TRAIN_ACC: (scores_MK.argmax(1) == labels_M).float().mean().item(),
    }


def _solve(weight_KD: Tensor, bias_K: Tensor, features_MD: Tensor, labels_M: Tensor, l2: float, setup: Setup) -> None:
    """Minimise mean cross-entropy + l2/2 · ‖weight‖² in place.

    Ends where the gradient is zero, the loss moves by less than PyTorch's 1e-9, or the iterations are used up.
    """
    with torch.enable_grad():
        weight, bias = nn.Parameter(weight_KD.clone()), nn.Parameter(bias_K.clone())
        solver = torch.optim.LBFGS(
            [weight, bias],
            max_iter=ITERATIONS,
            tolerance_grad=GRADIENT,
            history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            solver.zero_grad()
            logits_MK = F.linear(features_MD, weight, bias)
            loss = setup.objective.cross_entropy(logits_MK, labels_M) + 0.5 * l2 * weight.square().sum()
            loss.backward()
            return loss

        solver.step(objective)
    weight_KD.copy_(weight.detach())
    bias_K.copy_(bias.detach())


def _write_head(model: StagedModel, weight_KD: Tensor, bias_K: Tensor) -> None:
    for parameter in model.head_parameters().values():
        parameter.data.copy_(weight_KD if parameter.ndim == 2 else bias_K)
