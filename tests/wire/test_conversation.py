"""What TCP's facts become: how a connection began, what was sent again, its one end."""

from __future__ import annotations

from chatkit.events import (
    AttemptStarted,
    Retransmitted,
    TcpConnected,
    TransportEnded,
)
from chatkit.formats import Options, Source, pcap
from chatkit.trace import Trace
from tests.wire.packets import ACK, FIN, GET, RST, SWITCH, SYN, Line, frame
from tests.wire.packets import pcap as made


def read(line: Line) -> Trace:
    return pcap.read(Source.of(made(line.packets)), Options())


def ends(trace: Trace) -> list[tuple[str, str | None, str | None, int]]:
    return [(e.how, e.by, e.error, e.unfinished) for e in trace if isinstance(e, TransportEnded)]


def test_the_first_end_counts() -> None:
    """FIN by the server, then FIN by the client: one event."""
    line = Line().open()
    line.send(1, flags=FIN | ACK)
    line.send(0, flags=FIN | ACK)
    line.send(1)
    assert ends(read(line)) == [("fin", "server", None, 0)]


def test_a_reset_after_a_fin_is_a_consequence() -> None:
    """It stands in the words of the one event."""
    line = Line().open()
    line.send(1, flags=FIN | ACK)
    line.send(0, frame(b"hi", masked=True))
    line.send(1, flags=RST | ACK)
    assert ends(read(line)) == [("fin", "server", "an RST by the server followed 0.002 s later", 0)]


def test_silence_is_no_end() -> None:
    """Nothing is made up."""
    trace = read(Line().open())
    assert ends(trace) == []
    assert trace.connections[0].state == "open"


def test_a_message_that_never_completed() -> None:
    """Its bytes are counted."""
    line = Line().open()
    line.send(1, frame(b"x" * 100)[:50])
    line.send(1, flags=RST | ACK)
    assert ends(read(line)) == [("rst", "server", None, 50)]


def test_how_it_began() -> None:
    """At the SYN; retransmissions before the upgrade are told with it."""
    line = Line()
    line.send(0, flags=SYN)
    line.at += 1
    line.send(0, flags=SYN, seq=1000)
    line.send(1, flags=SYN | ACK)
    line.send(0)
    line.send(0, GET)
    line.at += 0.3
    line.send(0, GET, seq=1001)
    line.send(1, SWITCH)
    trace = read(line)
    assert isinstance(trace[0], AttemptStarted)
    (connected,) = [event for event in trace if isinstance(event, TcpConnected)]
    assert (connected.local, connected.peer) == ("10.0.0.2:40000", "10.0.0.1:8000")
    assert [(e.by, e.times, e.acknowledged) for e in trace if isinstance(e, Retransmitted)] == [
        ("client", 1, True),
        ("client", 1, True),
    ]


def test_retransmissions_of_frames() -> None:
    """One event for a run, with its seconds; the frame itself is there once."""
    line = Line().open()
    line.send(0)
    data = frame(b'{"type": "ping"}', masked=True)
    number = line.seq[0]
    line.send(0, data)
    for pause in (0.2, 0.4, 0.8):
        line.at += pause
        line.send(0, data, seq=number)
    (again,) = [event for event in read(line) if isinstance(event, Retransmitted)]
    assert (again.by, again.times, again.acknowledged) == ("client", 3, False)
    assert 1.4 < again.seconds < 1.41


def test_without_its_beginning() -> None:
    """The upgrade was captured, the SYN was not: no attempt is claimed."""
    line = Line()
    line.send(0, GET)
    line.send(1, SWITCH)
    trace = read(line)
    assert [type(event).__name__ for event in trace] == ["UpgradeRequested", "UpgradeAnswered", "Opened"]
    assert trace.connections[0].url == "ws://chat/api/ws/chat/echo"
