"""Implementations of one contract, by name: the package's own, and those that other packages bring along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from tl_sweep.base.errors import UserError, did_you_mean

T = TypeVar("T")


class UnknownName(UserError, KeyError):
    """Nothing of that name; a ``KeyError``, so that ``get`` and ``in`` mean what they mean for any mapping."""

    __str__ = Exception.__str__


class Registry(Mapping[str, T], Generic[T]):
    """What can be named in a configuration, imported when it is asked for.

    key: the configuration key that names one, for messages. group: of entry points, by which an installed package adds
    its own. own: ``name -> module:attribute`` of those in this package. ``register`` adds one from a script or a test.
    """

    def __init__(self, key: str, group: str, own: Mapping[str, str]) -> None:
        self.key, self.group, self.own = key, group, dict(own)
        self._loaded: dict[str, T] = {}

    def register(self, name: str, implementation: T) -> None:
        """Add one, or replace the one of this name, in this process."""
        self._loaded[name] = implementation

    def unregister(self, name: str) -> None:
        """Take back what ``register`` added."""
        del self._loaded[name]

    def __getitem__(self, name: str) -> T:
        """
        Raises:
            UnknownName: a ``UserError`` that says which names there are.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self.own or name in self._entries

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self.own, *self._loaded, *self._entries])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _load(self, name: str) -> T:
        if name in self.own:
            module, _, attribute = self.own[name].partition(":")
            return cast(T, getattr(import_module(module), attribute))
        if name in self._entries:
            return cast(T, self._entries[name].load())
        near = did_you_mean(name, self)
        raise UnknownName(f"{self.key}={name}: there is none of that name;{near} allowed: {', '.join(self)}")

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        """Of installed packages, looked up once: it takes some 20 ms."""
        return {entry.name: entry for entry in entry_points(group=self.group)}
