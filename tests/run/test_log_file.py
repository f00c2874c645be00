"""A run's own log: what is logged while it runs goes there, and nothing else does."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tl_sweep.run.log_file import log_to

log = logging.getLogger("tl_sweep.somewhere")


@pytest.fixture(autouse=True)
def levels_as_they_were() -> Iterator[None]:
    ours = logging.getLogger("tl_sweep")
    before = ours.level
    yield
    ours.setLevel(before)


def test_a_line_tells_time_level_and_module(tmp_path: Path) -> None:
    with log_to(tmp_path / "run.log"):
        log.info("%d images", 3)
        log.debug("too small to tell")
    (line,) = (tmp_path / "run.log").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO tl_sweep\.somewhere: 3 images", line)


def test_an_error_is_told_with_its_traceback(tmp_path: Path) -> None:
    with log_to(tmp_path / "run.log"):
        try:
            raise ValueError("of all things")
        except ValueError:
            log.exception("the run ended early")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert lines[0].endswith("ERROR tl_sweep.somewhere: the run ended early")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: of all things"


def test_warnings_are_logged(tmp_path: Path) -> None:
    with log_to(tmp_path / "run.log"), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("something is odd", stacklevel=1)
    assert "UserWarning: something is odd" in (tmp_path / "run.log").read_text()


def test_other_packages_are_heard_from_warnings_on(tmp_path: Path) -> None:
    other = logging.getLogger("somebody.else")
    with log_to(tmp_path / "run.log"):
        other.info("chatter")
        other.warning("trouble")
    assert [line[24:] for line in (tmp_path / "run.log").read_text().splitlines()] == ["WARNING somebody.else: trouble"]


def test_passwords_are_masked_even_in_a_traceback(tmp_path: Path) -> None:
    with log_to(tmp_path / "run.log"):
        try:
            raise ValueError("http://me:s3cret@host/ is away")
        except ValueError:
            log.exception("postgresql://me:s3cret@host/db fails")
    text = (tmp_path / "run.log").read_text()
    assert "s3cret" not in text
    assert "postgresql://me:***@host/db fails" in text
    assert "ValueError: http://me:***@host/ is away" in text


def test_after_the_run_nothing_more_is_written_also_if_it_failed(tmp_path: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(KeyError), log_to(tmp_path / "run.log"):
        raise KeyError
    log.warning("of the next run")
    assert (tmp_path / "run.log").read_text() == ""
    assert logging.getLogger().handlers == handlers


def test_a_later_attempt_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for attempt in (1, 2):
        with log_to(tmp_path / "run.log"):
            log.info("attempt %d", attempt)
    told = [line.rpartition(": ")[2] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert told == ["attempt 1", "attempt 2"]
