"""What a person typed, as Hydra reads it: flags first, paths taken literally, slips answered with the corrected words.

Hydra's grammar is for values; a path with a blank, a bracket or an umlaut is a syntax error in it. Here everything that
can only be meant in one way is written as Hydra wants it, and everything else is answered in one line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import Field, dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from tl_sweep.base.errors import did_you_mean
from tl_sweep.base.paths import expanded
from tl_sweep.config.keys import field_paths
from tl_sweep.config.loading import conf_dir
from tl_sweep.config.quoting import in_shell, quoted
from tl_sweep.config.schema import ConfigError

GROUPS = ("model", "freeze", "optim", "data", "augment", "sweep")
OWN_IMAGES = {"data.table": "data=table", "data.root": "data=image_folder"}  # what these alone mean
WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--cfg", "-c", "--package", "-p")
WITH_OPTIONAL_VALUE = {"--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"), "-i": ()}
ALONE = (
    *("--multirun", "-m", "--run", "-r", "--help", "-h", "--hydra-help", "--version", "--resolve"),
    *("--shell-completion", "-sc"),
)
FLAGS = (*ALONE, *WITH_VALUE, *WITH_OPTIONAL_VALUE)
SPAN = re.compile(r"\d+-\d+")


@dataclass(frozen=True)
class CommandLine:
    """flags: with their values, as Hydra reads them. overrides: ``key=value`` words in Hydra's grammar."""

    flags: tuple[str, ...]
    overrides: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return [*self.flags, *self.overrides]


def read_command_line(words: Sequence[str]) -> CommandLine:
    """Sort flags from overrides and write each override in Hydra's grammar.

    Raises:
        ConfigError: one line for each word that cannot be meant as it stands, with the words that were meant.
    """
    flags, typed = _sorted(list(words))
    problems = list(_slips(typed))
    if problems:
        raise ConfigError(problems)
    overrides = [_with_path_quoted(word) for word in typed]
    problems = [problem for word in overrides for problem in _misread(word)]
    if problems:
        raise ConfigError(problems)
    keys = {_key(word) for word in overrides}
    given = (key for key in OWN_IMAGES if key in keys and not overrides[_place(overrides, key)].endswith("=null"))
    own = None if "data" in keys else next(given, None)
    if own:
        overrides.insert(0, OWN_IMAGES[own])
    return CommandLine(tuple(flags), tuple(overrides))


def _sorted(words: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and everything else, each in its order."""
    flags: list[str] = []
    others: list[str] = []
    while words:
        word = words.pop(0)
        name = word.partition("=")[0]
        if name in WITH_VALUE and "=" not in word:
            flags += [word, *([words.pop(0)] if words else [])]
        elif name in WITH_OPTIONAL_VALUE and "=" not in word:
            flags += [word, *([words.pop(0)] if words and words[0] in WITH_OPTIONAL_VALUE["--info"] else [])]
        elif name in FLAGS:
            flags.append(word)
        else:
            others.append(word)
    return flags, others


def _slips(words: list[str]) -> Iterator[str]:
    """Why words cannot be meant as they stand, each with what was meant."""
    skipped = 0
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if skipped:
            skipped -= 1
        elif word.startswith("-"):
            yield _unknown_flag(word, following)
        elif following == "=" or (word.endswith("=") and following and "=" not in following and _is_known(word[:-1])):
            value = words[place + 2] if following == "=" and place + 2 < len(words) else following.strip("=")
            skipped = 2 if following == "=" else 1
            yield f"{word} {following}: no blanks around the equals sign: {_typed(word.rstrip('='), value)}"
        elif word.endswith(",") and "=" in word and following and "=" not in following:
            skipped = 1
            yield f"{word} {following}: no blank after a comma: {word}{following}"
        elif word.endswith(",") and "=" in word and _key(word) not in _paths():
            yield f"{word}: ends in a comma: {word.rstrip(',')}"
        elif "=" not in word and not word.startswith("~"):
            yield _bare(word)
        else:
            yield from _wrong_value(word)


def _unknown_flag(word: str, following: str) -> str:
    name, equals, value = word.lstrip("-").partition("=")
    if _is_known(name):
        return f"{word}: write {_typed(name, value if equals else following or '…')}"
    near = did_you_mean(word, FLAGS)
    return f"{word}: no such flag;{near} --help lists what there is"


def _bare(word: str) -> str:
    if expanded(word).exists():
        return f"{word}: arguments are key=value; images in a folder: {_typed('data.root', word)}"
    near = did_you_mean(word, [*GROUPS, *_fields()])
    return f"{word}: arguments are key=value, for instance freeze=all;{near}".rstrip(";")


def _wrong_value(word: str) -> Iterator[str]:
    key, _, value = word.partition("=")
    if key in GROUPS and value.startswith("["):
        inside = re.sub(r"[\[\] ]", "", value)
        yield f"{word}: a list would mix these options into one; to try each: -m {key}={inside}"
    elif key == "data" and value and not _is_option(key, value) and expanded(value).is_dir():
        yield f"{word}: no such option, but a folder; your own images: {_typed('data.root', value)}"
    elif key in _fields() and "int" in str(_fields()[key].type) and SPAN.fullmatch(value):
        first, last = map(int, value.split("-"))
        listed = ",".join(map(str, range(first, last + 1))) if last - first < 5 else f"range({first},{last + 1})"
        yield f"{word}: not a number; several: -m {key}={listed}"
    elif "." not in key and "/" not in key and not _is_known(key.lstrip("+~")):
        meant = [
            name for name in _fields() if name.rpartition(".")[2] == key and "dict" not in str(_fields()[name].type)
        ]
        if meant:
            yield f"{key}: no such key; did you mean {' or '.join(_typed(name, value) for name in meant)}?"


def _with_path_quoted(word: str) -> str:
    """The word; a path that Hydra cannot read, or reads as something else, in quotes."""
    key, _, value = word.partition("=")
    if key.lstrip("+") not in _paths() or value in ("", "null"):
        return word
    parsed = _parsed(word)
    if parsed is not None and (parsed.is_sweep_override() or value[0] in "'\"" or str(parsed.value()) == value):
        return word
    home = str(expanded(value)) if value.startswith("~") else value
    return f"{key}={quoted(home)}"


def _misread(word: str) -> Iterator[str]:
    """A path with a comma that may be one path or several."""
    key, _, value = word.partition("=")
    parsed = _parsed(word) if key in _paths() else None
    if parsed is None or not parsed.is_sweep_override() or value.startswith(("choice(", "glob(", "range(")):
        return
    parts = [str(part).strip("'\"") for part in value.split(",")]
    if expanded(value).exists() or not all(expanded(part).exists() for part in parts):
        several = ",".join(quoted(part) for part in parts)
        yield (
            f"{word}: one path with a comma, or several? one: {in_shell(f'{key}={quoted(value)}')}; "
            f"several: -m {in_shell(f'{key}={several}')}"
        )


def _parsed(word: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def _fields() -> dict[str, Field[Any]]:
    return dict(field_paths())


def _paths() -> set[str]:
    return {name for name, item in field_paths() if item.metadata.get("path")}


def _typed(key: str, value: str) -> str:
    """As it is typed in a shell."""
    return f"{key}={shlex.quote(value)}"


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _place(words: Sequence[str], key: str) -> int:
    return max(place for place, word in enumerate(words) if _key(word) == key)


def _is_known(name: str) -> bool:
    return name in _fields() or name in GROUPS or name.partition(".")[0].partition("/")[0] == "hydra"


def _is_option(group: str, name: str) -> bool:
    return (conf_dir() / group / f"{name}.yaml").exists()
