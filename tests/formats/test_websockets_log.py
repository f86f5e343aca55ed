"""Debug logs of the library: every mark, both dialects, both sides, whatever stands in front."""

from __future__ import annotations

import pytest

from chatkit.events import (
    AttemptFailed,
    CloseReceived,
    CloseSent,
    EndReported,
    FrameReceived,
    FrameSent,
    Logged,
    PingSent,
    PongReceived,
    RetryScheduled,
    UpgradeRequested,
)
from chatkit.formats import Options, websockets_log
from chatkit.formats.source import Source
from chatkit.trace import Trace

OPENING = """= connection is CONNECTING
> GET /ws HTTP/1.1
> Host: localhost
> Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==
> Authorization: Bearer abcdefghijklmnop
< HTTP/1.1 101 Switching Protocols
< Upgrade: websocket
= connection is OPEN
"""


def read(text: str) -> Trace:
    return websockets_log.read(Source.of(text.encode()), Options())


def test_credentials_in_headers_go() -> None:
    """Also those that do not look like a JWT."""
    trace = read(OPENING)
    asked = next(event for event in trace if isinstance(event, UpgradeRequested))
    assert dict(asked.headers)["Authorization"] == "[redacted]"
    assert asked.key == "AAAAAAAAAAAAAAAAAAAAAA=="
    assert b"abcdefghijklmnop" not in b"".join(trace.rows)


@pytest.mark.parametrize(
    "front", ["", "DEBUG:websockets.client:", "12:00:00.100 D ", "2026-11-24 12:00:00,100 [7] (Thread-1) "]
)
def test_whatever_stands_in_front(front: str) -> None:
    """The same story."""
    text = OPENING + "> PING 61 62 [binary, 2 bytes]\n< PONG 61 62 [binary, 2 bytes]\n> CLOSE 1000 (OK) bye [5 bytes]\n"
    kinds = [type(event) for event in read("".join(front + line + "\n" for line in text.splitlines()))]
    assert kinds[3:] == [PingSent, PongReceived, CloseSent]


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("TEXT 'it\\'s \\n \\xe9' [9 bytes]", {"opcode": "text", "size": 9, "text": "it's \n é"}),
        ('TEXT "it\'s" [4 bytes]', {"text": "it's", "size": 4}),
        ("TEXT '' [0 bytes]", {"size": 0, "text": ""}),
        ("TEXT 'abc...xyz' [120 bytes]", {"size": 120, "text": "abc...xyz"}),
        ("TEXT 'abc' [3 bytes, continued]", {"size": 3, "fin": False, "text": None}),
        ("CONT 'def' [text, 3 bytes]", {"size": 3, "fin": True, "opcode": "continuation", "text": None}),
        ("BINARY 00 ff [2 bytes]", {"size": 2, "opcode": "binary", "data": "AP8="}),
        ("BINARY 00 01 ... fe ff [400 bytes]", {"size": 400, "opcode": "binary"}),
    ],
)
def test_data_frames(line: str, fields: dict[str, object]) -> None:
    """As much as the log shows of them."""
    trace = read(OPENING + "> " + line + "\n")
    (frame,) = [event for event in trace if isinstance(event, FrameSent)]
    assert {name: getattr(frame, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        ("1000 (OK) [2 bytes]", 1000, ""),
        ("1011 (internal error) keepalive ping timeout [24 bytes]", 1011, "keepalive ping timeout"),
        ("4001 (private use) token expired [15 bytes]", 4001, "token expired"),
        ("'' [0 bytes]", None, ""),
    ],
)
def test_close_frames(data: str, code: int | None, reason: str) -> None:
    """Code and reason, of either side."""
    trace = read(OPENING + f"< CLOSE {data}\n> CLOSE {data}\n= connection is CLOSING\n= connection is CLOSED\n")
    frames = [event for event in trace if isinstance(event, CloseReceived | CloseSent)]
    assert [(type(frame), frame.code, frame.reason) for frame in frames] == [
        (CloseReceived, code, reason),
        (CloseSent, code, reason),
    ]
    assert not any(isinstance(event, EndReported) for event in trace)


