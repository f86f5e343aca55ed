"""HTTP/1.1 messages of one direction (RFC 9112): bytes in, heads and ends of bodies out; pure and bounded.

Bodies are counted, not kept, but for their beginning.
"""

from __future__ import annotations

import re

from msgspec import Struct

from chatkit.wire.handshake import MAX_HEAD, Head, split_head

KEEP_BODY = 2048
"""Bytes of a body that are kept."""
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK = re.compile(rb"\s*([0-9A-Fa-f]{1,12})[^\r\n]*\r?\n")
_LONGEST_LINE = 4096
_REQUEST = re.compile(rb"[A-Z]{3,10} [^ \r\n]{1,16000}(?: (?:HTTP/1\.[01]\r\n|[HTP/1.0]{0,8}\r?$)|$)")
_ANSWER = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9][ \r]")


class Message(Struct):
    """A request or an answer."""

    head: Head
    size: int
    """Bytes on the wire so far, head and body."""
    body: bytearray
    """Its beginning, without the framing of chunks."""
    cut: bool = False
    """Whether the head was not captured to its end."""


def begins(data: bytes, *, request: bool) -> bool:
    """Whether ``data`` begins as a message does."""
    return (_REQUEST if request else _ANSWER).match(data) is not None


class Reader:
    """Messages of one direction.

    Args:
        request: whether they are requests.
    """

    def __init__(self, *, request: bool) -> None:
        self._request = request
        self._buffer = b""
        self._message: Message | None = None
        self._left = 0
        self._chunked = self._endless = self._lost = False

    @property
    def under_way(self) -> Message | None:
        """The message whose head was read and whose body was not."""
        return self._message

    def take(self) -> bytes:
        """Bytes that no message took; they are the caller's from now on."""
        rest, self._buffer = self._buffer, b""
        return rest

    def feed(self, data: bytes) -> None:
        """Takes bytes; :meth:`head` and :meth:`ended` read them."""
        if self._lost:
            if not begins(data, request=self._request):
                return
            self._lost, self._buffer = False, b""
        self._buffer = self._buffer + data if self._buffer else data

    def head(self) -> Message | None:
        """The next message, when its head is complete; ``body_of`` must be called before its body is read.

        Raises:
            ValueError: this is not HTTP/1.1.
        """
        if self._message is not None or not self._buffer:
            return None
        if self._buffer[:2] == b"\r\n":  # RFC 9112, section 2.2
            self._buffer = self._buffer[2:]
        split = split_head(self._buffer)
        if split is None:
            return None
        head, rest = split
        self._message = Message(head, len(self._buffer) - len(rest), bytearray())
        self._buffer = rest
        return self._message

    def body_of(self, message: Message, *, none: bool = False) -> None:
        """Says how the message's body ends; ``none`` where there is none whatever the fields say."""
        head = message.head
        length = head.get("Content-Length") or ""
        self._chunked = self._endless = False
        self._left = 0
        if none:
            return
        if "chunked" in (head.get("Transfer-Encoding") or "").lower():
            self._chunked = True
        elif _LENGTH.fullmatch(length):
            self._left = int(length)
        else:
            self._endless = not self._request

    def ended(self) -> Message | None:
        """The message under way when its body is complete.

        Raises:
            ValueError: the body's chunks are none.
        """
        if self._message is None:
            return None
        if self._chunked and not self._chunks(self._message):
            return None
        if not self._chunked and not self._take(self._message):
            return None
        return self.cut_off()

    def cut_off(self) -> Message | None:
        """The message under way as far as it came; the next one may begin."""
        message, self._message = self._message, None
        return message

    def _take(self, message: Message) -> bool:
        """Body bytes as far as they are there; whether all came."""
        piece = self._buffer if self._endless else self._buffer[: self._left]
        if piece:
            message.size += len(piece)
            message.body += piece[: max(0, KEEP_BODY - len(message.body))]
            self._buffer = self._buffer[len(piece) :]
            self._left -= 0 if self._endless else len(piece)
        return not self._endless and self._left == 0

    def _chunks(self, message: Message) -> bool:
        while True:
            if self._left:
                if not self._take(message):
                    return False
            match = _CHUNK.match(self._buffer)
            if match is None:
                if len(self._buffer) > _LONGEST_LINE:
                    raise ValueError("no size of a chunk where one must stand")
                return False
            size = int(match.group(1), 16)
            if size == 0:
                end = self._buffer.find(b"\r\n\r\n", match.end() - 2)
                if end < 0:
                    if len(self._buffer) > MAX_HEAD:
                        raise ValueError("no end of the trailer")
                    return False
                message.size += end + 4
                self._buffer = self._buffer[end + 4 :]
                return True
            message.size += match.end()
            self._buffer = self._buffer[match.end() :]
            self._left = size

    def missing(self, size: int) -> Message | None:
        """Bytes that nobody saw. Where they lie in one body they are counted; else what is known is returned."""
        message = self._message
        if message is not None:
            if self._endless or size <= self._left:
                message.size += size
                self._left -= 0 if self._endless else size
                return None
            self._lost, self._buffer, message.cut = True, b"", True
            return self.cut_off()
        start, self._buffer, self._lost = self._buffer, b"", True
        return _cut(start, request=self._request)


def _cut(start: bytes, *, request: bool) -> Message | None:
    """What can be told of a head whose end is missing."""
    if not begins(start, request=request):
        return None
    lines = start.split(b"\r\n")
    if len(lines) > 1:
        lines = lines[:-1]  # the last one is cut
    elif not request:
        lines[0] = b" ".join(lines[0].split(b" ")[:2]) + b" "
    else:
        lines[0] = b" ".join(lines[0].split(b" ")[:2]) + b"... HTTP/1.1"
    try:
        split = split_head(b"\r\n".join(lines) + b"\r\n\r\n")
    except ValueError:
        return None
    return None if split is None else Message(split[0], len(start), bytearray(), True)
