"""What a sweep says at its end: of a baseline that goes by another name than ours, and of runs that wait to be sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Answer

from tl_sweep.comparison.analysis import Question
from tl_sweep.comparison.study import Study
from tl_sweep.config.schema import Config
from tl_sweep.run.finished import Files
from tl_sweep.sweep.conclusion import study_of, sync_command
from tl_sweep.tracking.record import Record, folders_in
from tl_sweep.train import main

TINY = (
    "hydra/launcher=basic",
    "epochs=1",
    "threads=1",
    "num_workers=1",
    "tracking.uri=null",
    "data.image_size=16",
    "data.shots=2,3",
)
OWN = """
name: from_nothing
phases: [{frozen: "0"}]
pretrained: false
solver: adamw
lr: {adamw: 2e-3}
"""


@pytest.fixture
def own_baseline(command: Callable[..., Answer], tmp_path: Path) -> tuple[Answer, Study]:
    """A sweep of fine-tuning and a strategy of one's own that starts at random, and its comparison."""
    options = tmp_path / "options" / "freeze"
    options.mkdir(parents=True)
    (options / "from_nothing.yaml").write_text(OWN)
    answer = command(main, "-m", f"--config-dir={options.parent}", *TINY, "freeze=from_nothing,none")
    records = [Record(folder).summary() for folder in folders_in(Path("runs").absolute())]
    runs = [record for record in records if record is not None]
    return answer, study_of(runs, Question("test"), Files(None, tmp_path / "weights", tmp_path / "runs"))


def test_a_baseline_is_one_by_what_it_does_and_not_by_its_name(own_baseline: tuple[Answer, Study]) -> None:
    answer, study = own_baseline
    assert answer.code == 0, answer
    assert "no baseline" not in answer.out
    assert {row.strategy: row.kind for row in study.rows} == {"from_nothing": "baseline", "none": "fine-tuning"}
    for row in (row for row in study.rows if row.strategy == "none"):
        assert row.vs_baseline is not None
        assert row.vs_baseline.difference.estimate == pytest.approx(
            row.test_acc.estimate - baseline_acc(study, dict(row.axes)["data.shots"])
        )
        assert row.time_to_baseline is not None
    (gain,) = (gain for gain in study.gains if gain.strategy == "none")
    assert None not in gain.gains
    assert any(sentence.startswith("resnet_small: from_nothing ") for sentence in study.crossings)


def baseline_acc(study: Study, shots: str) -> float:
    (row,) = (row for row in study.rows if row.is_baseline and dict(row.axes)["data.shots"] == shots)
    return row.test_acc.estimate


def test_the_command_that_sends_the_rest_says_where_from_and_where_to(make_config: Callable[..., Config]) -> None:
    plain = Config()
    assert sync_command(make_config(output={"dir": plain.output.dir}, tracking={"uri": plain.tracking.uri})) == (
        "python -m tl_sweep.sync"
    )
    elsewhere = make_config(output={"dir": "my runs"}, tracking={"uri": "http://host:5000", "experiment": "mine"})
    assert sync_command(elsewhere) == (
        "python -m tl_sweep.sync 'output.dir=my runs' tracking.uri=http://host:5000 tracking.experiment=mine"
    )
