"""Send to the tracking store whatever of the recorded runs it has not.

    python -m tl_sweep.sync [tracking.uri=…]

Also fills a new store from the runs' folders. What is there already stays as it is; exit code 1 if the store fails.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.arguments import read
from tl_sweep.base.command_line import errors_for_people
from tl_sweep.base.errors import UserError
from tl_sweep.config.arguments import config_argument
from tl_sweep.config.schema import local_path


@dataclass(frozen=True)
class Arguments:
    output_dir: str = config_argument("output.dir", doc="where the runs are, one folder each")
    tracking_uri: str = config_argument("tracking.uri", doc="MLflow tracking address that they are sent to")
    tracking_experiment: str = config_argument("tracking.experiment")


def main() -> None:
    with errors_for_people():
        arguments = read(Arguments, sys.argv[1:], __doc__)
        output_dir = local_path(arguments.output_dir)
        if not output_dir.is_dir():
            raise UserError(f"output.dir={output_dir}: there is no such folder; say where the runs are")
        sync(output_dir, arguments.tracking_uri, arguments.tracking_experiment)


def sync(output_dir: Path, uri: str, experiment: str) -> None:
    """Send everything; prints how many runs had something to send.

    Raises:
        UserError: the store does not answer or refuses; what was sent until then stays.
    """
    from tl_sweep.base.secrets import masked
    from tl_sweep.tracking.delivery import Destination, send_waiting
    from tl_sweep.tracking.record import close_dead
    from tl_sweep.tracking.store import open_store

    open_store(uri, experiment)
    close_dead(output_dir)
    result = send_waiting(output_dir, Destination(uri, experiment), everything=True)
    alive = f"; {result.alive} are being run and send for themselves" if result.alive else ""
    print(f"{result.sent} runs of {output_dir} sent to {masked(uri)}{alive}")
    if result.refused:
        raise UserError("\n".join(["the tracking store refuses some:", *result.refused]))


if __name__ == "__main__":
    main()
