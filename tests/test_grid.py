"""From overrides to jobs."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tl_sweep.grid import expand, sweep_id


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


def test_sweep_id_ignores_order_but_not_content() -> None:
    assert sweep_id(jobs("a=1,2", "b=3")) == sweep_id(jobs("b=3", "a=2,1"))
    assert sweep_id(jobs("a=1,2")) != sweep_id(jobs("a=1,3"))
