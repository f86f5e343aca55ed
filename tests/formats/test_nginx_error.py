"""Error logs of nginx: what ended a connection, who did it, and what nginx does not say."""

from __future__ import annotations

import pytest

from chatkit.events import AttemptFailed, EndReported, Logged, UpgradeRequested
from chatkit.formats import Options, nginx_error
from chatkit.formats.source import Source
from chatkit.trace import Trace

LINE = (
    '2026/11/24 12:00:00 [{}] 8#8: *{} {}, client: 1.2.3.4, server: x, request: "GET {} HTTP/1.1", '
    'upstream: "http://127.0.0.1:8000{}", host: "chat.example.com"\n'
)
UPGRADED = "while proxying upgraded connection"


def read(text: str) -> Trace:
    return nginx_error.read(Source.of(text.encode()), Options())


def line(text: str, number: int = 1, level: str = "error", path: str = "/api/ws/chat/echo?token=abcdefgh") -> str:
    return LINE.format(level, number, text, path, path)


@pytest.mark.parametrize(
    ("text", "what", "by"),
    [
        ("upstream timed out (110: Connection timed out)", "upstream-timeout", None),
        ("upstream prematurely closed connection", "upstream-closed", "server"),
        ("recv() failed (104: Connection reset by peer)", "connection-reset", None),
        ("send() failed (32: Broken pipe)", "connection-reset", None),
        (
            "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too",
            "client-closed",
            "client",
        ),
    ],
)
def test_an_open_connection_that_ended(text: str, what: str, by: str | None) -> None:
    """Its beginning is not in the log."""
    trace = read(line(f"{text} {UPGRADED}", level="info"))
    logged, ended = trace
    assert isinstance(logged, Logged)
    assert isinstance(ended, EndReported)
    assert (logged.what, logged.by, ended.by, ended.code) == (what, "proxy", by, None)
    (connection,) = trace.connections
    assert (connection.state, connection.opened_at) == ("ended", None)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("connect() failed (111: Connection refused) while connecting to upstream", "upstream-refused"),
        ("connect() failed (113: No route to host) while connecting to upstream", "upstream-unreachable"),
        ("no live upstreams while connecting to upstream", "upstream-none"),
        (
            "upstream timed out (110: Connection timed out) while reading response header from upstream",
            "upstream-timeout",
        ),
        ("recv() failed (104: Connection reset by peer) while reading response header from upstream", "upstream-reset"),
        ('limiting connections by zone "chat"', "connection-limit"),
    ],
)
def test_an_upgrade_that_failed(text: str, what: str) -> None:
    """With its path and host; the status that nginx answered is not in the log."""
    trace = read(line(text))
    assert [type(event) for event in trace] == [UpgradeRequested, Logged, AttemptFailed]
    assert trace[1].what == what  # type: ignore[attr-defined]
    (connection,) = trace.connections
    assert (connection.url, connection.status) == ("ws://chat.example.com/api/ws/chat/echo?token=[redacted]", None)
    assert "http-status" in trace.not_visible


def test_numbers_join_lines() -> None:
    """Of one worker; a new master counts anew."""
    text = line("upstream sent no valid HTTP/1.0 header", 5, "warn") + line(
        f"upstream timed out (110: x) {UPGRADED}", 5
    )
    text += line(f"upstream timed out (110: x) {UPGRADED}", 5).replace("8#8", "9#9")
    assert [event.connection for event in read(text) if isinstance(event, EndReported)] == ["1", "2"]


def test_other_requests_are_facts_beside() -> None:
    """No connection of theirs is a WebSocket."""
    trace = read(line("upstream timed out (110: x) while reading response header from upstream", path="/api/bots/1"))
    assert [(type(event), event.connection) for event in trace] == [(Logged, None)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[notice] 7#7: reconfiguring", "reload"),
        ("[notice] 8#8: gracefully shutting down", "worker-stopping"),
        ("[alert] 7#7: worker process 8 exited on signal 9", "worker-killed"),
        ("[notice] 7#7: signal 15 (SIGTERM) received from 1, exiting", "stop"),
        ("[alert] 8#8: 64 worker_connections are not enough", "connection-limit"),
        ('[emerg] 7#7: host not found in upstream "app:8000" in /etc/nginx/nginx.conf:12', "error"),
    ],
)
def test_facts_of_the_proxy_itself(text: str, what: str) -> None:
    """Beside all connections."""
    (logged,) = read(f"2026/11/24 12:00:00 {text}\n")
    assert isinstance(logged, Logged)
    assert (logged.by, logged.what, logged.connection) == ("proxy", what, None)


def test_a_log_without_level_info_says_what_it_lacks() -> None:
    """An idle time-out would not stand in it."""
    assert any("level info" in warning for warning in read(line(f"recv() failed (104: x) {UPGRADED}")).warnings)
    assert not any(
        "no line of level info" in w for w in read(line(f"upstream timed out {UPGRADED}", level="info")).warnings
    )


def test_a_line_that_is_cut() -> None:
    """The fact stays; without its request an upgrade is still known by nginx's words."""
    trace = read(f"2026/11/24 12:00:00 [info] 8#8: *1 upstream timed out (110: Connection timed out) {UPGRADED}, cli")
    assert [type(event) for event in trace] == [Logged, EndReported]
