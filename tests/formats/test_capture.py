"""Many connections: what is held is bounded, what matters is kept, ids follow the order of appearance."""

from __future__ import annotations

import pytest

from chatkit.events import AttemptFailed
from chatkit.formats import Options, Source, capture, pcap
from chatkit.trace import Trace
from tests.wire.packets import ACK, RST, SYN, Line, frame
from tests.wire.packets import pcap as made


def read(*lines: Line) -> Trace:
    packets = sorted((packet for line in lines for packet in line.packets), key=lambda one: one[0])
    return pcap.read(Source.of(made(packets)), Options())


def test_more_connections_than_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that carry no WebSocket go first; it is said."""
    monkeypatch.setattr(capture, "MOST_FLOWS", 20)
    chat = Line().open()
    others = [Line(ports=(41000 + n, 5432), at=1_764_000_001.0 + n).greet() for n in range(100)]
    late = Line(ports=(40001, 8000), at=1_764_000_200.0).open()
    chat.at = 1_764_000_300.0
    chat.send(1, frame(b"still here"))
    trace = read(chat, *others, late)
    assert [connection.frames_in for connection in trace.connections] == [1, 0]
    assert "more connections at a time than can be held" in trace.warnings[0]


def test_what_is_over_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing needs to be said."""
    monkeypatch.setattr(capture, "MOST_FLOWS", 20)
    lines = [Line(ports=(41000 + n, 8000), at=1_764_000_001.0 + n).open().close() for n in range(100)]
    trace = read(*lines)
    assert len(trace.connections) == 100
    assert trace.warnings == ()
    assert [connection.id for connection in trace.connections] == [str(n + 1) for n in range(100)]


def test_failures_after_a_websocket() -> None:
    """At its port they count, whoever tries; elsewhere they do not."""
    chat = Line().open()
    later = []
    for n, port in enumerate((8000, 9999)):
        line = Line(ports=(42000 + n, port), at=1_764_000_010.0 + n)
        line.send(0, flags=SYN)
        line.at += 1
        line.send(0, flags=SYN, seq=1000)
        later.append(line)
    trace = read(chat, *later)
    assert [(e.connection, e.error) for e in trace if isinstance(e, AttemptFailed)] == [
        ("2", "no answer to SYN (2 tries)")
    ]


def test_strays_make_no_connection() -> None:
    """A late RST or an acknowledgement of something that was never seen."""
    line = Line()
    line.send(0, flags=ACK)
    line.send(1, flags=RST)
    trace = read(line)
    assert len(trace) == 0


def test_times_are_exact() -> None:
    """To the microsecond, whatever the epoch."""
    line = Line(at=1_764_000_000.999_999).open()
    trace = read(line)
    assert trace.epoch == pytest.approx(1_764_000_001.000_999, abs=1e-6)
    assert trace.at.tolist() == pytest.approx([0.0, 0.002, 0.003, 0.004, 0.004], abs=1e-6)
