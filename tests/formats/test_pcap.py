"""pcap: every variant of the container and every link type tell the same story; damage costs what it hit."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.events import AttemptFailed, BytesMissing, FrameReceived, FrameSent, TransportEnded
from chatkit.formats import Options, Source, load, pcap, sniff
from chatkit.formats.pcap import LONGEST
from chatkit.trace import Trace
from tests.formats.golden import DATA, transcript
from tests.wire.packets import ACK, RST, SYN, Line, frame, linked
from tests.wire.packets import pcap as made

REAL = (DATA / "pcap" / "ping-abort-rst.pcap").read_bytes()


def read(data: bytes) -> Trace:
    return pcap.read(Source.of(data), Options())


def story(client: str = "10.0.0.2", server: str = "10.0.0.1") -> Line:
    """A chat with three messages that a reset ends."""
    line = Line(client, server).open()
    line.send(1, frame(b'{"type": "connection_established"}'))
    line.send(0, frame(b'{"type": "ping"}', masked=True))
    line.send(1, frame(b'{"type": "pong"}'))
    line.send(1, flags=RST | ACK)
    return line


def told(trace: Trace) -> list[str]:
    return [f"{event.at:.3f} {event}" for event in trace]


STORY = told(read(made(story().packets)))


def test_the_story() -> None:
    """What the variants below must all say."""
    assert [text.split(" ", 1)[1] for text in STORY] == [
        "attempt to ws://chat/api/ws/chat/echo",
        "TCP connected to 10.0.0.1:8000 in 2 ms",
        "upgrade requested: GET /api/ws/chat/echo",
        "upgrade answered 101 Switching Protocols in 1 ms",
        "open, no extension",
        'received text 34 B: {"type": "connection_established"}',
        'sent text 16 B: {"type": "ping"}',
        'received text 16 B: {"type": "pong"}',
        "transport ended: RST by server",
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_byte_orders_and_units(order: str, nano: bool) -> None:
    """Micro- and nanoseconds, both ends first."""
    data = made(story().packets, order=order, nano=nano)
    assert sniff(data[:65536]) == "pcap"
    assert told(read(data)) == STORY


@pytest.mark.parametrize("link", [0, 1, 9, 12, 14, 101, 108, 113, 276])
@pytest.mark.parametrize("ends", [("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")])
def test_link_types(link: int, ends: tuple[str, str]) -> None:
    """Rewritten packets, IPv4 and IPv6."""
    trace = read(made(story(*ends).packets, link=link))
    assert [text for text in told(trace) if "TCP connected" not in text] == [
        t for t in STORY if "TCP connected" not in t
    ]
    assert trace.warnings == ()


@pytest.mark.parametrize("tags", [[0x8100], [0x88A8, 0x8100], [0x9100, 0x8100, 0x8100]])
def test_tags(tags: list[int]) -> None:
    """VLAN and QinQ."""
    assert told(read(made(story().packets, link=1, tags=tags))) == STORY


@pytest.mark.parametrize("link", [0, 101, 108, 113, 276])
def test_a_real_capture_on_other_links(link: int) -> None:
    """tcpdump's packets behind other headers."""
    out, position = bytearray(REAL[:24]), 24
    out[20:24] = struct.pack("<I", link)
    while position < len(REAL):
        head = struct.unpack_from("<IIII", REAL, position)
        packet = linked(REAL[position + 16 + 14 : position + 16 + head[2]], link)
        out += struct.pack("<IIII", *head[:2], len(packet), len(packet)) + packet
        position += 16 + head[2]
    assert transcript(read(bytes(out))) == transcript(read(REAL))


def test_an_unknown_link_is_said() -> None:
    """And what is there is read."""
    trace = read(made(story().packets, link=147))
    assert len(trace) == 0
    assert trace.warnings[0] == "9 packets of link type 147, which is not read, were left out"


def test_an_empty_capture() -> None:
    """A head and no packet."""
    trace = read(made([]))
    assert len(trace) == 0
    assert trace.warnings == ("no WebSocket, no TLS and no HTTP/1.1 was found in the capture",)


def test_gzipped_and_by_any_name(tmp_path: Path) -> None:
    """The content tells."""
    path = tmp_path / "incident"
    path.write_bytes(gzip.compress(REAL))
    assert load(path).rows == read(REAL).rows


