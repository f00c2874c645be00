"""What every objective keeps to. Inherit from it, name the objective, and its tests are yours:

class TestMine(ObjectiveContract):
    name = "mine"
    options = {"weight": 0.5}
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

import pytest
import torch
from configs import assembled, merged
from torch import Tensor

from tl_sweep.config.schema import Config
from tl_sweep.run.assemble import Run
from tl_sweep.training.device import Compute
from tl_sweep.training.loop import fit
from tl_sweep.training.objectives.modules import make_modules
from tl_sweep.training.objectives.registry import OBJECTIVES, objective_problems
from tl_sweep.training.optimizer import plan_problems
from tl_sweep.training.rates import solver_of
from tl_sweep.training.resume import put_back, snapshot
from tl_sweep.training.state import EpochRecord

COMPANIES: dict[str, dict[str, Any]] = {  # what an objective has to get along with
    "all stages": {"freeze": "none"},
    "half of the stages": {"freeze": "early"},
    "the head alone": {"freeze": "all"},
    "an average of the weights": {"optim": {"ema_decay": 0.9}},
    "mixed images": {"augment": {"mixup": 0.5}},
    "class weights and smoothing": {"data": {"balance": "weight"}, "optim": {"label_smoothing": 0.1}},
}


class ObjectiveContract:
    """name: in ``OBJECTIVES``. options: what its option file would say."""

    name: ClassVar[str]
    options: ClassVar[dict[str, float]] = {}

    @pytest.fixture
    def configured(self, make_config: Callable[..., Config]) -> Callable[..., Config]:
        """Three epochs of two steps of five digits with this objective; ``freeze`` names the strategy."""

        def make(freeze: str = "early", **values: Any) -> Config:
            base: dict[str, Any] = {
                "objective": {"name": self.name, "options": self.options},
                "optim": {"name": "adamw"},
                "data": {"shots": 2},
                "batch_size": 5,
                "epochs": 3,
            }
            return make_config({"freeze": freeze}, **merged(base, values))

        return make

    @pytest.fixture(params=list(COMPANIES.values()), ids=list(COMPANIES))
    def config(self, configured: Callable[..., Config], request: pytest.FixtureRequest) -> Config:
        return configured(**request.param)

    def test_the_loss_is_finite_and_every_own_module_learns(self, config: Config) -> None:
        run = assembled(config)
        before = copied(run)
        record = next(fit(run.state, run.setup))
        assert all(torch.isfinite(torch.tensor(value)) for value in record.metrics.values())
        assert {"train/loss", "train/acc", "val/loss", "val/acc"} <= record.metrics.keys()
        still = {name for name, tensor in own_parameters(run).items() if torch.equal(tensor, before[name])}
        assert still == set(), "no gradient reaches these"
        assert ("lr/objective" in record.metrics) == bool(own_parameters(run))

    def test_frozen_stages_stand_still(self, configured: Callable[..., Config]) -> None:
        run = assembled(configured("early"))
        frozen = {name for stage in range(2) for name in run.state.model.tensors_of(stage)}
        before = copied(run)
        list(fit(run.state, run.setup))
        after = tensors_of(run)
        assert frozen
        assert {name for name in frozen if not torch.equal(after[name], before[name])} == set()

    def test_a_run_cut_short_goes_on_as_if_nothing_had_happened(self, config: Config) -> None:
        whole = assembled(config)
        expected = without_times(fit(whole.state, whole.setup))
        first, second = assembled(config), assembled(config)
        begun = without_times(islice(fit(first.state, first.setup), 1))
        saved = io.BytesIO()
        torch.save(snapshot(first.state, first.setup), saved)
        saved.seek(0)
        put_back(second.state, second.setup, torch.load(saved, weights_only=True))
        restored = tensors_of(second)
        assert [name for name, tensor in tensors_of(first).items() if not torch.equal(tensor, restored[name])] == []
        assert begun + without_times(fit(second.state, second.setup)) == expected
        assert different(whole, second) == []

    def test_the_best_epochs_tensors_are_those_of_one_epoch(
        self, configured: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its own modules go back to the chosen epoch together with the network."""
        monkeypatch.setattr("tl_sweep.training.state.FEWEST_TO_CHOOSE_ON", 1)
        accuracies = iter([0.2, 0.9, 0.5])
        monkeypatch.setattr("tl_sweep.training.loop.loss_and_accuracy", lambda *_: (1.0, next(accuracies)))
        run = assembled(configured())
        after = [copied(run) for _ in fit(run.state, run.setup)]
        end = tensors_of(run)
        assert [name for name, tensor in after[1].items() if not torch.equal(tensor, end[name])] == []
        assert [name for name, tensor in after[2].items() if not torch.equal(tensor, end[name])] != []

    def test_the_seed_decides_everything(self, configured: Callable[..., Config]) -> None:
        one, same, other = (assembled(configured(seed=seed)) for seed in (0, 0, 1))
        initial = [copied(run) for run in (one, other)]
        assert [n for n, t in own_parameters(other).items() if t.ndim > 1 and torch.equal(t, initial[0][n])] == []
        records = [without_times(fit(run.state, run.setup)) for run in (one, same, other)]
        assert records[0] == records[1] != records[2]
        assert different(one, same) == []

    def test_its_modules_take_no_random_numbers_from_others(self, configured: Callable[..., Config]) -> None:
        objective = assembled(configured()).setup.objective
        torch.manual_seed(5)
        torch.rand(1)
        before = torch.get_rng_state()
        first, again = (make_modules(objective, 8, 4, seed=3).state_dict() for _ in range(2))
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(first[name], again[name]) for name in first)

    def test_it_computes_under_autocast(self, configured: Callable[..., Config]) -> None:
        run = assembled(configured(epochs=1))
        setup = replace(run.setup, compute=Compute(torch.device("cpu"), "bfloat16"))
        (record,) = fit(run.state, setup)
        assert torch.isfinite(torch.tensor(record.metrics["train/loss"]))

    def test_it_is_solved_or_takes_steps(self, make_config: Callable[..., Config]) -> None:
        objective = {"name": self.name, "options": self.options}
        solvable = OBJECTIVES[self.name].solvable
        assert (solver_of(make_config({"freeze": "all"}, objective=objective)) == "lbfgs") is solvable
        wish = make_config({"freeze": "all", "optim": "lbfgs"}, objective=objective)
        problems = [*objective_problems(wish), *plan_problems(wish, 4)]
        refused = f"optim=lbfgs: solves cross-entropy alone; objective={self.name} takes steps: use optim=adamw or sgd"
        assert problems == ([] if solvable else [refused])
        if solvable:
            run = assembled(wish)
            assert not run.state.objective_modules
            assert not run.setup.streams

    def test_options_are_all_given_and_all_read(self, make_config: Callable[..., Config]) -> None:
        objective = {"name": self.name, "options": self.options}
        assert list(objective_problems(make_config(objective=objective))) == []
        for option in self.options:
            fewer = {name: value for name, value in self.options.items() if name != option}
            (problem,) = objective_problems(make_config(objective={"name": self.name, "options": fewer}))
            assert problem.startswith(f"objective.options.{option}: objective={self.name} needs it; give ")
        more = make_config(objective={"name": self.name, "options": self.options | {"nonsense": 1.0}})
        (problem,) = objective_problems(more)
        assert problem == f"objective.options.nonsense=1: objective={self.name} does not read it"


def tensors_of(run: Run) -> dict[str, Tensor]:
    """All of the network and of the objective's modules."""
    return run.state.model.module.state_dict() | run.state.objective_modules.state_dict(prefix="objective.")


def own_parameters(run: Run) -> dict[str, Tensor]:
    return dict(run.state.objective_modules.named_parameters(prefix="objective"))


def copied(run: Run) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors_of(run).items()}


def different(first: Run, second: Run) -> list[str]:
    theirs = tensors_of(second)
    return [name for name, tensor in tensors_of(first).items() if not torch.equal(tensor, theirs[name])]


def without_times(records: Iterator[EpochRecord]) -> list[dict[str, float]]:
    return [{n: value for n, value in record.metrics.items() if n != "images_per_s"} for record in records]
