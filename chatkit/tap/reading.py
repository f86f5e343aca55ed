"""Reads what goes through a hop, on the fly, and lets a fault plan act on heads and messages.

HTTP/1.1 until a 101, then frames. Bytes are held only as long as it takes to know what they are: a head, or a message
of at most ``HOLD`` bytes. What cannot be read goes on as it is.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from typing import Protocol

from chatkit.deflate import Compression, deflate_parameters
from chatkit.faults.moments import (
    Abort,
    Action,
    CloseWith,
    Delay,
    Drop,
    Duplicate,
    FrameKind,
    Hold,
    How,
    Moment,
    Refuse,
)
from chatkit.faults.path_moments import Answered, Direction, Mangle, Passing, Requested, Rewrite
from chatkit.tap.altering import answer_head, mangled, named, page, request_head
from chatkit.wire.cutting import Cut, Cutter
from chatkit.wire.frames import CLOSE, PING, PONG, TEXT, Violation
from chatkit.wire.handshake import MAX_HEAD, Head, join_head
from chatkit.wire.http import Message, Reader, begins

_KEEP = 65_536
"""Longer messages are not parsed for their type: no rule waits for a type in a large message."""
_SHORT = 16
"""Bytes after which it shows whether they begin a message."""
_BEGINNING = 20_000
_WORD = re.compile(rb"[A-Z]*(?: [^\r\n]*\r?)?")
_WAYS: tuple[Direction, Direction] = ("outbound", "inbound")
_CONTROL: dict[int, FrameKind] = {CLOSE: "close", PING: "protocol-ping", PONG: "protocol-pong"}


class Road(Protocol):
    """What a reading asks for, and what it has done."""

    @property
    def open(self) -> int:
        """WebSockets that are open through the hop."""

    def ask(self, moment: Moment) -> tuple[Action, ...]:
        """What the plan says; timers are the road's."""

    def put(self, way: Direction, data: bytes, delay: float) -> None:
        """Passes bytes on."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Calls after that time, unless it is over by then."""

    def opened(self) -> None:
        """The 101 is on its way."""

    def leave(self, answer: bytes) -> None:
        """Gives the client this last answer and ends both connections."""

    def close(self, code: int, reason: str) -> None:
        """Closes the WebSocket."""

    def end(self, how: How) -> None:
        """Ends both connections."""