@pytest.mark.parametrize("data", [b"", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4" + bytes(30), b"GET / HTTP/1.1\r\n" * 4])
def test_others_are_not_ours(data: bytes) -> None:
    """A magic number alone is not enough to claim a file."""
    assert not pcap.sniff(data)
    if data[:1] != b"\xa1":
        with pytest.raises(ImportFailed, match="no pcap"):
            read(data)


def test_cut_within_a_packet() -> None:
    """The rest is told, and that something is missing."""
    trace = read(REAL[:-7])
    assert trace.warnings == ("the capture is cut off within packet 14, which was left out",)
    assert len(trace) == len(read(REAL)) - 1


def test_a_damaged_packet_costs_itself() -> None:
    """A length that cannot be: the next packet is found."""
    packets = story().packets
    whole = made(packets)
    place = 24 + sum(16 + len(packet) for _, packet in packets[:5])
    damaged = whole[: place + 8] + struct.pack("<I", LONGEST + 1) + whole[place + 12 :]
    trace = read(damaged)
    (warning,) = trace.warnings
    assert "packet 6 is damaged" in warning
    assert "bytes were left out" in warning
    assert [event.size for event in trace if isinstance(event, BytesMissing)] == [36]
    assert any(isinstance(event, TransportEnded) for event in trace)


def test_nothing_behind_the_damage() -> None:
    """Then it ends there."""
    packets = story().packets[:5]
    trace = read(made(packets) + b"\xff" * 200)
    assert trace.warnings == ("packet 6 is damaged and no other was found behind it: the rest was left out",)


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


@pytest.mark.parametrize("name", ["tls13-keys", "tls12-keys", "healthy-deflate", "mid-stream"])
@given(st.data())
def test_real_captures_with_flips(name: str, data: st.DataObject) -> None:
    """TLS and compression too."""
    path = DATA / "pcap" / f"{name}.pcap"
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(24, len(content) - 1), max_size=10)):
        content[place] = data.draw(st.integers(0, 255))
    keys = path.with_suffix(".keys")
    both(bytes(content), Options(keylog=keys.read_bytes() if keys.exists() else None))


def both(data: bytes, options: Options | None = None) -> None:
    """The two outcomes; a trace can be asked for all it has."""
    try:
        trace = pcap.read(Source.of(data), options or Options())
    except ImportFailed as refused:
        assert "Expected:" in str(refused)
        return
    assert str(trace)
    assert len(list(trace)) == len(trace)


def test_attempts_that_failed() -> None:
    """At the port of a WebSocket they are shown, with ids before its own; at others they are not."""
    knock, other = Line(ports=(40001, 8000)), Line(ports=(40002, 9999), at=1_764_000_000.5)
    for line in (knock, other):
        line.send(0, flags=SYN)
        line.send(1, flags=RST | ACK)
    chat = Line(at=1_764_000_001.0).open()
    trace = read(made(knock.packets + other.packets + chat.packets))
    assert [(e.connection, e.error) for e in trace if isinstance(e, AttemptFailed)] == [("1", "connection refused")]
    assert [connection.id for connection in trace.connections] == ["1", "2"]
    alone = read(made(other.packets))
    assert "attempts that failed are shown for every port" in alone.warnings[0]
    assert [type(event).__name__ for event in alone] == ["AttemptStarted", "AttemptFailed"]


def test_the_same_ports_twice() -> None:
    """Two lives on one 4-tuple are two connections."""
    first = story()
    second = Line(isn=(9000, 7000), at=first.at + 1).open()
    second.send(1, frame(b"again"))
    trace = read(made(first.packets + second.packets))
    assert [(c.id, c.state) for c in trace.connections] == [("1", "ended"), ("2", "open")]


def test_fragments_of_messages_and_of_packets() -> None:
    """One message in three frames over five segments."""
    line = Line().open()
    data = frame(b"one ", first=0x01) + frame(b"two ", first=0x00) + frame(b"three", first=0x80)
    for n in range(0, len(data), 4):
        line.send(1, data[n : n + 4])
    frames = [event for event in read(made(line.packets)) if isinstance(event, FrameReceived)]
    assert [(event.fin, event.text) for event in frames] == [(False, None), (False, None), (True, "one two three")]


def test_no_secret_passes() -> None:
    """Whole messages in clear are looked at in batches: what is in one of them goes."""
    line = Line().open()
    line.send(1, frame(b"nothing here"))
    line.send(1, frame(b'{"token": "s3cr3t-value"}'))
    line.send(0, frame(b'{"password": "hunter22"}', masked=True))
    rows = b"".join(read(made(line.packets)).rows)
    assert b"s3cr3t" not in rows
    assert b"hunter22" not in rows
    assert b"nothing here" in rows


def test_the_direction_does_not_depend_on_who_is_seen_first() -> None:
    """From the middle: who masks is the client, whatever the ports."""
    line = Line(ports=(7000, 50000))
    line.send(1, frame(b"hello"))
    line.send(0, frame(b"hi", masked=True))
    events = list(read(made(line.packets)))
    assert [(type(e), e.text) for e in events if isinstance(e, FrameSent | FrameReceived)] == [
        (FrameReceived, "hello"),
        (FrameSent, "hi"),
    ]
