"""Consoles of browsers: the page's lines, the browser's own, in each of the shapes in which they are kept."""

from __future__ import annotations

import json

import pytest

from chatkit.errors import ImportFailed, InvalidInput
from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    EndReported,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    Logged,
    Opened,
    RetryScheduled,
)
from chatkit.formats import Options, console_log
from chatkit.formats.source import Source
from chatkit.trace import Trace

UP = "chat.js:1 Chat WebSocket connected for bot: echo\n"


def read(text: str, patterns: bytes | None = None) -> Trace:
    return console_log.read(Source.of(text.encode("utf-8", "surrogatepass")), Options(patterns=patterns))


@pytest.mark.parametrize(
    "front",
    ["", "✅ ", "🔌📨  ", "chat.js:42 ⚠️ ", "http://localhost:3000/a/chat.js?v=1:42:7 ", "[log] ", "(anonymous):1 "],
)
def test_whatever_stands_before_the_message(front: str) -> None:
    """Emoji, the place, a label."""
    trace = read(front + "Chat WebSocket disconnected: 4001 - token expired\n")
    (ended,) = [event for event in trace if isinstance(event, EndReported)]
    assert (ended.code, ended.reason) == (4001, "token expired")


@pytest.mark.parametrize(
    ("words", "stage", "status"),
    [
        ("Error during WebSocket handshake: Unexpected response code: 403", "upgrade", 403),
        ("Error in connection establishment: net::ERR_CONNECTION_REFUSED", "tcp", None),
        ("Error in connection establishment: net::ERR_NAME_NOT_RESOLVED", "dns", None),
        ("Error in connection establishment: net::ERR_CERT_DATE_INVALID", "tls", None),
        ("WebSocket is closed before the connection is established.", "upgrade", None),
        ("", "upgrade", None),
    ],
)
def test_a_failed_attempt_and_the_close_that_follows(words: str, stage: str, status: int | None) -> None:
    """One attempt, told once."""
    line = f"chat.js:1 WebSocket connection to 'ws://localhost/ws?token=abcdefgh' failed: {words}\n"
    trace = read(line + "chat.js:2 Chat WebSocket disconnected: 1006 - Unknown reason\n")
    assert [type(event) for event in trace] == [AttemptStarted, AttemptFailed]
    failed = trace[1]
    assert isinstance(failed, AttemptFailed)
    assert (failed.stage, failed.status) == (stage, status)
    assert trace.connections[0].url == "ws://localhost/ws?token=[redacted]"


def test_the_browsers_words_on_a_live_connection() -> None:
    """A broken frame is no failed attempt."""
    trace = read(UP + "chat.js:1 WebSocket connection to 'ws://localhost/ws' failed: Invalid frame header\n")
    assert [type(event) for event in trace] == [Opened, Logged]


def test_sending_and_sent_are_one_message() -> None:
    """Where the text is the same; what was never announced counts too."""
    lines = [
        "Sending WebSocket message: {}",
        "WebSocket message sent: {}",
        "WebSocket message sent: {}",
        "Sending WebSocket message: []",
    ]
    trace = read(UP + "".join(f"a.js:1 {line}\n" for line in lines))
    assert [event.text for event in trace if isinstance(event, FrameSent)] == ["{}", "{}", "[]"]
    assert not {"sent", "frames", "payloads"} & set(trace.not_visible)
    assert "received" in trace.not_visible


def test_long_and_cut_messages() -> None:
    """Beyond what a pattern reads; a cut one is counted."""
    long = json.dumps({"type": "chat_response", "data": {"content": "x" * 5000}})
    trace = read(UP + f"a.js:1 WebSocket message received: {long}\n")
    (frame,) = [event for event in trace if isinstance(event, FrameReceived)]
    assert frame.text == long
    trace = read(UP + f"a.js:1 WebSocket message received: {long[:300]}…\n")
    assert "messages that the console shows in part only: 1" in trace.warnings
    assert {"payloads", "sizes"} <= set(trace.not_visible)


def test_a_message_over_several_lines() -> None:
    """Chromium's stderr keeps line ends; its source closes the message."""
    text = '[1:1:0301/000000.1:INFO:CONSOLE:5] "WebSocket message received: {\n "type": "pong"\n}", source: http://h/a.js (5)\n'
    (frame,) = [event for event in read(text) if isinstance(event, FrameReceived)]
    assert frame.text == '{\n "type": "pong"\n}'