class Reading:
    """One TCP connection's two directions.

    Args:
        road: where it goes on.
        frames: whether messages are looked at; else what follows a 101 is not read.
        host: what requests name as their host, where that is not what the client names.
    """

    def __init__(self, road: Road, *, frames: bool, host: str | None = None) -> None:
        self._road, self._wants_frames, self._host = road, frames, host
        self._readers = (Reader(request=True), Reader(request=False))
        # What came and did not go on: always what the readers have not told of yet.
        self._raw = (bytearray(), bytearray())
        self._messages: list[Message | None] = [None, None]
        self._sent = [0, 0]
        self._asked: deque[str] = deque()
        self._upgrade: Head | None = None
        self._plain = False
        self._cutters: list[Cutter | None] = [None, None]
        self._late = [b"", b""]
        self._skip = [False, False]

    @property
    def between(self) -> bool:
        """Whether what the client got so far ends where a message ends."""
        cutter = self._cutters[1]
        return cutter is not None and cutter.between

    def feed(self, way: Direction, data: bytes, delay: float) -> None:
        """Takes bytes of one direction; what may go on goes on ``delay`` seconds later."""
        side = _WAYS.index(way)
        if self._cutters[side] is not None:
            self._frames(side, data, delay)
        elif self._plain:
            self._road.put(way, data, delay)
        else:
            self._raw[side].extend(data)
            self._readers[side].feed(data)
            try:
                self._answers(delay) if side else self._requests(delay)
            except ValueError:
                self._give_up(delay)

    def rest(self, way: Direction) -> None:
        """A direction is at its end: what is held goes on."""
        side = _WAYS.index(way)
        cutter = self._cutters[side]
        held = self._late[side] + (cutter.rest() if cutter is not None else bytes(self._raw[side]))
        self._late[side] = b""
        self._raw[side].clear()
        if held:
            self._road.put(way, held, 0.0)

    # HTTP

    def _requests(self, delay: float) -> None:
        if self._upgrade is not None and len(self._raw[0]) > MAX_HEAD:
            raise ValueError("too much behind an upgrade without an answer")
        while self._upgrade is None and not self._plain:
            message = self._messages[0]
            if message is None:
                message = self._head(0, delay)
                if message is None or not self._request(message, delay):
                    return
            if not self._body(0, message, delay):
                return
            if message.head.first[0] == "CONNECT":
                raise ValueError("a tunnel")

    def _request(self, message: Message, delay: float) -> bool:
        """Whether the request went on."""
        head, raw = message.head, self._take(0, message.size)
        method, target, _ = head.first
        upgrade = method == "GET" and "websocket" in (head.get("Upgrade") or "").lower()
        health = target.partition("?")[0] == "/health"
        what = Requested(what="upgrade" if upgrade else "health" if health else "api", open=self._road.open)
        actions = self._road.ask(what)
        refuse = next((action for action in actions if isinstance(action, Refuse)), None)
        if refuse is not None:
            self._road.leave(page(refuse.status, refuse.retry_after))
            return False
        altered = head if self._host is None else named(head, self._host)
        for rewrite in _rewrites(actions):
            altered = request_head(altered, rewrite)
            upgrade = upgrade and rewrite.what != "no-upgrade"
        self._asked.append(method)
        self._upgrade = head if upgrade else None
        self._readers[0].body_of(message, none=upgrade)
        self._road.put("outbound", raw if altered is head else join_head(altered), delay)
        return True

    def _answers(self, delay: float) -> None:
        while not self._plain and self._cutters[1] is None:
            message = self._messages[1]
            if message is None:
                message = self._head(1, delay)
                if message is None:
                    return
                status = int(message.head.first[1])
                raw = self._take(1, message.size)
                if status == 101:
                    self._open(message.head, raw, delay)
                    return
                method = self._asked[0] if self._asked else ""
                self._readers[1].body_of(message, none=method == "HEAD" or status < 200 or status in (204, 304))
                self._road.put("inbound", raw, delay)
            if not self._body(1, message, delay):
                return
            if int(message.head.first[1]) >= 200:
                self._answered(delay)

    def _answered(self, delay: float) -> None:
        if self._asked:
            self._asked.popleft()
        if not self._asked and self._upgrade is not None:
            self._upgrade = None
            self._requests(delay)

    def _open(self, head: Head, raw: bytes, delay: float) -> None:
        offer = self._upgrade.get("Sec-WebSocket-Extensions") if self._upgrade is not None else None
        altered = head
        for rewrite in _rewrites(self._road.ask(Answered())):
            altered = answer_head(altered, rewrite, offered=deflate_parameters(offer) is not None)
        self._road.put("inbound", raw if altered is head else join_head(altered), delay)
        agreed = Compression.parse(head.get("Sec-WebSocket-Extensions"))
        told = Compression.parse(altered.get("Sec-WebSocket-Extensions"))
        if self._wants_frames:
            self._cutters = [
                Cutter(
                    _KEEP,
                    deflate=bool(told.negotiated),
                    takeover=not told.client_no_context_takeover,
                    masked=True,
                ),
                Cutter(
                    _KEEP,
                    deflate=bool(agreed.negotiated),
                    takeover=not agreed.server_no_context_takeover,
                    masked=False,
                ),
            ]
        else:
            self._plain = True
        self._road.opened()
        for way, held in zip(_WAYS, self._raw, strict=True):
            rest = bytes(held)
            held.clear()
            if rest:
                self.feed(way, rest, delay)

    def _head(self, side: int, delay: float) -> Message | None:
        if self._raw[side][:2] == b"\r\n":  # the reader passes over it as well (RFC 9112, section 2.2)
            self._road.put(_WAYS[side], self._take(side, 2), delay)
        if not _may_begin(bytes(self._raw[side][:_BEGINNING]), request=side == 0):
            raise ValueError("no HTTP/1.1")
        message = self._readers[side].head()
        if message is not None:
            self._messages[side], self._sent[side] = message, message.size
        return message

    def _body(self, side: int, message: Message, delay: float) -> bool:
        """Passes on what came of a body; whether that was all."""
        done = self._readers[side].ended() is not None
        came = message.size - self._sent[side]
        if came:
            self._sent[side] = message.size
            self._road.put(_WAYS[side], self._take(side, came), delay)
        if done:
            self._messages[side] = None
        return done

    def _take(self, side: int, size: int) -> bytes:
        taken = bytes(self._raw[side][:size])
        del self._raw[side][:size]
        return taken

    def _give_up(self, delay: float) -> None:
        """This is no HTTP/1.1: from here on bytes are bytes."""
        self._plain = True
        for side, way in enumerate(_WAYS):
            if self._raw[side]:
                self._road.put(way, self._take(side, len(self._raw[side])), delay)

    # Frames

    def _frames(self, side: int, data: bytes, delay: float) -> None:
        cutter = self._cutters[side]
        assert cutter is not None
        try:
            for cut in cutter.feed(data):
                self._pass(side, cut, delay)
        except Violation:
            # What comes after has no meaning for a reader, and is the receiver's to judge.
            self._cutters[side], self._plain = None, True
            self._road.put(_WAYS[side], cutter.rest(), delay)

    def _pass(self, side: int, cut: Cut, delay: float) -> None:
        way, road = _WAYS[side], self._road
        if not cut.begins:
            if not self._skip[side]:
                road.put(way, cut.raw, delay)
            return
        type = _type_of(cut)
        kind = _CONTROL.get(cut.opcode) or ("app-ping" if side == 0 and type == "ping" else "data")
        actions = road.ask(
            Passing(direction=way, kind=kind, type=type, size=cut.size, compressed=cut.compressed, whole=cut.ends)
        )
        raw = cut.raw
        for action in actions:
            if isinstance(action, Mangle):
                raw = mangled(cut, action.how)
        delay += sum(action.seconds for action in actions if isinstance(action, Delay))
        drops = Drop() in actions
        if not cut.ends:
            self._skip[side] = drops
        if kind == "close":
            self._flush(side, delay)
        hold = next((action for action in actions if isinstance(action, Hold)), None)
        if hold is not None and not drops and not self._late[side]:
            self._late[side] = raw
            road.later(hold.seconds, lambda: self._flush(side, 0.0) if self._late[side] is raw else None)
        elif not drops:
            road.put(way, raw * 2 if Duplicate() in actions and cut.ends else raw, delay)
            if kind in ("data", "app-ping") and cut.ends:
                self._flush(side, delay)
        for action in actions:
            if isinstance(action, CloseWith):
                road.close(action.code, action.reason)
            elif isinstance(action, Abort):
                road.end(action.how)

    def _flush(self, side: int, delay: float) -> None:
        late, self._late[side] = self._late[side], b""
        if late:
            self._road.put(_WAYS[side], late, delay)


def _may_begin(data: bytes, *, request: bool) -> bool:
    """Whether a message may begin so; what cannot be one is not held until a head would be too long."""
    if len(data) >= _SHORT:
        return begins(data, request=request)
    if request:
        return _WORD.fullmatch(data) is not None
    return data.startswith(b"HTTP/1."[: len(data)])


def _rewrites(actions: tuple[Action, ...]) -> list[Rewrite]:
    return [action for action in actions if isinstance(action, Rewrite)]


def _type_of(cut: Cut) -> str | None:
    message = cut.message
    if message is None or message.opcode != TEXT or message.digest is not None:
        return None
    try:
        found = json.loads(message.payload)["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if isinstance(found, str) else None
