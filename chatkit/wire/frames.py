"""Frames of one direction (RFC 6455, section 5; RFC 7692): bytes in, frames and whole messages out.

Large messages are never held whole: a beginning, a length and a digest are kept. The parser of a direction stops at
the first violation, because what follows has no meaning any more.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

from msgspec import Struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
OPCODES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}

MAX_INFLATED = 1 << 28
"""Bytes after decompression beyond which a message counts as a decompression bomb."""
_WHOLE = 1 << 16
"""Frames up to this many bytes are cut out of the buffer in one piece; larger ones are streamed through."""


class Violation(Exception):
    """The bytes break RFC 6455."""


class Lost(Exception):
    """Bytes are missing, and with them the place where the next frame begins."""


class Message(Struct, frozen=True):
    """What a completed message leaves behind."""

    opcode: int
    """``TEXT`` or ``BINARY``."""
    length: int
    """Bytes after decompression and reassembly."""
    payload: bytes
    """The whole message, or its first ``keep`` bytes."""
    digest: str | None
    """SHA-256 of the whole, when only its beginning is kept."""


class Frame(Struct, frozen=True, gc=False):
    """One frame; ``payload`` is there for control frames, ``message`` where this frame completes one that is known."""

    opcode: int
    size: int
    fin: bool
    compressed: bool
    payload: bytes = b""
    message: Message | None = None


class Assembler:
    """Collects the frames of one message; inflates if it is compressed."""

    __slots__ = (
        "_compressed", "_digest", "_guess", "_hollow", "_inflate", "_keep", "_opcode", "_prefix", "_takeover", "length",
    )  # fmt: skip

    def __init__(self, keep: int, deflate: bool, takeover: bool, guess: bool = False) -> None:
        self._keep = keep
        self._takeover = takeover
        # Whether the beginning, or something since, was not seen: then a message that looks back further than what was
        # seen cannot be inflated. That is no fault of the sender, and zlib never takes it for something else.
        self._guess = guess
        # 15 bits decode any smaller window too (RFC 7692, section 7.1.2).
        self._inflate = zlib.decompressobj(-15) if deflate or guess else None
        self._opcode: int | None = None
        self._reset()

    def _reset(self) -> None:
        self._prefix = bytearray()
        self._digest: hashlib._Hash | None = None
        self._compressed = False
        self._hollow = False
        self.length = 0

    def hollow(self) -> None:
        """Bytes of the message under way are missing: it keeps its size and loses its content."""
        self._hollow = self._guess = True

    @property
    def open(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._opcode is not None

    def begin(self, opcode: int, compressed: bool) -> None:
        """A data frame starts."""
        if opcode == CONTINUATION:
            if self._opcode is None:
                if not self._guess:
                    raise Violation("continuation frame without a message to continue")
                self._opcode, self._hollow = TEXT, True
            if compressed:
                raise Violation("RSV1 set on a continuation frame")
            return
        if self._opcode is not None:
            raise Violation("a new message began before the last one ended")
        if compressed and self._inflate is None:
            raise Violation("RSV1 set although no compression was negotiated")
        self._opcode, self._compressed = opcode, compressed

    def add(self, data: bytes) -> None:
        """Payload bytes of the current frame, unmasked."""
        if self._hollow:
            self.length += len(data)
            return
        if not self._compressed:
            self._keep_bytes(data)
            return
        assert self._inflate is not None
        while data:
            try:
                self._keep_bytes(self._inflate.decompress(data, _WHOLE))
            except zlib.error as error:
                if self._guess:
                    self._hollow, self._takeover = True, False
                    return
                raise Violation(f"compressed data cannot be inflated: {error}") from None
            data = self._inflate.unconsumed_tail
            if self.length > MAX_INFLATED:
                raise Violation(f"a message inflates beyond {MAX_INFLATED >> 20} MiB")

    def finish(self) -> Message | None:
        """The frame with FIN ended; ``None`` where the message's content is not known."""
        if self._compressed:
            # RFC 7692, section 7.2.2: the sender cut these four bytes off.
            self.add(b"\x00\x00\xff\xff")
            if self._hollow:
                # What comes may look back into this one; each is tried with an empty window from here on.
                self._takeover = False
            if not self._takeover:
                self._inflate = zlib.decompressobj(-15)
        assert self._opcode is not None
        if self._hollow:
            self._opcode = None
            self._reset()
            return None
        digest = self._digest.hexdigest() if self._digest is not None else None
        message = Message(self._opcode, self.length, bytes(self._prefix), digest)
        self._opcode = None
        self._reset()
        return message

    def _keep_bytes(self, data: bytes) -> None:
        self.length += len(data)
        if self._digest is None and self.length > self._keep:
            self._digest = hashlib.sha256(self._prefix)
        if self._digest is not None:
            self._digest.update(data)
        room = self._keep - len(self._prefix)
        if room > 0:
            self._prefix += data[:room]


