"""Whose a line is, where several connections are told in one file."""

from __future__ import annotations

from chatkit.events import CloseSent, EndReported, FrameReceived, PongReceived
from chatkit.formats import Options, websockets_log
from chatkit.formats.source import Source
from chatkit.trace import Trace


def read(text: str) -> Trace:
    return websockets_log.read(Source.of(text.encode()), Options())


def opening(key: str, front: str = "") -> str:
    lines = ["= connection is CONNECTING", f"> GET /{key} HTTP/1.1", f"> Sec-WebSocket-Key: {key}"]
    lines += ["< HTTP/1.1 101 Switching Protocols", "= connection is OPEN"]
    return "".join(f"{front}{line}\n" for line in lines)


def test_openings_that_interleave() -> None:
    """An answer belongs to the oldest request that waits."""
    first, second = opening("a").splitlines(True), opening("b").splitlines(True)
    trace = read("".join([*first[:3], *second[:3], *first[3:], *second[3:]]))
    assert [connection.state for connection in trace.connections] == ["open", "open"]
    assert [connection.url for connection in trace.connections] == ["/a", "/b"]


def test_a_pong_belongs_to_who_was_pinged() -> None:
    """Whatever was active last."""
    text = opening("a") + "> PING 61 [binary, 1 byte]\n" + opening("b") + "> PING 62 [binary, 1 byte]\n"
    trace = read(text + "< PONG 61 [binary, 1 byte]\n< PONG 62 [binary, 1 byte]\n")
    assert [event.connection for event in trace if isinstance(event, PongReceived)] == ["1", "2"]


def test_frames_go_to_the_last_active_one_and_are_counted() -> None:
    """The guess is said."""
    trace = read(opening("a") + opening("b") + "< TEXT 'x' [1 byte]\n")
    assert [event.connection for event in trace if isinstance(event, FrameReceived)] == ["2"]
    assert any("1 lines were given" in warning for warning in trace.warnings)


def test_an_end_belongs_to_who_is_closing() -> None:
    """Not to who was active last."""
    text = opening("a") + opening("b") + "> CLOSE 1000 (OK) [2 bytes]\n= connection is CLOSING\n"
    trace = read(text + "< CLOSE 1000 (OK) [2 bytes]\n= connection is CLOSED\n< EOF\n= connection is CLOSED\n")
    assert [event.connection for event in trace if isinstance(event, CloseSent)] == ["2"]
    assert [event.connection for event in trace if isinstance(event, EndReported)] == ["1"]


def test_an_id_in_front_decides() -> None:
    """No guess, no warning."""
    one, two = (f"{letter * 8}-0000-4000-8000-{letter * 12} " for letter in "ab")
    trace = read(
        opening("a", one) + opening("b", two) + f"{one}< TEXT 'x' [1 byte]\n{one}< EOF\n{one}= connection is CLOSED\n"
    )
    assert [connection.state for connection in trace.connections] == ["ended", "open"]
    assert [event.connection for event in trace if isinstance(event, FrameReceived)] == ["1"]
    assert not any("given to" in warning for warning in trace.warnings)


def test_both_ends_in_one_file_are_one_connection() -> None:
    """Joined by the key of the handshake."""
    server = opening("k").translate(str.maketrans("<>", "><"))
    text = "".join(f"websockets.client {line}\n" for line in opening("k").splitlines())
    text += "".join(f"websockets.server {line}\n" for line in server.splitlines())
    text += "websockets.server > TEXT 'x' [1 byte]\nwebsockets.client < TEXT 'x' [1 byte]\n"
    trace = read(text)
    assert [connection.frames_in for connection in trace.connections] == [1]
    assert any("the logs of both ends" in warning for warning in trace.warnings)


def test_a_connection_that_ended_before_an_answer() -> None:
    """A failed attempt, not a life."""
    trace = read("= connection is CONNECTING\n> GET /a HTTP/1.1\n< EOF\n= connection is CLOSED\n")
    (connection,) = trace.connections
    assert connection.state == "refused"
    assert connection.ending is not None
    assert str(connection.ending) == "failed at upgrade, ended before an answer came"


def test_a_server_that_never_says_closed() -> None:
    """uvicorn's newer implementation: what is refused or closed takes no more frames."""
    refused = "= connection is CONNECTING\n< GET /no HTTP/1.1\n> HTTP/1.1 403 Forbidden\n> EOF\n"
    lives = opening("a").translate(str.maketrans("<>", "><"))
    bye = "< CLOSE 1000 (OK) [2 bytes]\n> CLOSE 1000 (OK) [2 bytes]\n= connection is CLOSING\n> EOF\n"
    trace = read(refused + lives + "> TEXT 'x' [1 byte]\n" + bye + lives + "> TEXT 'y' [1 byte]\n")
    assert [connection.state for connection in trace.connections] == ["refused", "ended", "open"]
    assert [event.connection for event in trace if isinstance(event, FrameReceived)] == ["2", "3"]
    assert not any("given to" in warning for warning in trace.warnings)


def test_nobody_sends_two_close_frames() -> None:
    """A server that stops closes all its connections, one after the other."""
    trace = read(opening("a") + opening("b") + "< CLOSE 1012 (service restart) [2 bytes]\n" * 2)
    assert [connection.ending.close_code for connection in trace.connections if connection.ending] == [1012, 1012]
