"""Access log of nginx: one line per request, written when it ends; a line with status 101 is a whole connection.

The combined format and those that add ``$request_time`` (as the last number, or as ``rt=…``), and JSON lines with
nginx's own names. Without ``$request_time`` only the end of a connection is known.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from chatkit.events import (
    AttemptFailed,
    EndReported,
    HealthChecked,
    HttpAnswered,
    HttpRequested,
    Logged,
    Opened,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.collector import Collector
from chatkit.formats.loglines import Line, Lines, record, shown
from chatkit.formats.purposes import is_socket, purpose
from chatkit.formats.source import Options, Source
from chatkit.formats.stamps import Stamps, clf, unix
from chatkit.trace import Trace

FORMAT = "nginx-access"
TITLE = "access log of nginx"
NOT_VISIBLE = (
    "handshake",
    "frames",
    "payloads",
    "sizes",
    "sent",
    "received",
    "pings",
    "close-code",
    "closed-by",
    "transport-end",
    "tcp",
    "compression",
    "client-side",
    "server-side",
)
CLIENT_LEFT = 499
"""What nginx writes where the client closed before an answer was there; no client ever got it."""

_LINE = re.compile(
    r"^[^\[\"]{0,400}\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r"(?:[^\"\s]{1,200} ){0,2}"
    r"\"(?P<method>[A-Z]{3,10}) (?P<target>(?:[^\"\\\s]|\\.){1,8192})(?: HTTP/[\d.]{1,3})?\" (?P<status>\d{3}) "
    r"(?:\d{1,19}|-)(?P<rest>.*)$"
)
_NAMED = re.compile(r"(?:^|[\s\"|,;])(?:rt|request_time|reqtime|duration|time)[=:]\"?(\d{1,9}(?:\.\d{1,6})?)(?![\d.])")
_LAST = re.compile(r"[\s\"](\d{1,9}\.\d{3})\"?\s{0,3}$")
_JSON_TIMES = ("time_iso8601", "time_local", "time", "@timestamp", "timestamp", "msec", "ts")
_JSON_SOUGHT = ("request_time", "request_uri", "uri", "request", "http_upgrade", "upgrade")
_SNIFF = re.compile(
    rb'^[^\n\["]{1,400}\[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:]{8} [+-]\d{4}\] (?:[^"\s]{1,200} ){0,2}"[A-Z]{3,10} ', re.M
)


class _Request(Struct, frozen=True):
    end: float
    method: str
    target: str
    status: int
    seconds: float | None
    upgrade: bool


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is an access log: its bracketed time and request, or JSON with nginx's names."""
    if _SNIFF.search(start[:16384]) is not None:
        return True
    first = record(start.lstrip().split(b"\n", 1)[0].decode("utf-8", "replace"))
    return first is not None and _of_json(first, Stamps()) is not None


def read(source: Source, options: Options) -> Trace:
    """Reads the log.

    Raises:
        ImportFailed: no line of it is one of an access log.
    """
    return _Reader(source, options).run()


