"""The strategy comparison of finished sweeps as a picture:

    python scripts/plot_sweep.py OUT.png BACKBONES SWEEP_ID...      (BACKBONES: squeezenet1_1,mobilenet_v2)

A sweep's id stands in its last lines; the runs are read from mlflow.db in the working directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tl_sweep.config import TrackingConfig
from tl_sweep.report.choice import choose
from tl_sweep.report.figures import strategies
from tl_sweep.tracking.store import runs_of_sweep


def main(path: str, backbones: str, *sweeps: str) -> None:
    uri, experiment = str(TrackingConfig.uri), TrackingConfig.experiment
    runs = [run for sweep in sweeps for run in runs_of_sweep(uri, experiment, sweep)]
    strategies(choose(run for run in runs if run.tags["backbone"] in backbones.split(",")), Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
