"""From overrides to jobs."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tl_sweep.sweep.grid import expand, expand_arms, sweep_id


def jobs(*overrides: str) -> list[list[str]]:
    return expand(OverridesParser.create().parse_overrides(list(overrides)))


def test_product_with_the_last_key_fastest() -> None:
    assert jobs("freeze=none,all", "seed=0,1", "epochs=3") == [
        ["freeze=none", "seed=0", "epochs=3"],
        ["freeze=none", "seed=1", "epochs=3"],
        ["freeze=all", "seed=0", "epochs=3"],
        ["freeze=all", "seed=1", "epochs=3"],
    ]


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("seed=range(3)", ["seed=0", "seed=1", "seed=2"]),
        ("optim.lr=choice(0.1,0.2)", ["optim.lr=0.1", "optim.lr=0.2"]),
        ("seed=5", ["seed=5"]),
        ("model.weights='a,b (1).pth'", ["model.weights='a,b (1).pth'"]),
        ("optim.l2=[0.1,1],[2.0]", ["optim.l2=[0.1,1]", "optim.l2=[2.0]"]),
        ("+optim.new=1", ["+optim.new=1"]),
        ("~sweep", ["~sweep"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_grid_syntax(override: str, values: list[str]) -> None:
    assert [job[0] for job in jobs(override)] == values


def test_a_later_value_replaces_a_named_grid() -> None:
    assert jobs("seed=range(5)", "freeze=none", "seed=1,2") == [["seed=1", "freeze=none"], ["seed=2", "freeze=none"]]


ARMS = [{"freeze": "scratch", "epochs": "30,90"}, {"freeze": "none,all", "optim.lr_scale": "1,3"}]


def armed(*arguments: str) -> list[str]:
    return [" ".join(job) for job in expand_arms({"seed": 0}, ARMS, arguments, OverridesParser.create())]


def test_each_arm_is_a_grid_beside_what_all_have() -> None:
    scratch = [f"seed=0 freeze=scratch epochs={epochs}" for epochs in (30, 90)]
    others = [f"seed=0 freeze={freeze} optim.lr_scale={scale}" for freeze in ("none", "all") for scale in (1, 3)]
    assert armed() == [*scratch, *others]


def test_a_value_that_arms_have_chooses_among_them() -> None:
    assert armed("freeze=none") == [f"seed=0 freeze=none optim.lr_scale={scale}" for scale in (1, 3)]
    assert armed("freeze=scratch,all", "seed=1") == [
        *(f"seed=1 freeze=scratch epochs={epochs}" for epochs in (30, 90)),
        *(f"seed=1 freeze=all optim.lr_scale={scale}" for scale in (1, 3)),
    ]


def test_a_value_that_no_arm_has_replaces_theirs() -> None:
    assert armed("freeze=early", "optim.lr_scale=3", "epochs=5") == [
        "seed=0 freeze=early epochs=5 optim.lr_scale=3",
        "seed=0 freeze=early optim.lr_scale=3 epochs=5",
    ]


def test_without_arms_it_is_one_grid() -> None:
    assert expand_arms({"a": None, "b": "1,2"}, [], ["b=3"], OverridesParser.create()) == [["a=null", "b=3"]]


def test_sweep_id_ignores_order_but_not_content() -> None:
    assert sweep_id(jobs("a=1,2", "b=3")) == sweep_id(jobs("b=3", "a=2,1"))
    assert sweep_id(jobs("a=1,2")) != sweep_id(jobs("a=1,3"))
