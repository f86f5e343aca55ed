"""Connections that are gone although the evidence shows no end of them."""

from __future__ import annotations

from builders import Script
from chatkit.diagnosis import diagnose
from chatkit.diagnosis.engine import rank
from chatkit.diagnosis.facts import Facts
from chatkit.diagnosis.vanished import cases
from chatkit.events import (
    AttemptStarted,
    FrameReceived,
    FrameSent,
    Logged,
    Opened,
    PingSent,
    PongReceived,
    Retransmitted,
)
from chatkit.trace import Header, Origin

BLIND = ("pings", "close-code", "closed-by", "transport-end", "tcp")


def header(format: str = "pcap", not_visible: tuple[str, ...] = ()) -> Header:
    return Header(origin=Origin(kind="file", format=format), epoch=1_795_449_725.0, not_visible=not_visible)


def opened(script: Script, at: float, connection: str) -> None:
    script.put(at, AttemptStarted, connection, url="ws://h/api/ws/chat/b")
    script.put(at, Opened, connection)
    script.put(at + 0.1, FrameReceived, connection, size=9, text='{"a": 1}')


def test_a_worker_that_was_killed_takes_its_connections() -> None:
    """The log says so, and nothing else does; the connection of another worker lives."""
    script = Script()
    for n in "123":
        opened(script, float(n), n)
    script.put(34.0, Logged, by="server", what="worker-timeout", text="WORKER TIMEOUT (pid:7)")
    for n in "12":
        script.put(34.5, Logged, n, by="server", what="worker-killed")
    script.put(60.0, FrameReceived, "3", size=2, text="{}")
    trace = script.trace(header("gunicorn-log"))
    (case,) = cases(Facts(trace))
    assert (case.connections, case.value("log"), case.value("together")) == (("1", "2"), "worker-timeout", "some")
    assert rank(case)[0].id == "worker-timeout"


def test_a_log_without_a_kill_tells_nothing() -> None:
    """Also where some process ended in order."""
    script = Script()
    opened(script, 1.0, "1")
    script.put(30.0, Logged, by="server", what="worker-exit", text="Worker exiting")
    assert list(cases(Facts(script.trace(header("gunicorn-log"))))) == []


def test_bytes_that_nobody_acknowledges_to_the_end() -> None:
    """A dead path, though the capture ends before the client gives up."""
    script = Script()
    opened(script, 0.0, "1")
    script.put(60.0, FrameSent, "1", size=2, text="{}")
    script.put(75.0, Retransmitted, "1", by="client", times=6, seconds=14.0)
    (case,) = cases(Facts(script.trace(header())))
    assert (case.value("ending"), case.value("path")) == ("silence", "unacknowledged")
    assert rank(case)[0].id in ("peer-unreachable", "nat-timeout")


def test_answered_pings_are_no_silence() -> None:
    """A quiet connection that lives."""
    script = Script()
    opened(script, 0.0, "1")
    for n in range(3):
        script.put(10.0 * n + 5, PingSent, "1")
        script.put(10.0 * n + 5.01, PongReceived, "1", rtt=0.01)
    script.put(60.0, Logged, by="client", what="error")
    assert list(cases(Facts(script.trace(header())))) == []


def test_a_client_that_opens_the_same_again() -> None:
    """In evidence without ends: something ended it, and nothing says what."""
    script = Script()
    for n in "123":
        opened(script, float(n), n)
    trace = script.trace(header("har", BLIND))
    (case,) = cases(Facts(trace))
    assert (case.connections, case.carries) == (("1", "2"), False)
    diagnosis = diagnose(trace)
    assert diagnosis.verdict == "inconclusive"
    assert "does not show how connections end" in " ".join(diagnosis.unknown)


def test_one_connection_without_a_visible_end_is_no_fault() -> None:
    """The recording was simply stopped."""
    script = Script()
    opened(script, 1.0, "1")
    trace = script.trace(header("har", BLIND))
    assert list(cases(Facts(trace))) == []
    assert diagnose(trace).verdict == "no-fault"
