"""The loop: what moves, what stands still, what is chosen, and that a seed decides everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from configs import assembled

from tl_sweep.base.errors import JobFailed
from tl_sweep.config.schema import Config
from tl_sweep.run.assemble import Run
from tl_sweep.training import loop
from tl_sweep.training.averaging import WeightAverage
from tl_sweep.training.loop import batches, fit, require_finite
from tl_sweep.training.state import Best

MakeConfig = Callable[..., Config]


def trained(config: Config) -> tuple[Run, list[loop.EpochRecord]]:
    run = assembled(config)
    return run, list(fit(run.state, run.setup))


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return run.state.model.module.state_dict()


def equal(first: Run, second: Run) -> bool:
    mine, theirs = weights_of(first), weights_of(second)
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("strategy", ["none", "all"])
def test_same_seed_gives_equal_weights_whatever_the_workers(make_config: MakeConfig, strategy: str) -> None:
    config = make_config({"freeze": strategy})
    assert equal(trained(config)[0], trained(replace(config, num_workers=3))[0])


def test_another_seed_gives_other_weights_and_zero_is_a_seed(make_config: MakeConfig) -> None:
    first, second = make_config(seed=0), make_config(seed=1)
    assert not equal(trained(first)[0], trained(second)[0])
    assert equal(trained(make_config())[0], trained(first)[0])


def test_records_have_what_a_tracker_wants(make_config: MakeConfig) -> None:
    _, records = trained(make_config({"freeze": "early"}))
    assert [record.epoch for record in records] == [0, 1]
    wanted = {"train/loss", "train/acc", "val/loss", "val/acc", "images_per_s", "lr/head", "lr/layer2", "lr/layer3"}
    assert wanted <= set(records[0].metrics)
    assert {"grad_norm/head", "grad_norm/layer3"} <= set(records[0].metrics)
    assert "grad_norm/stem" not in records[0].metrics  # frozen


def test_training_learns(make_config: MakeConfig) -> None:
    config = make_config({"augment": "none", "freeze": "scratch"}, epochs=12, batch_size=8, optim={"lr": 3e-3})
    _, records = trained(config)
    assert records[-1].metrics["train/acc"] > 0.8 > 0.3 > records[0].metrics["train/acc"]


def test_phases_count_epochs_on_and_restart_the_schedule(make_config: MakeConfig) -> None:
    _, records = trained(make_config({"freeze": "lp_ft"}, epochs=4, optim={"warmup": 0.0}))
    assert [(record.epoch, record.phase) for record in records] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert records[0].metrics["lr/head"] == pytest.approx(1e-3)
    assert records[2].metrics["lr/head"] == records[2].metrics["lr/stem"] == pytest.approx(1e-4)


def test_best_is_the_last_epoch_below_200_validation_images(make_config: MakeConfig) -> None:
    run, records = trained(make_config(epochs=3))
    assert run.state.best is not None
    assert run.state.best.epoch == records[-1].epoch
    assert run.state.best.val_acc == records[-1].metrics["val/acc"]


def test_best_is_validations_choice_above_200_images(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl_sweep.training.state.FEWEST_TO_CHOOSE_ON", 1)
    accuracies = iter([0.2, 0.9, 0.5, 0.9])
    monkeypatch.setattr(loop, "loss_and_accuracy", lambda *_: (1.0, next(accuracies)))
    run = assembled(make_config(epochs=4))
    after_second = None
    for record in fit(run.state, run.setup):
        if record.epoch == 1:
            after_second = {name: tensor.clone() for name, tensor in weights_of(run).items()}
    assert run.state.best is not None
    assert run.state.best.epoch == 1  # of equals, the first
    assert after_second is not None
    assert all(torch.equal(tensor, after_second[name]) for name, tensor in weights_of(run).items())


def test_patience_ends_the_phase_only(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tl_sweep.training.state.FEWEST_TO_CHOOSE_ON", 1)
    accuracies = iter([0.9, 0.1, 0.1, 0.2, 0.3, 0.4])
    monkeypatch.setattr(loop, "loss_and_accuracy", lambda *_: (1.0, next(accuracies)))
    run = assembled(make_config({"freeze": "lp_ft"}, epochs=8, patience=2))
    records = []
    for record in fit(run.state, run.setup):
        records.append((record.epoch, record.phase))
        if len(records) == 6:
            break
    assert records == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]


def test_better_accuracy_wins_then_smaller_loss() -> None:
    best = Best(0.5, 1.0, 0, {})
    assert Best(0.6, 9.0, 1, {}).beats(best)
    assert Best(0.5, 0.9, 1, {}).beats(best)
    assert not Best(0.5, 1.0, 1, {}).beats(best)


@pytest.mark.parametrize(
    ("count", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (4, [4]), (5, [5])], ids=str
)
def test_a_last_batch_of_one_is_merged(count: int, sizes: list[int]) -> None:
    cut = batches(count, 4, np.random.default_rng(0))
    assert [len(indices) for indices in cut] == sizes
    assert sorted(np.concatenate(cut)) == list(range(count))


def test_a_loss_that_is_not_finite_names_epoch_step_and_rate() -> None:
    with pytest.raises(JobFailed, match=r"loss is nan at epoch 3, step 2, head rate 0\.5: lower optim\.lr"):
        require_finite(torch.tensor([1.0, float("nan"), float("inf")]), epoch=2, lr=0.5)
    require_finite(torch.tensor([1.0]), 0, 0.1)


def test_a_run_that_diverges_fails(make_config: MakeConfig) -> None:
    config = make_config({"optim": "sgd"}, optim={"lr": 1e30, "warmup": 0.0})
    with pytest.raises(JobFailed, match="the training loss is nan"):
        trained(config)


def test_average_by_hand_and_swap() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage({"w": weight}, decay=0.5)
    weight.data = torch.ones(1)
    average.update()  # decay is min(0.5, 2/11) in the first step
    with average.applied():
        assert weight.item() == pytest.approx(9 / 11)
    assert weight.item() == 1.0


def test_averaging_is_evaluated_and_kept(make_config: MakeConfig) -> None:
    plain, averaged = trained(make_config()), trained(make_config(optim={"ema_decay": 0.9}))
    assert not equal(plain[0], averaged[0])
    assert plain[1][0].metrics["train/loss"] == averaged[1][0].metrics["train/loss"]  # training itself is the same


@pytest.mark.parametrize(
    "values",
    [
        {"optim": {"label_smoothing": 0.1}},
        {"optim": {"clip_norm": 0.01}},
        {"augment": {"mixup": 0.4}},
        {"augment": {"cutmix": 1.0}},
        {"augment": {"mixup": 0.4, "cutmix": 1.0}},
        {"data": {"balance": "weight", "shots": 5}},
        {"model": {"weights": None, "dropout": 0.5}},
        {"optim": {"layer_decay": 0.5}},
    ],
    ids=lambda values: str(values),
)
def test_options_of_the_recipe_change_the_run(make_config: MakeConfig, values: dict) -> None:
    plain, changed = trained(make_config())[1], trained(make_config(**values))[1]
    same = plain[-1].metrics["train/loss"] == changed[-1].metrics["train/loss"]
    assert same == ("data" in values)  # the digits are balanced: weights of one


def test_inverse_class_weights() -> None:
    from types import SimpleNamespace

    from tl_sweep.run.assemble import class_weights

    class FourImages(SimpleNamespace):
        def __len__(self) -> int:
            return 4

    train = FourImages(labels_N=torch.tensor([0, 0, 0, 1]), class_names=("a", "b"))
    assert class_weights(train).tolist() == pytest.approx([4 / (2 * 3), 4 / 2])  # type: ignore[arg-type]
