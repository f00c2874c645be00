"""Implementations by name: the package's own, those of other packages, and those of a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from tl_sweep.base import registry as module
from tl_sweep.base.errors import UserError
from tl_sweep.base.registry import TOLD, Registry

OWN = {"plain": "json:dumps", "broken": "nowhere.at_all:thing"}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[Callable[..., Any]]:
    """Two of its own, one of which cannot be imported, and one that another package brings."""
    brought = {"tests.writers": [EntryPoint("theirs", "json:loads", "tests.writers")]}
    monkeypatch.setattr(module, "entry_points", lambda group: brought.get(group, []))
    return Registry("writer.name", "tests.writers", OWN)


def test_one_is_imported_when_it_is_asked_for(registry: Registry[Callable[..., Any]]) -> None:
    assert "broken" in registry
    assert registry["plain"] is json.dumps
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        registry["broken"]


def test_another_package_s_is_found_by_its_entry_point(registry: Registry[Callable[..., Any]]) -> None:
    assert registry["theirs"] is json.loads


def test_entry_points_of_another_group_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "entry_points", lambda group: [])
    assert "theirs" not in Registry[Any]("writer.name", "tests.readers", OWN)


def test_a_script_s_own_is_there_until_it_is_taken_back(registry: Registry[Callable[..., Any]]) -> None:
    registry.register("mine", print)
    assert registry["mine"] is print
    registry.unregister("mine")
    assert "mine" not in registry


def test_a_script_s_own_stands_before_the_package_s_of_the_same_name(registry: Registry[Callable[..., Any]]) -> None:
    registry.register("plain", print)
    assert registry["plain"] is print
    registry.unregister("plain")
    assert registry["plain"] is json.dumps


def test_names_come_in_order_and_once_each(registry: Registry[Callable[..., Any]]) -> None:
    registry.register("mine", print)
    registry.register("plain", print)
    assert list(registry) == ["plain", "broken", "mine", "theirs"]
    assert len(registry) == 4


def test_an_unknown_name_is_told_with_those_that_there_are(registry: Registry[Callable[..., Any]]) -> None:
    with pytest.raises(UserError) as caught:
        registry["plane"]
    assert str(caught.value) == (
        "writer.name=plane: there is none of that name; did you mean 'plain'? allowed: plain, broken, theirs"
    )


def test_to_get_an_unknown_name_is_none_as_of_any_mapping(registry: Registry[Callable[..., Any]]) -> None:
    assert registry.get("plane") is None


def test_a_package_that_cannot_be_imported_costs_its_own_name_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    brought = [
        EntryPoint("theirs", "json:loads", "tests.writers"),
        EntryPoint("lost", "lost_package.all:x", "tests.writers"),
    ]
    monkeypatch.setattr(module, "entry_points", lambda group: brought)
    monkeypatch.delenv(TOLD, raising=False)
    registry = Registry[Any]("writer.name", "tests.writers", {"plain": "json:dumps"})
    said = (
        "writer.name=lost: the installed package lost_package cannot be imported "
        "(ModuleNotFoundError: No module named 'lost_package'); mend or uninstall it"
    )
    for _ in range(2):
        assert registry.usable() == {"plain": json.dumps, "theirs": json.loads}
    assert capsys.readouterr().err == f"warning: {said}\n"
    with pytest.raises(UserError) as caught:
        registry["lost"]
    assert str(caught.value) == said
    assert "lost" in registry
