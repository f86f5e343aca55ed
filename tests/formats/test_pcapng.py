"""pcapng: sections, interfaces, the kinds of packets, keys; damage costs what it hit."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import ImportFailed, MissingDependency
from chatkit.formats import Options, Source, pcapng, sniff
from chatkit.trace import Trace
from chatkit.wire import tls
from tests.formats.golden import DATA
from tests.formats.test_pcap import STORY, story, told
from tests.wire.packets import Ng

REAL = (DATA / "pcapng" / "tls13-dsb.pcapng").read_bytes()


def read(data: bytes) -> Trace:
    return pcapng.read(Source.of(data), Options())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "per_second"),
    [
        ([], 1_000_000),
        ([(9, b"\x06")], 1_000_000),
        ([(2, b"lo"), (9, b"\x09")], 1_000_000_000),
        ([(9, b"\x94")], 1 << 20),
        ([(9, b"\x03")], 1000),
    ],
)
def test_units_of_time(order: str, options: list[tuple[int, bytes]], per_second: int) -> None:
    """Powers of ten and of two."""
    ng = Ng(order).section().interface(options=options)
    for at, packet in story().packets:
        ng.packet(at, packet, per_second=per_second)
    assert sniff(ng.out) == "pcapng"
    trace = read(ng.out)
    assert [text.split(" ", 1)[1] for text in told(trace)] == [text.split(" ", 1)[1] for text in STORY]
    assert trace.epoch == pytest.approx(1_764_000_000.001, abs=0.0011)
    assert trace.at[-1] == pytest.approx(0.008, abs=2e-6)


def test_an_offset_of_time() -> None:
    """Seconds that are added to every time of an interface."""
    ng = Ng().section().interface(options=[(14, struct.pack("<q", 100))])
    for at, packet in story().packets:
        ng.packet(at, packet)
    assert read(ng.out).epoch == pytest.approx(1_764_000_100.001)


def test_several_interfaces_and_sections() -> None:
    """Each with its own link type and unit; a section begins anew, in its own byte order."""
    packets = story().packets
    ng = Ng().section().interface(link=101).interface(link=1, options=[(9, b"\x09")])
    for n, (at, packet) in enumerate(packets[:5]):
        odd = n % 2
        ng.packet(at, packet, interface=odd, link=1 if odd else 101, per_second=10**9 if odd else 10**6)
    other = Ng(">").section().interface(link=113)
    for at, packet in packets[5:]:
        other.packet(at, packet, link=113)
    trace = read(ng.out + other.out)
    assert told(trace) == STORY
    assert trace.warnings == ()


def test_older_and_simpler_packets() -> None:
    """The obsolete block has times, the simple one has none, and that is said."""
    packets = story().packets
    ng = Ng().section().interface()
    for at, packet in packets[:-1]:
        ticks = round(at * 1e6)
        head = struct.pack("<HHIIII", 0, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
        ng.block(2, head + packet)
    ng.block(3, struct.pack("<I", len(packets[-1][1])) + packets[-1][1])
    trace = read(ng.out)
    assert [text.split(" ", 1)[1] for text in told(trace)] == [text.split(" ", 1)[1] for text in STORY]
    assert trace.at[-1] == trace.at[-2]
    assert "carry no time" in trace.warnings[0]


def test_what_the_capturing_side_dropped() -> None:
    """Interface statistics tell it."""
    ng = Ng().section().interface()
    ng.block(5, struct.pack("<III", 0, 0, 0) + struct.pack("<HHQ", 5, 8, 1234) + struct.pack("<HH", 0, 0))
    assert "the capturing side dropped 1,234 packets" in read(ng.out).warnings


def test_keys_within() -> None:
    """A block of secrets opens the connection; without the package that is said, and how to get it."""
    trace = read(REAL)
    ending = trace.connections[0].ending
    assert ending is not None
    assert ending.close_code == 1000
    assert trace.connections[0].frames_in == 4
    assert all(b"TRAFFIC_SECRET" not in row for row in trace.rows)


def test_keys_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where keys are given."""

    def absent() -> None:
        raise MissingDependency("reading TLS with its keys", package="cryptography", extra="tls")

    monkeypatch.setattr(tls, "_ciphers", absent)
    with pytest.raises(MissingDependency, match="cryptography"):
        read(REAL)
    ng = Ng().section().interface()
    for at, packet in story().packets:
        ng.packet(at, packet)
    assert told(read(ng.out)) == STORY


@pytest.mark.parametrize("data", [b"", b"\n\r\r\n", b"\n\r\r\n" + bytes(40), b"\r\n\r\n" * 9])
def test_others_are_not_ours(data: bytes) -> None:
    """A section header has its byte-order magic."""
    assert not pcapng.sniff(data)
    with pytest.raises(ImportFailed, match="no pcapng"):
        read(data)


def test_a_damaged_block_costs_itself() -> None:
    """The next block is found by its two lengths."""
    ng = Ng().section().interface()
    for n, (at, packet) in enumerate(story().packets):
        place = len(ng.out)
        ng.packet(at, packet)
        if n == 5:
            damaged = place
    data = ng.out[: damaged + 4] + b"\xff" * 4 + ng.out[damaged + 8 :]
    trace = read(data)
    assert "block 8 is damaged" in trace.warnings[0]
    assert "RST by server" in told(trace)[-1]


def test_cut() -> None:
    """Within a block."""
    trace = read(REAL[:-9])
    assert "cut off" in trace.warnings[0]
    assert len(trace) > 10


@given(st.integers(0, len(REAL)))
def test_any_cut_has_two_outcomes(cut: int) -> None:
    """A trace, or a refusal that says what."""
    both(REAL[:cut])


@given(st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_any_flip_has_two_outcomes(flips: list[tuple[int, int]]) -> None:
    """Whatever bytes are wrong."""
    data = bytearray(REAL)
    for place, value in flips:
        data[place] = value
    both(bytes(data))


def both(data: bytes) -> None:
    try:
        trace = read(data)
    except ImportFailed as refused:
        assert "Expected:" in str(refused)
        return
    assert str(trace)
    assert len(list(trace)) == len(trace)
