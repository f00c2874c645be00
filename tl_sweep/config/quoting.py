"""Words of a command line as Hydra's grammar and a shell take them. Without Hydra, which takes long to import."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

PLAIN = re.compile(r"[\w./:-]+", re.ASCII)  # what Hydra's grammar reads as it stands


def quoted(text: str) -> str:
    """As a quoted string of Hydra's grammar."""
    escaped = re.sub(r"(\\*)'", lambda found: 2 * found[1] + "\\'", text)
    return "'" + re.sub(r"(\\+)$", lambda found: 2 * found[1], escaped) + "'"


def literal(key: str, value: str) -> str:
    """``key=value``; the value in quotes where Hydra might read it as something else."""
    return f"{key}={value if PLAIN.fullmatch(value) else quoted(value)}"


def in_shell(word: str) -> str:
    """A word with single quotes in it, as a shell takes it: ``"data.root='/a,b'"``."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", word) + '"'


def pasted(words: Iterable[str]) -> str:
    """A command line that a shell takes apart into these words."""
    return " ".join(in_shell(word) if "'" in word and "!" not in word else shlex.quote(word) for word in words)
