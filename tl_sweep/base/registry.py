"""Implementations of one contract, by name: the package's own, and those that other packages bring along."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from tl_sweep.base.errors import UserError, did_you_mean

T = TypeVar("T")
TOLD = "TL_SWEEP_TOLD"  # of the environment, which jobs inherit: warnings that were given


class UnknownName(UserError, KeyError):
    """Nothing of that name; a ``KeyError``, so that ``get`` and ``in`` mean what they mean for any mapping."""

    __str__ = Exception.__str__


class BrokenPackage(UserError):
    """An installed package that brings an implementation along which cannot be imported."""


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
            BrokenPackage: another package brings it along, and cannot be imported.
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

    def usable(self) -> dict[str, T]:
        """All that can be imported; of a package that cannot, that is said, once."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except BrokenPackage as error:
                _warn_once(str(error))
        return found

    def _load(self, name: str) -> T:
        if name in self.own:
            module, _, attribute = self.own[name].partition(":")
            return cast(T, getattr(import_module(module), attribute))
        if name in self._entries:
            return cast(T, _imported(self._entries[name], f"{self.key}={name}"))
        near = did_you_mean(name, self)
        raise UnknownName(f"{self.key}={name}: there is none of that name;{near} allowed: {', '.join(self)}")

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        """Of installed packages, looked up once: it takes some 20 ms."""
        return {entry.name: entry for entry in entry_points(group=self.group)}


def _imported(entry: EntryPoint, what: str) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever somebody else's module raises while it is imported
        package = entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BrokenPackage(
            f"{what}: the installed package {package} cannot be imported ({said}); mend or uninstall it"
        ) from error


def _warn_once(text: str) -> None:
    """On stderr, unless this process, or the one that started it, has said so."""
    told = os.environ.get(TOLD, "").split("\n")
    if text not in told:
        os.environ[TOLD] = "\n".join([*told, text]).strip()
        print(f"warning: {text}", file=sys.stderr, flush=True)
