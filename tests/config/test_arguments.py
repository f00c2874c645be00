"""Keys of the configuration as arguments of a command: default, rules and help stand in the configuration alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tl_sweep.base.arguments import keys_of, read
from tl_sweep.base.errors import UserError
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.schema import CacheConfig, DataConfig, TrackingConfig


@dataclass(frozen=True)
class Arguments:
    max_gb: float = config_argument("cache.max_gb")
    uri: str | None = config_argument("tracking.uri", doc="where runs are")
    image_size: int = config_argument("data.image_size", default=64)
    flips: str = config_argument("data.flips")


def test_the_default_is_the_configuration_s() -> None:
    arguments = read(Arguments, [], None)
    assert (arguments.max_gb, arguments.uri) == (CacheConfig.max_gb, TrackingConfig.uri)
    assert (arguments.image_size, arguments.flips) == (64, DataConfig.flips)


def test_help_is_the_configuration_s_unless_the_command_has_its_own() -> None:
    keys = keys_of(Arguments)
    assert keys["cache.max_gb"].doc == "the least recently used make room beyond this"
    assert keys["tracking.uri"].doc == "where runs are"


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("data.image_size=7", "must be at least 8 and at most 1024"),
        ("data.flips=some", "allowed: none, horizontal, both"),
        ("cache.max_gb=-1", "must be at least 0"),
    ],
)
def test_the_rules_are_the_configuration_s(word: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read(Arguments, [word], None)
