"""What is kept on disk for every sweep: decoded images and the outputs of frozen stages.

    python -m tl_sweep.cache list
    python -m tl_sweep.cache prune  [cache.max_gb=…]     # the least recently used go first; 0: all
    python -m tl_sweep.cache verify                      # reads everything; exit code 1 if damaged

Nothing here is needed to repeat a run: what is missing or damaged is computed again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tl_sweep.base.arguments import read_with_words
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError, did_you_mean
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.schema import local_path

COMMANDS = ("list", "prune", "verify")


@dataclass(frozen=True)
class Arguments:
    cache_dir: str = config_argument("cache.dir")
    cache_max_gb: float = config_argument("cache.max_gb", doc="prune: the least recently used go beyond this")


def print_entries(folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from tl_sweep.array_store.store import RowStore

    table = Table("entry", "what", "rows", "MB", "last used")
    for kept in reversed(RowStore(folder, 0).entries()):
        what, rows = (
            (what_rows_are(kept.contents.description), kept.contents.rows) if kept.contents else ("never finished", 0)
        )
        used = datetime.fromtimestamp(kept.used_at_s)
        table.add_row(kept.folder.name[:12], what, f"{rows:,}", f"{kept.bytes / 1e6:,.1f}", f"{used:%F %T}")
    Console().print(table if table.rows else f"{folder}: nothing is kept here")


def what_rows_are(description: dict[str, object]) -> str:
    """``decoded images, 146 px``, ``6 stages of resnet18, 128 px, clean``."""
    match description:
        case {"rows": "decoded images", "working_px": working_px}:
            return f"decoded images, {working_px} px"
        case {"network": network, "stages": [*stages], "preprocessing": {"image_px": image_px}, "views": views}:
            kind = "clean" if views is None else "augmented"
            name = str(network).partition("(")[0].rpartition(".")[2]
            return f"{len(stages)} stages of {name}, {image_px} px, {kind}"
    return str(description.get("rows", "?"))


def prune(folder: Path, max_gb: float) -> None:
    from tl_sweep.array_store.store import RowStore

    max_bytes = max_gb * 1e9
    store = RowStore(folder, max_bytes)
    before = sum(kept.bytes for kept in store.entries())
    removed = store.prune(max_bytes)
    left = sum(kept.bytes for kept in store.entries())
    print(f"{len(removed)} entries removed, {(before - left) / 1e6:.1f} MB; {left / 1e6:.1f} MB left in {folder}")


def verify(folder: Path) -> None:
    """Print that all is whole.

    Raises:
        UserError: listing every damaged file.
    """
    from tl_sweep.array_store.store import RowStore

    store = RowStore(folder, 0)
    damaged = [str(path) for path in store.damaged()]
    if damaged:
        raise UserError("damaged; what is in them is computed again when it is needed:\n" + "\n".join(damaged))
    print(f"{len(store.entries())} entries in {folder} are whole")


def main() -> None:
    with errors_for_people():
        arguments, words = read_with_words(Arguments, sys.argv[1:], __doc__)
        if len(words) != 1 or words[0] not in COMMANDS:
            near = did_you_mean(words[0], COMMANDS) if words else ""
            raise UserError(f"python -m tl_sweep.cache {'|'.join(COMMANDS)};{near}".rstrip(";"))
        folder = local_path(arguments.cache_dir)
        from tl_sweep.array_store.segments import StoreFull

        try:
            match words[0]:
                case "list":
                    print_entries(folder)
                case "prune":
                    prune(folder, arguments.cache_max_gb)
                case _:
                    verify(folder)
        except StoreFull as error:
            raise UserError(str(error)) from error


if __name__ == "__main__":
    main()
