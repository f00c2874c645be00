"""Hydra's and OmegaConf's complaints about an override, in one line: what is wrong, what is allowed, a near miss."""

from __future__ import annotations

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from tl_sweep.config import field_paths
from tl_sweep.types import did_you_mean

GROUPS = ("model", "freeze", "optim", "data", "augment", "sweep")


def explain(error: Exception, arguments: list[str]) -> str:
    """One line for ``error``, which composing the configuration for the command line ``arguments`` raised."""
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read; quote values with blanks, brackets or commas: \"key='a (b)'\""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error)
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    first_line = str(error).splitlines()[0]
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _wrong_value(cause, arguments)
    if unknown := _unknown_keys(arguments):
        return unknown
    return first_line if cause is None else f"{first_line} ({str(cause).splitlines()[0]})"


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = [name for name in error.options or [] if not name.startswith("_")]
    if not options:
        return f"{group or option}: {str(error).splitlines()[0]}"
    return f"{group}={option}: no such option;{did_you_mean(option, options)} allowed: {', '.join(options)}"


def _wrong_value(cause: OmegaConfBaseException, arguments: list[str]) -> str:
    name = str(cause.full_key)
    known = [path for path, _ in field_paths()]
    if name not in known and not any(path.startswith(f"{name}.") for path in known):
        near = did_you_mean(name, known)
        inside = [path for path in known if path.startswith(name.rpartition(".")[0] + ".")] if "." in name else []
        return f"{name}: no such key;{near}" + (f" allowed here: {', '.join(inside)}" if inside else "")
    given = next((a for a in arguments if a.lstrip("+").startswith(f"{name}=")), name)
    return f"{given}: {str(cause.msg or cause).splitlines()[0]}"


def _unknown_keys(arguments: list[str]) -> str:
    known = [path for path, _ in field_paths()]
    for argument in arguments:
        name = argument.partition("=")[0].lstrip("+~")
        if "=" in argument and name not in known and name not in GROUPS and not name.startswith("hydra"):
            near = did_you_mean(name, GROUPS) or did_you_mean(name, [*known, *(path.split(".")[0] for path in known)])
            return f"{name}: no such key;{near} groups: {', '.join(GROUPS)}; keys: --help lists them"
    return ""
