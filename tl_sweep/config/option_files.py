"""What is wrong in a person's own option file, in lines that name the file, the key or the line, and what to do."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, ConfigTypeError, OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

from tl_sweep.config.loading import conf_dir, no_such_field
from tl_sweep.config.schema import DATA_CONFIGS, Config, ConfigError

FOLDER_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")
COMPOSED = re.compile("In '(.*?)': .* raised while composing config")
OF_HYDRA = ("defaults", "hydra")  # keys that a file may have, and the configuration has not
ADVICE = {  # of what YAML says → what to do
    r"character '\t'": "a tab stands where blanks must; indent with blanks",
    "duplicate key": "the key stands twice; leave one of them",
    "mapping values are not allowed": "a key where none may be; keys of one level begin in the same column",
    "could not find expected ':'": "a key without its value; write key: value",
    "end of stream": "the quote is never closed; close it",
    "expected ',' or": "the bracket is never closed, or a comma is missing",
    "expected <block end>": "the line does not fit those above it; keys of one level begin in the same column",
}


def unreadable_file(error: YAMLError | UnicodeDecodeError, flags: Sequence[str]) -> str:
    """One line for a file that is no YAML: its name, the line, and what to do."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        quoted = "quoted scalar" in str(error.context) and error.context_mark is not None
        mark = error.context_mark if quoted else error.problem_mark
        assert mark is not None
        words = f"{error.problem} {error.context or ''}"
        advice = next((text for said, text in ADVICE.items() if said in words), str(error.problem))
        return f"{_shown(Path(mark.name))}, line {mark.line + 1}: {advice}"
    if isinstance(error, ReaderError):
        return f"{_shown(Path(str(error.name)))}: a character that YAML has not ({error.reason}); delete it"
    for path in (path for folder in _own_folders(flags) for path in sorted(folder.rglob("*.yaml"))):
        if not _is_utf8(path):
            return f"{_shown(path)}: it is not in UTF-8; save it as UTF-8"
    return f"an option file cannot be read: {error}"


def misfitting_file(error: ConfigCompositionException, flags: Sequence[str]) -> list[str]:
    """A line for each key of the file that ``error`` is about which the configuration has not, or not so; none where
    the error is about no file."""
    named = COMPOSED.match(str(error))
    path = _file_of(named[1], flags) if named else None
    if named is None or path is None:
        return []
    content, group = OmegaConf.to_container(OmegaConf.load(path)), named[1].rpartition("/")[0]
    if not isinstance(content, dict):
        return [f"{_shown(path)}: it holds a list; an option file has a line per key: value"]
    is_global = "@package _global_" in path.read_text(encoding="utf-8")
    cls, prefix = (Config, "") if is_global or not group else (_class_of(group, content), f"{group}.")
    found = [f"{_shown(path)}: {problem}" for problem in _misfits(content, cls, prefix)]
    return found or [f"{_shown(path)}: {str(error.__context__).splitlines()[0]}"]


@contextmanager
def own_files_named(flags: Sequence[str], overrides: Sequence[str]) -> Iterator[None]:
    """Inside, a ``ConfigError`` about a key that one's own option file gives, or should have given, names the file."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError([_with_file(problem, flags, overrides) for problem in error.problems]) from error


def _with_file(problem: str, flags: Sequence[str], overrides: Sequence[str]) -> str:
    given = re.match(r"([a-z_]+)\.([a-z_.]+)", problem)
    if given is None or any(word.lstrip("+").startswith(f"{given[0]}=") for word in overrides):
        return problem
    chosen = [word.partition("=")[2].split(",") for word in overrides if word.startswith(f"{given[1]}=")]
    for option in chosen[-1] if chosen else []:
        path = _file_of(f"{given[1]}/{option}", flags)
        if path is None or path.is_relative_to(conf_dir()):
            continue
        content = OmegaConf.load(path)
        if given[2].partition(".")[0] in content or "must be given" in problem:
            return f"{_shown(path)}: {problem}"
    return problem


def _misfits(content: Mapping[Any, Any], cls: Any, prefix: str) -> Iterator[str]:
    """A line per key that ``cls`` has not, or not with such a value."""
    fields = {item.name: item for item in dataclasses.fields(cls)}
    for name, value in content.items():
        inner = fields[name].default_factory if name in fields else None
        if name not in fields and not (prefix == "" and name in OF_HYDRA):
            yield no_such_field(str(name), cls, prefix)
        elif dataclasses.is_dataclass(inner) and isinstance(value, dict):
            yield from _misfits(value, _class_of(name, value) if prefix == "" else inner, f"{prefix}{name}.")
        elif name in fields:
            try:
                OmegaConf.merge(OmegaConf.structured(cls), {name: value})
            except OmegaConfBaseException as error:
                yield _wrong(error, name, f"{prefix}{name}")


def _wrong(error: OmegaConfBaseException, name: str, path: str) -> str:
    inner = error.object_type
    if isinstance(error, ConfigKeyError) and dataclasses.is_dataclass(inner):
        return no_such_field(str(error.key), inner, f"{path}.")
    if isinstance(error, ConfigTypeError):
        return f"{path}: a list is wanted; begin each entry with '- '"
    return f"{path}{str(error.full_key or name).removeprefix(name)}: {str(error.msg or error).splitlines()[0]}"


def _class_of(group: str, content: Mapping[Any, Any]) -> Any:
    if group == "data" and content.get("name") in DATA_CONFIGS:
        return DATA_CONFIGS[content["name"]]
    fields = {item.name: item.default_factory for item in dataclasses.fields(Config)}
    inner = fields.get(group)
    return inner if dataclasses.is_dataclass(inner) else Config


def _file_of(option: str, flags: Sequence[str]) -> Path | None:
    paths = [folder / f"{option}.yaml" for folder in (*_own_folders(flags), conf_dir())]
    return next((path for path in paths if path.is_file()), None)


def _own_folders(flags: Sequence[str]) -> list[Path]:
    """Those that the command line names."""
    joined = [flag.partition("=") for flag in flags]
    given = [value for name, equals, value in joined if equals and name in FOLDER_FLAGS]
    given += [value for flag, value in pairwise(flags) if flag in FOLDER_FLAGS]
    return [Path(folder) for folder in given]


def _shown(path: Path) -> str:
    """As it is typed here."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def _is_utf8(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True
