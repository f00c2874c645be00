"""From a configuration to everything a run needs: images, splits, model, plan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from tl_sweep.array_store.store import RowStore
from tl_sweep.config.schema import Config, local_path
from tl_sweep.data.imageset import ImageSet
from tl_sweep.data.splits import Splits, split
from tl_sweep.data.views import ViewPlan
from tl_sweep.models.build import build_model
from tl_sweep.models.catalog import default_preprocessing
from tl_sweep.models.stages import StagedModel
from tl_sweep.models.weights.files import WeightsFile
from tl_sweep.run.context import Start
from tl_sweep.run.inputs import open_images
from tl_sweep.training.device import Compute, make_compute
from tl_sweep.training.examples import DecodedImages, Examples
from tl_sweep.training.feature_cache import FeatureCache
from tl_sweep.training.freeze import make_plan
from tl_sweep.training.mixing import make_mixing
from tl_sweep.training.objectives.modules import make_modules
from tl_sweep.training.objectives.registry import make_objective
from tl_sweep.training.state import Setup, TrainState


@dataclass(frozen=True)
class Run:
    """A run about to start. ``weights`` is None when the model starts at random."""

    images: ImageSet
    splits: Splits
    test: Examples
    setup: Setup
    state: TrainState
    weights: WeightsFile | None


def assemble(config: Config, start: Start, store: RowStore | None = None, *, shared: bool = False) -> Run:
    """Open the data, build the model at the run's seed, and plan its phases.

    store: of decoded images and frozen stages' outputs; None: neither is kept. shared: other jobs may ask for them.

    Raises:
        UserError: bad data, weights or a strategy that does not fit the model.
    """
    compute = use_machine(config)
    images = open_images(config)
    splits = split(images, config.data)
    model = build(config, len(images.class_names), start, compute)
    plan = make_plan(config.freeze, model.num_stages, config.epochs)
    model.load(min(phase.frozen_stages for phase in plan))  # what every phase freezes waits until it has to run
    train, val, test = (
        examples(config, images, indices, compute, store) for indices in (splits.train, splits.val, splits.test)
    )
    objective = make_objective(config, class_weights(train) if config.data.balance == "weight" else None)
    modules = make_modules(objective, model.feature_dim, len(images.class_names), config.seed)
    setup = Setup(
        config=config,
        plan=plan,
        train=train,
        val=val,
        compute=compute,
        cache=FeatureCache(store, config.cache.enabled, shared),
        mixing=make_mixing(config.augment, len(images.class_names)),
        objective=objective,
        streams=objective.streams({"train": train}),
    )
    return Run(images, splits, test, setup, TrainState(model, modules.to(compute.device)), start.file)


@contextmanager
def open_array_store(config: Config) -> Iterator[RowStore | None]:
    """The store of decoded images and frozen stages' outputs; None where there shall be none."""
    if config.cache.enabled == "False" or not config.cache.max_gb:
        yield None
        return
    with RowStore(local_path(config.cache.dir), config.cache.max_gb * 1e9) as store:
        yield store


def use_machine(config: Config) -> Compute:
    """Set torch's threads and determinism for this process; says where to compute."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS asks for it
    torch.use_deterministic_algorithms(config.deterministic)
    return make_compute(config.device, config.precision)


def build(config: Config, num_classes: int, start: Start, compute: Compute) -> StagedModel:
    """The model, channels-last; random tensors depend on ``config.seed`` alone. What is in its weights' file waits."""
    torch.manual_seed(config.seed)
    model = build_model(
        config.model,
        num_classes,
        config.data.image_size,
        weights=start.file,
        pooled=start.pooled,
        head_seed=config.seed,
    )
    if start.file is None:
        model.module.to(compute.device).to(memory_format=torch.channels_last)
    else:
        model.module.get_submodule(model.head_name).to(compute.device)
    return model


def examples(
    config: Config, images: ImageSet, indices: np.ndarray, compute: Compute, store: RowStore | None
) -> Examples:
    preprocessing = default_preprocessing(config.model, config.data.image_size, config.data.fit)
    return Examples(
        decoded=DecodedImages(images, indices, preprocessing, config.num_workers, store, compute.device),
        labels_N=torch.as_tensor(images.labels_N[indices], device=compute.device),
        hashes_N=images.hashes_N[indices],
        class_names=images.class_names,
        preprocessing=preprocessing,
        views=ViewPlan(config.augment, config.data.flips),
    )


def class_weights(train: Examples) -> torch.Tensor:
    """Inverse to each class's size, with a mean of 1 over the images."""
    counts_K = torch.bincount(train.labels_N, minlength=len(train.class_names)).float()
    return len(train) / (len(train.class_names) * counts_K)
