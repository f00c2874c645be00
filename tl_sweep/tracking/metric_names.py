"""Names of metrics as the store takes them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection

LONGEST_NAME = 250  # of a metric, in MLflow


def metric_names(names: Collection[str]) -> dict[str, str]:
    """The names of metrics that are sent together (a class name may be part of one) as MLflow takes them: what it
    refuses is replaced by ``-``. Where two would be one, or one is too long, it ends in a digest of its own."""
    mended = {name: _mended(name) for name in names}
    owners = Counter(mended.values())
    return {
        name: plain if owners[plain] == 1 and len(plain) <= LONGEST_NAME else _distinct(name, plain)
        for name, plain in mended.items()
    }


def _mended(name: str) -> str:
    """With letters that MLflow takes; none of its parts is empty or dots, which it would read as a path."""
    letters = unicodedata.normalize("NFC", name)
    plain = "".join(letter if letter.isalnum() or letter in "_-. :/" else "-" for letter in letters)
    return "/".join("-" * max(1, len(part)) if part in ("", ".", "..") else part for part in plain.split("/"))


def _distinct(name: str, plain: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[: LONGEST_NAME - len(digest) - 1]} {digest}"
