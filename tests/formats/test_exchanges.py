"""Which HTTP requests belong to the chat, and what they are for."""

from __future__ import annotations

import pytest

from chatkit.formats import exchanges
from chatkit.formats.collector import Collector
from chatkit.formats.exchanges import Beside, Exchange, host_of, split_url
from chatkit.formats.purposes import purpose
from chatkit.formats.source import Options, Source


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("POST", "http://h/api/auth/login", "login"),
        ("POST", "http://h/api/auth/refresh?x=1", "refresh"),
        ("GET", "http://h/api/bots/b-1", "bot"),
        ("POST", "http://h/api/conversations/bots/b/sessions", "session"),
        ("GET", "http://h/api/conversations/bots/b/sessions", "session"),
        ("post", "http://h/api/conversations/bots/b/chat", "chat"),
        ("GET", "http://h/api/conversations/sessions/7/messages", "history"),
        ("HEAD", "http://h/health", "health"),
        ("GET", "https://h/app/health/", "health"),
        ("POST", "https://h/app/api/auth/login", "login"),
        ("GET", "http://h/api/auth/login", "other"),
        ("GET", "http://h/api/bots", "other"),
        ("GET", "http://h/healthy", "other"),
        ("GET", "http://h", "other"),
        ("GET", "http://[", "other"),
        ("GET", "/health", "health"),
        ("GET", "http://h/" + "/" * 100_000, "other"),
        ("", "", "other"),
    ],
)
def test_purpose(method: str, url: str, expected: str) -> None:
    """By method and path; a prefix and a slash at the end change nothing."""
    assert purpose(method, url) == expected


def test_what_is_no_url() -> None:
    """No error, no host."""
    for url in ("http://[", "http://h:99999999/", "http://h:x/"):
        assert split_url(url) is None
        assert host_of(url) is None
    assert host_of("wss://Chat.Example:8443/x") == "chat.example"


def collected(*given: Exchange, sockets: tuple[str, ...] = ()) -> list[str]:
    collector = Collector(Source.of(b""), "netlog", (), Options())
    beside = Beside(collector)
    for exchange in given:
        beside.take(exchange)
    for url in sockets:
        beside.socket(url)
    beside.finish()
    return [str(event) for event in collector.build()]


def test_the_host_may_be_known_later() -> None:
    """Of other requests those to a WebSocket's host stay."""
    ours = Exchange("1", "https://h:1/a", 1.0, answered=2.0, status=200)
    other = Exchange("2", "https://x/a", 1.0, answered=2.0, status=200)
    assert collected(ours, other, sockets=("wss://h:2/ws",)) == ["GET other", "GET other 200, 1.00 s"]
    assert collected(ours, other) == []


def test_answered_failed_and_under_way() -> None:
    """Each says no more than it knows; a health check without an end says nothing."""
    login = "https://h/api/auth/login"
    assert collected(Exchange("1", login, 1.0, "POST", failed=1.5, error="gone")) == [
        "POST login",
        "POST login failed: gone",
    ]
    assert collected(Exchange("1", login, 1.0, "POST")) == ["POST login"]
    assert collected(Exchange("1", "http://h/health", 1.0)) == []
    assert collected(Exchange("1", "http://h/health", 1.0, failed=1.5, error="gone")) == ["health: GET gone, 500 ms"]


def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser's day may hold any number of requests."""
    monkeypatch.setattr(exchanges, "MOST_WAITING", 2)
    many = [Exchange(str(n), "http://h/a", 1.0) for n in range(9)]
    assert len(collected(*many, sockets=("ws://h/",))) == 2
