"""Which keys the configuration has, and what each is: whoever needs a list of keys derives it here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import MISSING

from tl_sweep.config.schema import DATA_CONFIGS, Config, DataConfig


def field_paths(of: Any = Config, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every leaf key, dotted, with its field (type, default, documentation and rules).

    of: a configuration, or the class: then keys that only some data sources have are among them.
    """
    for item in dataclasses.fields(of):
        inner = item.default_factory if isinstance(of, type) else getattr(of, item.name)
        if dataclasses.is_dataclass(inner):
            yield from field_paths(inner, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", item
    if of is DataConfig:
        own = {item.name: item for cls in DATA_CONFIGS.usable().values() for item in own_fields(cls)}
        yield from ((f"{prefix}{name}", item) for name, item in own.items())


def own_fields(data: DataConfig | type[DataConfig]) -> list[dataclasses.Field[Any]]:
    """Of the keys that this data source alone has."""
    common = {item.name for item in dataclasses.fields(DataConfig)}
    return [item for item in dataclasses.fields(data) if item.name not in common]


def default_of(item: dataclasses.Field[Any]) -> Any:
    """``???`` where there is none, so that the option's file has to say it."""
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def role_of(name: str) -> str:
    """What the key ``name`` is to a run, see ``schema.key``; an unknown one is part of what it is."""
    item = dict(field_paths()).get(name)
    return "definition" if item is None else str(item.metadata["role"])


def asks_of(name: str) -> str:
    """What a comparison asks by the key ``name``, see ``schema.key``."""
    item = dict(field_paths()).get(name)
    return _asks(name, {} if item is None else item.metadata)


def _asks(name: str, metadata: Mapping[str, Any]) -> str:
    by_default = "data" if name.startswith("data.") and metadata.get("role") != "execution" else ""
    return metadata.get("asks") or by_default


def keys_without_default() -> list[str]:
    """Of those that every configuration has, whatever its data source."""
    return [name for name, item in field_paths(Config()) if default_of(item) == MISSING]


def keys_with(of: Any = Config, *, role: str = "", asks: str = "", **metadata: Any) -> list[str]:
    """The keys of which all of this holds (see ``schema.key``); of: see ``field_paths``."""
    return [
        name
        for name, item in field_paths(of)
        if role in ("", item.metadata["role"])
        and asks in ("", _asks(name, item.metadata))
        and all(item.metadata[rule] == value for rule, value in metadata.items())
    ]
