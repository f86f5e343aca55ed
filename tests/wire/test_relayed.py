"""What went through a relay, as events: exchanges, WebSockets, and what is neither."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Noted,
    OpaqueReceived,
    OpaqueSent,
    Opened,
    TcpConnected,
    TlsEstablished,
    TransportEnded,
)
from chatkit.formats.purposes import purpose
from chatkit.redact import Redactor
from chatkit.wire.relayed import Relayed

UPGRADE = b"GET /ws?token=abcdefgh HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
ASK = b"GET /api/bots/x HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def relayed(*, secure: bool = False) -> Relayed:
    numbers, exchanges = itertools.count(1), itertools.count(1)
    return Relayed(
        itertools.count(),
        Redactor(),
        number=lambda: str(next(numbers)),
        exchange=lambda: str(next(exchanges)),
        purpose=purpose,
        target="server:80",
        secure=secure,
    )


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def one(events: list[Event], kind: type[Event]) -> Any:
    (found,) = [event for event in events if type(event) is kind]
    return found


def frames(relay: Relayed) -> Any:
    """Who reads the frames of an open WebSocket."""
    assert relay.wire is not None
    return relay.wire


def test_a_websocket_with_its_end() -> None:
    """Ids are dense in the order in which events are told; who ended it first stands there."""
    relay = relayed()
    events = relay.connected(0.1, "c:1", "server:80", 0.002, {"version": "TLSv1.3", "cipher": "X"})
    events += relay.sent(1.0, UPGRADE) + relay.received(1.1, SWITCH)
    events += frames(relay).received(1.2, Frame(Opcode.TEXT, b"hello").serialize(mask=False))
    events += frames(relay).sent(1.3, Frame(Opcode.TEXT, b"hi").serialize(mask=True))
    events += relay.noted(1.4, "the tap did something") + relay.ended(1.5, "fin", "server", "why")
    assert [event.id for event in events] == [str(n) for n in range(len(events))]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert {event.connection for event in events} == {"1"}
    started = one(events, AttemptStarted)
    assert (started.url, one(events, TcpConnected).local) == ("ws://h/ws?token=[redacted]", "c:1")
    assert one(events, TlsEstablished).seconds == 0.002
    assert (one(events, FrameReceived).text, one(events, FrameSent).text) == ("hello", "hi")
    assert one(events, Noted).text == "the tap did something"
    end = one(events, TransportEnded)
    assert (end.how, end.by, end.error) == ("fin", "server", "why")
    assert one(relay.ended(1.6, "rst", "client"), Noted).text == "an RST by the client followed"
    assert relay.ended(1.7, "fin", "client") == []


def test_http_beside_it_belongs_to_no_connection() -> None:
    """A plain exchange leaves two events and no end of any connection; health is one event."""
    relay = relayed(secure=True)
    events = relay.sent(1.0, ASK) + relay.received(1.1, OK)
    assert kinds(events) == [HttpRequested, HttpAnswered]
    assert one(events, HttpRequested).url == "https://h/api/bots/x"
    events = relay.sent(2.0, b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n") + relay.received(2.1, OK)
    assert kinds(events) == [HealthChecked]
    assert relay.ended(3.0, "fin", "client") == []


def test_a_request_without_an_answer_says_so() -> None:
    """Whoever ended it, or that the relay did."""
    relay = relayed()
    relay.sent(1.0, ASK)
    assert one(relay.ended(2.0, "rst", "server"), HttpFailed).error == "RST by the server instead of an answer"
    relay = relayed()
    relay.sent(1.0, ASK)
    assert one(relay.ended(2.0, "local", None, "the tap was stopped"), HttpFailed).error == "the tap was stopped"
    relay = relayed()
    events = relay.sent(1.0, UPGRADE) + relay.ended(2.0, "fin", "server")
    assert kinds(events)[-2:] == [AttemptFailed, TransportEnded]
    assert [event.id for event in events] == [str(n) for n in range(len(events))]


def test_a_refused_upgrade_and_another_one_on_the_same_tcp_connection() -> None:
    """Two attempts, one after the other."""
    relay = relayed()
    events = relay.sent(1.0, UPGRADE) + relay.received(1.1, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    assert one(events, AttemptFailed).status == 503
    events = relay.sent(2.0, UPGRADE) + relay.received(2.1, SWITCH)
    assert (one(events, Opened).connection, relay.id) == ("2", "2")


def test_a_server_that_was_not_reached() -> None:
    """With what the client wanted, where it said so; the end that follows adds nothing."""
    relay = relayed()
    events = relay.failed(1.0, "tcp", "the server refused")
    assert kinds(events) == [AttemptStarted, AttemptFailed]
    assert events[0].url == "tcp://server:80"  # type: ignore[attr-defined]
    assert relay.failed(1.1, "tcp", "again") == []
    relay = relayed()
    events = relay.sent(1.0, UPGRADE) + relay.failed(1.1, "tcp", "the server refused")
    assert (one(events, AttemptFailed).stage, one(events, AttemptFailed).error) == ("tcp", "the server refused")
    relay = relayed()
    events = relay.sent(1.0, ASK) + relay.failed(1.1, "dns", "no address")
    assert kinds(events) == [HttpRequested, HttpFailed]
    assert one(events, HttpFailed).error == "no address"


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (b"\x00\x01garbage", "no HTTP/1.1: '\\x00\\x01garbage'"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "speaks TLS to a port that does not"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "no HTTP/1.1"),
    ],
)
def test_garbage_is_named_and_counted(data, fragment) -> None:
    """One attempt that failed; its bytes are counted on."""
    relay = relayed()
    events = relay.sent(1.0, data) + relay.received(2.0, b"more") + relay.sent(3.0, UPGRADE)
    assert kinds(events) == [AttemptStarted, AttemptFailed, OpaqueSent, OpaqueReceived, OpaqueSent]
    assert fragment in one(events, AttemptFailed).error
    assert one(relay.ended(4.0, "rst", "server"), TransportEnded).by == "server"


def test_a_server_that_speaks_first() -> None:
    """Is no HTTP either."""
    events = relayed().received(1.0, b"220 mail ESMTP\r\n")
    assert "the server said what is no HTTP/1.1" in one(events, AttemptFailed).error


def test_no_secret_of_garbage_is_kept() -> None:
    """Also one that the cut goes through."""
    relay = relayed()
    relay.redactor.add("a secret of some length")
    events = relay.sent(1.0, b"\x00\x01 a secret of some length")
    assert "a secret" not in one(events, AttemptFailed).error


@given(
    pieces=st.lists(
        st.tuples(st.booleans(), st.binary(max_size=60) | st.sampled_from([UPGRADE, SWITCH, ASK, OK])), max_size=12
    )
)
def test_whatever_comes_ids_stay_dense(pieces) -> None:
    """Nothing that goes through can stop the recording."""
    relay = relayed()
    events: list[Event] = []
    for n, (sent, data) in enumerate(pieces):
        reader: Any = relay.wire or relay
        events += (reader.sent if sent else reader.received)(float(n), data)
    events += relay.ended(99.0, "fin", "client")
    assert [event.id for event in events] == [str(n) for n in range(len(events))]
