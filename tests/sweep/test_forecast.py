"""What jobs will take, by finished runs that did the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from make_study import recorded_run

from tl_sweep.config.schema import Config
from tl_sweep.run.key import params_of
from tl_sweep.sweep.forecast import Cost, Past, cost_of
from tl_sweep.sweep.grid import Job

MakeConfig = Callable[..., Config]


def past(config: Config) -> Past:
    """A run of 2 s per epoch that left 100 bytes."""
    record = recorded_run(config.freeze.name, backbone=config.model.name)
    return Past(replace(record, params=params_of(config)), 2.0, 100)


def test_epochs_cost_what_they_cost_before(make_config: MakeConfig) -> None:
    config = make_config(epochs=7)
    assert cost_of(Job([], config), [past(config)]) == Cost(14.0, 100)


def test_a_run_of_a_version_that_did_not_know_a_key_did_what_its_default_does(make_config: MakeConfig) -> None:
    config = make_config(epochs=7)
    known = past(config)
    params = {key: value for key, value in known.record.params.items() if key != "objective.name"}
    older = replace(known, record=replace(known.record, params=params))
    assert cost_of(Job([], config), [older]) == Cost(14.0, 100)


@pytest.mark.parametrize("values", [{"data": {"shots": 10}}, {"augment": {"views": 1}}], ids=str)
def test_other_work_says_nothing(make_config: MakeConfig, values: dict) -> None:
    assert cost_of(Job([], make_config()), [past(make_config(**values))]) is None
