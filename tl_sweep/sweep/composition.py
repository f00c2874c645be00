"""The configuration of each job of a grid, by Hydra."""

from __future__ import annotations

import copy

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from tl_sweep.config.keys import field_paths

VALUES = frozenset(path for path, _ in field_paths())


class Composer:
    """From a job's overrides to its configuration. Hydra composes once per choice of options (0.1 s); plain values are
    put in here."""

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader, self.config = loader, config
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, job: list[str]) -> DictConfig:
        overrides = OverridesParser.create().parse_overrides(job)
        values = [o for o in overrides if not (o.is_add() or o.is_delete()) and o.key_or_group in VALUES]
        choices = tuple(str(override.input_line) for override in overrides if override not in values)
        if choices not in self.composed:
            node = self.loader.load_sweep_config(self.config, list(choices))
            with read_write(node), open_dict(node):
                del node["hydra"]
            self.composed[choices] = node
        node = copy.deepcopy(self.composed[choices])
        for override in values:
            OmegaConf.update(node, override.key_or_group, override.value(), merge=True)
        return node
