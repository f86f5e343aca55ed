"""pcap, the container of tcpdump: microseconds and nanoseconds, both byte orders; and what both containers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

from chatkit.errors import ImportFailed
from chatkit.formats.capture import Capture

if TYPE_CHECKING:
    from chatkit.formats.source import Options, Source
    from chatkit.trace import Trace

FORMAT = "pcap"
TITLE = "network capture (pcap)"
NOT_VISIBLE = ("client-side", "server-side")

BLOCK = 1 << 22
"""Bytes that are read at a time."""
LONGEST = 1 << 18
"""Bytes of a packet; Wireshark's own limit. A longer one is damage."""
MOST_RESCUES = 100
"""Times that the next packet is looked for behind a damaged one."""
_REACH = 1 << 20
"""Bytes behind a damaged packet in which the next one is looked for."""
_NEARBY = 86400
"""Seconds between two packets in a row, at most, where the next one has to be recognised by its time."""

_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_HEAD = 24


def sniff(start: bytes) -> bool:
    """Whether a file that begins so is a pcap."""
    if len(start) < _HEAD or start[:4] not in _MAGIC:
        return False
    order = "little" if _MAGIC[start[:4]][0] == "<" else "big"
    return int.from_bytes(start[4:6], order) == 2  # type: ignore[arg-type]


def read(source: Source, options: Options) -> Trace:
    """Reads a capture.

    Raises:
        ImportFailed: it is none.
        MissingDependency: TLS keys are given, and ``cryptography`` is not installed.
    """
    capture = Capture(source, FORMAT, NOT_VISIBLE, options)
    with source.open() as stream:
        capture.read(packets(stream, source.name, capture.warn))
    return capture.build()


def packets(
    stream: BinaryIO, name: str, warn: Callable[[str], None]
) -> Iterator[tuple[int, float, bytes, int, int, int]]:
    """Every packet: seconds of Unix time, the rest of it, a block of bytes, place in it (start, end), link type.

    Raises:
        ImportFailed: this is no pcap.
    """
    head = stream.read(_HEAD)
    if len(head) < _HEAD or head[:4] not in _MAGIC:
        raise ImportFailed(
            "the file is no pcap", source=name, expected="a file header of 24 bytes with its magic number", got=head[:8]
        )
    order, unit = _MAGIC[head[:4]]
    link = Struct(order + "I").unpack_from(head, 20)[0] & 0xFFFF
    record = Struct(order + "IIII")
    unpack, limit = record.unpack_from, round(1 / unit)
    buffer, position, end, number, rescues, last = b"", 0, 0, 0, 0, -1
    while True:
        if end - position < 16:
            buffer, position = _more(stream, buffer, position)
            end = len(buffer)
            if end < 16:
                if end:
                    warn(f"the capture is cut off within packet {number + 1:,}, which was left out")
                return
        seconds, fraction, size, full = unpack(buffer, position)
        if size > LONGEST or fraction >= limit or (size > full + 4 and full):
            rescues += 1
            buffer, position = _more(stream, buffer, position)
            found = _rescue(buffer, position + 1, record, limit, last) if rescues <= MOST_RESCUES else -1
            if found < 0:
                warn(f"packet {number + 1:,} is damaged and no other was found behind it: the rest was left out")
                return
            warn(f"packet {number + 1:,} is damaged: {found - position:,} bytes were left out")
            position, end = found, len(buffer)
            continue
        start = position + 16
        stop = start + size
        if stop > end:
            buffer, position = _more(stream, buffer, position)
            end, start = len(buffer), position + 16
            stop = start + size
            if stop > end:
                warn(f"the capture is cut off within packet {number + 1:,}, which was left out")
                return
        number += 1
        last = seconds
        yield seconds, fraction * unit, buffer, start, stop, link
        position = stop


def _more(stream: BinaryIO, buffer: bytes, position: int) -> tuple[bytes, int]:
    """What is left of the buffer with more behind it."""
    return buffer[position:] + stream.read(BLOCK), 0


def _rescue(buffer: bytes, start: int, record: Struct, limit: int, last: int) -> int:
    """Where the next two plausible packets in a row begin; -1 for nowhere."""
    unpack, end = record.unpack_from, len(buffer)
    for place in range(start, min(end - 32, start + _REACH)):
        seconds, fraction, size, full = unpack(buffer, place)
        if not (0 < size <= full <= LONGEST and fraction < limit):
            continue
        following = place + 16 + size
        if (last >= 0 and abs(seconds - last) > _NEARBY) or following + 16 > end:
            continue
        after, fraction, size, full = unpack(buffer, following)
        if abs(after - seconds) <= _NEARBY and 0 < size <= full <= LONGEST and fraction < limit:
            return place
    return -1
