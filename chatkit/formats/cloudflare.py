"""Cloudflare Logpush, data set ``websocket_analytics``: one JSON line per connection, written when it has ended.

``ConnectionCloseSource`` names a side as the edge sees it: ``downstream`` is the client, ``upstream`` the origin,
``me`` the edge itself. Times come as RFC 3339, or as Unix seconds, milliseconds or nanoseconds.
"""

from __future__ import annotations

import re
from typing import Any

from chatkit.events import EndReported, Logged, Opened, UpgradeRequested
from chatkit.formats.collector import Collector
from chatkit.formats.loglines import Line, Lines, record, shown
from chatkit.formats.source import Options, Source
from chatkit.formats.stamps import Stamps, unix
from chatkit.trace import Trace

FORMAT = "cloudflare"
TITLE = "Cloudflare Logpush, websocket_analytics"
NOT_VISIBLE = (
    "handshake",
    "http-status",
    "frames",
    "payloads",
    "sizes",
    "sent",
    "received",
    "pings",
    "close-code",
    "transport-end",
    "tcp",
    "compression",
    "http",
    "client-side",
    "server-side",
)

_BY = {"downstream": "client", "upstream": "server"}
_WORDS = {
    "timedout": "timed-out",
    "peerreset": "connection-reset",
    "upstreamreset": "upstream-reset",
    "protocolviolation": "protocol-violation",
    "peernoerror": "connection-closed",
    "none": "connection-closed",
    "unspecifiederror": "error",
}
_SIDES = {"me": "the edge itself", "both": "both sides", "upstream": "the origin", "downstream": "the client"}
_BEGAN = re.compile(
    r"(?:start|established?|open|upgrade|begin)\w{0,20}(?:time|timestamp)|(?:time|timestamp)\w{0,6}start", re.I
)
_ENDED = re.compile(
    r"(?:end|closed?|finish)\w{0,20}(?:time|timestamp)|(?:time|timestamp)\w{0,6}end|^timestamp$|^datetime$", re.I
)
_LASTED = re.compile(r"duration(?:_?(?P<unit>ms|msec|ns|sec|s))?$", re.I)
_PER_SECOND = {"ms": 1e3, "msec": 1e3, "ns": 1e9, "s": 1.0, "sec": 1.0, None: 1e3}


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is such a data set."""
    first = start.lstrip()[:1]
    return first == b"{" and b'"ConnectionCloseSource"' in start and _connection(_first(start)) is not None


def read(source: Source, options: Options) -> Trace:
    """Reads the data set.

    Raises:
        ImportFailed: no line of it is a record of a WebSocket.
    """
    return _Reader(source, options).run()


class _Reader:
    def __init__(self, source: Source, options: Options) -> None:
        self._collector = Collector(source, FORMAT, NOT_VISIBLE, options)
        self._lines = Lines(self._collector, "JSON lines with ConnectionCloseReason and ConnectionCloseSource")
        self._stamps = Stamps()
        self._count = self._undated = 0
        self._guessed = False

    def run(self) -> Trace:
        for line in self._lines:
            fields = _connection(line.fields)
            if fields is None:
                self._lines.skip()
                continue
            self._lines.used()
            self._one(line, fields)
        self._collector.not_visible.discard("timing")
        if self._undated:
            self._collector.not_visible.add("timing")
            self._collector.warn(
                f"records without the time of their end, shown at the end before them: {self._undated:,}"
            )
        if self._guessed:
            self._collector.warn("records without the time of their beginning: how long those lived is not visible")
        self._lines.finish()
        return self._collector.build()

    def _one(self, line: Line, fields: dict[str, Any]) -> None:
        self._count += 1
        id, add = str(self._count), self._collector.add
        began, ended = self._times(fields)
        if ended is None:
            self._undated += 1
            ended = began if began is not None else line.wall
        if began is not None and began <= ended:
            add(began, UpgradeRequested, id, target=self._target(fields), headers=_host(fields))
            add(began, Opened, id)
        else:
            self._guessed = True
        source, reason = (_text(fields.get(f"ConnectionClose{name}")) for name in ("Source", "Reason"))
        words = f"{reason or 'no reason'}, closed by {_SIDES.get(source, source or 'nobody named')}"
        what = _WORDS.get(reason.lower(), "connection-closed")
        add(ended, Logged, id, by="proxy", what=what, text=shown(f"{words}: {self._target(fields)}"))
        add(ended, EndReported, id, by=_BY.get(source), source="Cloudflare")

    def _target(self, fields: dict[str, Any]) -> str:
        path = _text(fields.get("ClientRequestPath")) or "/"
        return self._collector.redactor.text(path)

    def _times(self, fields: dict[str, Any]) -> tuple[float | None, float | None]:
        began = self._time(fields, _BEGAN)
        ended = self._time(fields, _ENDED)
        for key, value in fields.items():
            match = _LASTED.search(key)
            if match and isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18:
                seconds = value / _PER_SECOND[match["unit"].lower() if match["unit"] else None]
                if began is None and ended is not None:
                    began = ended - seconds
                elif ended is None and began is not None:
                    ended = began + seconds
        return began, ended

    def _time(self, fields: dict[str, Any], name: re.Pattern[str]) -> float | None:
        for key, value in fields.items():
            if name.search(key[:100]) is None:
                continue
            found = self._stamps.iso(value[:64]) if isinstance(value, str) else unix(value)
            if found is None and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 21:
                found = unix(int(value))
            if found is not None:
                return found
        return None


def _connection(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    """A record of the data set; ``None`` for any other line."""
    if fields is None or not ("ConnectionCloseSource" in fields or "ConnectionCloseReason" in fields):
        return None
    return fields


def _first(start: bytes) -> dict[str, Any] | None:
    return record(start.lstrip().split(b"\n", 1)[0].decode("utf-8", "replace"))


def _host(fields: dict[str, Any]) -> list[tuple[str, str]]:
    host = _text(fields.get("ClientRequestHost"))
    return [("Host", host)] if host else []


def _text(value: object) -> str:
    return value[:2048] if isinstance(value, str) else ""
