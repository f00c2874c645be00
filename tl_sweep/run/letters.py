"""The recipe of the embedded source: a network learns glyphs of three alphabets, once."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.config.loading import compose
from tl_sweep.config.schema import Config
from tl_sweep.models.catalog import architecture, architecture_label, has_norm
from tl_sweep.run.context import Position, Start

RECIPE = 2  # part of a run's identity: raise it when anything below changes what is learnt
BUDGET_FLOPS = 4e13  # of training: about five minutes on two cores
MOST_EPOCHS = 8
LR = {True: 3e-3, False: 1e-3}  # of AdamW: with normalisation layers of its own, or borrowed
POOR_ACC = 0.5  # below this the source has hardly been learnt, and a person should know


def source_config(config: Config, source: str, seed: int) -> Config:
    """The recipe: from scratch on ``source``, at the smallest size the backbone reads."""
    row = architecture(config.model.name)
    step_px = row.patch_px or 1
    image_px = -(-max(32, row.min_px) // step_px) * step_px
    model = asdict(config.model) | {"weights": None, "sha256": None, "preprocessing": {}, "dropout": 0.0}
    return compose(
        {"freeze": "scratch", "data": source, "augment": "light", "optim": "auto"},
        {
            "model": model,
            "data": {"image_size": image_px},
            "epochs": MOST_EPOCHS,
            "seed": seed,
            "weights": {"dir": config.weights.dir},
            "optim": {"lr": LR[has_norm(config.model)]},
            "device": config.device,
            "threads": config.threads,
        },
    )


def train_source(config: Config, path: Path) -> float:
    """Train by ``config``, write every tensor but the head's to ``path``; returns the source's test accuracy.

    A network without normalisation layers does not learn a hundred classes in minutes: it borrows BatchNorm meanwhile.
    """
    from safetensors.torch import save_file

    from tl_sweep.models.folding import folded, with_batch_norm
    from tl_sweep.run.assemble import assemble
    from tl_sweep.run.progress import EpochProgress
    from tl_sweep.training.evaluate import logits_of, loss_and_accuracy
    from tl_sweep.training.loop import fit
    from tl_sweep.training.prefix import Prefix
    from tl_sweep.training.state import TrainState

    config = replace(config, epochs=affordable_epochs(config))
    run = assemble(config, Start(pooled=True))
    borrows = not has_norm(config.model)
    state = TrainState(with_batch_norm(run.state.model)) if borrows else run.state
    label = architecture_label(config.model)
    print(f"training {label} on {config.data.name}, {config.epochs} epochs, once; kept in {path}", flush=True)
    with EpochProgress(f"{config.data.name} {label}", config.epochs, Position()) as progress:
        for record in fit(state, run.setup):
            progress.show(record)
    model = folded(state.model) if borrows else state.model
    logits_NK = logits_of(Prefix(model, 0, run.setup.compute), run.test)
    _, test_acc = loss_and_accuracy(logits_NK, run.test.labels_N.cpu())
    verdict = " – poor: expect little from these weights" if test_acc < POOR_ACC else ""
    classes = len(run.images.class_names)
    print(f"source accuracy of {label}: {test_acc:.3f} on {classes} classes{verdict}", flush=True)
    description = {
        "source": config.data.name,
        "recipe": str(RECIPE),
        "backbone": label,
        "seed": str(config.seed),
        "test_acc": f"{test_acc:.4f}",
        "fingerprint": run.images.fingerprint,
        "pooled": json.dumps(model.pooled),
    }
    heads = set(model.head_parameters())
    tensors = {n: t.cpu().contiguous() for n, t in model.module.state_dict().items() if n not in heads}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        save_file(tensors, file, metadata=description)
    return test_acc


def affordable_epochs(config: Config) -> int:
    """Epochs within the budget, counted in floating-point operations (a training step costs about three forwards)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from tl_sweep.data.sources.registry import open_data
    from tl_sweep.data.splits import split
    from tl_sweep.models.build import build_model
    from tl_sweep.run.inputs import data_dir

    images = open_data(config.data, data_dir(config))
    image_px = config.data.image_size
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = build_model(config.model, len(images.class_names), image_px, weights=None, pooled=True, head_seed=0)
        model.module.eval()
        model(torch.zeros(1, 3, image_px, image_px))
    per_epoch = 3 * counter.get_total_flops() * len(split(images, config.data).train)
    return max(1, min(MOST_EPOCHS, int(BUDGET_FLOPS / per_epoch)))
