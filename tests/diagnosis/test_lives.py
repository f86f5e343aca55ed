"""Lives as columns: who died and who was only watched no longer, and how quiet it was before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.diagnosis.lives import ACTIVITY, Lives, lives
from chatkit.errors import InvalidInput
from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    FrameReceived,
    FrameSent,
    Noted,
    OpaqueSent,
    Opened,
    PingReceived,
    PongSent,
    TcpConnected,
    TransportEnded,
)
from tests.builders import EPOCH, Script, event, incident_trace, trace


def one_life(*ends: tuple[type[Event], dict[str, Any]]) -> Lives:
    """Opened at 0, something at 1, the end at 60."""
    script = Script()
    script.put(0, Opened, "1")
    script.sent(1, "1", "ping")
    for n, (kind, fields) in enumerate(ends):
        script.put(60 + n / 100, kind, "1", **fields)
    return lives(script.trace())


def test_the_incident() -> None:
    """Three that died of their first ping, one that goes on."""
    found = lives(incident_trace())
    assert found.id == ("1", "2", "3", "4")
    assert found.died.tolist() == [True, True, True, False]
    assert found.code.tolist() == [1006, 1006, 1006, -1]
    assert found.age[:3] == pytest.approx([0.254] * 3)
    assert found.idle["app-ping"][:3] == pytest.approx([0.2] * 3)
    assert found.end_wall[0] == pytest.approx(EPOCH + 0.854)
    assert str(found) == "4 lives, 3 ended against the client's will"


@pytest.mark.parametrize(
    ("ends", "died"),
    [
        ([(TransportEnded, {"how": "rst", "by": "server"})], True),
        ([(TransportEnded, {"how": "fin", "by": "server"})], True),
        ([(TransportEnded, {"how": "timeout"})], True),
        ([(TransportEnded, {"how": "local"})], False),
        ([(TransportEnded, {"how": "fin", "by": "client"})], False),
        ([(CloseReceived, {"code": 1000})], True),
        ([(CloseReceived, {"code": 1012})], True),
        ([(CloseSent, {"code": 1000}), (CloseReceived, {"code": 1000})], False),
        ([(CloseSent, {"code": 1001})], False),
        ([(CloseSent, {})], False),
        ([(CloseSent, {"code": 1011, "reason": "keepalive ping timeout"})], True),
        ([(CloseSent, {"code": 1009})], True),
        ([(EndReported, {"code": 1006})], True),
        ([(EndReported, {"code": 1000})], False),
        ([(EndReported, {"code": 1001, "by": "server"})], True),
        ([(Noted, {"text": "nothing ended"})], False),
    ],
)
def test_who_died_and_who_said_goodbye(ends: list[tuple[type[Event], dict[str, Any]]], died: bool) -> None:
    """Cowboy's 1000 after a minute of quiet is a death; a browser's 1000 of nobody knows whom is not."""
    found = one_life(*ends)
    assert found.died.tolist() == [died]
    assert found.age.tolist() == [60]


def test_quiet_by_kind() -> None:
    """Each kind from its own last event, what never came from the opening."""
    script = Script()
    script.put(10, Opened, "1")
    script.sent(12, "1", "ping")
    script.received(13, "1", "notification")
    script.put(20, PingReceived, "1")
    script.put(20.5, PongSent, "1")
    script.sent(30, "1", "session_sync")
    script.put(70, TransportEnded, "1", how="fin", by="server")
    script.put(71, FrameReceived, "1", size=1)  # of another vantage's clock: after the end it is no activity
    found = lives(script.trace())
    assert {kind: column.tolist() for kind, column in found.idle.items()} == {
        "any": [40],
        "inbound": [50],
        "outbound": [40],
        "data-frames": [40],
        "app-ping": [58],
        "protocol-ping": [49.5],
    }
    assert found.survived["any"].tolist() == [9.5]
    assert found.survived["inbound"].tolist() == [7]
    assert found.survived["protocol-ping"].tolist() == [10]


def test_a_life_that_goes_on_survives_its_quiet_too() -> None:
    """Its last stretch killed nobody."""
    found = lives(trace(event(Opened, 0), event(FrameSent, 5, size=1), event(Noted, 100, None, text="")))
    assert found.idle["any"].tolist() == [95]
    assert found.survived["any"].tolist() == [95]
    assert found.age.tolist() == [100]


def test_kinds_that_never_came_are_not_told_about() -> None:
    """No timer for app pings can be seen where nobody ever sent one."""
    found = lives(trace(event(Opened, 0), event(TransportEnded, 60, how="rst", by="server")))
    assert set(found.idle) == {"any", "inbound", "outbound"}
    assert found.idle["inbound"].tolist() == [60]


def test_what_never_opened_did_not_live_and_what_opened_before_has_no_age() -> None:
    """Refused attempts are out; evidence that begins in the middle keeps its quiet."""
    found = lives(
        trace(
            event(AttemptStarted, 0, "1", url="ws://127.0.0.1/"),
            event(AttemptFailed, 1, "1", stage="tcp", error="refused"),
            event(FrameReceived, 2, "2", size=3),
            event(TransportEnded, 62, "2", how="fin", by="server"),
        )
    )
    assert found.id == ("2",)
    assert math.isnan(found.age[0])
    assert found.idle["any"].tolist() == [60]
    assert math.isnan(found.idle["outbound"][0])


def test_an_opaque_connection_lives_from_tcp_on() -> None:
    """Its bytes are activity, whatever they say."""
    found = lives(
        trace(
            event(TcpConnected, 1, local="127.0.0.1:1", peer="127.0.0.1:2", seconds=0.1),
            event(OpaqueSent, 2, size=100),
            event(TransportEnded, 62, how="rst", by="server"),
        )
    )
    assert (found.age.tolist(), found.idle["any"].tolist()) == ([61], [60])
    assert found.code.tolist() == [-1]


@pytest.mark.parametrize(
    ("by", "cohort"),
    [
        (None, ""),
        ("url", "ws://127.0.0.1:8000/api/ws/chat/storyteller?token=***"),
        ("vantage", ""),
        ("extensions", "no extension"),
        (lambda one: one.state, "ended"),
    ],
)
def test_cohorts(by: Any, cohort: str) -> None:
    """By what the connection says, or by a function of one's own."""
    found = lives(incident_trace(), by=by)
    assert found.cohorts[0] == cohort
    assert len(found.of(cohort)) == sum(one == cohort for one in found.cohort)


