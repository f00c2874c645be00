"""Passwords in addresses are masked wherever one is written down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


SECRETS = (
    re.compile(r"(://[^:/@\s]*:)(?!\d{1,5}/)[^\s'\"]+(?=@)"),  # up to the last @; a port is none
    re.compile(r"([?&](?:password|passwd|token)=)[^&\s'\"]+"),
)


def masked(text: str) -> str:
    """``text`` with every password in an address (``scheme://user:password@host``, ``?password=…``) as ``***``."""
    for secret in SECRETS:
        text = secret.sub(r"\1***", text)
    return text
