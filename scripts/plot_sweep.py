"""The comparison of finished sweeps as a picture:

    python scripts/plot_sweep.py OUT.png SWEEP_ID...

By labelled images per class where the sweeps vary these, else by strategy. A sweep's id stands in its last lines; the
runs are read from mlflow.db in the working directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tl_sweep.comparison.analysis import Question
from tl_sweep.config.schema import OutputConfig, TrackingConfig, WeightsConfig, local_path
from tl_sweep.report.figures import draw_labels, draw_strategies
from tl_sweep.run.finished import Files
from tl_sweep.sweep.conclusion import study_of
from tl_sweep.tracking.store import recorded_runs


def main(path: str, *sweeps: str) -> None:
    uri, experiment = str(TrackingConfig.uri), TrackingConfig.experiment
    runs = [run for sweep in sweeps for run in recorded_runs(uri, experiment, sweep)]
    files = Files(uri, local_path(str(WeightsConfig.dir)), local_path(str(OutputConfig.dir)))
    study = study_of(runs, Question("picture"), files)
    if study.gains:
        draw_labels(study.gains, Path(path))
    else:
        draw_strategies(study.rows, Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