def test_a_message_that_is_never_closed() -> None:
    """The next dated line ends it; a file that ends in it loses only it."""
    text = '[1:1:0301/000000.1:INFO:CONSOLE:5] "WebSocket message received: {\n'
    follow = '[1:1:0301/000001.1:INFO:CONSOLE:8] "Chat WebSocket connected", source: http://h/a.js (8)\n'
    assert [type(event) for event in read(text + follow)] == [Opened]


@pytest.mark.parametrize(
    ("line", "kind", "fields"),
    [
        (
            "HEAD http://h/health 405 (Method Not Allowed)",
            HealthChecked,
            {"method": "HEAD", "status": 405, "healthy": False},
        ),
        ("Health check failed: 503", HealthChecked, {"status": 503, "healthy": False}),
        ("GET http://h/api/bots/7 401 (Unauthorized)", HttpAnswered, {"purpose": "bot", "status": 401}),
        ("POST http://h/api/auth/login net::ERR_CONNECTION_REFUSED", HttpFailed, {"purpose": "login"}),
        ("Attempting to reconnect chat WebSocket (2/5) in 2000ms", RetryScheduled, {"attempt": 2, "delay": 2.0}),
        ("Max reconnection attempts reached", Logged, {"what": "gave-up", "by": "client"}),
        ("WebSocket error: [object Event]", Logged, {"what": "error"}),
    ],
)
def test_other_facts(line: str, kind: type, fields: dict[str, object]) -> None:
    """Each as the event that says just that."""
    (event,) = [event for event in read(f"a.js:1 {line}\n") if isinstance(event, kind)]
    assert {name: getattr(event, name) for name in fields} == fields


def test_the_place_says_what_could_not_be_loaded() -> None:
    """In DevTools' file, before the line's number; in stderr, as the source."""
    words = "Failed to load resource: the server responded with a status of 405 (Method Not Allowed)"
    for text in (
        f"health:1 {words}\n",
        f'[1:1:0301/000000.1:ERROR:CONSOLE(0)] "{words}", source: http://h:8000/health (0)\n',
    ):
        (checked,) = read(text)
        assert isinstance(checked, HealthChecked)
        assert checked.status == 405


def test_a_console_that_begins_with_an_end() -> None:
    """1006 may mean that it never opened; any other code came from an open connection."""
    trace = read("a.js:1 Chat WebSocket disconnected: 1006 - x\n")
    assert "the console begins with an end: connection 1 may have been open before" in trace.warnings
    assert read("a.js:1 Chat WebSocket disconnected: 1011 - x\n").connections[0].ending.close_code == 1011  # type: ignore[union-attr]


def test_several_at_once() -> None:
    """The one opened last, and it is said."""
    trace = read(UP + UP + "a.js:1 Chat WebSocket disconnected: 1000 - \n")
    assert [event.connection for event in trace if isinstance(event, EndReported)] == ["2"]
    assert any("several connections were open at once" in warning for warning in trace.warnings)


def test_own_patterns_with_odd_values() -> None:
    """What is no number is none; nothing fails."""
    patterns = rb"""
[[pattern]]
event = "closed"
match = 'gone (?P<code>\S+)'
[[pattern]]
event = "retry"
match = 'again (?P<attempt>\S+) (?P<delay_s>\S+)'
"""
    trace = read(UP + "gone ²\nagain nan inf\nagain 3 2.5\ngone 99999999999\n", patterns)
    retries = [(event.attempt, event.delay) for event in trace if isinstance(event, RetryScheduled)]
    assert retries == [(0, 0.0), (3, 2.5)]
    assert [event.code for event in trace if isinstance(event, EndReported)] == [None]


def test_a_bad_file_of_patterns() -> None:
    """Refused before the console is read."""
    with pytest.raises(InvalidInput, match="no such event"):
        read(UP, b"[[pattern]]\nevent = 'x'\nmatch = 'y'\n")


def test_a_console_without_a_websocket() -> None:
    """Refused, with the way to teach it."""
    with pytest.raises(ImportFailed, match="no line") as refused:
        read("a.js:1 hello\na.js:2 hello\n")
    assert "--pattern" in str(refused.value)
