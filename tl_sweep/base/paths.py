"""Paths as a person writes them."""

from __future__ import annotations

from pathlib import Path

from tl_sweep.base.errors import UserError


def expanded(text: str) -> Path:
    """The path, ``~`` being the home directory.

    Raises:
        UserError: there is no home directory (``HOME`` is not set, and the user has no entry of his own).
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"{text}: there is no home directory here; set HOME, or give a path without ~ "
            "(weights.dir=…, cache.dir=… are below it by default)"
        ) from error
