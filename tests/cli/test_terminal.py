"""What a verb needs of the terminal."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys

import pytest

from chatkit.cli import terminal


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process was started with."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("stream", "variables", "shown"),
    [
        (Screen, {}, "\x1b[31mx\x1b[0m"),
        (io.StringIO, {}, "x"),
        (Screen, {"NO_COLOR": ""}, "x"),
        (Screen, {"NO_COLOR": "1"}, "x"),
        (Screen, {"TERM": "dumb"}, "x"),
    ],
)
def test_colour_only_where_it_shows(
    stream: type[io.StringIO], variables: dict[str, str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that wants it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.styled("x", "red", stream()) == shown


def test_what_is_said_is_harmless() -> None:
    """The style is ours, the text is not."""
    screen = Screen()
    terminal.say("a\x1b[2J", screen, style="dim", end="")
    terminal.say("b\x9b", screen)
    assert screen.getvalue() == "\x1b[2ma␛[2J\x1b[0mb�\n"


def test_a_note_is_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """So that stdout is only what was asked for."""
    terminal.note("so it is")
    terminal.say("this")
    assert capsys.readouterr() == ("this\n", "so it is\n")


def test_the_code_is_the_works() -> None:
    """Whatever it returns."""

    async def work() -> int:
        return 7

    assert terminal.run(work()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_work_which_may_say_what_it_knows(number: signal.Signals) -> None:
    """Twice is once; the code is 130."""
    said = []

    async def work() -> int:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
            said.append("what I know")
        return 0

    assert terminal.run(work()) == terminal.INTERRUPTED == 130
    assert said == ["what I know"]


def test_a_cancellation_that_nobody_asked_for_is_no_interrupt() -> None:
    """It is a fault, and seen."""

    async def work() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        terminal.run(work())


def test_a_reader_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """``chatkit check … | head`` is no failure."""

    async def work() -> int:
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())  # without a descriptor: nothing of this process is redirected
        assert terminal.run(work()) == 0
