"""Writes a trace as HAR 1.2 that browsers and HTTP tools open.

Messages stand in ``_webSocketMessages`` with times in epoch seconds, the end of a connection in ``_webSocketClose``;
what neither can carry (pings, close frames with their direction, how TCP ended …) stands under ``_chatkit``, where
:mod:`chatkit.formats.har` finds it again and every other program passes over it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from chatkit import ending
from chatkit.clock import iso_utc
from chatkit.ending import Connection
from chatkit.events import (
    AttemptStarted,
    Event,
    FrameReceived,
    FrameSent,
    Headers,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Opened,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.redact import Redactor
from chatkit.trace import Trace

SCHEMA = "chatkit.har/1"
_encode = msgspec.json.Encoder().encode
_PLAIN = ("opcode", "size", "fin", "text")
_TEXT = 1
_BINARY = 2


def dump(trace: Trace, path: str | Path) -> list[str]:
    """Writes a trace as HAR, readable by its owner only; replaces the file as a whole.

    Returns what other programs will not see in the file, one sentence each; chatkit reads all of it back but the ids
    of events and, among several connections, the order of events of the same microsecond.
    """
    writer = _Writer(trace)
    target = Path(path)
    part = target.with_name(target.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    clean = Redactor().clean
    with os.fdopen(descriptor, "wb") as file:
        for piece in writer.pieces():
            file.write(clean(piece))
    part.replace(target)
    return writer.lost()


class _Writer:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.kept: dict[str, int] = {}
        """How many events of each kind stand under ``_chatkit`` alone."""
        self.long = 0

    def pieces(self) -> Iterator[bytes]:
        trace = self.trace
        creator = _encode({"name": "chatkit", "version": trace.header.tool})
        yield b'{"log":{"version":"1.2","creator":%s,"pages":[],"entries":[\n' % creator
        comma = b""
        beside, http = self._beside()
        for connection in trace.connections:
            yield comma
            yield from self._socket(connection)
            comma = b",\n"
        for entry in http:
            yield comma + _encode(entry)
            comma = b",\n"
        ours = {
            "schema": SCHEMA,
            "epoch": trace.epoch,
            "not_visible": list(trace.not_visible),
            "events": beside,
        }
        yield b'\n],"_chatkit":%s}}\n' % _encode(ours)

    def _socket(self, connection: Connection) -> Iterator[bytes]:
        """The entry of a connection, its messages one by one."""
        events: list[dict[str, Any]] = []
        facts: list[Event] = []
        begin = self.trace.epoch + connection.started_at
        yield b'{"_resourceType":"websocket","_webSocketMessages":['
        count, last = 0, connection.started_at
        for event in self.trace.select(connection=connection.id):
            if isinstance(event, FrameSent | FrameReceived) and event.fin:
                yield (b",\n" if count else b"\n") + _encode(self._message(event))
                count += 1
            else:
                facts.append(event)
                events.append(self._told(event, count))
            last = event.at
        rest = self._entry(connection, facts, begin, last)
        rest["_chatkit"] = {"schema": SCHEMA, "events": events}
        yield b"]," + _encode(rest)[1:]

    def _message(self, event: FrameSent | FrameReceived) -> dict[str, Any]:
        binary = event.text is None
        message: dict[str, Any] = {
            "type": "send" if isinstance(event, FrameSent) else "receive",
            "time": round(self.trace.epoch + event.at, 6),
            "opcode": _BINARY if binary else _TEXT,
            "data": (event.data if binary else event.text) or "",
        }
        self.long += event.digest is not None
        more = {
            name: value
            for name, value in (
                ("compressed", event.compressed),
                ("length", event.length),
                ("digest", event.digest),
                ("opcode", event.opcode if event.opcode != ("binary" if binary else "text") else None),
            )
            if value
        }
        if more or binary or event.size != len(message["data"].encode("utf-8", "replace")):
            message["_chatkit"] = {"size": event.size, **more}
        return message

    def _told(self, event: Event, after: int = 0) -> dict[str, Any]:
        name = type(event).__name__
        self.kept[name] = self.kept.get(name, 0) + 1
        row: dict[str, Any] = msgspec.to_builtins(event)
        for key in ("id", "at", "connection"):
            row.pop(key, None)
        return {"wall": round(self.trace.epoch + event.at, 6), "after": after, **row}

    def _entry(self, connection: Connection, facts: list[Event], begin: float, last: float) -> dict[str, Any]:
        asked = ending._first(facts, UpgradeRequested)
        answered = ending._first(facts, UpgradeAnswered)
        opened = ending._first(facts, Opened)
        end = connection.ending.at if connection.ending is not None else last
        ready = opened or answered
        wait = _milliseconds(ready.at - connection.started_at) if ready is not None else 0.0
        took = _milliseconds(end - connection.started_at)
        started = ending._first(facts, AttemptStarted)
        url = (started.url if started is not None else connection.url) or "ws://unknown/"
        status = answered.status if answered is not None else 101 if opened is not None else 0
        failed = connection.ending.failed if connection.ending is not None else None
        entry = {
            "startedDateTime": iso_utc(begin),
            "time": took,
            "request": _request("GET", url, asked.headers if asked is not None else []),
            "response": _response(
                status,
                answered.reason if answered is not None else "",
                answered.headers if answered is not None else [],
                error=failed.error if failed is not None else None,
                body=answered.body if answered is not None else None,
            ),
            "cache": {},
            "timings": {"send": 0, "wait": wait, "receive": max(took - wait, 0.0)},
        }
        close = self._close(connection)
        return entry | ({"_webSocketClose": close} if close is not None else {})

    def _close(self, connection: Connection) -> dict[str, Any] | str | None:
        """The end, as HTTP Toolkit writes it."""
        found = connection.ending
        if found is None or not found.opened or found.close_code is None:
            return None
        if found.abort:
            return "aborted"
        return {
            "code": found.close_code,
            "reason": found.close_reason or "",
            "timestamp": round(self.trace.epoch + found.at, 6),
        }

    def _beside(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Events of no connection for chatkit, and the HTTP exchanges among them for everybody."""
        told, http = [], []
        asked: dict[str, HttpRequested] = {}
        for i in (self.trace.connection_code < 0).nonzero()[0].tolist():
            event = self.trace[i]
            told.append(self._told(event))
            if isinstance(event, HttpRequested):
                asked[event.exchange] = event
            elif isinstance(event, HttpAnswered | HttpFailed) and event.exchange in asked:
                http.append(self._exchange(asked.pop(event.exchange), event))
        return told, http

    def _exchange(self, asked: HttpRequested, answer: HttpAnswered | HttpFailed) -> dict[str, Any]:
        took = _milliseconds(answer.seconds)
        if isinstance(answer, HttpAnswered):
            fields = [("Retry-After", f"{answer.retry_after:g}")] if answer.retry_after is not None else []
            response = _response(answer.status, "", fields, body=answer.detail)
            if answer.received is not None:
                response["_transferSize"] = answer.received
        else:
            response = _response(0, "", [], error=answer.error)
        return {
            "startedDateTime": iso_utc(self.trace.epoch + asked.at),
            "time": took,
            "request": _request(asked.method, asked.url, []),
            "response": response,
            "cache": {},
            "timings": {"send": 0, "wait": took, "receive": 0},
            "_chatkit": {"schema": SCHEMA},
        }

    def lost(self) -> list[str]:
        """What other programs do not see."""
        shown = (AttemptStarted, UpgradeRequested, UpgradeAnswered, Opened, HttpRequested, HttpAnswered, HttpFailed)
        hidden = {name: count for name, count in self.kept.items() if name not in {kind.__name__ for kind in shown}}
        words = []
        if hidden:
            listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(hidden.items()))
            words.append(f"HAR has no place for these events; only chatkit reads them back: {listed}")
        if self.long:
            words.append(f"{self.long:,} long messages stand in it with their beginning only, as in the recording")
        if HealthChecked.__name__ in self.kept:
            words.append("health checks are no HTTP entries, because their URL is not recorded")
        return words


def _request(method: str, url: str, headers: Headers) -> dict[str, Any]:
    try:
        query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    except ValueError:
        query = []
    return {
        "method": method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in headers],
        "queryString": [{"name": name, "value": value} for name, value in query],
        "headersSize": -1,
        "bodySize": -1,
    }


def _response(
    status: int, reason: str, headers: Headers, *, error: str | None = None, body: str | None = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"size": len(body.encode("utf-8", "replace")) if body else 0, "mimeType": "x-unknown"}
    return {
        "status": status,
        "statusText": reason,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in headers],
        "content": content | ({"text": body} if body else {}),
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
    } | ({"_error": error} if error else {})


def _milliseconds(seconds: float) -> float:
    return max(round(seconds * 1000, 3), 0.0)