class _Reader:
    def __init__(self, source: Source, options: Options) -> None:
        self._collector = Collector(source, FORMAT, NOT_VISIBLE, options)
        self._lines = Lines(self._collector, "a line with [24/Nov/2026:08:02:54 +0000] and “GET /path HTTP/1.1” 101")
        self._stamps = Stamps(source.start)
        self._count = self._exchanges = 0
        self._rough = self._unmeasured = self._untimed = False

    def run(self) -> Trace:
        for line in self._lines:
            request = self._request(line)
            if request is None:
                self._lines.skip()
                continue
            self._lines.used()
            if request.upgrade:
                self._connection(request)
            else:
                self._exchange(request)
        self._collector.not_visible.discard("timing")
        self._say()
        self._lines.finish()
        return self._collector.build()

    def _say(self) -> None:
        if self._rough:
            self._collector.warn("the log tells the end of a request to the second: times here may be a second early")
        if self._unmeasured:
            self._collector.warn(
                "the log has no $request_time: when a connection began and how long it lived is not visible"
            )
        if self._untimed:
            self._collector.warn("the log does not say how long HTTP requests took: 0 s stands for it")
        for note in self._stamps.notes:
            self._collector.warn(note)

    def _request(self, line: Line) -> _Request | None:
        raw = line.front + line.text
        if (match := _LINE.match(raw)) is not None:
            end = clf(match["time"])
            if end is None:
                return None
            self._rough = True
            target = match["target"]
            status = int(match["status"])
            upgrade = status == 101 or (match["method"] == "GET" and is_socket(target))
            return _Request(end, match["method"], target, status, _seconds(match["rest"]), upgrade)
        fields = line.fields
        if fields is None:
            return None
        found = _of_json(fields, self._stamps)
        self._rough = self._rough or (found is not None and found.end == int(found.end))
        return found

    def _connection(self, request: _Request) -> None:
        self._count += 1
        id, add = str(self._count), self._collector.add
        begin = request.end - (request.seconds or 0.0)
        target = self._collector.redactor.text(request.target)
        if request.status == 101 and request.seconds is None:
            self._unmeasured = True
            add(request.end, Logged, id, by="proxy", what="upgraded", text=shown(f"GET {target} 101"))
            add(request.end, EndReported, id, source="nginx")
            return
        add(begin, UpgradeRequested, id, target=target, headers=[])
        if request.status == 101:
            add(begin, UpgradeAnswered, id, status=101, reason="", headers=[])
            add(begin, Opened, id)
            add(request.end, EndReported, id, source="nginx")
        elif request.status == CLIENT_LEFT:
            add(request.end, Logged, id, by="proxy", what="client-closed", text=shown(f"{CLIENT_LEFT} {target}"))
            add(request.end, AttemptFailed, id, stage="upgrade", error="the client left before an answer came (499)")
        else:
            add(request.end, UpgradeAnswered, id, status=request.status, reason="", headers=[], seconds=request.seconds)
            error = f"HTTP {request.status}"
            add(request.end, AttemptFailed, id, stage="upgrade", error=error, status=request.status)

    def _exchange(self, request: _Request) -> None:
        what, seconds = purpose(request.method, request.target), request.seconds or 0.0
        self._untimed = self._untimed or request.seconds is None
        add, begin = self._collector.add, request.end - seconds
        fields: dict[str, Any] = {"method": request.method, "seconds": seconds}
        if what == "health" and request.method in ("GET", "HEAD"):
            healthy = 200 <= request.status < 400
            add(request.end, HealthChecked, None, healthy=healthy, status=request.status, **fields)
            return
        self._exchanges += 1
        exchange = str(self._exchanges)
        url = self._collector.redactor.text(request.target)
        add(begin, HttpRequested, None, exchange=exchange, method=request.method, url=url, purpose=what)
        add(request.end, HttpAnswered, None, exchange=exchange, status=request.status, purpose=what, **fields)


def _seconds(rest: str) -> float | None:
    """``$request_time`` in what follows the size: named, or the last number with three decimals."""
    match = _NAMED.search(rest[-4096:]) or _LAST.search(rest[-64:])
    return float(match[1]) if match else None


def _of_json(fields: dict[str, Any], stamps: Stamps) -> _Request | None:
    """A JSON line with nginx's names; ``None`` for any other."""
    request = fields.get("request")
    method, target = fields.get("request_method", fields.get("method")), fields.get("request_uri", fields.get("uri"))
    if isinstance(request, str) and len(parts := request.split(" ")) >= 2:
        method, target = method or parts[0], target or parts[1]
    status, seconds = _number(fields.get("status")), _number(fields.get("request_time"))
    if not isinstance(method, str) or not isinstance(target, str) or status is None or not 100 <= status <= 999:
        return None
    times = (_time(fields.get(key), stamps) for key in _JSON_TIMES)
    end = next((time for time in times if time is not None), None)
    if end is None or not any(key in fields for key in _JSON_SOUGHT):
        return None
    asked = fields.get("http_upgrade", fields.get("upgrade"))
    upgrade = status == 101 or (method == "GET" and (is_socket(target) or str(asked).lower() == "websocket"))
    if seconds is not None and not 0 <= seconds < 1e9:
        seconds = None
    return _Request(end, method[:10], target[:8192], int(status), seconds, upgrade)


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


def _time(value: object, stamps: Stamps) -> float | None:
    if isinstance(value, str) and (found := stamps.iso(value[:64])) is not None:
        return found
    number = _number(value)
    return None if number is None else unix(number)
