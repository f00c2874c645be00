"""Each run's own log file: its whole story, a failure's traceback included."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tl_sweep.base.secrets import masked


class WithoutPasswords(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Everything logged at INFO or above, warnings included, also goes to ``path``."""
    handler = logging.FileHandler(path)
    handler.setFormatter(WithoutPasswords("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("tl_sweep")
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        handler.close()
