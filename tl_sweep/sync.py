"""Send to the tracking store whatever of the recorded runs it has not.

    python -m tl_sweep.sync [output.dir=runs] [tracking.uri=sqlite:///mlflow.db] [tracking.experiment=tl_sweep]

Also fills a new store from the runs' folders. What is there already stays as it is; exit code 1 if the store fails.
"""

from __future__ import annotations

import sys

from tl_sweep.base.command_line import errors_for_people, read_arguments
from tl_sweep.base.errors import UserError
from tl_sweep.config.schema import OutputConfig, TrackingConfig, local_path

DEFAULTS = {
    "output.dir": str(OutputConfig.dir),
    "tracking.uri": str(TrackingConfig.uri),
    "tracking.experiment": TrackingConfig.experiment,
}


def main() -> None:
    with errors_for_people():
        values, others = read_arguments(sys.argv[1:], DEFAULTS, __doc__)
        output_dir = local_path(values["output.dir"])
        if others or not output_dir.is_dir():
            raise UserError(f"output.dir={output_dir}: there is no such folder; say where the runs are")
        sync(values["output.dir"], values["tracking.uri"], values["tracking.experiment"])


def sync(output_dir: str, uri: str, experiment: str) -> None:
    """Send everything; prints how many runs had something to send.

    Raises:
        UserError: the store does not answer or refuses; what was sent until then stays.
    """
    from tl_sweep.base.secrets import masked
    from tl_sweep.tracking.delivery import Destination, send_waiting
    from tl_sweep.tracking.record import close_dead
    from tl_sweep.tracking.store import open_store

    folder = local_path(output_dir)
    open_store(uri, experiment)
    close_dead(folder)
    result = send_waiting(folder, Destination(uri, experiment), everything=True)
    alive = f"; {result.alive} are being run and send for themselves" if result.alive else ""
    print(f"{result.sent} runs of {folder} sent to {masked(uri)}{alive}")
    if result.refused:
        raise UserError("\n".join(["the tracking store refuses some:", *result.refused]))


if __name__ == "__main__":
    main()
