"""From a captured packet to its TCP segment: link layer, IPv4 and IPv6, fragments; pure, made for millions of packets.

Nothing is an object until it matters: a packet is a place in a block of bytes, and the common shape (no options, no
extension header, no fragment) is one ``unpack_from``.
"""

from __future__ import annotations

import ipaddress
from struct import Struct

NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, RAW, LOOP, SLL, IPV4_ONLY, IPV6_ONLY, SLL2 = (
    0, 1, 9, 12, 14, 101, 108, 113, 228, 229, 276,
)  # fmt: skip
"""Link types (tcpdump.org/linktypes.html) that are understood."""
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

MOST_DATAGRAMS = 256
"""Datagrams that may wait for fragments at a time."""
MOST_FRAGMENTS = 200
"""Fragments of one datagram; 64 KiB in pieces of the smallest MTU of IPv6 are 53."""

_IPV4 = Struct("!BxHHHxB2x12sIIBB")
"""Version and header length, total length, id, fragment, protocol, addresses with ports, seq, ack, offset, flags."""
_IPV6 = Struct("!IHBx36sIIBB")
"""Version, payload length, next header, addresses with ports, seq, ack, offset, flags."""
_TCP = Struct("!4sIIBB")
_TCP_PROTOCOL = 6
_HOP, _ROUTING, _FRAGMENT, _AUTH, _DESTINATION = 0, 43, 44, 51, 60
_VLANS = (0x8100, 0x88A8, 0x9100)
_PPPOE = 0x8864
_IP_TYPES = (0x0800, 0x86DD)
_MOST_HEADERS = 16
"""Extension headers or tags that are followed in one packet."""


Segment = tuple[bytes, int, int, int, bytes, int, int, int]
"""One TCP segment: its key (addresses and ports as they stand in the packet, 12 or 36 bytes; :func:`turned` is the
other direction's), sequence number, acknowledgement, flags, the block in which the payload stands with its start and
stop there, and how many bytes behind it the packet had and the capture has not."""


class Network:
    """Reads packets of one capture; holds fragments until their datagram is whole."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, _Datagram] = {}
        self.unknown: dict[int, int] = {}
        """Packets of link types that are not understood."""

    def segment(self, data: bytes, start: int, end: int, link: int) -> Segment | None:
        """The TCP segment in ``data[start:end]``, ``None`` where there is none."""
        if link == ETHERNET:
            at = (
                start + 14 if data[start + 12 : start + 14] in (b"\x08\x00", b"\x86\xdd") else _behind(data, start, end)
            )
        else:
            at = self._behind_link(data, start, end, link)
        if at < 0 or end - at < 20:
            return None
        if data[at] == 0x45 and end - at >= 34:
            _, total, _, fragment, protocol, key, seq, ack, offset, flags = _IPV4.unpack_from(data, at)
            if not fragment & 0x3FFF:
                if protocol != _TCP_PROTOCOL:
                    return None
                head = at + 20 + (offset >> 4) * 4
                # Nothing is said by the card that splits segments itself (TSO): then the capture's length counts.
                stop = at + total if total else end
                if stop <= end:
                    return key, seq, ack, flags, data, head if head < stop else stop, stop, 0
                return _cut(key, seq, ack, flags, data, head, stop, end)
        return self._version(data, at, end)

    def _behind_link(self, data: bytes, start: int, end: int, link: int) -> int:
        if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4_ONLY, IPV6_ONLY):
            return start
        if link in (NULL, LOOP):
            return start + 4  # the family's number differs by system, the version below does not
        if link == SLL:
            return _behind(data, start + 2, end)
        if link == SLL2:
            return _protocol(data, start, start + 20, end)
        if link == PPP:
            return _behind_ppp(data, start, end)
        self.unknown[link] = self.unknown.get(link, 0) + 1
        return -1

    def _version(self, data: bytes, at: int, end: int) -> Segment | None:
        version = data[at] >> 4
        if version == 4:
            return self._ipv4(data, at, end)
        return self._ipv6(data, at, end) if version == 6 and end - at >= 40 else None

    def _ipv4(self, data: bytes, at: int, end: int) -> Segment | None:
        head = (data[at] & 15) * 4
        total = int.from_bytes(data[at + 2 : at + 4], "big") or end - at
        fragment = int.from_bytes(data[at + 6 : at + 8], "big")
        if head < 20 or data[at + 9] != _TCP_PROTOCOL:
            return None
        ends, start, stop = data[at + 12 : at + 20], at + head, at + total
        if fragment & 0x3FFF:
            whole = self._join(ends + data[at + 4 : at + 6], data, start, min(stop, end), fragment & 0x1FFF, fragment)
            if whole is None or stop > end:
                return None
            data, start, stop, end = whole, 0, len(whole), len(whole)
        return _tcp(ends, data, start, stop, end)

    def _ipv6(self, data: bytes, at: int, end: int) -> Segment | None:
        if data[at + 6] == _TCP_PROTOCOL and end - at >= 54:
            _, length, _, key, seq, ack, offset, flags = _IPV6.unpack_from(data, at)
            head, stop = at + 40 + (offset >> 4) * 4, at + 40 + length if length else end
            if stop <= end:
                return key, seq, ack, flags, data, min(head, stop), stop, 0
            return _cut(key, seq, ack, flags, data, head, stop, end)
        ends, next_ = data[at + 8 : at + 40], data[at + 6]
        stop = at + 40 + (int.from_bytes(data[at + 4 : at + 6], "big") or end - at - 40)
        at += 40
        for _ in range(_MOST_HEADERS):
            if next_ == _TCP_PROTOCOL:
                return _tcp(ends, data, at, stop, end)
            if at + 8 > min(end, stop) or next_ not in (_HOP, _ROUTING, _FRAGMENT, _AUTH, _DESTINATION):
                return None
            following, length = data[at], data[at + 1]
            if next_ == _FRAGMENT:
                word = int.from_bytes(data[at + 2 : at + 4], "big")
                more = 0x2000 if word & 1 else 0
                if word >> 3 or more:
                    name = ends + data[at + 4 : at + 8]
                    whole = self._join(name, data, at + 8, min(stop, end), word >> 3, more)
                    if whole is None or stop > end or following != _TCP_PROTOCOL:
                        return None
                    return _tcp(ends, whole, 0, len(whole), len(whole))
                length = 0
            at += (length + 2) * 4 if next_ == _AUTH else (length + 1) * 8
            next_ = following
        return None

    def _join(self, name: bytes, data: bytes, start: int, stop: int, offset: int, flags: int) -> bytes | None:
        """Adds a fragment; the datagram's payload when it is whole. ``offset`` counts in eight bytes."""
        datagram = self._waiting.get(name)
        if datagram is None:
            if len(self._waiting) >= MOST_DATAGRAMS:
                del self._waiting[next(iter(self._waiting))]
            datagram = self._waiting[name] = _Datagram()
        whole = datagram.add(offset * 8, data[start:stop], last=not flags & 0x2000)
        if whole is not None:
            del self._waiting[name]
        return whole


