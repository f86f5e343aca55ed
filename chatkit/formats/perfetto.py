"""Writes a trace for https://ui.perfetto.dev and chrome://tracing: the Trace Event Format, one event per line.

What takes time is a pair of asynchronous events (``b``, ``e``) with one id: a connection, a ping and its pong, an HTTP
exchange, typing, a streamed reply, the lag of our own loop. What happens at one moment is an instant (``i``). Each
vantage point is a process, each connection a thread of it. Times are whole microseconds since the trace's epoch.

Rows hold no secret, so the file holds none. It is a picture: nothing reads it back into a trace.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from chatkit.clock import iso_utc
from chatkit.events import (
    KIND_CODE,
    AttemptFailed,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    LoopLagged,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    TransportEnded,
)
from chatkit.plain import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.trace import Trace

NOT_CARRIED = (
    "message texts beyond their first 100 characters, and headers",
    "a way back: no tool makes a recording of it again",
)
"""What is lost on the way into this format, for whoever converts."""
MOST_TEXT = 200
"""Characters of a name or an argument."""
MOST_OPEN = 1000
"""Spans of one connection that may wait for their end."""

_FRAMES = [KIND_CODE[FrameSent], KIND_CODE[FrameReceived]]
_SENT = KIND_CODE[FrameSent]
_LAG = KIND_CODE[LoopLagged]
_ENDS = [KIND_CODE[kind] for kind in (CloseSent, CloseReceived, TransportEnded, AttemptFailed, EndReported)]
_CLIENT, _HTTP, _HEALTH, _LOOP, _FIRST = 1, 2, 3, 4, 10
_THREADS = {_CLIENT: "client", _HTTP: "HTTP", _HEALTH: "health", _LOOP: "our event loop"}

_encode = msgspec.json.Encoder().encode
Key = tuple[int, int, str, Any]
"""Process, thread, kind of span, and what tells it from others of that kind."""
Line = tuple[int, int, dict[str, Any]]
"""Microseconds, rank within that moment (begins of lives first, their ends last), the event."""


class _Data(Struct, frozen=True):
    message_id: str = ""
    user_id: str = ""
    username: str = ""
    is_typing: bool | None = None


class _Message(Struct, frozen=True):
    timestamp: str = ""
    data: _Data = _Data()


_message = msgspec.json.Decoder(_Message, strict=False).decode


def dump(trace: Trace, path: str | Path) -> None:
    """Writes the file, event by event; readable by its owner only. Replaces it as a whole."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(pieces(trace))
    part.replace(target)


def pieces(trace: Trace) -> Iterator[bytes]:
    """The file in pieces, in order."""
    other = {"epoch": iso_utc(trace.epoch), "epoch_unix_s": f"{trace.epoch:.6f}", "made by": "chatkit"}
    if trace.not_visible:
        other["not visible"] = ", ".join(trace.not_visible)
    yield b'{"displayTimeUnit":"ms","otherData":%s,"traceEvents":[\n' % _encode(other)
    first = True
    for event in _Drawing(trace).events():
        yield (b"" if first else b",\n") + _encode(event)
        first = False
    yield b"\n]}\n"


