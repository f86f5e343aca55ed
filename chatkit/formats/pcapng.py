"""pcapng, the container of Wireshark: sections, interfaces, packets of three kinds, TLS keys (IETF draft)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct as Record

from chatkit.errors import ImportFailed
from chatkit.formats.capture import Capture
from chatkit.formats.pcap import BLOCK, LONGEST, MOST_RESCUES, NOT_VISIBLE

if TYPE_CHECKING:
    from chatkit.formats.source import Options, Source
    from chatkit.trace import Trace

FORMAT = "pcapng"
TITLE = "network capture (pcapng)"

_SECTION, _INTERFACE, _OLD, _SIMPLE, _NAMES, _STATISTICS, _ENHANCED, _SECRETS = (
    0x0A0D0D0A, 1, 2, 3, 4, 5, 6, 10,
)  # fmt: skip
_KNOWN = {_SECTION, _INTERFACE, _OLD, _SIMPLE, _NAMES, _STATISTICS, _ENHANCED, _SECRETS}
_TLS_KEYS = 0x544C534B
_MOST_INTERFACES = 10_000
_LONGEST_BLOCK = 1 << 26
_REACH = 1 << 20
_RESOLUTION, _OFFSET, _DROPPED = 9, 14, 5
_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}


class _Interface(Record):
    """What the packets of one interface need."""

    link: int
    snap: int
    per_second: int = 1_000_000
    offset: int = 0


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a pcapng."""
    return start[:4] == b"\x0a\x0d\x0d\x0a" and start[8:12] in _BYTE_ORDERS


def read(source: Source, options: Options) -> Trace:
    """Reads a capture.

    Raises:
        ImportFailed: it is none.
        MissingDependency: TLS keys are there, and ``cryptography`` is not installed.
    """
    capture = Capture(source, FORMAT, NOT_VISIBLE, options)
    with source.open() as stream:
        capture.read(Blocks(stream, source.name, capture).packets())
    return capture.build()


