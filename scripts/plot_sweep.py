"""The strategy comparison of a finished sweep as a picture:

    python scripts/plot_sweep.py SWEEP_ID OUT.png [TRACKING_URI]

The sweep's id stands in its last lines.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tl_sweep.config import TrackingConfig
from tl_sweep.report.choice import choose
from tl_sweep.report.figures import strategies
from tl_sweep.tracking.store import runs_of_sweep


def main(sweep: str, path: str, uri: str = str(TrackingConfig.uri)) -> None:
    strategies(choose(runs_of_sweep(uri, TrackingConfig.experiment, sweep)), Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
