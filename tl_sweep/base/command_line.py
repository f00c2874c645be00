"""What every command shares: a person's mistake ends in one message on stderr and exit code 1, without a traceback."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
