"""A command's arguments as a frozen dataclass: types, defaults, rules and help of each key stand in one place.

    @dataclass(frozen=True)
    class Arguments:
        run: str = argument("", "id of the run")
        out: Path = argument(Path("exported"), "the folder to write to")
        keep_days: int | None = argument(None, "null: for ever", key="keep.days", ge=1)

    arguments = read(Arguments, sys.argv[1:], __doc__)

A field's type is one of bool, int, float, str, Path, a tuple of these (``tuple[int, ...]``, written with commas), or
any of these ``| None``.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.paths import expanded
from tl_sweep.base.rules import RULES, broken_field

T = TypeVar("T")

TRUTH = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
NULL = ("null", "none")
HELP_COLUMNS = 120


def argument(default: Any, doc: str, *, key: str = "", **rules: Any) -> Any:
    """A field of a command's arguments. key: as a person types it, where that is not the field's name.

    rules: ``choices``, ``ge``, ``gt``, ``le``, ``lt``, ``suffixes`` of a file, ``folder=True``; of each value where the
    type is a tuple.
    """
    return field(default=default, metadata={"doc": doc, "key": key, **rules})


@dataclass(frozen=True)
class Key:
    """One key of a command. kind: the type of its values; nullable: whether None is one of them, too."""

    name: str
    attribute: str
    kind: Any
    nullable: bool
    default: Any
    doc: str
    rules: dict[str, Any]


def keys_of(cls: type) -> dict[str, Key]:
    """The keys that a person may type, in the order of the fields."""
    hints = get_type_hints(cls)
    keys = {}
    for item in fields(cls):
        alternatives = get_args(hints[item.name]) if get_origin(hints[item.name]) is not tuple else ()
        (kind,) = [each for each in alternatives if each is not type(None)] or [hints[item.name]]
        name = item.metadata["key"] or item.name
        rules = {rule: item.metadata[rule] for rule in RULES if rule in item.metadata}
        nullable = type(None) in alternatives
        keys[name] = Key(name, item.name, kind, nullable, item.default, item.metadata["doc"], rules)
    return keys


def read(cls: type[T], words: Sequence[str], usage: str | None) -> T:
    """The command's arguments from ``key=value``, ``--key=value`` and ``--key value``; ``--help`` prints and exits.

    usage: what is printed for ``--help``, before a table of the keys.

    Raises:
        UserError: every word that is not understood, and every value that is not allowed, a line each.
    """
    arguments, others = read_with_words(cls, words, usage)
    if others:
        raise UserError("\n".join(f"{word}: unknown; keys: {', '.join(keys_of(cls))}" for word in others))
    return arguments


def read_with_words(cls: type[T], words: Sequence[str], usage: str | None) -> tuple[T, list[str]]:
    """As ``read``, with the words that are neither options nor ``key=value``. A word with ``=`` in it that names an
    existing file is a file."""
    if {"-h", "--help"} & set(words):
        print(help_of(cls, usage))
        sys.exit(0)
    keys = keys_of(cls)
    values: dict[str, Any] = {}
    others: list[str] = []
    problems: list[str] = []
    for word in spelled_alike(words, keys):
        name, separator, text = word.partition("=")
        if separator and name in keys:
            try:
                values[keys[name].attribute] = value = converted(text, keys[name])
            except ValueError as error:
                problems.append(f"{word}: {error}")
            else:
                parts = value if isinstance(value, tuple) else () if value is None else (value,)
                problems += (line for part in parts for line in broken_field(name, part, keys[name].rules))
        elif word.startswith("-") or (separator and not Path(word).exists()):
            problems.append(f"{word}: unknown;{did_you_mean(name, keys)} keys: {', '.join(keys)}")
        else:
            others.append(word)
    if problems:
        raise UserError("\n".join(problems))
    return cls(**values), others


def spelled_alike(words: Sequence[str], names: Collection[str]) -> Iterator[str]:
    """``--key value`` and ``--key=value`` as ``key=value``, for the keys in ``names``; everything else as it is."""
    rest = iter(words)
    for word in rest:
        plain = word.removeprefix("--")
        name, separator, _ = plain.partition("=")
        if not word.startswith("--") or name not in names:
            yield word
        else:
            yield plain if separator else f"{name}={next(rest, '')}"


def converted(text: str, key: Key) -> Any:
    """The value that ``text`` means for this key.

    Raises:
        ValueError: it means none; says what is needed.
    """
    if key.nullable and text.lower() in NULL:
        return None
    if get_origin(key.kind) is tuple:
        return tuple(_CONVERT[get_args(key.kind)[0]](part) for part in text.strip("[]").split(",")) if text else ()
    return _CONVERT[key.kind](text)


def _bool(text: str) -> bool:
    if text.lower() not in TRUTH:
        raise ValueError(f"allowed: {', '.join(TRUTH)}")
    return TRUTH[text.lower()]


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("a whole number is needed") from error


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError("a number is needed") from error


def _path(text: str) -> Path:
    return expanded(text)


_CONVERT: dict[type, Callable[[str], Any]] = {bool: _bool, int: _int, float: _float, str: str, Path: expanded}


def help_of(cls: type, usage: str | None) -> str:
    """``usage``, then a table of the keys: name, default, what it is."""
    keys = keys_of(cls)
    rows = [(key.name, _written(key.default), _explained(key)) for key in keys.values()]
    name_width, default_width = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    lines = [(usage or "").strip(), "", "keys, as key=value or --key value, with what they are when not given:"]
    for name, default, doc in rows:
        first, *more = textwrap.wrap(doc, max(40, HELP_COLUMNS - 2 - name_width - default_width))
        lines.append(f"  {name:{name_width}}{default:{default_width}}{first}")
        lines += [" " * (2 + name_width + default_width) + line for line in more]
    return "\n".join(lines)


def _written(value: Any) -> str:
    """A default as a person would type it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _explained(key: Key) -> str:
    choices = key.rules.get("choices")
    return f"{key.doc} ({', '.join(choices)})" if choices else key.doc
