"""Paths as a person writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tl_sweep.base.errors import UserError
from tl_sweep.base.paths import expanded


def test_without_a_home_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(UserError, match=r"~/x: there is no home directory here; set HOME, or give a path without ~"):
        expanded("~/x")


def test_a_home_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
    assert expanded("a/~b") == Path("a/~b")
