"""Arguments of commands that are keys of the configuration: default, rules and help are the configuration's."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

from tl_sweep.base.arguments import argument
from tl_sweep.base.rules import RULES
from tl_sweep.config.keys import field_paths


def config_argument(key: str, *, default: Any = MISSING, doc: str = "") -> Any:
    """A field of a command's arguments for this key. default, doc: where the command's own differ."""
    item = dict(field_paths())[key]
    rules = {rule: item.metadata[rule] for rule in RULES if rule in item.metadata}
    value = item.default if default is MISSING else default
    return argument(value, doc or item.metadata["doc"], key=key, **rules)
