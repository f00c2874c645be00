"""Passwords and tokens in addresses are masked wherever one is written down.

Rather too much is masked than too little: a text around an address may lose a few words, never keep a secret.
"""

from __future__ import annotations

import re

MASK = "***"
SCHEME = "://"
HOST = re.compile(r"(?:localhost|\[[0-9A-Fa-f:.]+\]|[\w-]+(?:\.[\w-]+)+)(?::\d{1,5})?")
PORT = re.compile(r"[\w.-]+:\d{1,5}")
OPENING_QUOTE = re.compile(r"""(["'])[A-Za-z][\w+.-]*$""")
SECRET_VALUE = re.compile(
    r"([?&;][\w.%-]*(?:password|passwd|pwd|token|secret|key|signature|sig|credential)[\w.%-]*=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """``text`` with every secret of an address as ``***``: a password (``scheme://user:password@host``, also one with
    blanks, quotes or an ``@``), a token in the user's place (``scheme://token@host``), and the values of keys that say
    so (``?access_token=…``, ``?sslpassword=…``, ``?api_key=…``).

    What looks like a port and a path (``scheme://word:80/x@y``) is taken for that.
    """
    return "\n".join(map(_masked_line, text.split("\n")))


def _masked_line(line: str) -> str:
    before, *others = line.split(SCHEME)
    parts = [before]
    for rest in others:
        opening = OPENING_QUOTE.search(parts[-1])
        end = _closing(rest, opening[1]) if opening else len(rest)
        parts.append(SECRET_VALUE.sub(rf"\g<1>{MASK}", _without_login(rest[:end])) + rest[end:])
    return SCHEME.join(parts)


def _closing(rest: str, quote: str) -> int:
    """Where the quote closes that stands before the address; the end of ``rest`` if nowhere."""
    found = re.search(rf"(?<!\\){quote}", rest)
    return found.start() if found else len(rest)


def _without_login(rest: str) -> str:
    """What stands behind ``://``, up to the line's end or the next address. A login ends at its last ``@``, unless what
    begins it is a host already, so that the ``@`` stands somewhere behind the address."""
    login, at, behind = rest.rpartition("@")
    begins = re.split(r"[/\s]", login, maxsplit=1)[0]
    is_host = HOST.fullmatch(begins) or (PORT.fullmatch(begins) and login[len(begins) :].startswith("/"))
    if not at or not begins or (begins != login and is_host):
        return rest
    user, colon, _ = login.partition(":")
    return f"{user}:{MASK}@{behind}" if colon else f"{MASK}@{behind}"
