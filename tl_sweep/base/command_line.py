"""What every command shares: a person's mistake ends in one message on stderr and exit code 1, without a traceback;
what is written goes to the terminal, or to a file that is whole."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tl_sweep.base.atomic_files import atomic_write
from tl_sweep.base.errors import UserError
from tl_sweep.base.secrets import masked


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Inside, a ``UserError`` and Ctrl-C are one line on stderr and an exit code. What a terminal cannot show (its
    encoding has no such letter) is shown as ``?``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
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


def format_of(given: str, out: Path | None, *, default: str) -> str:
    """How something is written: as ``format=`` says, or the suffix of ``out=``.

    Raises:
        UserError: these are two.
    """
    suffix = "" if out is None else out.suffix.lower().removeprefix(".")
    if suffix and given not in ("", default, suffix):
        raise UserError(f"format={given} and out={out}: these are two formats; leave out format=")
    return suffix or given or default


def write(text: str, out: Path | None) -> None:
    """To the file ``out``, whole or not at all, or to the terminal.

    Raises:
        UserError: it cannot be written.
    """
    if out is None:
        print(text)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as path:
            path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"out={out}: {error.strerror}; choose another place") from error
    print(f"written: {out}", file=sys.stderr)