class _Datagram:
    """Fragments of one datagram."""

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}
        self._size: int | None = None

    def add(self, offset: int, piece: bytes, *, last: bool) -> bytes | None:
        """The payload when this was the last piece that lacked."""
        if last:
            self._size = offset + len(piece)
        if len(self._pieces) < MOST_FRAGMENTS:
            self._pieces.setdefault(offset, piece)
        if self._size is None:
            return None
        whole = bytearray()
        for place in sorted(self._pieces):
            if place > len(whole):
                return None
            whole[place:] = self._pieces[place]
        return bytes(whole) if len(whole) == self._size else None


def _cut(key: bytes, seq: int, ack: int, flags: int, data: bytes, head: int, stop: int, end: int) -> Segment:
    """A segment whose end was not captured."""
    start = min(head, end)
    return key, seq, ack, flags, data, start, end, max(0, stop - max(head, end))


def _tcp(ends: bytes, data: bytes, start: int, stop: int, end: int) -> Segment | None:
    if min(end, stop) - start < 14:
        return None
    ports, seq, ack, offset, flags = _TCP.unpack_from(data, start)
    head = start + (offset >> 4) * 4
    if stop > end:
        return _cut(ends + ports, seq, ack, flags, data, head, stop, end)
    return ends + ports, seq, ack, flags, data, min(head, stop), stop, 0


def _behind(data: bytes, start: int, end: int) -> int:
    """Where IP begins in an Ethernet frame, through tags of VLANs; -1 for anything else."""
    return _protocol(data, start + 12, start + 14, end)


def _protocol(data: bytes, type_at: int, at: int, end: int) -> int:
    for _ in range(_MOST_HEADERS):
        if at + 4 > end:
            return -1
        kind = int.from_bytes(data[type_at : type_at + 2], "big")
        if kind in _IP_TYPES:
            return at
        if kind == _PPPOE:
            return _behind_ppp(data, at + 6, end)
        if kind not in _VLANS:
            return -1
        type_at, at = at + 2, at + 4
    return -1


def _behind_ppp(data: bytes, start: int, end: int) -> int:
    if data[start : start + 2] == b"\xff\x03":  # address and control (RFC 1662), where they are not compressed away
        start += 2
    if data[start : start + 2] in (b"\x00\x21", b"\x00\x57"):
        return start + 2
    return start + 1 if start < end and data[start] in (0x21, 0x57) else -1


def turned(key: bytes) -> bytes:
    """The key of the other direction."""
    size = (len(key) - 4) // 2
    return key[size : 2 * size] + key[:size] + key[-2:] + key[-4:-2]


def named(key: bytes) -> tuple[str, int, str, int]:
    """Source address and port, destination address and port."""
    size = (len(key) - 4) // 2
    source, destination = ipaddress.ip_address(key[:size]), ipaddress.ip_address(key[size : 2 * size])
    ports = int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big")
    return str(source), ports[0], str(destination), ports[1]


def endpoint(address: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
