"""The training loop: phases, epochs, steps. A generator, no hooks: whoever wants to watch, iterates."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tl_sweep.base.errors import JobFailed
from tl_sweep.models.stages import StagedModel
from tl_sweep.tracking.names import Metric
from tl_sweep.training import freeze
from tl_sweep.training.averaging import WeightAverage
from tl_sweep.training.evaluate import logits_of, loss_and_accuracy
from tl_sweep.training.feature_cache import Demand
from tl_sweep.training.objectives.contract import Step
from tl_sweep.training.optimizer import Group, make_optimizer, make_schedule, parameter_groups
from tl_sweep.training.prefix import Prefix
from tl_sweep.training.rates import batch_size_of, solver_of
from tl_sweep.training.solve import solve_head
from tl_sweep.training.state import Best, EpochRecord, Setup, TrainState


def fit(state: TrainState, setup: Setup) -> Iterator[EpochRecord]:
    """Train ``state.model`` through every phase, a record per epoch; then it holds the run's best tensors.

    At each record ``state`` is whole: kept then and put back later, it goes on as if nothing had happened.

    Raises:
        JobFailed: a loss that is not finite, or a frozen tensor that changed.
    """
    while state.phase < len(setup.plan):
        phase = setup.plan[state.phase]
        begin_phase(state, setup, phase)
        while not is_over(state, setup, phase):
            metrics = solve(state, setup, phase) if state.optimizer is None else train_epoch(state, setup, phase)
            with state.average.applied() if state.average else nullcontext():
                improved = validate(state, setup, metrics)
            state.waited = 0 if improved else state.waited + 1
            state.epoch += 1
            state.phase_epoch += 1
            yield EpochRecord(state.epoch - 1, state.phase, metrics)
        end_phase(state, setup, phase)
    assert state.best is not None
    state.load_tensors(state.best.tensors)


def begin_phase(state: TrainState, setup: Setup, phase: freeze.Phase) -> None:
    """A new optimiser, schedule and average; or those of an earlier attempt, if it was cut short in this phase."""
    config, resumed = setup.config, state.resumed
    learning = freeze.enter(state.model, phase)
    state.frozen = state.frozen or freeze.fingerprint(freeze.frozen_tensors(state.model, phase))
    state.prefix = frozen_prefix(state, setup, phase)
    state.optimizer = state.schedule = state.average = state.resumed = None
    if solver_of(config) == "lbfgs":
        return
    steps = len(batches(len(setup.train), batch_size_of(config, len(setup.train)), np.random.default_rng(0)))
    state.groups = parameter_groups(state.model, phase, config, state.objective_modules.parameters())
    state.optimizer = make_optimizer(state.groups, config)
    state.schedule = make_schedule(state.optimizer, phase.epochs * steps, config.optim.warmup)
    if config.optim.ema_decay is not None:
        learning |= dict(state.objective_modules.named_parameters(prefix="objective"))
        state.average = WeightAverage(learning, config.optim.ema_decay)
    if resumed is not None:
        state.optimizer.load_state_dict(resumed["optimizer"])
        state.schedule.load_state_dict(resumed["schedule"])
        if state.average is not None:
            state.average.load_state_dict(resumed["average"])


def is_over(state: TrainState, setup: Setup, phase: freeze.Phase) -> bool:
    """The phase has had its epochs, or waited too long for a better one."""
    patience = setup.config.patience
    stalled = setup.validation_chooses and patience is not None and state.waited >= patience
    return stalled or state.phase_epoch >= phase.epochs


def end_phase(state: TrainState, setup: Setup, phase: freeze.Phase) -> None:
    """The next phase starts from this one's best tensors, once what it froze is proven to have stood still."""
    assert state.phase_best is not None
    state.load_tensors(state.phase_best.tensors)
    freeze.require_unchanged(state.frozen, freeze.frozen_tensors(state.model, phase), f"phase {state.phase + 1}")
    state.best = chosen(state, setup)
    state.phase, state.phase_epoch, state.waited = state.phase + 1, 0, 0
    state.phase_best, state.frozen = None, ""