class FrameParser:
    """Incremental parser of one direction.

    Args:
        keep: bytes of a message that are kept whole; of a longer one the first ``keep`` remain.
        deflate: whether permessage-deflate was negotiated.
        takeover: whether this direction keeps its compression context between messages.
        masked: whether frames must be masked (client to server) or must not be (RFC 6455, section 5.1); ``None``
            accepts both.
        guess: whether what went before was not seen: neither what was agreed, nor what a message may look back to.
    """

    __slots__ = ("_assembler", "_buffer", "_header", "_holed", "_key", "_left", "_mask_bit", "_phase", "keep")

    def __init__(
        self,
        keep: int,
        *,
        deflate: bool = False,
        takeover: bool = True,
        masked: bool | None = None,
        guess: bool = False,
    ) -> None:
        self.keep = keep
        self._mask_bit = None if masked is None else 0x80 if masked else 0
        self._assembler = Assembler(keep, deflate, takeover, guess)
        self._buffer = b""
        self._holed: int | None = None
        # Of a frame that is streamed through: (opcode, size, fin, compressed), its key, bytes to come, mask phase.
        self._header: tuple[int, int, bool, bool] | None = None
        self._key = b""
        self._left = 0
        self._phase = 0

    @property
    def unfinished(self) -> int:
        """Bytes that belong to a frame or message that has not ended."""
        return len(self._buffer) + self._assembler.length

    @property
    def idle(self) -> bool:
        """Whether no frame and no message is under way."""
        return not self._buffer and self._header is None and not self._assembler.open

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames completed by ``data``, in order.

        Raises:
            Violation: the bytes break RFC 6455; the parser must not be fed again.
        """
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        while True:
            if self._header is not None:
                position, frame = self._stream(buffer, position)
                if frame is None:
                    break
                yield frame
            if end - position < 2:
                break
            first, second = buffer[position], buffer[position + 1]
            if self._mask_bit is not None and second & 0x80 != self._mask_bit:
                raise Violation("a masked frame from the server" if second & 0x80 else "a frame without a mask")
            size, head = second & 0x7F, 2
            if size == 126:
                size, head = int.from_bytes(buffer[position + 2 : position + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[position + 2 : position + 10], "big"), 10
                if size >> 63:
                    raise Violation("a frame's length has its first bit set")
            if second & 0x80:
                head += 4
            start = position + head
            if end < start:
                break
            opcode = first & 0x0F
            if first & 0x30 or opcode not in OPCODES:
                raise Violation(f"reserved bits or opcode: first byte 0x{first:02x}")
            if opcode >= CLOSE and first & 0x40:
                raise Violation(f"RSV1 set on a {OPCODES[opcode]} frame")
            if opcode >= CLOSE and (size > 125 or not first & 0x80):
                raise Violation(f"{OPCODES[opcode]} frame fragmented or longer than 125 bytes")
            key = buffer[start - 4 : start] if second & 0x80 else b""
            stop = start + size
            if stop <= end:
                payload = buffer[start:stop]
                if key:
                    payload = unmask(payload, key)
                position = stop
                yield self._whole(first, opcode, size, payload)
            elif size > _WHOLE:
                self._header = (opcode, size, bool(first & 0x80), bool(first & 0x40))
                self._key, self._left, self._phase = key, size, 0
                self._assembler.begin(opcode, bool(first & 0x40))
                position = start
            else:
                break
        self._buffer = buffer[position:] if position < end else b""

    def missing(self) -> int:
        """Bytes until the frame under way is complete; 0 when none is; at least 1 while its length is not known."""
        if self._header is not None:
            return self._left
        buffer = self._buffer
        if not buffer:
            return 0
        size = buffer[1] & 0x7F if len(buffer) > 1 else 0
        extra = {126: 2, 127: 8}.get(size, 0)
        head = 2 + extra + (4 if len(buffer) > 1 and buffer[1] & 0x80 else 0)
        if len(buffer) < 2 + extra:
            return head - len(buffer)
        if extra:
            size = int.from_bytes(buffer[2 : 2 + extra], "big")
        return max(1, head + size - len(buffer))

    def gap(self, size: int) -> list[Frame]:
        """Frames completed by bytes that nobody saw: their sizes are known, their contents are not.

        Raises:
            Lost: the hole does not lie within one frame's payload.
            Violation: as for :meth:`feed`.
        """
        if self._header is not None and size <= self._left:
            self._assembler.hollow()
            self._left -= size
            self._phase += size
            return list(self.feed(b""))
        if self._header is not None or len(self._buffer) < 2:
            raise Lost
        length = self._buffer[1] & 0x7F
        head = 2 + {126: 2, 127: 8}.get(length, 0) + (4 if self._buffer[1] & 0x80 else 0)
        if len(self._buffer) < head or size > self.missing():
            raise Lost
        if self._holed is None:
            self._holed = len(self._buffer) - head
        return list(self.feed(bytes(size)))

    def plain(self, data: bytes, start: int) -> tuple[list[bytes], int]:
        """The run of whole, unmasked, uncompressed text messages in ``data`` from ``start`` on, and where it ends.

        The path of nearly every byte of a busy connection; whatever else comes is left to :meth:`feed`. Nothing may
        be under way (``idle``).
        """
        payloads: list[bytes] = []
        if self._mask_bit:
            return payloads, start
        append, position, end, keep = payloads.append, start, len(data), min(self.keep, 0xFFFF)
        while end - position > 4 and data[position] == 0x81:
            size, start = data[position + 1], position + 2
            if size == 126:
                size, start = data[position + 2] << 8 | data[position + 3], position + 4
            elif size > 126:
                break
            stop = start + size
            if stop > end or size > keep:
                break
            append(data[start:stop])
            position = stop
        return payloads, position

    def _whole(self, first: int, opcode: int, size: int, payload: bytes) -> Frame:
        fin, compressed = first & 0x80 != 0, first & 0x40 != 0
        if self._holed is not None:
            known, self._holed = self._holed, None
            if opcode >= CLOSE:
                return Frame(opcode, size, True, False, payload[:known])
            self._assembler.begin(opcode, compressed)
            self._assembler.hollow()
            self._assembler.add(payload)
            return Frame(opcode, size, fin, compressed, b"", self._assembler.finish() if fin else None)
        if opcode >= CLOSE:
            return Frame(opcode, size, True, False, payload)
        assembler = self._assembler
        if fin and opcode and not compressed and size <= self.keep and not assembler.open:
            return Frame(opcode, size, True, False, b"", Message(opcode, size, payload, None))
        assembler.begin(opcode, compressed)
        assembler.add(payload)
        return Frame(opcode, size, fin, compressed, b"", assembler.finish() if fin else None)

    def _stream(self, buffer: bytes, position: int) -> tuple[int, Frame | None]:
        """Passes a large frame's bytes on as they come; the frame when it is complete."""
        assert self._header is not None
        piece = buffer[position : position + self._left]
        if self._key:
            turn = self._phase % 4
            piece = unmask(piece, self._key[turn:] + self._key[:turn])
        if piece:
            self._assembler.add(piece)
        self._left -= len(piece)
        self._phase += len(piece)
        position += len(piece)
        if self._left:
            return position, None
        opcode, size, fin, compressed = self._header
        self._header = None
        return position, Frame(opcode, size, fin, compressed, b"", self._assembler.finish() if fin else None)


