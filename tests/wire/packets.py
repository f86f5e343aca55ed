"""Packets and captures made by hand, for tests: a connection that speaks, and the containers of it."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

FIN, SYN, RST, ACK = 1, 2, 4, 16
GET = (
    b"GET /api/ws/chat/echo HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: bm9uY2U=\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

Packet = tuple[float, bytes]
"""Unix time, and an IP packet."""


def frame(text: bytes, *, masked: bool = False, first: int = 0x81) -> bytes:
    """A frame, masked with a fixed key."""
    bit = 0x80 if masked else 0
    if len(text) < 126:
        head = bytes([first, bit | len(text)])
    else:
        head = bytes([first, bit | 126]) + struct.pack("!H", len(text))
    if not masked:
        return head + text
    key = b"\x11\x22\x33\x44"
    return head + key + bytes(byte ^ key[n % 4] for n, byte in enumerate(text))


class Line:
    """One TCP connection: what its two sides send, as IP packets with times a millisecond apart.

    Args:
        client, server: addresses, both of one family.
        ports: theirs.
        isn: sequence numbers of the SYNs.
        at: Unix time of the first packet.
    """

    def __init__(
        self,
        client: str = "10.0.0.2",
        server: str = "10.0.0.1",
        ports: tuple[int, int] = (40000, 8000),
        isn: tuple[int, int] = (1000, 2000),
        at: float = 1_764_000_000.0,
    ) -> None:
        self.ends = (ipaddress.ip_address(client).packed, ipaddress.ip_address(server).packed)
        self.ports, self.at = ports, at
        self.seq = list(isn)
        self.packets: list[Packet] = []

    def send(
        self, side: int, payload: bytes = b"", flags: int = ACK, *, seq: int | None = None, keep: bool = True
    ) -> bytes:
        """One segment; the next sequence number goes on unless one is given. Returned, and kept in ``packets``."""
        number = self.seq[side] if seq is None else seq
        tcp = struct.pack(
            "!HHIIBBHHH", self.ports[side], self.ports[1 - side], number & 0xFFFFFFFF,
            self.seq[1 - side] & 0xFFFFFFFF if flags & ACK else 0, 0x50, flags, 65535, 0, 0,
        )  # fmt: skip
        if seq is None:
            self.seq[side] += len(payload) + (flags & FIN) + (flags >> 1 & 1)
        packet = ip(self.ends[side], self.ends[1 - side], tcp + payload)
        self.at = round(self.at + 0.001, 6)
        if keep:
            self.packets.append((self.at, packet))
        return packet

    def greet(self) -> Line:
        """The handshake."""
        self.send(0, flags=SYN)
        self.send(1, flags=SYN | ACK)
        self.send(0)
        return self

    def open(self) -> Line:
        """The handshake and the upgrade."""
        self.greet()
        self.send(0, GET)
        self.send(1, SWITCH)
        return self

    def close(self) -> Line:
        """FINs, the client's first."""
        self.send(0, flags=FIN | ACK)
        self.send(1, flags=FIN | ACK)
        self.send(0)
        return self


def ip(source: bytes, target: bytes, payload: bytes, protocol: int = 6) -> bytes:
    """An IPv4 or IPv6 packet."""
    if len(source) == 4:
        return (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0x4000, 64, protocol, 0) + source + target + payload
        )
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source + target + payload


def linked(packet: bytes, link: int, tags: Sequence[int] = ()) -> bytes:
    """The packet behind the header of a link type; ``tags`` are VLAN types, the outermost first."""
    six = packet[0] >> 4 == 6
    kind = b"\x86\xdd" if six else b"\x08\x00"
    tagged = b"".join(struct.pack("!HH", tag, 5) for tag in tags) + kind
    if link == 1:
        return b"\2" * 12 + tagged + packet
    if link in (0, 108):
        return struct.pack("<I" if link == 0 else ">I", 30 if six else 2) + packet
    if link == 9:
        return b"\xff\x03" + (b"\x00\x57" if six else b"\x00\x21") + packet
    if link == 113:
        return b"\0" * 14 + kind + packet
    if link == 276:
        return kind + b"\0" * 18 + packet
    return packet


def pcap(
    packets: Sequence[Packet],
    *,
    order: str = "<",
    nano: bool = False,
    link: int = 101,
    tags: Sequence[int] = (),
    snap: int = 262144,
) -> bytes:
    """A pcap of IP packets."""
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)
    unit = 1_000_000_000 if nano else 1_000_000
    for at, packet in packets:
        data = linked(packet, link, tags)
        seconds, rest = divmod(round(at * 1_000_000), 1_000_000)
        kept = data[:snap]
        out += struct.pack(order + "IIII", seconds, rest * (unit // 1_000_000), len(kept), len(data)) + kept
    return out


class Ng:
    """A pcapng, block by block."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.out = b""

    def block(self, kind: int, body: bytes) -> Ng:
        body += bytes(-len(body) % 4)
        size = struct.pack(self.order + "I", 12 + len(body))
        self.out += struct.pack(self.order + "I", kind) + size + body + size
        return self

    def section(self) -> Ng:
        return self.block(0x0A0D0D0A, struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, -1))

    def interface(self, link: int = 101, options: Sequence[tuple[int, bytes]] = (), snap: int = 0) -> Ng:
        body = struct.pack(self.order + "HHI", link, 0, snap)
        for code, value in options:
            body += struct.pack(self.order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
        return self.block(1, body + (struct.pack(self.order + "HH", 0, 0) if options else b""))

    def packet(
        self, at: float, packet: bytes, *, interface: int = 0, per_second: int = 1_000_000, link: int = 101
    ) -> Ng:
        data = linked(packet, link)
        ticks = round(at * 1_000_000) * per_second // 1_000_000
        head = struct.pack(self.order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
        return self.block(6, head + data)
