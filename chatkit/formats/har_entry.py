"""An entry of a HAR: a look at JSON of which nothing can be relied on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from chatkit.events import Headers

_SHAKING = ("blocked", "dns", "connect", "send", "wait")
_OF_REQUEST = ("send", "wait")


class Entry:
    """One entry.

    Args:
        plain: the decoded object.
    """

    def __init__(self, plain: dict[str, Any]) -> None:
        self.plain = plain
        self.request, self.response = table(plain, "request"), table(plain, "response")
        self.url = text(self.request, "url")
        self.method = text(self.request, "method").upper()[:20] or "GET"
        self.status = whole(self.response, "status")
        self.start = instant(plain.get("startedDateTime"))
        """Unix time, seconds; ``None`` where it is not told."""
        self.seconds = max(number(plain, "time") or 0.0, 0.0) / 1000
        self.timings = table(plain, "timings")

    @property
    def messages(self) -> int | None:
        """Number of the array of its WebSocket messages."""
        found = self.plain.get("_webSocketMessages")
        if isinstance(found, list) and len(found) == 1 and type(found[0]) is int:
            return found[0]
        return None

    @property
    def is_socket(self) -> bool:
        """Whether it is a WebSocket, opened or refused."""
        return (
            self.plain.get("_resourceType") == "websocket"
            or "_webSocketMessages" in self.plain
            or "_webSocketClose" in self.plain
            or self.url[:6].lower().startswith(("ws://", "wss://"))
            or (self.header("upgrade") or "").lower() == "websocket"
        )

    @property
    def socket_url(self) -> str:
        """Its URL with the scheme of a WebSocket."""
        scheme, colon, rest = self.url.partition("://")
        return {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme) + colon + rest

    @property
    def target(self) -> str:
        """Path and query, as a request line has them."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return self.url
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def shaking(self, *, connected: bool = False) -> float:
        """Seconds until the answer came, by the timings; ``connected`` where the entry begins with the request."""
        names = _OF_REQUEST if connected else _SHAKING
        return sum(max(number(self.timings, name) or 0.0, 0.0) for name in names) / 1000

    @property
    def receiving(self) -> float:
        """Seconds from the answer on, by the timings."""
        return max(number(self.timings, "receive") or 0.0, 0.0) / 1000

    @property
    def error(self) -> str:
        """Why there was no answer, as a browser tells it."""
        return text(self.response, "_failureText") or text(self.response, "_error")

    @property
    def body(self) -> str | None:
        """The response's body where it is text."""
        content = table(self.response, "content")
        return None if content.get("encoding") == "base64" else text(content, "text") or None

    def header(self, name: str, *, answer: bool = False) -> str | None:
        """A field of the request, or of the answer."""
        fields = headers(self.response if answer else self.request)
        return next((value for key, value in fields if key.lower() == name), None)

    def bytes_of(self, part: dict[str, Any]) -> int | None:
        """Head and body of the request or response, where both are told."""
        sizes = (whole(part, "headersSize"), whole(part, "bodySize"))
        return sum(sizes) if min(sizes) >= 0 and sizes[0] > 0 else None


def table(plain: dict[str, Any], key: str) -> dict[str, Any]:
    """An object in an object."""
    found = plain.get(key)
    return found if isinstance(found, dict) else {}


def text(plain: dict[str, Any], key: str) -> str:
    """A text in an object; empty where there is none."""
    found = plain.get(key)
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else ""


def number(plain: dict[str, Any], key: str) -> float | None:
    """A finite number in an object."""
    found = plain.get(key)
    return float(found) if isinstance(found, int | float) and abs(found) < 1e15 else None


def whole(plain: dict[str, Any], key: str) -> int:
    """A whole number in an object; -1 where there is none."""
    found = number(plain, key)
    return -1 if found is None else int(found)


def headers(part: dict[str, Any]) -> Headers:
    """The header fields of a request or response."""
    found = part.get("headers")
    rows = found if isinstance(found, list) else []
    return [(text(row, "name"), text(row, "value")) for row in rows if isinstance(row, dict) and text(row, "name")]


def instant(value: object) -> float | None:
    """Unix time of an ISO-8601 text; without a zone it counts as UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def unix(value: object) -> float | None:
    """Unix time in seconds of a number in seconds, milliseconds or microseconds; ``None`` for what is no such time."""
    if not isinstance(value, int | float) or not 1e8 < value < 1e17:
        return None
    return value / (1e6 if value > 1e14 else 1e3 if value > 1e11 else 1)
