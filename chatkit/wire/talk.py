"""The bytes of one connection above TCP and TLS: HTTP exchanges, and the WebSockets that come out of them; pure."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Protocol

from msgspec import Struct

from chatkit.events import (
    Event,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    TransportEnded,
)
from chatkit.redact import Redactor
from chatkit.wire.frames import likeness
from chatkit.wire.handshake import Head
from chatkit.wire.http import Message, Reader, begins
from chatkit.wire.reader import WireReader

MOST_BEHIND = 1 << 20
"""Bytes of a client that wait for the answer to an upgrade."""
MOST_GUESSED = 1 << 18
"""Bytes from the middle of a connection after which it is none that matters."""
_MOST_PIECES = 64
_MOST_REQUESTS = 1000
"""Requests of one connection that may be unanswered at a time."""
_SHORT = 16
_WORD = re.compile(rb"[A-Z]*(?: [^\r\n]*)?")
_PROXY = re.compile(rb"PROXY [^\r\n]{0,100}\r\n")
_HTTP2 = b"PRI * HTTP/2.0\r\n"
_NEW, _HTTP, _SOCKET, _OPAQUE = range(4)


class Shared(Protocol):
    """What all connections of one recording share."""

    redactor: Redactor

    def exchange(self) -> str:
        """An id for an HTTP exchange."""

    def purpose(self, method: str, target: str) -> str:
        """What an HTTP exchange is for."""

    def warn(self, text: str) -> None:
        """Notes what a reader should know, once."""

    def hide(self, word: str) -> None:
        """Notes what this evidence cannot show, a word of ``chatkit.visibility``."""


class Holder(Protocol):
    """The connection whose bytes these are, and what its reading asks of it."""

    secure: bool

    @property
    def id(self) -> str | None:
        """Once it matters."""

    @property
    def sink(self) -> Shared:
        """What it shares with others."""

    @property
    def peer(self) -> str:
        """The server's address and port."""

    @property
    def midway(self) -> bool:
        """Whether the evidence begins after the connection did."""

    def put(self, events: list[Event]) -> None:
        """Takes events, cleaned."""

    def reader(self, at: float, url: str, *, first: bool) -> WireReader:
        """A reader for a WebSocket that the client asks for."""

    def refused(self, at: float, stage: str, error: str, status: int | None = None) -> None:
        """The attempt failed above TCP."""

    def opaque(self, side: int, at: float, size: int) -> None:
        """Bytes that cannot be read."""

    def hidden(self, side: int, at: float, size: int) -> None:
        """It matters perhaps, and cannot be read from its first bytes on."""

    def lacking(self, side: int, at: float, size: int) -> None:
        """Bytes that the evidence lacks."""

    def ignore(self) -> None:
        """Nothing of it matters."""

    def flip(self) -> None:
        """The client is the other side than was thought."""

    def tunnelled(self) -> None:
        """A proxy opened a way through: what follows begins anew."""


class _Request(Struct):
    """A request that waits for its answer."""

    at: float
    message: Message
    exchange: str
    purpose: str
    upgrade: bool
    first: bool
    """Whether nothing went over the connection before."""
    wire: WireReader | None = None
    told: bool = False

    @property
    def method(self) -> str:
        return self.message.head.first[0]