def test_no_such_cohorts() -> None:
    """With what would fit."""
    with pytest.raises(InvalidInput, match="no such cohorts"):
        lives(incident_trace(), by="shoe size")


def test_an_empty_trace_has_no_lives() -> None:
    """And every column has no entry."""
    assert len(lives(trace())) == len(lives(trace()).idle["any"]) == 0


@given(st.lists(st.tuples(st.sampled_from("12"), st.sampled_from(["sent", "received"]), st.floats(1, 99)), max_size=20))
def test_as_counting_tells(frames: list[tuple[str, str, float]]) -> None:
    """The columns are what a loop over the events would find."""
    script = Script()
    for name in "12":
        script.put(0, Opened, name)
        script.put(100, TransportEnded, name, how="fin", by="server")
    for name, way, at in frames:
        getattr(script, way)(at, name, "notification")
    found = lives(script.trace())
    for n, name in enumerate("12"):
        for kind, ways in (("any", ("sent", "received")), ("inbound", ("received",)), ("outbound", ("sent",))):
            times = [0.0, *sorted(round(at, 6) for who, way, at in frames if who == name and way in ways)]
            assert found.idle[kind][n] == pytest.approx(100 - times[-1])
            assert found.survived[kind][n] == pytest.approx(max(np.diff(times), default=0.0))
            gaps = found.gaps[kind]
            assert sorted(gaps.seconds[gaps.life == n]) == pytest.approx(sorted(g for g in np.diff(times) if g >= 0.5))
            two = found.where(np.array([False, True]))
            assert two.gaps[kind].seconds.tolist() == gaps.seconds[gaps.life == 1].tolist()
            assert set(two.gaps[kind].life.tolist()) <= {0}
    assert set(found.idle) <= set(ACTIVITY)