def chosen(state: TrainState, setup: Setup) -> Best:
    """What the run would end with if its phase, of which an epoch is done, ended here."""
    assert state.phase_best is not None
    if state.best is not None and setup.validation_chooses and not state.phase_best.beats(state.best):
        return state.best
    return state.phase_best


def frozen_prefix(state: TrainState, setup: Setup, phase: freeze.Phase) -> Prefix:
    """The phase's frozen stages, with what it will ask of them. Mixed images are no image's view: they stream."""
    epochs = range(state.epoch, state.epoch + phase.epochs - state.phase_epoch)
    demands = [Demand(setup.val, [None] * (len(epochs) + 1))]
    if setup.mixing is None:
        demands = [*(Demand(images, epochs) for images in (setup.train, *setup.streams.values())), *demands]
    elif phase.frozen_stages:
        setup.cache.say("training images are mixed, so that the frozen stages run in every step")
    return setup.cache.prefix(state.model, phase.frozen_stages, setup.compute, demands)


def train_epoch(state: TrainState, setup: Setup, phase: freeze.Phase) -> dict[str, float]:
    """One pass over the training images; returns means of loss and of what else the objective measures, accuracy, rates
    and the first step's gradient norms."""
    started_s = time.perf_counter()
    config, model = setup.config, state.model
    assert state.optimizer is not None and state.schedule is not None and state.prefix is not None
    prefix = state.prefix if setup.mixing is None else Prefix(model, 0, setup.compute)
    rng = np.random.default_rng([config.seed, state.epoch])
    torch.manual_seed(int(rng.integers(2**63)))  # dropout, stochastic depth, mixing
    freeze.set_training_mode(model, phase, config.freeze.batch_norm)
    state.objective_modules.train()
    rates = {
        Metric.lr_of(group.name): float(rate)
        for group, rate in zip(state.groups, state.schedule.get_last_lr(), strict=True)
    }
    metrics = dict(rates)
    scalars: dict[str, list[Tensor]] = defaultdict(list)
    hits: list[Tensor] = []
    model.load(prefix.depth)
    network = partial(features_and_logits, model, prefix.depth)
    order = batches(len(setup.train), batch_size_of(config, len(setup.train)), rng)
    inputs, further = prefix.outputs(setup.train, order, state.epoch), stream_inputs(prefix, setup, order, state.epoch)
    for indices_B, z, streams in zip(order, inputs, further, strict=True):
        targets = labels_B = setup.train.labels(indices_B)
        if setup.mixing is not None:
            z, targets = setup.mixing(z, labels_B)
        with setup.compute.autocast():
            features_BD, logits_BK = network(z)
            progress = (state.epoch + len(hits) / len(order)) / config.epochs
            step = Step(features_BD, logits_BK, targets, streams, state.objective_modules, network, progress)
            loss, measured = setup.objective.loss(step)
        state.optimizer.zero_grad()
        loss.backward()
        if not hits:
            metrics |= gradient_norms(state.groups)
        if config.optim.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([p for g in state.groups for p in g.parameters], config.optim.clip_norm)
        state.optimizer.step()
        state.schedule.step()
        if state.average:
            state.average.update()
        for name, value in (measured | {"loss": loss}).items():
            scalars[name].append(value.detach())
        hits.append((logits_BK.detach().argmax(1) == labels_B).sum())
    lr = rates[Metric.lr_of("head")]
    require_finite(torch.stack(scalars["loss"]), state.epoch, lr)  # once an epoch: each look stalls a GPU
    metrics |= {Metric.train_of(name): torch.stack(values).mean().item() for name, values in scalars.items()}
    return metrics | {
        Metric.TRAIN_ACC: torch.stack(hits).sum().item() / len(setup.train),
        Metric.IMAGES_PER_S: len(setup.train) / (time.perf_counter() - started_s),
    }


