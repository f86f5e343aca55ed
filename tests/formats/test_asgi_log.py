"""uvicorn's words: which connection ends, and what is said where that is not told."""

from __future__ import annotations

import pytest

from chatkit.events import EndReported, HealthChecked, HttpAnswered, Logged
from chatkit.formats import Options, gunicorn_log, uvicorn_log
from chatkit.formats.source import Source
from chatkit.trace import Trace

ACCEPTED = (
    'INFO:     127.0.0.1:{} - "WebSocket /api/ws/chat/echo?token=abcdefgh" [accepted]\nINFO:     connection open\n'
)
CLOSED = "INFO:     connection closed\n"


def read(text: str) -> Trace:
    return uvicorn_log.read(Source.of(text.encode()), Options())


def at(second: float, text: str) -> str:
    return "".join(f"2026-11-24T12:00:{second:09.6f}Z {line}\n" for line in text.splitlines())


def test_an_end_belongs_to_the_only_open_connection() -> None:
    """As often as that is so."""
    trace = read(ACCEPTED.format(1) + CLOSED + ACCEPTED.format(2) + CLOSED)
    assert [event.connection for event in trace if isinstance(event, EndReported)] == ["1", "2"]


def test_an_end_of_one_of_several_belongs_to_none() -> None:
    """It is told beside them."""
    trace = read(at(1, ACCEPTED.format(1) + ACCEPTED.format(2)) + at(5, CLOSED) + at(9, ACCEPTED.format(3)))
    assert [connection.state for connection in trace.connections] == ["open", "open", "open"]
    (logged,) = [event for event in trace if isinstance(event, Logged)]
    assert (logged.what, logged.connection) == ("connection-closed", None)
    assert any("while several were open" in warning for warning in trace.warnings)


def test_all_that_end_together_are_told_apart_by_nothing_and_need_not_be() -> None:
    """Within half a second it does not matter which is which."""
    trace = read(at(1, ACCEPTED.format(1) + ACCEPTED.format(2)) + at(5, CLOSED) + at(5.2, CLOSED))
    assert [connection.state for connection in trace.connections] == ["ended", "ended"]
    trace = read(at(1, ACCEPTED.format(1) + ACCEPTED.format(2)) + at(5, CLOSED) + at(7, CLOSED))
    assert [connection.state for connection in trace.connections] == ["open", "open"]


def test_a_refused_one_is_closed_too() -> None:
    """By the older implementation, right after it said so."""
    refused = 'INFO:     127.0.0.1:1 - "WebSocket /ws" 403\nINFO:     connection rejected (403 Forbidden)\n'
    trace = read(ACCEPTED.format(1) + refused + CLOSED)
    assert [connection.state for connection in trace.connections] == ["open", "refused"]


def test_a_log_that_never_tells_of_ends() -> None:
    """Then a process's end is no connection's end."""
    trace = read(
        "INFO:     Started server process [7]\n" + ACCEPTED.format(1) + "INFO:     Finished server process [7]\n"
    )
    assert not any(isinstance(event, EndReported) for event in trace)
    assert [event.connection for event in trace if isinstance(event, Logged) and event.what == "exit"] == [None, "1"]
    assert any("never says" in warning for warning in trace.warnings)


def test_an_end_before_any_opening() -> None:
    """The log begins in the middle."""
    (connection,) = read(CLOSED + "INFO:     Shutting down\n").connections
    assert (connection.state, connection.opened_at) == ("ended", None)
    assert connection.ending is not None
    assert connection.ending.close_code is None


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("INFO:     Shutting down", "stop"),
        ("WARNING:  StatReload detected changes in 'app.py'. Reloading...", "reload"),
        ("WARNING:  Unsupported upgrade request.", "upgrade-unsupported"),
        ("WARNING:  Maximum request limit of 100 exceeded. Terminating process.", "worker-recycled"),
        ("INFO:     Child process [9] died", "worker-exit"),
        ("ERROR:    Application startup failed. Exiting.", "error"),
        ("TRACE:    127.0.0.1:1 - WebSocket keepalive ping timeout", "keepalive-timeout"),
    ],
)
def test_facts_of_the_server(line: str, what: str) -> None:
    """A word each, without level in the text."""
    (logged,) = read(line + "\n")
    assert isinstance(logged, Logged)
    assert (logged.by, logged.what) == ("server", what)
    assert not logged.text.startswith(("INFO", "WARNING", "ERROR"))


def test_requests_beside() -> None:
    """Health as such; how long they took is not told, and that is said."""
    trace = read(
        'INFO:     h:1 - "HEAD /health HTTP/1.1" 405 Method Not Allowed\nINFO:     h:1 - "GET /api/bots/7 HTTP/1.1" 403 Forbidden\n'
    )
    assert [(event.method, event.status) for event in trace if isinstance(event, HealthChecked)] == [("HEAD", 405)]
    assert [(event.purpose, event.status) for event in trace if isinstance(event, HttpAnswered)] == [("bot", 403)]
    assert any("0 s stands for it" in warning for warning in trace.warnings)


def test_workers_keep_their_own_connections() -> None:
    """A master's word on one of them is about its connections only."""
    lines = [
        '[2026-11-24 12:00:00 +0000] [8] [INFO] h:1 - "WebSocket /ws" [accepted]',
        '[2026-11-24 12:00:00 +0000] [9] [INFO] h:2 - "WebSocket /ws" [accepted]',
        '[2026-11-24 12:00:01 +0000] [9] [INFO] h:3 - "WebSocket /ws" [accepted]',
        "[2026-11-24 12:00:02 +0000] [8] [INFO] connection closed",
        '[2026-11-24 12:00:03 +0000] [8] [INFO] h:4 - "WebSocket /ws" [accepted]',
        "[2026-11-24 12:00:30 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)",
        "[2026-11-24 12:00:31 +0000] [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?",
    ]
    trace = gunicorn_log.read(Source.of("\n".join(lines).encode()), Options())
    ends = {event.connection: event.code for event in trace if isinstance(event, EndReported)}
    assert ends == {"1": None, "2": 1006, "3": 1006}
    assert trace.connection("4").state == "open"