class Talk:
    """One connection's bytes; sides are 0 for the client, 1 for the server."""

    def __init__(self, conversation: Holder) -> None:
        self._of = conversation
        self._mode = _NEW
        self._readers = (Reader(request=True), Reader(request=False))
        self._asked: deque[_Request] = deque()
        self._count = 0
        self._behind: list[bytes] = []
        self._held = 0
        self._wire: WireReader | None = None
        # From the middle: pieces so far, how many frames each side sent that look masked or not.
        self._pieces: list[tuple[int, float, bytes, int]] = []
        self._likes = [[0, 0], [0, 0]]

    @property
    def wire(self) -> WireReader | None:
        """What reads the frames, once this is a WebSocket."""
        return self._wire

    @property
    def waiting(self) -> bool:
        """Whether a request has no answer yet."""
        return bool(self._asked)

    # What comes from below

    def data(self, side: int, at: float, data: bytes) -> None:
        """The next bytes of a side."""
        if self._mode == _SOCKET:
            assert self._wire is not None
            self._of.put(self._wire.received(at, data) if side else self._wire.sent(at, data))
        elif self._mode == _HTTP:
            try:
                self._answers(at, data) if side else self._requests(at, data)
            except ValueError:
                self._give_up()
        elif self._mode == _OPAQUE:
            self._of.opaque(side, at, len(data))
        else:
            self._guess(side, at, data)

    def missing(self, side: int, at: float, size: int) -> None:
        """The next bytes of a side, which nobody saw."""
        if self._mode == _SOCKET:
            assert self._wire is not None
            self._of.put(self._wire.missing(side, at, size))
        elif self._mode == _HTTP:
            self._of.lacking(side, at, size)
            self._torn(side, at, size)
        elif self._mode == _OPAQUE:
            self._of.lacking(side, at, size)
        elif self._pieces:
            self._pieces.append((side, at, b"", size))

    def ended(self, at: float, how: str, by: str | None) -> Event | None:
        """The transport's first end, as an event that may still be changed."""
        if self._mode == _HTTP and by == "server":
            # An answer without a length ends here (RFC 9112, section 6.3).
            message = self._readers[1].cut_off()
            if message is not None and how == "fin":
                self._answered(at, message)
        wire = self._wire or next((request.wire for request in self._asked if request.wire is not None), None)
        if wire is not None:
            return wire.ended(at, how, by)[-1]
        return TransportEnded(id="", at=at, connection=self._of.id, how=how, by=by)

    def finished(self, end: Event | None) -> None:
        """Nothing more comes; ``end`` is the transport's, where one was seen."""
        for request in self._asked:
            self._tell(request)
            if not isinstance(end, TransportEnded):
                continue
            words = f"{end.how.upper()} by the {end.by} instead of an answer"
            if end.by is None:
                words = end.error or "no answer"
            if request.wire is not None:
                self._of.refused(end.at, "upgrade", words)
            elif request.purpose != "health":
                self._put(HttpFailed, end.at, error=words, **self._common(request, end.at))
            else:
                took = max(0.0, round(end.at - request.at, 6))
                self._put(HealthChecked, end.at, method=request.method, healthy=False, seconds=took, error=words)

    # HTTP

    def _requests(self, at: float, data: bytes) -> None:
        if self._asked and self._asked[-1].wire is not None:
            self._behind.append(data)
            self._held += len(data)
            if self._held > MOST_BEHIND:
                raise ValueError("too much behind an upgrade without an answer")
            return
        reader = self._readers[0]
        reader.feed(data)
        while (message := reader.head() or reader.under_way) is not None:
            if not self._asked or self._asked[-1].message is not message:
                if len(self._asked) >= _MOST_REQUESTS:
                    raise ValueError("too many requests without an answer")
                self._ask(at, message)
                reader.body_of(message, none=self._asked[-1].upgrade)
            if reader.ended() is None:
                break
            if self._asked[-1].wire is not None:
                if rest := reader.take():
                    self._behind.append(rest)
                break

    def _ask(self, at: float, message: Message) -> None:
        head = message.head
        method, target, _ = head.first
        upgrade = method == "GET" and "websocket" in (head.get("Upgrade") or "").lower()
        sink = self._of.sink
        purpose = "upgrade" if upgrade else sink.purpose(method, target)
        request = _Request(at, message, "" if upgrade else sink.exchange(), purpose, upgrade, self._count == 0)
        self._asked.append(request)
        if upgrade:
            self._upgrade(request)
        elif not message.cut:
            self._tell(request)
        self._count += 1

    def _upgrade(self, request: _Request) -> None:
        wire = self._of.reader(request.at, self._url(request.message.head, "ws"), first=request.first)
        request.wire, request.upgrade, request.told = wire, True, True
        self._of.put(wire.requested(request.at, request.message.head))

    def _answers(self, at: float, data: bytes) -> None:
        reader = self._readers[1]
        reader.feed(data)
        while self._mode == _HTTP:
            message = reader.head()
            if message is not None:
                status = int(message.head.first[1])
                if status == 101:
                    self._open(at, message, reader.take())
                    return
                asked = self._asked[0].method if self._asked else ""
                if asked == "CONNECT" and 200 <= status < 300:
                    self._tunnel(at, message)
                    return
                none = asked == "HEAD" or status < 200 or status in (204, 304)
                reader.body_of(message, none=none)
            done = reader.ended()
            if done is None:
                return
            if int(done.head.first[1]) >= 200:
                self._answered(at, done)

    def _answered(self, at: float, message: Message) -> None:
        if not self._asked:
            return  # the request was before the evidence begins
        request = self._asked.popleft()
        head, status = message.head, int(message.head.first[1])
        if request.wire is not None:
            self._of.put(request.wire.answered(at, head, bytes(message.body)))
            self._of.refused(at, "upgrade", f"HTTP {status} {head.first[2]}".rstrip(), status)
            behind, self._behind, self._held = b"".join(self._behind), [], 0
            if behind:
                self._requests(at, behind)
            return
        self._tell(request)
        if request.purpose == "health":
            took = round(at - request.at, 6)
            healthy = 200 <= status < 300
            self._put(HealthChecked, at, method=request.method, healthy=healthy, seconds=took, status=status)
            return
        detail = None
        if status >= 400 and message.body and not head.get("Content-Encoding"):
            detail = self._clean(bytes(message.body[:500]).decode("utf-8", "replace"))
        self._put(
            HttpAnswered,
            at,
            status=status,
            sent=request.message.size,
            received=message.size,
            retry_after=_seconds(head.get("Retry-After")),
            detail=detail,
            **self._common(request, at),
        )

    def _open(self, at: float, message: Message, rest: bytes) -> None:
        request = self._asked.popleft() if self._asked else None
        if request is None:
            wire = self._of.reader(at, "", first=True)
        else:
            if request.wire is None:
                self._upgrade(request)
            assert request.wire is not None
            wire = request.wire
        if message.cut:
            for word in ("handshake", "compression"):
                self._of.sink.hide(word)
        events = wire.answered(at, message.head, whole=not message.cut)
        self._wire, self._mode = wire, _SOCKET
        for data in self._behind:
            events += wire.sent(at, data)
        self._behind = []
        if rest:
            events += wire.received(at, rest)
        self._asked.clear()
        self._of.put(events)

    def _tunnel(self, at: float, message: Message) -> None:
        """A proxy opened a way through: what follows is another conversation."""
        reader = self._readers[1]
        reader.body_of(message, none=True)
        reader.ended()
        self._answered(at, message)
        self._of.tunnelled()

    def _torn(self, side: int, at: float, size: int) -> None:
        reader = self._readers[side]
        before = reader.under_way
        message = reader.missing(size)
        if message is None:
            return
        if side == 0:
            if before is None:
                self._ask(at, message)
        elif message.head.first[1] == "101":
            self._open(at, message, b"")
        else:
            self._answered(at, message)

    def _give_up(self) -> None:
        """This is no HTTP after all."""
        if self._of.id is None:
            self._of.ignore()
        else:
            self._mode = _OPAQUE

    # The middle of a connection

    def _guess(self, side: int, at: float, data: bytes) -> None:
        if not self._of.midway or self._of.secure:
            self._first(side, at, data)
            return
        for request in (True, False):
            if begins(data, request=request):
                if side == request:
                    self._of.flip()
                self._pieces = []
                self._mode = _HTTP
                self.data(1 - request, at, data)
                return
        self._pieces.append((side, at, data, 0))
        likes = self._likes[side]
        for masked in (False, True):
            likes[masked] += likeness(data, masked=masked)
        for client in (0, 1):
            sent, received = self._likes[client][True], self._likes[1 - client][False]
            if (
                (sent and received)
                or sent >= 3
                or (received >= 4 and not any(one[0] == client for one in self._pieces))
            ):
                self._join(client)
                return
        if len(self._pieces) >= _MOST_PIECES or sum(len(one[2]) for one in self._pieces) > MOST_GUESSED:
            self._of.ignore()

    def _first(self, side: int, at: float, data: bytes) -> None:
        """The first bytes of the client say what it speaks."""
        if side == 1 and not self._of.secure:
            self._of.ignore()
            return
        data = b"".join(piece[2] for piece in self._pieces) + data
        if side == 1:
            self._mode = _HTTP
            self.data(side, at, data)
            return
        if match := _PROXY.match(data):  # what a proxy of HAProxy's kind says first
            data = data[match.end() :]
        if data.startswith(_HTTP2):
            self._of.sink.warn("HTTP/2 is not readable here: WebSockets within it (RFC 8441) are not shown")
            self._of.hidden(side, at, len(data))
            self._mode = _OPAQUE
        elif begins(data, request=True) and len(data) >= _SHORT:
            self._pieces = []
            self._mode = _HTTP
            self.data(side, at, data)
        elif len(data) < _SHORT and _WORD.fullmatch(data):
            self._pieces = [(side, at, data, 0)]
        else:
            self._give_up()

    def _join(self, client: int) -> None:
        """These are frames."""
        if client == 1:
            self._of.flip()
        pieces, self._pieces = self._pieces, []
        wire = self._of.reader(pieces[0][1], "", first=True)
        wire.join()
        self._wire, self._mode = wire, _SOCKET
        found = [False, False]
        for side, at, data, missing in pieces:
            role = side ^ client
            if missing:
                if found[role]:
                    self._of.put(wire.missing(role, at, missing))
            elif found[role] or likeness(data, masked=role == 0):
                found[role] = True
                self.data(role, at, data)
            else:
                self._of.opaque(role, at, len(data))

    # Words

    def _url(self, head: Head, scheme: str) -> str:
        target = head.first[1]
        if not target.startswith("/"):
            return target
        return f"{scheme}{'s' if self._of.secure else ''}://{head.get('Host') or self._of.peer}{target}"

    def _tell(self, request: _Request) -> None:
        """The request as an event, if it is none yet."""
        if request.told or request.purpose == "health":
            return
        request.told = True
        method, url = request.method, self._clean(self._url(request.message.head, "http"))
        purpose, exchange = request.purpose, request.exchange
        self._put(HttpRequested, request.at, exchange=exchange, method=method, url=url, purpose=purpose)

    def _common(self, request: _Request, at: float) -> dict[str, Any]:
        return {
            "exchange": request.exchange,
            "seconds": max(0.0, round(at - request.at, 6)),
            "purpose": request.purpose,
            "method": request.method,
        }

    def _put(self, kind: type[Event], at: float, **fields: Any) -> None:
        self._of.put([kind(id="", at=at, **fields)])

    def _clean(self, text: str) -> str:
        return self._of.sink.redactor.text(text)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and re.fullmatch(r"[0-9]{1,7}", value) else None
