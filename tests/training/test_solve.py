"""The solved head, against scikit-learn and against training it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from configs import assembled
from sklearn.linear_model import LogisticRegression

from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import Config
from tl_sweep.training import solve
from tl_sweep.training.evaluate import image_batches
from tl_sweep.training.loop import fit
from tl_sweep.training.prefix import Prefix

MakeConfig = Callable[..., Config]


def test_solution_is_scikit_learns(make_config: MakeConfig) -> None:
    config = make_config({"freeze": "all", "augment": "none"}, optim={"l2": [2.0]}, epochs=1, data={"shots": 10})
    run = assembled(config)
    train = run.setup.train
    prefix = Prefix(run.state.model, run.state.model.num_stages, run.setup.compute)
    train_ND = torch.cat(list(prefix.outputs(train, image_batches(train), None))).numpy().astype(np.float64)
    mean_D, std_D = train_ND.mean(0), np.maximum(train_ND.std(0), 1e-6)
    theirs = LogisticRegression(C=1 / 2.0, max_iter=5000, tol=1e-8).fit(
        (train_ND - mean_D) / std_D, run.setup.train.labels_N.numpy()
    )
    list(fit(run.state, run.setup))
    weight_KD = dict(run.state.model.head_parameters())["fc.weight"].detach().numpy() * std_D
    np.testing.assert_allclose(weight_KD, theirs.coef_, atol=2e-3)


def test_penalty_is_chosen_by_validation_loss(make_config: MakeConfig) -> None:
    config = make_config({"freeze": "all"}, optim={"l2": [1e-4, 1.0, 1e6]}, data={"shots": 10})
    run = assembled(config)
    (record,) = fit(run.state, run.setup)
    assert record.metrics["l2"] in (1e-4, 1.0)  # 1e6 leaves the head at chance
    assert record.metrics["val/loss"] < np.log(10)
    assert record.epoch == config.epochs - 1


def test_solved_head_beats_two_epochs_of_sgd(make_config: MakeConfig) -> None:
    losses = []
    for optim in ("auto", "sgd"):
        run = assembled(make_config({"freeze": "all", "optim": optim, "augment": "none"}))
        losses.append([record.metrics["train/loss"] for record in fit(run.state, run.setup)][-1])
    assert losses[0] < losses[1]


def test_finite_views_are_seen_once_each(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    outputs = Prefix.outputs
    monkeypatch.setattr(Prefix, "outputs", lambda p, e, b, epoch: seen.append(epoch) or outputs(p, e, b, epoch))
    for views in (2, None):
        run = assembled(make_config({"freeze": "all"}, augment={"views": views}, epochs=3))
        list(fit(run.state, run.setup))
    assert seen == [*(2, 1), *2 * [None], *(0, 1, 2), *2 * [None]]  # of the training images; the rest is validation


def test_more_features_than_memory_is_refused(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "MOST_FEATURES", 10)
    run = assembled(make_config({"freeze": "all"}))
    with pytest.raises(UserError, match=r"too many features for memory; set augment.views=1"):
        list(fit(run.state, run.setup))


def test_backbone_stands_still(make_config: MakeConfig) -> None:
    run = assembled(make_config({"freeze": "all"}))
    before = {name: tensor.clone() for name, tensor in run.state.model.module.state_dict().items()}
    list(fit(run.state, run.setup))
    moved = [n for n, t in run.state.model.module.state_dict().items() if not torch.equal(t, before[n])]
    assert moved == list(run.state.model.head_parameters())