@pytest.mark.parametrize(
    ("lines", "by"),
    [
        ("< EOF\n> EOF\n= connection is CLOSED\n", "server"),
        ("> EOF\n= connection is CLOSED\n", "client"),
        ("= connection is CLOSED\n", None),
    ],
)
def test_an_end_without_a_close_frame(lines: str, by: str | None) -> None:
    """Who went first where the log says; FIN and RST look alike."""
    trace = read(OPENING + lines)
    (ended,) = [event for event in trace if isinstance(event, EndReported)]
    assert (ended.code, ended.by, ended.source) == (1006, by, "websockets")
    assert "transport-end" in trace.not_visible


def test_a_server_sends_what_a_client_receives() -> None:
    """Told by the direction of GET where no logger is named."""
    text = OPENING.translate(str.maketrans("<>", "><"))
    trace = read(text + "> TEXT 'to the client' [13 bytes]\n- timed out waiting for keepalive pong\n")
    assert [type(event) for event in trace][-2:] == [FrameReceived, Logged]
    (logged,) = [event for event in trace if isinstance(event, Logged)]
    assert (logged.by, logged.what, logged.connection) == ("server", "keepalive-timeout", "1")


def test_a_log_that_begins_in_the_middle() -> None:
    """Frames belong to a connection whose opening is not there; whose log it is is said to be assumed."""
    trace = read("> TEXT 'x' [1 byte]\n< EOF\n")
    (connection,) = trace.connections
    assert (connection.state, connection.opened_at, connection.frames_out) == ("ended", None, 1)
    assert "the log does not say whose it is: it is taken for the client's" in trace.warnings


def test_retries_of_the_reconnecting_client() -> None:
    """Refused upgrades are told once; refused TCP connections leave no other line."""
    refused = OPENING.replace("101 Switching Protocols", "503 Service Unavailable").replace(
        "= connection is OPEN\n", ""
    )
    trace = read(
        refused
        + "connect failed; reconnecting in 2.9 seconds: websockets.exceptions.InvalidStatus: server rejected\n"
        + "connect failed; reconnecting in 4.6 seconds: ConnectionRefusedError: [Errno 111]\n"
    )
    failed = [event for event in trace if isinstance(event, AttemptFailed)]
    retries = [event for event in trace if isinstance(event, RetryScheduled)]
    assert [(event.connection, event.stage, event.status) for event in failed] == [
        ("1", "upgrade", 503),
        ("2", "tcp", None),
    ]
    assert [(event.connection, event.delay) for event in retries] == [("1", 2.9), ("2", 4.6)]


def test_the_older_dialect_in_a_later_spelling() -> None:
    """Opcodes by name."""
    line = "client > Frame(fin=True, opcode=<Opcode.PING: 9>, data=b'a\\x00', rsv1=False, rsv2=False, rsv3=False)\n"
    (ping,) = [event for event in read(line) if isinstance(event, PingSent)]
    assert ping.payload == "6100"


def test_trouble_carries_the_last_line_of_its_traceback() -> None:
    """And nothing of the code."""
    text = '! error while sending data\nTraceback (most recent call last):\n  File "x.py", line 1, in y\nBrokenPipeError: [Errno 32]\n'
    (logged,) = [event for event in read(OPENING + text) if isinstance(event, Logged)]
    assert (logged.what, logged.text) == ("error", "error while sending data: BrokenPipeError: [Errno 32]")


def test_pongs_carry_no_time_where_the_log_has_none() -> None:
    """0 ms would be a claim."""
    trace = read(OPENING + "> PING 'a' [text, 1 byte]\n< PONG 'a' [text, 1 byte]\n")
    (pong,) = [event for event in trace if isinstance(event, PongReceived)]
    assert pong.rtt is None
    assert "timing" in trace.not_visible
