"""What strategies are called."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from make_study import recorded_run

from tl_sweep.config.loading import conf_dir
from tl_sweep.tracking.names import Tag
from tl_sweep.tracking.strategy_label import OLDER, labelled, strategy_label


def test_older_runs_are_called_what_newer_ones_are() -> None:
    shipped = [yaml.safe_load(path.read_text()) for path in (conf_dir() / "freeze").glob("*.yaml")]
    assert {option["name"]: option["label"] for option in shipped} == OLDER


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("none", "null", "full fine-tuning", False), "none (full fine-tuning)"),
        (("depth", "3", "partial fine-tuning", False), "depth 3 (partial fine-tuning)"),
        (("all", "null", "linear probe", True), "all (linear probe, random features)"),
        (("mine", "null", "", False), "mine"),
        (("mine", "null", "", True), "mine (random features)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_as_it_is_typed_and_in_words(arguments: tuple[str, str, str, bool], expected: str) -> None:
    assert labelled(*arguments) == expected


def test_what_a_run_recorded_counts() -> None:
    run = recorded_run("none")
    assert strategy_label(run) == "none (full fine-tuning)"
    assert strategy_label(replace(run, tags=run.tags | {Tag.STRATEGY_LABEL: "none (mine)"})) == "none (mine)"
    assert strategy_label(recorded_run("somebody's")) == "somebody's"