class Blocks:
    """The blocks of one file.

    Args:
        stream: the file.
        name: what messages call it.
        capture: is told of keys and of damage.
    """

    def __init__(self, stream: BinaryIO, name: str, capture: Capture) -> None:
        self._stream, self._name, self._capture = stream, name, capture
        self._buffer, self._position = b"", 0
        self._number = 0
        self._interfaces: list[_Interface] = []
        self._last = (0, 0.0)
        self._rescues = 0
        self._order("<")

    def _order(self, order: str) -> None:
        self._byte_order = order
        self._head = Struct(order + "II")
        self._packet = Struct(order + "IIIII")
        self._option = Struct(order + "HH")

    def packets(self) -> Iterator[tuple[int, float, bytes, int, int, int]]:
        """Every packet, as :func:`chatkit.formats.pcap.packets`.

        Raises:
            ImportFailed: this is no pcapng.
        """
        head = self._more(12)
        if not sniff(head):
            raise ImportFailed(
                "the file is no pcapng", source=self._name, expected="a section header block", got=head[:12]
            )
        while (size := self._next()) > 0:
            kind = self._head.unpack_from(self._buffer, self._position)[0]
            start, stop = self._position + 8, self._position + size - 4
            self._position += size
            if kind == _ENHANCED and size >= 32:
                number, high, low, captured, _ = self._packet.unpack_from(self._buffer, start)
                if (packet := self._make(number, high, low, captured, start + 20, stop)) is not None:
                    yield packet
            elif kind == _SECTION:
                self._interfaces = []
            else:
                packet = self._other(kind, start, stop)
                if packet is not None:
                    yield packet

    # Blocks

    def _more(self, wanted: int) -> bytes:
        """At least ``wanted`` bytes from the position on, where the file has them."""
        if len(self._buffer) - self._position < wanted:
            parts = [self._buffer[self._position :]]
            have = len(parts[0])
            while have < wanted and (part := self._stream.read(max(BLOCK, wanted - have))):
                parts.append(part)
                have += len(part)
            self._buffer, self._position = b"".join(parts), 0
        return self._buffer

    def _next(self) -> int:
        """Size of the block at the position, which is in the buffer then; 0 at the end."""
        while True:
            buffer = self._more(12)
            left = len(buffer) - self._position
            if left < 12:
                if left:
                    self._capture.warn(f"the capture is cut off within block {self._number + 1:,}, which was left out")
                return 0
            place = self._position
            if buffer[place : place + 4] == b"\x0a\x0d\x0d\x0a":
                order = _BYTE_ORDERS.get(buffer[place + 8 : place + 12])
                if order is not None:
                    self._order(order)
            size: int = self._head.unpack_from(buffer, place)[1]
            if 12 <= size <= _LONGEST_BLOCK and size % 4 == 0:
                buffer = self._more(size)
                place = self._position
                if len(buffer) - place < size:
                    if not self._skip("cut off or damaged", at_end=True):
                        return 0
                    continue
                if self._head.unpack_from(buffer, place + size - 8)[1] == size:
                    self._number += 1
                    return size
            if not self._skip("damaged"):
                return 0

    def _skip(self, what: str, *, at_end: bool = False) -> bool:
        """Goes on behind a damaged block, if another is found."""
        self._rescues += 1
        buffer = self._more(_REACH)
        found = self._found(buffer) if self._rescues <= MOST_RESCUES else -1
        if found < 0:
            rest = "it was left out" if at_end else "no other was found behind it: the rest was left out"
            self._capture.warn(f"block {self._number + 1:,} is {what}, {rest}")
            return False
        self._capture.warn(f"block {self._number + 1:,} is damaged: {found - self._position:,} bytes were left out")
        self._position = found
        return True

    def _found(self, buffer: bytes) -> int:
        unpack, start = self._head.unpack_from, self._position + 1
        for place in range(start, min(len(buffer) - 12, start + _REACH)):
            kind, size = unpack(buffer, place)
            if kind not in _KNOWN or not 12 <= size <= len(buffer) - place or size % 4:
                continue
            if unpack(buffer, place + size - 8)[1] == size:
                return place
        return -1

    # What they say

    def _other(self, kind: int, start: int, stop: int) -> tuple[int, float, bytes, int, int, int] | None:
        buffer = self._buffer
        if kind == _INTERFACE and stop - start >= 8:
            self._interface(start, stop)
        elif kind == _SECRETS and stop - start >= 8:
            what, size = self._head.unpack_from(buffer, start)
            if what == _TLS_KEYS:
                self._capture.add_keys(buffer[start + 8 : min(stop, start + 8 + size)])
        elif kind == _SIMPLE and stop - start >= 4 and self._interfaces:
            full = int.from_bytes(buffer[start : start + 4], "little" if self._byte_order == "<" else "big")
            snap = self._interfaces[0].snap or full
            end = min(stop, start + 4 + min(full, snap))
            self._capture.warn(
                "some packets carry no time (simple packet blocks): they stand at that of the one before"
            )
            return *self._last, buffer, start + 4, end, self._interfaces[0].link
        elif kind == _OLD and stop - start >= 20:
            number, high, low, captured, _ = self._packet.unpack_from(buffer, start)
            # Interface and count of drops share the first word.
            number = number & 0xFFFF if self._byte_order == "<" else number >> 16
            return self._make(number, high, low, captured, start + 20, stop)
        elif kind == _STATISTICS and stop - start >= 12:
            dropped = self._options(start + 12, stop).get(_DROPPED, b"")
            if len(dropped) == 8 and any(dropped):
                count = int.from_bytes(dropped, "little" if self._byte_order == "<" else "big")
                self._capture.warn(f"the capturing side dropped {count:,} packets")
        return None

    def _make(
        self, number: int, high: int, low: int, captured: int, start: int, stop: int
    ) -> tuple[int, float, bytes, int, int, int] | None:
        if number >= len(self._interfaces) or captured > min(LONGEST, stop - start):
            self._capture.warn(f"block {self._number:,} is damaged: its packet was left out")
            return None
        interface = self._interfaces[number]
        seconds, rest = divmod(high << 32 | low, interface.per_second)
        self._last = (seconds + interface.offset, rest / interface.per_second)
        return *self._last, self._buffer, start, start + captured, interface.link

    def _interface(self, start: int, stop: int) -> None:
        word, snap = self._head.unpack_from(self._buffer, start)
        link = word & 0xFFFF if self._byte_order == "<" else word >> 16
        interface = _Interface(link, snap)
        options = self._options(start + 8, stop)
        resolution, offset = options.get(_RESOLUTION, b""), options.get(_OFFSET, b"")
        if len(resolution) == 1:
            exponent = resolution[0] & 0x7F
            interface.per_second = 1 << exponent if resolution[0] & 0x80 else 10 ** min(exponent, 40)
        if len(offset) == 8:
            interface.offset = int.from_bytes(offset, "little" if self._byte_order == "<" else "big", signed=True)
        if len(self._interfaces) < _MOST_INTERFACES:
            self._interfaces.append(interface)

    def _options(self, start: int, stop: int) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while start + 4 <= stop:
            code, size = self._option.unpack_from(self._buffer, start)
            if code == 0:
                break
            found.setdefault(code, self._buffer[start + 4 : min(stop, start + 4 + size)])
            start += 4 + (size + 3) // 4 * 4
        return found
