"""Hydra's and OmegaConf's complaints about an override, in one line: what is wrong, what is allowed, a near miss."""

from __future__ import annotations

import re

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, InterpolationResolutionError, OmegaConfBaseException
from yaml import YAMLError

from tl_sweep.base.errors import did_you_mean
from tl_sweep.config.keys import field_paths, own_fields
from tl_sweep.config.option_files import misfitting_file, unreadable_file
from tl_sweep.config.schema import DATA_CONFIGS
from tl_sweep.config.typed import CommandLine

GROUPS = ("model", "freeze", "optim", "objective", "data", "augment", "sweep")
LISTS = {path for path, item in field_paths() if str(item.type).startswith("list")}
AMBIGUOUS = re.compile("Ambiguous value for argument '(.*)'")
PREFIXES = {path.rpartition(".")[0] for path, _ in field_paths()} - {""}


def explain(error: Exception, typed: CommandLine) -> list[str]:
    """Lines for ``error``, which composing the configuration for a command line raised."""
    if isinstance(error, YAMLError | UnicodeDecodeError):
        return [unreadable_file(error, typed.flags)]
    in_file = misfitting_file(error, typed.flags) if isinstance(error, ConfigCompositionException) else []
    return in_file or [_of_overrides(error, list(typed.overrides))]


def _of_overrides(error: Exception, arguments: list[str]) -> str:
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read; quote values with blanks, brackets or commas: \"key='a (b)'\""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error)
    first_line = str(error).splitlines()[0]
    if ambiguous := AMBIGUOUS.match(first_line):
        key, _, values = ambiguous[1].partition("=")
        one = f"; one value that is a list: {key}=[{values}]" if key in LISTS else ""
        return f"{ambiguous[1]}: several values need -m{one}"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _wrong_value(cause, arguments)
    unknown = [name for argument in arguments if (name := _named(argument)) and not _is_known(name)]
    if unknown:
        return _no_such_key(unknown[0])
    return first_line if cause is None else f"{first_line} ({str(cause).splitlines()[0]})"


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = [name for name in error.options or [] if not name.startswith("_")]
    if not options:
        return f"{group or option}: {str(error).splitlines()[0]}"
    return f"{group}={option}: no such option;{did_you_mean(option, options)} allowed: {', '.join(options)}"


def _wrong_value(cause: OmegaConfBaseException, arguments: list[str]) -> str:
    name = str(cause.full_key)
    if not _is_known(name) and not isinstance(cause, InterpolationResolutionError):
        return _no_such_key(name)
    if isinstance(cause, ConfigAttributeError):
        return f"{name}: only data={', data='.join(_sources_with(name))} has this key"
    given = next((a for a in arguments if a.lstrip("+").startswith(f"{name}=")), name)
    return f"{given}: {str(cause.msg or cause).splitlines()[0]}"


def _named(argument: str) -> str:
    """The key of ``key=value``; empty for anything else."""
    name, equals, _ = argument.partition("=")
    return name.lstrip("+~") if equals else ""


def _is_known(name: str) -> bool:
    return name in _keys() or name in PREFIXES or name in GROUPS or re.split("[./]", name)[0] == "hydra"


def _keys() -> list[str]:
    return [path for path, _ in field_paths()]


def _sources_with(name: str) -> list[str]:
    """The data sources that have this key for themselves."""
    return [
        source
        for source, cls in DATA_CONFIGS.usable().items()
        if name in (f"data.{item.name}" for item in own_fields(cls))
    ]


def _no_such_key(name: str) -> str:
    near = did_you_mean(name, [*GROUPS, *_keys()])
    beside = [key for key in _keys() if key.startswith(f"{name.rpartition('.')[0]}.")]
    if beside:
        return f"{name}: no such key;{near} allowed here: {', '.join(beside)}"
    return f"{name}: no such key;{near} groups: {', '.join(GROUPS)}; keys: --help lists them"
