"""A person's mistake is one message and an exit code; signals close what is open."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tl_sweep.base.command_line import Terminated, errors_for_people, terminable
from tl_sweep.base.errors import JobFailed, UserError


def ended_with(error: BaseException) -> object:
    """The exit code of a command that ends so."""
    with pytest.raises(SystemExit) as caught, errors_for_people():
        raise error
    return caught.value.code


@pytest.mark.parametrize("error", [UserError, JobFailed])
def test_a_mistake_is_told_without_a_traceback(error: type[UserError], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended_with(error("data.root: there is none\nmodel.name: neither")) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: data.root: there is none\n       model.name: neither\n"


def test_a_mistake_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    ended_with(UserError("http://me:s3cret@host: away"))
    assert capsys.readouterr().err == "error: http://me:***@host: away\n"


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_ends_with_the_code_of_its_signal(
    stop: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended_with(stop) == code
    assert capsys.readouterr().err == "stopped\n"


def test_an_error_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), errors_for_people():
        _ = 1 / 0


def closed_twice_terminated(closed: list[str]) -> None:
    with terminable():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # somebody is impatient
            closed.append("whole")


def test_sigterm_closes_what_is_open_and_another_changes_nothing() -> None:
    before, closed = signal.getsignal(signal.SIGTERM), list[str]()
    with pytest.raises(Terminated):
        closed_twice_terminated(closed)
    assert closed == ["whole"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handlers = []

    def look() -> None:
        with terminable():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
