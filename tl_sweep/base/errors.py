"""Small values that every room may use.

Shapes: N images, B batch, C channels, H height, W width, K classes, D features."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something a person can mend: what is wrong, where, and what to do. Shown without a traceback."""


class JobFailed(UserError):
    """A run that started and could not end well (non-finite loss, a frozen tensor that moved)."""


class Misfit(str):
    """Why values that are allowed each mean nothing together.

    unread: the key that is given and not read; empty where no single key is to blame.
    """

    unread: str

    def __new__(cls, text: str, unread: str = "") -> Misfit:
        misfit = super().__new__(cls, text)
        misfit.unread = unread
        return misfit


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """``" did you mean 'early'?"`` (with its leading blank) for a near miss, else an empty string."""
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" did you mean {close[0]!r}?" if close else ""
