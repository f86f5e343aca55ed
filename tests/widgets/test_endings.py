"""The window of the lesson without a browser: a press, what is shown, and that nothing stays locked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from chatkit.client.engine import engine
from chatkit.errors import LabError
from chatkit.lessons import EndingsLesson
from chatkit.widgets import Endings
from tests.conftest import TICK

DEADLINE = 20.0


@pytest.fixture
def window() -> Iterator[Endings]:
    """With a lesson of its own."""
    one = Endings(EndingsLesson("window"))
    yield one
    one.close()
    engine().close()


def eventually(what: Callable[[], object]) -> None:
    """Waits for something that another thread brings about."""
    deadline = time.monotonic() + DEADLINE
    while not what() and time.monotonic() < deadline:
        time.sleep(TICK)
    assert what()


def test_a_press_ends_a_connection(window: Endings) -> None:
    """Buttons wait meanwhile; then both ends are shown, and the ending is a value for the next cell."""
    window.buttons["server-rst"].click()
    assert all(button.disabled for button in window.buttons.values())
    eventually(lambda: not window.buttons["server-rst"].disabled)
    assert [two.way.id for two in window.endings] == ["server-rst"]
    assert "RST by server" in window.shown.value
    assert "<b>1006</b>" in window.listed.value
    assert "Done: “server: RST”" in window.said.value
    assert len(window.trace.connections) == 1
    assert repr(window) == "14 ways to end a WebSocket, each a button; 1 tried"


def test_from_a_cell(window: Endings) -> None:
    """A value; the window stays as the reader left it, and the trace has it."""
    two = window.end("we-1000")
    assert two.connection.ending.close_code == 1000
    assert window.endings == ()
    assert window.shown.value == ""
    assert len(window.trace.connections) == 1


def test_a_failure_is_said_and_unlocks(window: Endings) -> None:
    """A lab that is gone is a sentence in the window."""
    window.lesson.close()
    window.buttons["we-1000"].click()
    eventually(lambda: not window.buttons["we-1000"].disabled)
    assert "the lab cannot do that now" in window.said.value
    with pytest.raises(LabError):
        window.end("we-1000")


def test_every_button_says_what_it_teaches(window: Endings) -> None:
    """By its tooltip, which a screen reader reads."""
    assert all(button.tooltip and button.description for button in window.buttons.values())