def likeness(data: bytes, *, masked: bool) -> int:
    """How much ``data`` looks like frames from the first byte to the last: 0 for not at all, else how many are whole.

    For evidence that begins in the middle. Frames must have their shortest form and end where ``data`` ends; text that
    is not compressed must be UTF-8. Only the first 64 are looked at.
    """
    position, end, count = 0, len(data), 0
    while position < end and count < 64:
        if end - position < 2:
            return 0
        first, second = data[position], data[position + 1]
        opcode, size, start = first & 0x0F, second & 0x7F, position + 2
        if first & 0x30 or opcode not in OPCODES or bool(second & 0x80) is not masked:
            return 0
        if opcode >= CLOSE and (size > 125 or first & 0xC0 != 0x80):
            return 0
        if size > 125:
            length, least = (2, 126) if size == 126 else (8, 1 << 16)
            size, start = int.from_bytes(data[start : start + length], "big"), start + length
            if size < least:
                return 0
        key = data[start : start + 4] if masked else b""
        start += 4 if masked else 0
        if start + size > end:
            return 0
        if opcode == TEXT and first & 0xC0 == 0x80:
            payload = data[start : start + size]
            try:
                (unmask(payload, key) if masked else payload).decode()
            except UnicodeDecodeError:
                return 0
        position, count = start + size, count + 1
    return count


def unmask(data: bytes, key: bytes) -> bytes:
    """XOR with the masking key (RFC 6455, section 5.3); as big integers, which is far faster than byte by byte."""
    size = len(data)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
