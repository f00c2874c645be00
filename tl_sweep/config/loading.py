"""From Hydra's ``DictConfig``, option files or a run's own YAML to a checked ``Config``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.rules import broken_combinations, broken_rules, unread_depth
from tl_sweep.config.schema import DATA_CONFIGS, Config, ConfigError


def parse(node: DictConfig) -> Config:
    """Turn a composed ``DictConfig`` into a ``Config``.

    Raises:
        ConfigError: naming every unknown key, missing value, value out of range and combination that means nothing.
    """
    problems = [*_unknown_keys(node, Config, ""), *_missing_keys(node)]
    if problems:
        raise ConfigError(problems)
    config = OmegaConf.to_object(node)
    assert isinstance(config, Config)
    problems = [*broken_rules(config, ""), *unread_depth(node), *broken_combinations(config)]
    if problems:
        raise ConfigError(problems)
    return config


def conf_dir() -> Path:
    """The option files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def own_conf_dir(sources: Iterable[Any]) -> str:
    """The folder of one's own options that the command line names (``--config-dir``), absolute; empty if it names none.

    sources: Hydra's ``runtime.config_sources``.
    """
    return next((str(source["path"]) for source in sources if source["provider"] == "command-line"), "")


def compose(options: dict[str, str], values: dict[str, Any]) -> Config:
    """A configuration without Hydra: one option per group, then ``values``, nested."""
    node = OmegaConf.structured(Config)
    for name, option in options.items():
        node[name] = OmegaConf.merge(node[name], _option(name, option))
    return parse(OmegaConf.merge(node, values))  # type: ignore[arg-type]


def from_yaml(text: str) -> Config:
    """The inverse of what a run writes down: ``to_dict`` as YAML. It was checked before the run.

    Raises:
        UserError: it is damaged, or has keys that this version does not know.
    """
    try:
        node, recorded = OmegaConf.structured(Config), OmegaConf.create(text)
        source = OmegaConf.select(recorded, "data.name")
        if source in DATA_CONFIGS:
            node.data = OmegaConf.structured(DATA_CONFIGS[source])
        config = OmegaConf.to_object(OmegaConf.merge(node, recorded))
    except (OmegaConfBaseException, YAMLError, TypeError) as error:
        raise UserError(f"not a configuration that a run of this version wrote down: {error}") from error
    assert isinstance(config, Config)
    return config


def no_such_field(name: str, cls: Any, prefix: str) -> str:
    """That a part of the configuration, the dataclass ``cls`` at ``prefix``, has no key of this name; a near miss, and
    what it has."""
    known = [f"{prefix}{item.name}" for item in dataclasses.fields(cls)]
    near = did_you_mean(f"{prefix}{name}", known)
    return f"{prefix}{name}: no such key;{near} allowed here: {', '.join(known)}"


def offer_own_options() -> None:
    """Tell Hydra of each data source that has keys of its own: its class is the option ``data=<name>``."""
    from hydra.core.config_store import ConfigStore

    for name, cls in DATA_CONFIGS.usable().items():
        ConfigStore.instance().store(group="data", name=name, node=cls, provider="tl_sweep")


def _option(group: str, name: str) -> Any:
    if group == "data" and name in DATA_CONFIGS:
        return OmegaConf.structured(DATA_CONFIGS[name])
    return OmegaConf.load(conf_dir() / group / f"{name}.yaml")


def _unknown_keys(node: DictConfig, cls: Any, prefix: str) -> Iterator[str]:
    known = {item.name: item for item in dataclasses.fields(cls)}
    for name in map(str, node):
        if name not in known:
            yield no_such_field(name, cls, prefix)
            continue
        inner = known[name].default_factory
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            own = OmegaConf.get_type(node, name)  # of a data source with keys of its own, a subclass of ``inner``
            yield from _unknown_keys(node[name], own, f"{prefix}{name}.")


def _missing_keys(node: DictConfig) -> Iterator[str]:
    for name in sorted(OmegaConf.missing_keys(node)):
        yield f"{name}: must be given, e.g. {name}=…"
