"""Where a run stands in its sweep, what it starts from, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass

from tl_sweep.config.schema import Config
from tl_sweep.models.weights.files import WeightsFile
from tl_sweep.tracking.delivery import Destination


@dataclass(frozen=True)
class Position:
    """Where a job stands in its sweep; a single run is job 1 of 1 of no sweep.

    config_dir: of one's own options, as the command line names it; empty: none. key: of the run. stop_after: so many
    epochs of its schedule it pauses; None: it goes on to its end.
    """

    job: int = 1
    num_jobs: int = 1
    started_at_s: float = 0.0
    sweep_id: str = ""
    overrides: tuple[str, ...] = ()
    config_dir: str = ""
    key: str = ""
    stop_after: int | None = None

    @property
    def command(self) -> str:
        """Names the very command that made the sweep, on whatever machine its jobs run; empty for a single run."""
        return f"{self.sweep_id} {self.started_at_s!r}" if self.sweep_id else ""


class Paused(float):
    """What a run returns that stopped where it was asked to: validation accuracy so far, and why it stopped."""

    reason: str

    def __new__(cls, val_acc: float, reason: str = "") -> Paused:
        paused = super().__new__(cls, val_acc)
        paused.reason = reason
        return paused


@dataclass(frozen=True)
class Start:
    """What a network starts from.

    file: of its weights; None: it starts at random. pooled: without the authors' hidden linear layers.
    """

    file: WeightsFile | None = None
    pooled: bool = False


def destination_of(config: Config) -> Destination | None:
    """The tracking store that the run tells; None: nobody."""
    tracking = config.tracking
    return None if tracking.uri is None else Destination(tracking.uri, tracking.experiment)
