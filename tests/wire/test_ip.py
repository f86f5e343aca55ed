"""Packets to segments: link layers are tested with the captures; here are fragments, headers, and what is none."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from chatkit.wire.ip import MOST_DATAGRAMS, RAW, Network, endpoint, named, turned
from tests.wire.packets import ACK, SYN, Line, ip, linked

A, B = bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1])
A6, B6 = b"\xfd" + bytes(14) + b"\x02", b"\xfd" + bytes(14) + b"\x01"


def payload(network: Network, packet: bytes, link: int = RAW) -> bytes | None:
    found = network.segment(packet, 0, len(packet), link)
    return None if found is None else found[4][found[5] : found[6]]


def tcp(text: bytes = b"hello") -> bytes:
    line = Line()
    return line.send(0, text)[20:]


def fragments4(whole: bytes, size: int) -> list[bytes]:
    out = []
    for place in range(0, len(whole), size):
        piece = whole[place : place + size]
        more = 0x2000 if place + size < len(whole) else 0
        packet = bytearray(ip(A, B, piece))
        packet[6:8] = struct.pack("!H", more | place // 8)
        out.append(bytes(packet))
    return out


def fragments6(whole: bytes, size: int) -> list[bytes]:
    out = []
    for place in range(0, len(whole), size):
        more = place + size < len(whole)
        head = struct.pack("!BBHI", 6, 0, place | more, 77)
        out.append(ip(A6, B6, head + whole[place : place + size], protocol=44))
    return out


@given(st.data(), st.booleans())
def test_fragments_in_any_order(data: st.DataObject, six: bool) -> None:
    """Once all are there; a repeated one does no harm."""
    text = bytes(range(200))
    pieces = (fragments6 if six else fragments4)(tcp(text), 8 * data.draw(st.integers(1, 12)))
    order = data.draw(st.permutations(pieces))
    order.insert(0, order[-1] if data.draw(st.booleans()) and len(order) > 1 else order[0])
    network = Network()
    found = [payload(network, piece) for piece in order]
    assert [one for one in found if one is not None][:1] == [text]


def test_fragments_that_never_meet() -> None:
    """So many datagrams wait, no more."""
    network = Network()
    for n in range(3 * MOST_DATAGRAMS):
        packet = bytearray(fragments4(tcp(bytes(64)), 32)[0])
        packet[4:6] = struct.pack("!H", n)
        assert payload(network, bytes(packet)) is None
    assert len(network._waiting) <= MOST_DATAGRAMS


def test_options_and_extension_headers() -> None:
    """A longer IPv4 header; hop-by-hop, routing and destination options of IPv6."""
    packet = bytearray(ip(A, B, tcp()))
    packet[0] = 0x46
    packet[2:4] = struct.pack("!H", len(packet) + 4)
    assert payload(Network(), bytes(packet[:20] + b"\1\1\1\0" + packet[20:])) == b"hello"
    chain = bytes([43, 0]) + bytes(6) + bytes([60, 0]) + bytes(6) + bytes([6, 1]) + bytes(14)
    assert payload(Network(), ip(A6, B6, chain + tcp(), protocol=0)) == b"hello"


def test_padding_and_cut() -> None:
    """Ethernet pads short packets; a capture cuts long ones, and says how much is missing."""
    packet = linked(Line().send(0, b"x"), 1) + bytes(20)
    assert payload(Network(), packet, 1) == b"x"
    whole = Line().send(0, bytes(500))
    found = Network().segment(whole, 0, 96, RAW)
    assert found is not None
    assert (found[6] - found[5], found[7]) == (96 - 40, 500 - 56)
    cut_in_options = Network().segment(whole, 0, 38, RAW)
    assert cut_in_options is not None
    assert (cut_in_options[5:]) == (38, 38, 500)


def test_a_length_of_zero() -> None:
    """A card that splits segments itself leaves it out."""
    packet = bytearray(Line().send(0, b"hello"))
    packet[2:4] = bytes(2)
    assert payload(Network(), bytes(packet)) == b"hello"


def test_others() -> None:
    """UDP, ARP, nothing."""
    network = Network()
    assert payload(network, ip(A, B, bytes(40), protocol=17)) is None
    assert payload(network, ip(A6, B6, bytes(40), protocol=17)) is None
    assert payload(network, b"\2" * 12 + b"\x08\x06" + bytes(40), 1) is None
    assert payload(network, b"", 1) is None
    assert payload(network, bytes(60), 147) is None
    assert network.unknown == {147: 1}


@given(st.binary(max_size=120), st.sampled_from([0, 1, 9, 12, 14, 101, 108, 113, 228, 229, 276, 999]))
def test_any_bytes(data: bytes, link: int) -> None:
    """A segment within the bytes, or none."""
    found = Network().segment(data, 0, len(data), link)
    if found is not None:
        _, _, _, _, block, start, stop, missing = found
        assert 0 <= start <= stop <= len(block)
        assert missing >= 0


def test_keys() -> None:
    """Of both directions; as people write them."""
    for client, server in ((A, B), (A6, B6)):
        line = Line(str(ip_address(client)), str(ip_address(server)))
        one = Network().segment(line.send(0, flags=SYN), 0, 100, RAW)
        two = Network().segment(line.send(1, flags=SYN | ACK), 0, 100, RAW)
        assert one is not None
        assert two is not None
        assert turned(one[0]) == two[0]
        assert named(one[0])[1::2] == (40000, 8000)
    assert endpoint("fd00::1", 80) == "[fd00::1]:80"
    assert endpoint("10.0.0.1", 80) == "10.0.0.1:80"
