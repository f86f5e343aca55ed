"""One direction's bytes cut into whole messages and control frames, for somebody who passes them on; pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from chatkit.wire.frames import CLOSE, Frame, FrameParser, Message

HOLD = 16_777_216
"""Bytes of one message that are held before it goes on; what is longer goes on as it comes."""


class Cut(Struct, frozen=True):
    """Bytes that belong together."""

    raw: bytes
    """As they came."""
    opcode: int
    """Of the control frame, or of the message's last frame."""
    compressed: bool
    size: int
    """Payload bytes on the wire; of a message in several frames, of all of them."""
    head: int
    """Bytes of ``raw`` before the payload of its first frame."""
    message: Message | None
    """The message, where it was read to its end."""
    begins: bool = True
    """Whether this is the beginning, or all, of its frame or message."""
    ends: bool = True


class Cutter:
    """Cuts one direction; what it yields, joined, is what it was fed, but that a control frame within a fragmented
    message comes before that message.

    Args:
        keep: bytes of a message that are kept to read it.
        deflate: whether permessage-deflate was negotiated.
        takeover: whether this direction keeps its compression context between messages.
        masked: whether this is the client's direction.
    """

    def __init__(self, keep: int, *, deflate: bool, takeover: bool, masked: bool) -> None:
        self._parser = FrameParser(keep, deflate=deflate, takeover=takeover, masked=masked)
        self._frame = bytearray()
        self._message = bytearray()
        self._size = self._head = 0
        self._compressed = self._streams = False

    @property
    def between(self) -> bool:
        """Whether what was yielded so far ends where a frame ends and no message is under way."""
        return not self._streams

    def feed(self, data: bytes) -> Iterator[Cut]:
        """What ``data`` completes.

        Raises:
            Violation: the bytes break RFC 6455; :meth:`rest` has them, and the cutter must not be fed again.
        """
        parser, position = self._parser, 0
        while position < len(data):
            # Never more than the frame under way still lacks: so its bytes are known when it is complete. Two say how
            # long a frame's head is.
            piece = data[position : position + (parser.missing() or 2)]
            position += len(piece)
            self._frame += piece
            try:
                frames = list(parser.feed(piece))
            except Exception:
                self._frame += data[position:]
                raise
            if frames:
                yield from self._framed(frames[0])
            elif self._streams or len(self._message) + len(self._frame) > HOLD:
                yield self._stream()

    def rest(self) -> bytes:
        """What came and was not yielded; it is the caller's from now on."""
        rest = bytes(self._message + self._frame)
        self._message.clear()
        self._frame.clear()
        return rest

    def _framed(self, frame: Frame) -> Iterator[Cut]:
        raw = bytes(self._frame)
        self._frame.clear()
        if frame.opcode >= CLOSE:
            yield Cut(raw, frame.opcode, False, frame.size, len(raw) - frame.size, None)
            return
        if not self._message and not self._streams:
            self._head, self._compressed, self._size = len(raw) - frame.size, frame.compressed, 0
        self._size += frame.size
        self._message += raw
        if frame.fin:
            whole, size = bytes(self._message), self._size
            self._message.clear()
            self._size = 0
            begins, self._streams = not self._streams, False
            yield Cut(whole, frame.opcode, self._compressed, size, self._head, frame.message, begins)
        elif self._streams or len(self._message) > HOLD:
            yield self._stream()

    def _stream(self) -> Cut:
        begins, self._streams = not self._streams, True
        raw = self.rest()
        return Cut(raw, 0, False, len(raw), 0, None, begins, False)
