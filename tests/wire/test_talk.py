"""HTTP and WebSockets out of a connection's bytes, in order, in pieces, with holes, from the middle."""

from __future__ import annotations

import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import (
    AttemptFailed,
    BytesMissing,
    CloseReceived,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    OpaqueReceived,
    OpaqueSent,
    Opened,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats import Options, Source, pcap
from chatkit.trace import Trace
from tests.wire.packets import ACK, FIN, GET, RST, SWITCH, Line, frame
from tests.wire.packets import pcap as made


def read(line: Line, snap: int = 262144) -> Trace:
    return pcap.read(Source.of(made(line.packets, snap=snap)), Options())


def names(trace: Trace) -> list[str]:
    return [type(event).__name__ for event in trace]


def sizes(trace: Trace, *kinds: type) -> list[int]:
    return [event.size for event in trace if isinstance(event, kinds)]


def texts(trace: Trace) -> list[str | None]:
    return [event.text for event in trace if isinstance(event, FrameSent | FrameReceived)]


def test_requests_before_an_upgrade() -> None:
    """On one kept-alive connection: exchanges beside, then the WebSocket, whose attempt begins with its request."""
    line = Line().greet()
    line.send(0, b"POST /api/conversations/bots/b/chat HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
    line.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    line.send(0, GET)
    line.send(1, SWITCH + frame(b"hello"))
    trace = read(line)
    assert names(trace) == [
        "HttpRequested", "HttpAnswered", "AttemptStarted", "UpgradeRequested", "UpgradeAnswered", "Opened", "FrameReceived",
    ]  # fmt: skip
    asked, answered = trace[0], trace[1]
    assert isinstance(asked, HttpRequested)
    assert isinstance(answered, HttpAnswered)
    assert (asked.connection, asked.url, asked.purpose) == (None, "http://h/api/conversations/bots/b/chat", "chat")
    assert (answered.status, answered.sent, answered.received) == (200, 78, 40)


def test_health_with_its_method() -> None:
    """HEAD has no body, whatever its length says; the next answer is not taken for it."""
    line = Line().greet()
    for method, answer in (("HEAD", b"405 No\r\nContent-Length: 31"), ("GET", b"200 OK\r\nContent-Length: 0")):
        line.send(0, method.encode() + b" /health HTTP/1.1\r\nHost: h\r\n\r\n")
        line.send(1, b"HTTP/1.1 " + answer + b"\r\n\r\n")
    checks = [event for event in read(line) if isinstance(event, HealthChecked)]
    assert [(check.method, check.status, check.healthy) for check in checks] == [
        ("HEAD", 405, False),
        ("GET", 200, True),
    ]


def test_requests_without_an_answer() -> None:
    """The end of TCP answers them; while it lives they only wait."""
    line = Line().greet()
    line.send(0, b"GET /api/bots/b HTTP/1.1\r\nHost: h\r\n\r\n")
    assert names(read(line)) == ["HttpRequested"]
    line.send(1, flags=RST | ACK)
    failed = read(line)[1]
    assert isinstance(failed, HttpFailed)
    assert failed.error == "RST by the server instead of an answer"


def test_an_upgrade_without_an_answer() -> None:
    """Ended before it opened, and by whom."""
    line = Line().greet()
    line.send(0, GET)
    line.send(1, flags=FIN | ACK)
    trace = read(line)
    (failed,) = [event for event in trace if isinstance(event, AttemptFailed)]
    assert (failed.stage, failed.error) == ("upgrade", "FIN by the server instead of an answer")
    assert trace.connections[0].state == "refused"


def test_a_refusal_and_another_try() -> None:
    """On the same TCP connection: two attempts, the second one opens."""
    line = Line().greet()
    line.send(0, GET)
    line.send(1, b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n")
    line.send(0, GET)
    line.send(1, SWITCH)
    trace = read(line)
    assert [(c.id, c.state, c.status) for c in trace.connections] == [("1", "refused", 401), ("2", "open", 101)]
    (answered, _) = [event for event in trace if isinstance(event, UpgradeAnswered)]
    assert answered.body == "nope"


def test_bytes_right_behind_the_request() -> None:
    """A client that does not wait is read all the same, once the answer came."""
    line = Line().greet()
    line.send(0, GET + frame(b"early", masked=True))
    line.send(0, frame(b"too", masked=True))
    line.send(1, SWITCH)
    line.send(0, frame(b"then", masked=True))
    trace = read(line)
    assert texts(trace) == ["early", "too", "then"]
    assert names(trace).index("Opened") < names(trace).index("FrameSent")


def test_a_client_that_never_stops_before_the_answer() -> None:
    """So much waits, no more; what cannot be read then is opaque."""
    line = Line().greet()
    line.send(0, GET)
    for _ in range(30):
        line.send(0, bytes(50_000))
    line.send(1, SWITCH)
    trace = read(line)
    assert "Opened" not in names(trace)
    assert trace.connections[0].opaque


@given(st.lists(st.integers(1, len(GET) - 1), max_size=6), st.lists(st.integers(1, len(SWITCH) + 7), max_size=6))
def test_heads_in_any_pieces(request: list[int], answer: list[int]) -> None:
    """Segments do not respect messages."""
    line = Line().greet()
    for side, data, cuts in ((0, GET, request), (1, SWITCH + frame(b"hello"), answer)):
        places = sorted({0, len(data), *cuts})
        for a, b in itertools.pairwise(places):
            line.send(side, data[a:b])
    assert texts(read(line)) == ["hello"]


def test_a_tunnel_through_a_proxy() -> None:
    """Behind CONNECT begins another conversation."""
    line = Line().greet()
    line.send(0, b"CONNECT chat:80 HTTP/1.1\r\nHost: chat:80\r\n\r\n")
    line.send(1, b"HTTP/1.1 200 Connection established\r\n\r\n")
    line.send(0, GET)
    line.send(1, SWITCH + frame(b"hello"))
    trace = read(line)
    assert texts(trace) == ["hello"]
    assert trace.connections[0].url == "ws://chat/api/ws/chat/echo"


def test_what_a_proxy_says_first() -> None:
    """The PROXY protocol's line is passed over."""
    line = Line().greet()
    line.send(0, b"PROXY TCP4 10.9.9.9 10.0.0.1 5555 80\r\n" + GET)
    line.send(1, SWITCH)
    assert "Opened" in names(read(line))


@pytest.mark.parametrize(
    "first", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f", b"EHLO somebody\r\n", b"GE\r\n"]
)
def test_other_protocols_are_let_be(first: bytes) -> None:
    """Whoever speaks first."""
    for side in (0, 1):
        line = Line().greet()
        line.send(side, first)
        line.send(1 - side, b"whatever")
        line.close()
        assert len(read(line)) == 0


# Holes


def test_a_hole_within_a_frame() -> None:
    """Its size is known, its text is not; what follows is read."""
    line = Line().open()
    long = frame(b"x" * 3000)
    line.send(1, long[:1000])
    line.send(1, long[1000:2000], keep=False)
    line.send(1, long[2000:])
    line.send(1, frame(b"next"))
    line.close()
    trace = read(line)
    assert sizes(trace, BytesMissing) == [1000]
    assert [(e.size, e.text) for e in trace if isinstance(e, FrameReceived)] == [(3000, None), (4, "next")]


def test_a_hole_across_frames() -> None:
    """Opaque until frames are recognised at a segment's beginning."""
    line = Line().open()
    line.send(1, frame(b"one"))
    line.send(1, frame(b"two") + frame(b"three")[:3], keep=False)
    line.send(1, frame(b"three")[3:])
    line.send(1, frame(b"four"))
    line.close()
    trace = read(line)
    assert list(texts(trace)) == ["one", "four"]
    assert sizes(trace, BytesMissing) == [8]
    assert sizes(trace, OpaqueReceived) == [4]


def test_a_close_frame_whose_reason_was_cut() -> None:
    """The code stands in the first two bytes."""
    line = Line().open()
    line.send(1, frame(b"\x03\xf3" + b"because of reasons" * 3, first=0x88))
    cut = pcap.read(Source.of(made(line.packets[:5]) + made(line.packets[5:], snap=52)[24:]), Options())
    (close,) = [event for event in cut if isinstance(event, CloseReceived)]
    assert (close.code, close.reason) == (1011, "because ")


def test_heads_cut_by_the_snapshot_length() -> None:
    """Status and target are told as far as they are there; what was agreed is not."""
    line = Line().open()
    line.send(1, frame(b"hello"))
    trace = read(line, snap=56)
    assert [event.target for event in trace if isinstance(event, UpgradeRequested)] == ["/api/ws/chat..."]
    assert [event.extensions for event in trace if isinstance(event, Opened)] == ["(not captured)"]
    assert texts(trace) == ["hello"]
    assert {"handshake", "compression"} <= set(trace.not_visible)
    assert trace.connections[0].status == 101


# From the middle


def deflated(*messages: bytes, takeover: bool = True) -> list[bytes]:
    out = []
    packer = zlib.compressobj(wbits=-15)
    for message in messages:
        data = packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH)
        out.append(data[:-4])
        if not takeover:
            packer = zlib.compressobj(wbits=-15)
    return out


def test_compressed_from_the_middle() -> None:
    """What needs what went before has a size and no text; what does not, has its text."""
    word = b"lighthouse keeper counting ships "
    for takeover in (True, False):
        line = Line()
        for data in deflated(word, word, b"zzyzx quip", takeover=takeover)[1:]:
            line.send(1, frame(data, first=0xC1))
            line.send(0, frame(b"x", masked=True))
        got = [event.text for event in read(line) if isinstance(event, FrameReceived)]
        assert got == ([None, "zzyzx quip"] if takeover else [word.decode(), "zzyzx quip"])


def test_the_middle_of_a_frame_first() -> None:
    """Bytes before the first frame that is recognised are opaque."""
    line = Line()
    line.send(1, b"the rest of a message")
    line.send(1, frame(b"hello"))
    line.send(0, frame(b"hi", masked=True))
    trace = read(line)
    assert sizes(trace, OpaqueReceived) == [21]
    assert texts(trace) == ["hello", "hi"]


def test_only_the_answer_was_captured() -> None:
    """101 without its request opens all the same."""
    line = Line()
    line.send(1, SWITCH + frame(b"hello"))
    trace = read(line)
    assert names(trace) == ["UpgradeAnswered", "Opened", "FrameReceived"]


def test_an_answer_from_before() -> None:
    """Its request is unknown: nothing is told of it; the next exchange is."""
    line = Line()
    line.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    line.send(0, b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    line.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert names(read(line)) == ["HealthChecked"]


def test_noise_from_the_middle_is_no_websocket() -> None:
    """Binary data of others does not become a chat."""
    line = Line()
    for n in range(100):
        line.send(n % 2, bytes((n * 37 + i * 101) & 0xFF for i in range(50)))
    assert len(read(line)) == 0
    assert sizes(read(line), OpaqueSent, OpaqueReceived) == []
