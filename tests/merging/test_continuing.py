"""Recordings of one process after the other: one trace, dense numbers, times by the wall clock."""

from __future__ import annotations

import pytest

from chatkit.errors import InvalidInput
from chatkit.events import (
    AttemptStarted,
    EndReported,
    Event,
    HttpAnswered,
    HttpRequested,
    Noted,
    Opened,
    RecordingEnded,
    TransportEnded,
)
from chatkit.merging.continuing import JOINED, continued
from chatkit.trace import Header, Origin, Trace

URL = "ws://127.0.0.1:8000/api/ws/chat/echo"


def recording(epoch: float, *events: Event, warnings: tuple[str, ...] = ()) -> Trace:
    trace = Trace.of(events, Header(origin=Origin(kind="live"), epoch=epoch))
    trace.warnings = warnings
    return trace


def ended_in_order(epoch: float) -> Trace:
    """One connection, a note about its opening, a request; closed."""
    return recording(
        epoch,
        AttemptStarted(id="0", at=0.0, connection="1", url=URL),
        Opened(id="1", at=0.1, connection="1"),
        HttpRequested(id="2", at=0.2, exchange="1", method="POST", url=URL, purpose="chat"),
        HttpAnswered(id="3", at=0.3, exchange="1", status=200, seconds=0.1, purpose="chat", method="POST"),
        Noted(id="4", at=2.0, connection="1", text="odd", author="me", about="1", moment=0.1),
        TransportEnded(id="5", at=3.0, connection="1", how="local", by="client"),
        RecordingEnded(id="6", at=3.0),
    )


def killed(epoch: float) -> Trace:
    return recording(
        epoch,
        AttemptStarted(id="0", at=0.0, connection="1", url=URL),
        Opened(id="1", at=5.0, connection="1"),
        warnings=("the recording has no end: it is still running or was cut short",),
    )


def test_two_recordings_are_one_in_order_of_the_wall_clock() -> None:
    whole = continued([ended_in_order(1000.0), ended_in_order(900.0)])
    assert whole.epoch == 900.0
    assert [event.id for event in whole] == [str(n) for n in range(12)]
    assert whole.names == ("1", "2")
    assert [one.state for one in whole.connections] == ["ended", "ended"]
    assert whole.at.tolist() == [0.0, 0.1, 0.2, 0.3, 2.0, 3.0, 100.0, 100.1, 100.2, 100.3, 102.0, 103.0]
    assert whole.warnings == (JOINED,)
    assert not len(whole.select(kinds={"RecordingEnded"}))


def test_what_an_event_refers_to_moves_with_it() -> None:
    whole = continued([ended_in_order(900.0), ended_in_order(1000.0)])
    first, second = (event for event in whole if isinstance(event, Noted))
    assert (first.about, first.moment) == ("1", 0.1)
    assert (second.about, second.moment) == ("7", 100.1)
    asked = [event.exchange for event in whole if isinstance(event, HttpRequested)]
    answered = [event.exchange for event in whole if isinstance(event, HttpAnswered)]
    assert asked == answered
    assert len(set(asked)) == 2


def test_a_connection_of_a_killed_process_has_ended() -> None:
    whole = continued([killed(900.0), ended_in_order(1000.0)])
    assert [one.state for one in whole.connections] == ["ended", "ended"]
    end = next(event for event in whole if isinstance(event, EndReported))
    assert (end.connection, end.at, end.timed, end.source) == ("1", 5.0, False, "the recording's end")
    assert "cut short" in whole.warnings[0]


def test_time_never_runs_backwards() -> None:
    """The wall clock was set back between the two."""
    whole = continued([killed(900.0), ended_in_order(902.0)])
    assert (whole.at[1:] >= whole.at[:-1]).all()


def test_continuing_a_continuation_changes_nothing_in_it() -> None:
    once = continued([killed(900.0), ended_in_order(1000.0)])
    again = continued([once])
    assert list(again) == list(once)
    assert again.warnings == once.warnings


def test_nothing_to_continue() -> None:
    with pytest.raises(InvalidInput, match="nothing to continue"):
        continued([])