class _Drawing:
    """One pass over a trace, in the order of time."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._base = min(0.0, float(trace.at.min())) if len(trace) else 0.0
        self._pid = trace.vantage_code.astype(np.int64) + 2  # 1 where there is no vantage point
        self._order = np.argsort(trace.at, kind="stable")
        self._numbers = itertools.count(1)
        self._open: dict[tuple[int, int], dict[tuple[str, Any], dict[str, Any]]] = {}
        """By process and thread: spans without an end yet, oldest first."""
        self._lives = _lives(trace, self._pid, self._order)
        self._last_ends = {life.end: key for key, life in self._lives.items() if life.ended}

    def events(self) -> Iterator[dict[str, Any]]:
        """All lines: names first, then by time."""
        yield from self._names()
        for _, _, event in heapq.merge(self._edges(), self._lags(), self._moments(), key=lambda line: line[:2]):
            yield event

    def _names(self) -> Iterator[dict[str, Any]]:
        trace = self._trace
        for pid in sorted(set(self._pid.tolist())):
            seen = f"seen by {trace.vantage_names[pid - 2]}" if pid > 1 else trace.origin.target or "chatkit"
            yield _meta("process_name", pid, 0, one_line(seen, MOST_TEXT))
            for tid, name in _THREADS.items():
                yield _meta("thread_name", pid, tid, name)
        for pid, code in sorted(self._lives):
            yield _meta("thread_name", pid, code + _FIRST, one_line(f"connection {trace.names[code]}", MOST_TEXT))

    def _micros(self, at: float) -> int:
        return round((at - self._base) * 1e6)

    def _edges(self) -> list[Line]:
        """Begin and end of each connection, as each vantage point saw it."""
        trace, lines = self._trace, []
        endings = {connection.id: connection.ending for connection in trace.connections}
        for (pid, code), life in self._lives.items():
            name = trace.names[code]
            begin, end = (self._micros(float(trace.at[i])) for i in (life.begin, life.end))
            span = self._span("connection", f"connection {name}", pid, code + _FIRST)
            said = str(endings[name]) if endings.get(name) is not None and life.ended else "still open"
            lines.append((begin, 0, span | {"ph": "b", "ts": begin}))
            lines.append((end, 2, span | {"ph": "e", "ts": end, "args": {"ending": one_line(said, MOST_TEXT)}}))
        return sorted(lines, key=lambda line: line[:2])

    def _lags(self) -> Iterator[Line]:
        """How late our loop was: each lag ends where it was noticed and begins after the one before it."""
        trace = self._trace
        ends: dict[int, int] = {}
        for i in self._order[trace.kind[self._order] == _LAG].tolist():
            event: Any = trace[i]
            pid, at, lag = int(self._pid[i]), event.at, event.lag
            begin = max(self._micros(at - lag), ends.get(pid, 0))
            end = max(self._micros(at), begin)
            ends[pid] = end
            span = self._span("loop lag", f"loop lag {lag * 1000:.0f} ms", pid, _LOOP)
            yield begin, 1, span | {"ph": "b", "ts": begin}
            yield end, 1, span | {"ph": "e", "ts": end, "args": {"event": event.id}}

    def _moments(self) -> Iterator[Line]:
        trace = self._trace
        types, frames = trace.message_types, np.isin(trace.kind, _FRAMES)
        at = 0
        for i in self._order.tolist():
            if trace.kind[i] == _LAG:
                continue
            at = self._micros(float(trace.at[i]))
            lines = self._frame(i, at, types[i]) if frames[i] else self._fact(i, at)
            yield from ((at, 1, line) for line in lines)
            if i in self._last_ends:
                yield from ((at, 1, line) for line in self._close_all(at, self._last_ends[i]))
        yield from ((at, 1, line) for line in self._close_all(at, None))

    def _frame(self, i: int, at: int, type_: str | None) -> Iterator[dict[str, Any]]:
        trace, names = self._trace, self._trace.header.types
        pid, tid = self._place(i)
        sent = trace.kind[i] == _SENT
        name = f"{'sent' if sent else 'received'} {one_line(type_ or 'message', 60)}"
        args = {"event": _id(trace.rows[i]), "bytes": int(trace.size[i])}
        yield _instant(name, "frame", at, pid, tid, args)
        if type_ == names.send_ping and sent:
            yield from self._begin((pid, tid, "ping", self._told(i).timestamp or i), at, "ping", "application ping")
        elif type_ == names.pong and not sent:
            yield from self._pong((pid, tid, "ping", self._told(i).timestamp), at)
        elif type_ == (names.send_typing if sent else names.typing):
            yield from self._typing(i, at, (pid, tid, "typing", "" if sent else self._told(i).data.user_id), sent)
        elif type_ in (names.chunk, names.reply) and not sent:
            yield from self._stream((pid, tid, "streaming", self._told(i).data.message_id), at, type_ == names.chunk)

    def _typing(self, i: int, at: int, key: Key, sent: bool) -> Iterator[dict[str, Any]]:
        data = self._told(i).data
        if data.is_typing and not self._is_open(key):
            who = "we type" if sent else f"{one_line(data.username or 'somebody', 40)} types"
            yield from self._begin(key, at, "typing", who)
        elif data.is_typing is False:
            yield from self._end(key, at)

    def _stream(self, key: Key, at: int, more: bool) -> Iterator[dict[str, Any]]:
        if not more:
            yield from self._end(key, at)
        elif not self._is_open(key):
            yield from self._begin(key, at, "streaming", "streamed reply")

    def _fact(self, i: int, at: int) -> Iterator[dict[str, Any]]:
        event: Event = self._trace[i]
        pid, tid = self._place(i)
        if isinstance(event, HttpRequested):
            key = (pid, _HTTP, "HTTP", event.exchange)
            yield from self._begin(key, at, "HTTP", one_line(f"{event.method} {event.purpose}", MOST_TEXT))
        elif isinstance(event, PingSent | PingReceived):
            ours = isinstance(event, PingSent)
            key = (pid, tid, "sent" if ours else "received", event.payload)
            yield from self._begin(key, at, "ping", "our ping (RFC 6455)" if ours else "the server's ping (RFC 6455)")
        yield _instant(one_line(str(event), MOST_TEXT), _category(event), at, pid, tid, {"event": event.id})
        if isinstance(event, HttpAnswered | HttpFailed):
            said = str(event.status) if isinstance(event, HttpAnswered) else one_line(event.error, MOST_TEXT)
            yield from self._end((pid, _HTTP, "HTTP", event.exchange), at, answer=said)
        elif isinstance(event, PongReceived | PongSent):
            yield from self._end(
                (pid, tid, "sent" if isinstance(event, PongReceived) else "received", event.payload), at
            )

    def _place(self, i: int) -> tuple[int, int]:
        code, pid = int(self._trace.connection_code[i]), int(self._pid[i])
        if code >= 0:
            return pid, code + _FIRST
        kind = self._trace.kind[i]
        return pid, _BESIDE.get(int(kind), _CLIENT)

    def _told(self, i: int) -> _Message:
        """What a message says that matters here; nothing where it is no such message."""
        event: Any = self._trace[i]
        try:
            return _message(event.text or "{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _Message()

    def _span(self, category: str, name: str, pid: int, tid: int) -> dict[str, Any]:
        number = f"{category} {next(self._numbers)}"
        return {"name": one_line(name, MOST_TEXT), "cat": category, "id": number, "pid": pid, "tid": tid}

    def _is_open(self, key: Key) -> bool:
        return key[2:] in self._open.get(key[:2], ())

    def _begin(self, key: Key, at: int, category: str, name: str) -> Iterator[dict[str, Any]]:
        yield from self._end(key, at, because="begun again")
        span = self._span(category, name, key[0], key[1])
        here = self._open.setdefault(key[:2], {})
        here[key[2:]] = span
        yield span | {"ph": "b", "ts": at}
        if len(here) > MOST_OPEN:
            yield from self._end((*key[:2], *next(iter(here))), at, because="no end seen")

    def _end(self, key: Key, at: int, **args: Any) -> Iterator[dict[str, Any]]:
        span = self._open.get(key[:2], {}).pop(key[2:], None)
        if span is not None:
            yield span | {"ph": "e", "ts": at, "args": args}

    def _pong(self, key: Key, at: int) -> Iterator[dict[str, Any]]:
        """A pong echoes its ping's timestamp; else the oldest ping of the connection is the one."""
        if not self._is_open(key):
            here = self._open.get(key[:2], ())
            key = next(((*key[:2], *other) for other in here if other[0] == key[2]), key)
        yield from self._end(key, at)

    def _close_all(self, at: int, life: tuple[int, int] | None) -> Iterator[dict[str, Any]]:
        """Ends what is still open on a connection that ended, or everywhere."""
        places = list(self._open) if life is None else [(life[0], life[1] + _FIRST)]
        because = "no end seen" if life is None else "the connection ended"
        for place in places:
            for rest in list(self._open.get(place, ())):
                yield from self._end((*place, *rest), at, because=because)


