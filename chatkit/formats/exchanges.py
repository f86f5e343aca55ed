"""HTTP requests beside the WebSocket: which of all that a browser or a proxy saw belong to the chat."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from chatkit.events import Event, HealthChecked, HttpAnswered, HttpFailed, HttpRequested
from chatkit.formats.collector import Collector
from chatkit.formats.purposes import purpose

MOST_WAITING = 100_000
"""Requests that wait for the host of a WebSocket to be known; those beyond are left out."""


def split_url(url: str) -> SplitResult | None:
    """The parts of a URL; ``None`` for what is none."""
    try:
        parts = urlsplit(url)
        parts.hostname, parts.port  # noqa: B018 both are parsed only when asked for
    except ValueError:
        return None
    return parts


def host_of(url: str) -> str | None:
    """The host of a URL, without its port."""
    parts = split_url(url)
    return parts.hostname if parts is not None else None


class Exchange(Struct, eq=False):
    """One HTTP request and its answer; times are Unix time in seconds."""

    id: str
    url: str
    began: float
    method: str = "GET"
    answered: float | None = None
    status: int = 0
    retry_after: float | None = None
    failed: float | None = None
    error: str = ""
    """Why no answer came; an exchange that was neither answered nor failed was still under way."""
    detail: str | None = None


class Beside:
    """Adds the exchanges that belong to the chat: a path of the contract, or the host of a WebSocket."""

    def __init__(self, collector: Collector) -> None:
        self._add = collector.add
        self._hosts: set[str | None] = set()
        self._waiting: list[Exchange] = []

    def socket(self, url: str) -> None:
        """A WebSocket to this URL is in the evidence."""
        if len(self._hosts) < MOST_WAITING:
            self._hosts.add(host_of(url))

    def take(self, exchange: Exchange) -> None:
        """An exchange, in any order with the WebSockets."""
        if purpose(exchange.method, exchange.url) != "other" or host_of(exchange.url) in self._hosts:
            self._write(exchange)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(exchange)

    def finish(self) -> None:
        """After the last WebSocket."""
        for exchange in self._waiting:
            if host_of(exchange.url) in self._hosts:
                self._write(exchange)

    def _write(self, exchange: Exchange) -> None:
        what = purpose(exchange.method, exchange.url)
        if what == "health":
            self._write_health(exchange)
            return
        self._fact(exchange.began, HttpRequested, exchange, what, url=exchange.url)
        if exchange.answered is not None:
            seconds = max(0.0, exchange.answered - exchange.began)
            fields = {"retry_after": exchange.retry_after, "detail": exchange.detail}
            self._fact(
                exchange.answered, HttpAnswered, exchange, what, status=exchange.status, seconds=seconds, **fields
            )
        elif exchange.failed is not None:
            seconds = max(0.0, exchange.failed - exchange.began)
            self._fact(exchange.failed, HttpFailed, exchange, what, error=exchange.error, seconds=seconds)

    def _write_health(self, exchange: Exchange) -> None:
        ended = exchange.answered if exchange.answered is not None else exchange.failed
        if ended is None:
            return
        answered = exchange.answered is not None
        self._add(
            ended,
            HealthChecked,
            method=exchange.method[:20],
            healthy=answered and 200 <= exchange.status < 300,
            seconds=max(0.0, ended - exchange.began),
            status=exchange.status if answered else None,
            error=None if answered else exchange.error,
        )

    def _fact(self, wall: float, kind: type[Event], exchange: Exchange, what: str, **fields: Any) -> None:
        self._add(wall, kind, exchange=exchange.id, purpose=what, method=exchange.method[:20], **fields)
