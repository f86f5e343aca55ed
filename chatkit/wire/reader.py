"""Both directions of one WebSocket connection as events: handshake, frames, control frames with their RTT."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any

from chatkit.deflate import deflate_parameters
from chatkit.events import (
    BytesMissing,
    CloseReceived,
    CloseSent,
    Event,
    FrameReceived,
    FrameSent,
    OpaqueReceived,
    OpaqueSent,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.redact import Redactor
from chatkit.wire.frames import (
    CLOSE,
    OPCODES,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameParser,
    Lost,
    Message,
    Violation,
    likeness,
)
from chatkit.wire.handshake import MAX_HEAD, Head, split_head

KEEP = 65536
"""Bytes of a message that are kept whole; longer ones leave their beginning and a digest."""
KEEP_PREFIX = 4096
"""Bytes kept of a message longer than ``KEEP``."""
KEEP_BODY = 2048
"""Bytes kept of the body of a refused upgrade."""


NOT_CAPTURED = "(not captured)"
"""Stands for extensions of an answer whose fields the evidence lacks."""


class WireReader:
    """Turns the bytes of one connection into events; pure, fed by whoever saw the bytes.

    Args:
        connection: id of the connection, written into every event.
        ids: where event ids come from; shared by all readers of a trace.
        redactor: takes secrets out of payloads, targets and headers before an event exists.
    """

    __slots__ = (
        "_heads", "_opaque", "_opened", "_parsers", "_pings", "_redactor", "_refusal", "_request_at",
        "connection", "ids",
    )  # fmt: skip

    def __init__(self, connection: str, ids: Iterator[int], redactor: Redactor) -> None:
        self.connection = connection
        self.ids = ids
        """Where the next event's id comes from."""
        self._redactor = redactor
        self._heads = [b"", b""]
        self._request_at: float | None = None
        self._refusal: tuple[Head, bytearray, int | None, float] | None = None
        self._parsers: list[FrameParser | None] = [None, None]
        self._opened = False
        self._opaque = [False, False]
        self._pings: list[dict[bytes, float]] = [{}, {}]

    def sent(self, at: float, data: bytes) -> list[Event]:
        """Events made by bytes from client to server, ``at`` seconds since the trace's epoch."""
        if self._opened:
            return self._frames(0, at, data)
        self._heads[0] += data
        return self._read_request(at)

    def received(self, at: float, data: bytes) -> list[Event]:
        """Events made by bytes from server to client."""
        if self._opened:
            return self._received(at, data)
        self._heads[1] += data
        return self._read_response(at)

    def ended(self, at: float, how: str, by: str | None, error: str | None = None) -> list[Event]:
        """Events made by the end of the transport; see :class:`chatkit.events.TransportEnded` for ``how``."""
        events = self._answer_refusal() if self._refusal is not None else []
        unfinished = sum(parser.unfinished for parser in self._parsers if parser is not None)
        clean = self._redactor.text(error) if error else None
        events.append(TransportEnded(**self._base(at), how=how, by=by, error=clean, unfinished=unfinished))
        return events

    def _base(self, at: float) -> dict[str, Any]:
        return {"id": str(next(self.ids)), "at": at, "connection": self.connection}

    # For evidence, where another reader knows the heads, and bytes may be missing

    @property
    def open(self) -> bool:
        """Whether frames are read."""
        return self._opened

    def requested(self, at: float, head: Head) -> list[Event]:
        """Events made by the request, where its head was read already; only frames are to come from the client."""
        self._request_at = at
        return [
            UpgradeRequested(
                **self._base(at),
                target=self._redactor.text(head.first[1]),
                headers=self._redactor.headers(head.headers),
                key=head.get("Sec-WebSocket-Key"),
            )
        ]

    def answered(self, at: float, head: Head, body: bytes = b"", *, whole: bool = True) -> list[Event]:
        """Events made by the answer, where its head was read already; ``body`` is that of a refusal.

        Args:
            at: when it came.
            head: as far as it is known.
            body: the beginning of a refusal's.
            whole: whether all fields are known; without them nobody knows what the frames may use.
        """
        text = self._redactor.prefix(body[:KEEP_BODY]).decode("utf-8", "replace")
        events: list[Event] = [self._answered(head, at, text or None)]
        if int(head.first[1]) != 101:
            self._opened = True
            return events
        extensions = head.get("Sec-WebSocket-Extensions")
        if whole:
            self._open(extensions)
        else:
            extensions = extensions or NOT_CAPTURED
            self.join()
        subprotocol = head.get("Sec-WebSocket-Protocol")
        events.append(Opened(**self._base(at), extensions=extensions, subprotocol=subprotocol))
        return events

    def join(self) -> None:
        """The evidence begins in the middle: frames come, and what was agreed before is not known."""
        for side in range(2):
            self._parsers[side] = self._guessing(side)
        self._opened = True

    def missing(self, side: int, at: float, size: int) -> list[Event]:
        """Events made by bytes of a side (0 client, 1 server) that the evidence lacks.

        Where they lie within one frame, what follows stays readable; else it is opaque until frames are recognised.
        """
        by = "server" if side else "client"
        events: list[Event] = [BytesMissing(**self._base(at), by=by, size=size)]
        parser = self._parsers[side]
        if parser is None:
            return events
        try:
            events += self._made(side, at, parser.gap(size))
        except Lost:
            self._parsers[side], self._opaque[side] = None, True
        except Violation as violation:
            events += self._broken(side, at, str(violation))
        return events

    def _guessing(self, side: int) -> FrameParser:
        return FrameParser(KEEP, masked=side == 0, guess=True)

    def _unread(self, side: int, at: float, data: bytes) -> list[Event]:
        """Bytes of a side whose frames are not read: nothing after a violation, else their size."""
        if not self._opaque[side] or not data:
            return []
        if likeness(data, masked=side == 0):
            self._parsers[side], self._opaque[side] = self._guessing(side), False
            return self._frames(side, at, data)
        return [(OpaqueReceived if side else OpaqueSent)(**self._base(at), size=len(data))]

    # Handshake

    def _read_request(self, at: float) -> list[Event]:
        if self._request_at is not None:
            return self._hold(at)
        try:
            split = split_head(self._heads[0])
        except ValueError as error:
            return self._broken(0, at, str(error))
        if split is None:
            return []
        head, rest = split
        # A client must wait for the answer (RFC 6455, section 4.1); one that does not is read all the same.
        self._heads[0] = rest
        return self.requested(at, head)

    def _hold(self, at: float) -> list[Event]:
        """Bytes behind the request wait for the answer, which says how they are to be read."""
        if len(self._heads[0]) > MAX_HEAD:
            return self._broken(0, at, f"more than {MAX_HEAD} bytes behind the request before its answer")
        return []

    def _read_response(self, at: float) -> list[Event]:
        if self._refusal is not None:
            return self._more_body()
        try:
            split = split_head(self._heads[1])
            status = int(split[0].first[1]) if split else 0
        except ValueError as error:
            return self._broken(1, at, str(error))
        if split is None:
            return []
        head, rest = split
        if status != 101:
            length = head.get("Content-Length")
            # Ten digits are more than any body; isdigit() alone accepts "²", which int() does not.
            wanted = int(length) if length and re.fullmatch(r"[0-9]{1,10}", length) else None
            self._refusal = (head, bytearray(), wanted, at)
            self._heads[1] = rest
            return self._more_body()
        events: list[Event] = [self._answered(head, at, None)]
        extensions = head.get("Sec-WebSocket-Extensions")
        early = self._heads[0] if self._request_at is not None else b""
        self._open(extensions)
        events.append(
            Opened(**self._base(at), extensions=extensions, subprotocol=head.get("Sec-WebSocket-Protocol")),
        )
        if early:
            events += self._frames(0, at, early)
        if rest:
            events += self._frames(1, at, rest)
        return events

    def _open(self, extensions: str | None) -> None:
        parameters = deflate_parameters(extensions)
        deflate = parameters is not None
        for side, name in enumerate(("client_no_context_takeover", "server_no_context_takeover")):
            takeover = name not in (parameters or {})
            # A masked frame of the server would also hide its text from the look at the whole chunk.
            self._parsers[side] = FrameParser(KEEP, deflate=deflate, takeover=takeover, masked=side == 0)
        self._opened = True
        self._heads = [b"", b""]

    def _more_body(self) -> list[Event]:
        assert self._refusal is not None
        _, body, wanted, _ = self._refusal
        body += self._heads[1][: max(0, KEEP_BODY - len(body))]
        if wanted is not None:
            wanted -= len(self._heads[1])
            self._refusal = (*self._refusal[:2], wanted, self._refusal[3])
        self._heads[1] = b""
        return self._answer_refusal() if wanted is not None and wanted <= 0 else []

    def _answer_refusal(self) -> list[Event]:
        assert self._refusal is not None
        head, body, _, at = self._refusal
        self._refusal = None
        text = self._redactor.prefix(bytes(body)).decode("utf-8", "replace")
        # What still comes belongs to no WebSocket.
        self._opened = True
        return [self._answered(head, at, text or None)]

    def _answered(self, head: Head, at: float, body: str | None) -> Event:
        return UpgradeAnswered(
            **self._base(at),
            status=int(head.first[1]),
            reason=head.first[2],
            headers=self._redactor.headers(head.headers),
            seconds=None if self._request_at is None else round(at - self._request_at, 6),
            body=body,
        )

    # Frames

    def texts_received(self, at: float, data: bytes) -> tuple[list[Event], list[bytes], bytes]:
        """What :meth:`received` would do first, with the bulk of a busy connection left as it is.

        Returns:
            Events of the frame that was under way; the run of whole text messages after it, in which nothing can be a
            secret, for :meth:`texts` or :func:`chatkit.wire.rows.text_rows`; and the bytes that are left for
            :meth:`rest_received`. One look at the chunk spares a look at every payload that lies whole within it.
        """
        parser = self._parsers[1]
        if parser is None:
            return [], [], data
        events: list[Event] = []
        start = 0  # a chunk without its first bytes would be a copy of it
        while (missing := parser.missing()) and start < len(data) and self._parsers[1] is not None:
            events += self._frames(1, at, data[start : start + missing])
            start += missing
        if start >= len(data) or not parser.idle or self._redactor.suspicious(data):
            return events, [], data[start:]
        payloads, stop = parser.plain(data, start)
        return events, payloads, data[stop:]

    def _received(self, at: float, data: bytes) -> list[Event]:
        events, payloads, data = self.texts_received(at, data)
        if payloads:
            events += self.texts(at, payloads)
        return events + self.rest_received(at, data)

    def rest_received(self, at: float, data: bytes) -> list[Event]:
        """Events of what :meth:`texts_received` left over."""
        return self._frames(1, at, data) if data else []

    def texts(self, at: float, payloads: list[bytes]) -> list[Event]:
        """Events of whole text messages from the server, as :meth:`texts_received` found them."""
        ids, connection = self.ids, self.connection
        try:
            texts = [payload.decode() for payload in payloads]
        except UnicodeDecodeError:
            messages = [Message(TEXT, len(payload), payload, None) for payload in payloads]
            frames = [Frame(TEXT, message.length, True, False, b"", message) for message in messages]
            return [self._data_frame(FrameReceived, at, frame, frame.message) for frame in frames]
        return [
            FrameReceived(id=str(next(ids)), at=at, connection=connection, size=len(payload), text=text)
            for payload, text in zip(payloads, texts, strict=True)
        ]

    def _frames(self, side: int, at: float, data: bytes) -> list[Event]:
        parser = self._parsers[side]
        if parser is None:
            return self._unread(side, at, data)
        events: list[Event] = []
        try:
            for frame in parser.feed(data):
                events += self._made(side, at, (frame,))
        except Violation as violation:
            events += self._broken(side, at, str(violation))
        return events

    def _made(self, side: int, at: float, frames: Iterable[Frame]) -> list[Event]:
        kind = FrameReceived if side else FrameSent
        return [
            self._control(side, at, frame)
            if frame.opcode >= CLOSE
            else self._data_frame(kind, at, frame, frame.message)
            for frame in frames
        ]

    def _data_frame(
        self, kind: type[FrameReceived] | type[FrameSent], at: float, frame: Frame, message: Message | None
    ) -> Event:
        fields = self._base(at)
        fields |= {
            "opcode": OPCODES[frame.opcode],
            "size": frame.size,
            "fin": frame.fin,
            "compressed": frame.compressed,
        }
        if message is not None:
            fields |= self._payload(message)
            if message.length != frame.size:
                fields["length"] = message.length
        return kind(**fields)

    def _payload(self, message: Message) -> dict[str, Any]:
        if message.digest is None:
            payload = self._redactor.clean(message.payload)
        else:
            payload = self._redactor.prefix(message.payload)[:KEEP_PREFIX]
        if message.opcode == TEXT:
            try:
                text = payload.decode("utf-8") if message.digest is None else payload.decode("utf-8", "ignore")
                return {"text": text, "digest": message.digest}
            except UnicodeDecodeError:
                pass
        return {"data": base64.b64encode(payload).decode(), "digest": message.digest}

    def _control(self, side: int, at: float, frame: Frame) -> Event:
        payload = frame.payload
        if frame.opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
            reason = self._redactor.clean(payload[2:]).decode("utf-8", "replace")
            kind = CloseReceived if side else CloseSent
            return kind(**self._base(at), code=code, reason=reason)
        shown = self._redactor.clean(payload).hex()
        if frame.opcode == PING:
            # Unanswered pings with empty payloads would share a key; the latest counts (RFC 6455, section 5.5.3).
            self._pings[side][payload] = at
            return (PingReceived if side else PingSent)(**self._base(at), payload=shown)
        assert frame.opcode == PONG
        asked = self._pings[1 - side].pop(payload, None)
        took = None if asked is None else round(at - asked, 6)
        if side:
            return PongReceived(**self._base(at), payload=shown, rtt=took)
        return PongSent(**self._base(at), payload=shown, delay=took)

    def _broken(self, side: int, at: float, detail: str) -> list[Event]:
        self._parsers[side] = None
        self._opened = True
        by = "server" if side else "client"
        return [ProtocolFailed(**self._base(at), by=by, detail=self._redactor.text(detail))]
