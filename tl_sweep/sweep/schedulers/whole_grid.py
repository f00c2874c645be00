"""Every job to its end."""

from __future__ import annotations

from collections.abc import Sequence

from tl_sweep.sweep.jobs import Job
from tl_sweep.sweep.schedulers.contract import Evaluate, Result, Trial


class WholeGrid:
    def run(self, jobs: Sequence[Job], evaluate: Evaluate) -> list[Result]:
        return evaluate([Trial(job) for job in jobs])
