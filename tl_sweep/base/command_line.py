"""What every command shares: a person's mistake ends in one message on stderr and exit code 1, without a traceback."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.base.secrets import masked


@contextmanager
def errors_for_people() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        print("error: " + "\n       ".join(masked(str(error)).splitlines()), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        print("stopped", file=sys.stderr)
        sys.exit(143 if isinstance(stop, Terminated) else 130)


class Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception: what is open gets closed."""


@contextmanager
def terminable() -> Iterator[None]:
    """Inside, SIGTERM raises ``Terminated``. Another one changes nothing: what is being closed gets closed."""

    def stop(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def read_arguments(
    arguments: list[str], defaults: dict[str, str], usage: str | None
) -> tuple[dict[str, str], list[str]]:
    """``key=value`` words, checked against ``defaults``, and the other words. ``--key value`` means the same.

    ``usage`` is printed for ``--help``. An argument with ``=`` that names an existing file is a file.

    Raises:
        UserError: an unknown key, or an option of another form.
    """
    if {"-h", "--help"} & set(arguments):
        print(usage)
        sys.exit(0)
    values, others = dict(defaults), []
    for argument in spelled_alike(arguments, defaults):
        name, separator, value = argument.partition("=")
        if separator and name in defaults:
            values[name] = value
        elif argument.startswith("-") or (separator and not Path(argument).exists()):
            raise UserError(f"{argument}: unknown;{did_you_mean(name, defaults)} keys: {', '.join(defaults)}")
        else:
            others.append(argument)
    return values, others


def spelled_alike(arguments: Sequence[str], names: Collection[str]) -> Iterator[str]:
    """``--key value`` and ``--key=value`` as ``key=value``, for the keys in ``names``; everything else as it is."""
    words = iter(arguments)
    for word in words:
        plain = word.removeprefix("--")
        name, separator, _ = plain.partition("=")
        if not word.startswith("--") or name not in names:
            yield word
        else:
            yield plain if separator else f"{name}={next(words, '')}"
