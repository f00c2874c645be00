"""What a record says in structured values: as this version writes it, and as the first schema did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tl_sweep.tracking.names import HEAD, SOME, RecordedPhase, Tag, phases_in, phases_text
from tl_sweep.tracking.record import Record, RunRecord

FIXTURES = Path(__file__).parents[1] / "fixtures"
STAGES = {Tag.PARAMETERS_PER_STAGE: '{"stem": 1, "layer1": 2, "layer2": 3, "head": 4}'}


def of_schema_1(*phases: tuple[str, str], tags: dict[str, str] | None = None, pretrained: str = "true") -> RunRecord:
    """phases: what each freezes, and which parameters of the rest learn."""
    configured = json.dumps([{"frozen": frozen, "parameters": parameters} for frozen, parameters in phases])
    params = {"freeze.phases": configured, "freeze.pretrained": pretrained}
    return RunRecord("", "FINISHED", params, tags or {}, {})


def test_phases_come_back_as_they_were() -> None:
    phases = (RecordedPhase(HEAD, 4, "all", 3), RecordedPhase(SOME, 0, "norm", 5))
    assert phases_in({Tag.PHASES: phases_text(phases)}) == phases


@pytest.mark.parametrize(
    ("phases", "only_head", "everything"),
    [
        ([("all", "all")], True, False),
        ([("3", "all")], True, False),
        ([("2", "all")], False, False),
        ([("0", "all")], False, True),
        ([("0", "norm")], False, False),
        ([("half", "all")], False, False),
        ([("each", "all")], False, False),
        ([("all", "all"), ("0", "all")], False, False),
        ([], False, False),
    ],
    ids=str,
)
def test_what_learned_is_read_from_the_configuration_of_older_runs(
    phases: list[tuple[str, str]], only_head: bool, everything: bool
) -> None:
    run = of_schema_1(*phases, tags=STAGES)
    assert (run.learns_only_the_head, run.learns_everything) == (only_head, everything)


def test_an_older_baseline_is_known_by_its_configuration() -> None:
    assert of_schema_1(("0", "all"), pretrained="false").is_baseline
    assert not of_schema_1(("0", "all")).is_baseline
    assert not of_schema_1(("all", "all"), pretrained="false", tags={Tag.CONTROL: "random features"}).is_baseline


def test_newer_tags_count_whatever_the_configuration_looks_like() -> None:
    tags = {Tag.SCHEMA: "2", Tag.PHASES: phases_text([RecordedPhase(HEAD, 3, "all", 1)])}
    run = of_schema_1(("0", "all"), pretrained="false", tags=tags)
    assert run.learns_only_the_head
    assert not run.is_baseline


def test_the_words_for_people_are_not_read() -> None:
    assert of_schema_1(("all", "all"), tags={Tag.TRAINABLE: "everything, and more"}).learns_only_the_head


def test_a_run_of_november_2026_is_read() -> None:
    (folder,) = (path for path in (FIXTURES / "run_of_2026_11").iterdir() if path.is_dir())
    run = Record(folder).summary()
    assert run is not None
    assert (run.status, run.tags[Tag.STRATEGY], run.tags[Tag.KEY]) == ("FINISHED", "all", folder.name)
    assert Tag.SCHEMA not in run.tags
    assert (run.learns_only_the_head, run.learns_everything, run.is_baseline) == (True, False, False)