def solve(state: TrainState, setup: Setup, phase: freeze.Phase) -> dict[str, float]:
    """The whole phase as one convex problem: the head on frozen features of all the views its epochs would show.

    Stands at the last of these epochs then.
    """
    started_s = time.perf_counter()
    epochs = range(state.epoch, state.epoch + phase.epochs)
    assert state.prefix is not None
    metrics = solve_head(state.prefix, setup, epochs)
    metrics[Metric.IMAGES_PER_S] = len(setup.train) * phase.epochs / (time.perf_counter() - started_s)
    state.epoch, state.phase_epoch = epochs[-1], phase.epochs - 1
    return metrics


def validate(state: TrainState, setup: Setup, metrics: dict[str, float]) -> bool:
    """Add validation loss and accuracy to ``metrics``; keep the tensors if this epoch is the phase's choice so far."""
    assert state.prefix is not None
    logits_NK = logits_of(state.prefix, setup.val)
    loss, accuracy = loss_and_accuracy(logits_NK, setup.val.labels_N.cpu())
    metrics |= {Metric.VAL_LOSS: loss, Metric.VAL_ACC: accuracy}
    if not math.isfinite(loss):
        raise JobFailed(f"the validation loss is {loss} after epoch {state.epoch + 1}: lower optim.lr")
    now = Best(accuracy, loss, state.epoch, {})
    improved = now.beats(state.phase_best)
    if improved or not setup.validation_chooses:
        tensors = {name: tensor.detach().clone() for name, tensor in state.moving_tensors(setup.plan).items()}
        state.phase_best = replace(now, tensors=tensors)
    return improved


def batches(count: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A random order of ``count`` images cut into batches; a last batch of one image is merged into the one before."""
    order = rng.permutation(count)
    cuts = list(range(batch_size, count, batch_size))
    if cuts and count - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)


def stream_inputs(prefix: Prefix, setup: Setup, order: list[np.ndarray], epoch: int) -> Iterator[dict[str, Tensor]]:
    """What the objective sees besides the training images, a dictionary per batch of ``order``, as many images each.

    The order of each stream follows from (seed, epoch), apart from that of the training images.
    """
    outputs = {}
    for place, (name, images) in enumerate(setup.streams.items()):
        rng = np.random.default_rng([setup.config.seed, epoch, 1 + place])  # a last 0 would be no other seed
        outputs[name] = prefix.outputs(images, batches_like(order, len(images), rng), epoch)
    for _ in order:
        yield {name: next(batch) for name, batch in outputs.items()}


def batches_like(order: list[np.ndarray], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of the sizes of those of ``order``, from random orders of ``count`` images, one after the other."""
    sizes = [len(indices_B) for indices_B in order]
    rounds = -(-sum(sizes) // count)
    places = np.concatenate([rng.permutation(count) for _ in range(rounds)])[: sum(sizes)]
    return np.split(places, np.cumsum(sizes)[:-1])


def features_and_logits(model: StagedModel, depth: int, z: Tensor) -> tuple[Tensor, Tensor]:
    """(B, D) and (B, K) of what stage ``depth`` reads."""
    features_BD = model.run(z, depth)
    return features_BD, model.head(features_BD)


def gradient_norms(groups: list[Group]) -> dict[str, float]:
    """Euclidean norm of the gradient per stage and head, of this step."""
    squares: dict[str, Tensor] = {}
    for group in groups:
        norms = torch.stack([p.grad.norm() for p in group.parameters if p.grad is not None])
        squares[group.name] = squares.get(group.name, torch.zeros((), device=norms.device)) + norms.square().sum()
    return {Metric.grad_norm_of(name): square.sqrt().item() for name, square in squares.items()}


def require_finite(losses_S: Tensor, epoch: int, lr: float) -> None:
    bad = (~torch.isfinite(losses_S)).nonzero()
    if len(bad):
        step = int(bad[0, 0])
        raise JobFailed(
            f"the training loss is {losses_S[step].item()} at epoch {epoch + 1}, step {step + 1}, head rate {lr:g}: "
            "lower optim.lr (or optim.lr_scale), or set optim.clip_norm=1"
        )