class _Life(Struct):
    begin: int
    """Place of its first event."""
    end: int
    """Place of its last ending, else of the trace's last event."""
    ended: bool


def _lives(trace: Trace, pid: NDArray[np.int64], order: NDArray[np.intp]) -> dict[tuple[int, int], _Life]:
    """By process and connection."""
    lives: dict[tuple[int, int], _Life] = {}
    if not len(trace):
        return lives
    key = pid * (len(trace.names) + 1) + trace.connection_code
    last, mine = int(order[-1]), order[trace.connection_code[order] >= 0]
    found, first = np.unique(key[mine], return_index=True)
    for value, n in zip(found.tolist(), first.tolist(), strict=True):
        begin = int(mine[n])
        lives[divmod(value, len(trace.names) + 1)] = _Life(begin, last, False)
    for i in mine[np.isin(trace.kind[mine], _ENDS)].tolist():
        life = lives[int(pid[i]), int(trace.connection_code[i])]
        life.end, life.ended = i, True
    return lives


def _meta(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _instant(name: str, category: str, at: int, pid: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "cat": category, "ph": "i", "s": "t", "ts": at, "pid": pid, "tid": tid, "args": args}


def _category(event: Event) -> str:
    return "close" if KIND_CODE[type(event)] in _ENDS else "event"


def _id(row: bytes) -> str:
    begin = row.find(b'"id":"') + 6
    return row[begin : row.find(b'"', begin)].decode()


_BESIDE = {KIND_CODE[HttpRequested]: _HTTP, KIND_CODE[HttpAnswered]: _HTTP, KIND_CODE[HttpFailed]: _HTTP}
_BESIDE[KIND_CODE[HealthChecked]] = _HEALTH
