"""One TCP connection seen from beside: whatever the order of its segments, the same bytes and facts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.wire.ip import ACK, FIN, RST, SYN
from chatkit.wire.tcp import MOST_SEGMENTS, MOST_WAITING, Tcp


class Ear:
    """Hears all that is told."""

    def __init__(self) -> None:
        self.bytes = [b"", b""]
        self.facts: list[tuple[Any, ...]] = []

    def connected(self, at: float, seconds: float) -> None:
        self.facts.append(("connected", at, round(seconds, 6)))

    def failed(self, at: float, error: str) -> None:
        self.facts.append(("failed", at, error))

    def data(self, side: int, at: float, data: bytes) -> None:
        assert data
        self.bytes[side] += data

    def missing(self, side: int, at: float, size: int) -> None:
        self.facts.append(("missing", side, at, size))
        self.bytes[side] += b"?" * min(size, 9)

    def again(self, side: int, at: float, times: int, seconds: float, acknowledged: bool) -> None:
        self.facts.append(("again", side, at, times, round(seconds, 6), acknowledged))

    def ended(self, side: int, at: float, how: str) -> None:
        self.facts.append(("ended", side, at, how))

    def finished(self) -> None:
        self.facts.append(("finished",))

    def said(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [fact for fact in self.facts if fact[0] in kinds]


class Wire:
    """A connection with sequence numbers from 0 for the first byte of each side."""

    def __init__(self, isn: int = 999, greet: bool = True) -> None:
        self.ear, self.isn = Ear(), isn
        self.tcp = Tcp(self.ear)
        if greet:
            self.put(0, 0.0, -1, flags=SYN)
            self.put(1, 0.01, -1, ack=0, flags=SYN | ACK)
            self.put(0, 0.02, 0, ack=0)

    def put(
        self,
        side: int,
        at: float,
        offset: int,
        data: bytes = b"",
        *,
        ack: int | None = None,
        flags: int = ACK,
        missing: int = 0,
    ) -> None:
        number = (self.isn + 1 + offset) & 0xFFFFFFFF
        answer = (self.isn + 1 + ack) & 0xFFFFFFFF if ack is not None else 0
        self.tcp.segment(side, at, number, answer, flags, data, 0, len(data), missing)


TEXT = bytes(range(256)) * 4


@given(st.data(), st.sampled_from([999, 0xFFFFFFFE, 0xFFFFFF00, 0x7FFFFFF0]))
def test_any_order_and_duplication_yields_the_same_bytes(data: st.DataObject, isn: int) -> None:
    """Segments that overlap, come twice, in any order, across the wrap of sequence numbers."""
    cuts = sorted({0, len(TEXT), *data.draw(st.lists(st.integers(0, len(TEXT)), max_size=12))})
    pieces = [(a, b) for a, b in itertools.pairwise(cuts)]
    extra = data.draw(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(2, 300)), max_size=6))
    pieces += [(a, min(len(TEXT), a + n)) for a, n in extra if min(len(TEXT), a + n) - a > 1]
    order = data.draw(st.permutations(pieces))
    wire = Wire(isn)
    for n, (a, b) in enumerate(order):
        wire.put(1, 1 + n, a, TEXT[a:b], ack=0)
    wire.put(1, 99.0, len(TEXT), ack=0, flags=FIN | ACK)
    wire.tcp.finish(100.0)
    assert wire.ear.bytes == [b"", TEXT]
    assert wire.ear.said("missing", "ended") == [("ended", 1, 99.0, "fin")]


@given(st.data())
def test_what_is_lost_is_told_and_the_rest_is_there(data: st.DataObject) -> None:
    """Bytes and holes add up to what was sent."""
    pieces = [(a, a + 64) for a in range(0, len(TEXT), 64)]
    kept = [piece for piece in pieces if data.draw(st.booleans())]
    order = data.draw(st.permutations(kept))
    wire = Wire()
    for n, (a, b) in enumerate(order):
        wire.put(0, 1 + n, a, TEXT[a:b], ack=0)
    wire.put(0, 99.0, len(TEXT), ack=0, flags=FIN | ACK)
    wire.tcp.finish(100.0)
    holes = sum(fact[3] for fact in wire.ear.said("missing"))
    assert holes == len(TEXT) - 64 * len(kept)
    assert wire.ear.bytes[0].replace(b"?" * 9, b"").count(b"\0") <= TEXT.count(b"\0")
    assert wire.ear.said("ended") == [("ended", 0, 99.0, "fin")]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 0xFFFFFFFF),
            st.integers(0, 0xFFFFFFFF),
            st.integers(0, 63),
            st.binary(max_size=20),
            st.sampled_from([0, 0, 5]),
        ),
        max_size=30,
    )
)
def test_nonsense_is_survived(segments: list[tuple[int, int, int, int, bytes, int]]) -> None:
    """Any numbers and flags: facts, no exception, one end."""
    ear = Ear()
    tcp = Tcp(ear)
    for n, (side, seq, ack, flags, payload, missing) in enumerate(segments):
        tcp.segment(side, float(n), seq, ack, flags, payload, 0, len(payload), missing)
    tcp.finish(99.0)
    assert ear.facts[-1:] == [("finished",)]
    assert len(ear.said("finished")) == 1


def test_the_handshake_takes_its_time() -> None:
    """From the SYN to the client's acknowledgement."""
    assert Wire().ear.facts == [("connected", 0.02, 0.02)]


def test_the_end_is_told_once_both_sides_have_it() -> None:
    """Half a close is an end of one side; data may go on."""
    wire = Wire()
    wire.put(0, 1.0, 0, ack=0, flags=FIN | ACK)
    wire.put(1, 1.1, 0, b"still here", ack=1)
    wire.put(1, 1.2, 10, ack=1, flags=FIN | ACK)
    wire.put(0, 1.3, 1, ack=11)
    assert wire.ear.facts[1:] == [("ended", 0, 1.0, "fin"), ("ended", 1, 1.2, "fin"), ("finished",)]
    assert wire.ear.bytes[1] == b"still here"
    assert wire.tcp.done


def test_a_fin_before_its_bytes_waits_for_them() -> None:
    """Its time is that of the packet."""
    wire = Wire()
    wire.put(1, 1.0, 5, ack=0, flags=FIN | ACK)
    assert wire.ear.said("ended") == []
    wire.put(1, 1.1, 0, b"hello", ack=0)
    assert wire.ear.bytes[1] == b"hello"
    assert wire.ear.said("ended", "missing") == [("ended", 1, 1.0, "fin")]


def test_a_reset() -> None:
    """By whom; what waited comes out before it."""
    wire = Wire()
    wire.put(0, 1.0, 3, b"late", ack=0)
    wire.put(1, 1.1, 0, ack=0, flags=RST | ACK)
    assert wire.ear.facts[1:] == [("missing", 0, 1.0, 3), ("ended", 1, 1.1, "rst"), ("finished",)]
    assert wire.ear.bytes[0] == b"???late"
    wire.put(1, 1.2, 0, ack=0, flags=RST | ACK)
    assert len(wire.ear.facts) == 4


@pytest.mark.parametrize(("tries", "end", "words"), [(1, 9.0, "1 try"), (3, 9.0, "3 tries"), (1, 0.5, None)])
def test_a_syn_that_nobody_answers(tries: int, end: float, words: str | None) -> None:
    """How often it was tried; one just before the capture's end says nothing."""
    wire = Wire(greet=False)
    for n in range(tries):
        wire.put(0, float(n), -1, flags=SYN)
    wire.tcp.finish(end)
    expected = [("failed", tries - 1.0, f"no answer to SYN ({words})")] if words else []
    assert wire.ear.facts == [*expected, ("finished",)]


def test_a_refused_port() -> None:
    """RST to SYN."""
    wire = Wire(greet=False)
    wire.put(0, 0.0, -1, flags=SYN)
    wire.put(1, 0.1, -1, ack=0, flags=RST | ACK)
    assert wire.ear.facts == [("failed", 0.1, "connection refused"), ("finished",)]


def test_a_syn_that_was_answered_late() -> None:
    """Retransmissions of the SYN are told with the connection."""
    wire = Wire(greet=False)
    for at in (0.0, 1.0, 3.0):
        wire.put(0, at, -1, flags=SYN)
    wire.put(1, 3.1, -1, ack=0, flags=SYN | ACK)
    wire.put(0, 3.2, 0, ack=0)
    assert wire.ear.facts == [("again", 0, 3.0, 2, 3.0, True), ("connected", 3.2, 3.2)]


def test_keep_alive_probes_are_no_data() -> None:
    """One old byte, or none, just before the next one."""
    wire = Wire()
    wire.put(0, 1.0, 0, b"hello", ack=0)
    for at in (10.0, 20.0):
        wire.put(0, at, 4, b"\0", ack=0)
        wire.put(0, at + 1, 4, ack=0)
        wire.put(1, at + 2, 0, ack=5)
    assert wire.ear.bytes[0] == b"hello"
    assert wire.ear.said("again", "missing") == []


def test_a_run_of_retransmissions_is_one_fact() -> None:
    """Until it is acknowledged."""
    wire = Wire()
    wire.put(0, 1.0, 0, b"hello", ack=0)
    for at in (1.2, 1.6, 2.4):
        wire.put(0, at, 0, b"hello", ack=0)
    assert wire.ear.said("again") == []
    wire.put(1, 2.5, 0, ack=5)
    assert wire.ear.said("again") == [("again", 0, 2.4, 3, 1.4, True)]
    assert wire.ear.bytes[0] == b"hello"


def test_a_run_without_an_end() -> None:
    """Never acknowledged, and no end of the connection either; longer at each try."""
    wire = Wire()
    wire.put(0, 1.0, 0, b"hello", ack=0)
    wire.put(0, 1.1, 5, b" you", ack=0)
    wire.put(0, 1.5, 0, b"hello you", ack=0)
    wire.put(0, 2.5, 0, b"hello you", ack=0)
    wire.tcp.finish(60.0)
    assert wire.ear.facts[1:] == [("again", 0, 2.5, 2, 1.5, False), ("finished",)]
    assert wire.ear.bytes[0] == b"hello you"


def test_one_packet_captured_twice_is_no_retransmission() -> None:
    """On two interfaces, a few microseconds apart."""
    wire = Wire()
    for at in (1.0, 1.00002):
        wire.put(0, at, 0, b"hello", ack=0)
    wire.tcp.finish(9.0)
    assert wire.ear.said("again") == []


def test_what_the_peer_acknowledged_and_the_capture_lacks() -> None:
    """Late packets have their time; then the hole is told, at once with what follows."""
    wire = Wire()
    wire.put(0, 1.0, 0, b"one", ack=0)
    wire.put(0, 1.1, 10, b"two", ack=0)
    wire.put(1, 1.11, 0, ack=13)
    assert wire.ear.bytes[0] == b"one"
    wire.put(1, 1.3, 0, b"x", ack=13)
    assert wire.ear.said("missing") == [("missing", 0, 1.1, 7)]
    assert wire.ear.bytes[0] == b"one" + b"?" * 7 + b"two"


def test_the_last_bytes_may_lack_too() -> None:
    """Acknowledged, never seen: told as of the acknowledgement."""
    wire = Wire()
    wire.put(1, 1.0, 0, ack=58)
    wire.put(1, 2.0, 0, ack=58, flags=RST | ACK)
    assert wire.ear.facts[1:] == [("missing", 0, 1.0, 58), ("ended", 1, 2.0, "rst"), ("finished",)]


def test_bytes_cut_by_the_snapshot_length() -> None:
    """Each cut is a hole where it stands."""
    wire = Wire()
    wire.put(1, 1.0, 0, b"head", ack=0, missing=96)
    wire.put(1, 1.1, 100, b"next", ack=0, missing=0)
    assert wire.ear.bytes[1] == b"head" + b"?" * 9 + b"next"
    assert wire.ear.said("missing") == [("missing", 1, 1.0, 96)]


def test_memory_is_bounded() -> None:
    """Behind a hole that never closes only so much is held."""
    wire = Wire()
    for n in range(3 * MOST_SEGMENTS):
        wire.put(1, 1.0, 2 * n + 1, b"x", ack=0)
    assert len(wire.tcp._sides[1].waiting) <= MOST_SEGMENTS
    wire = Wire()
    for n in range(100):
        wire.put(1, 1.0, 1 + n * 60_000, bytes(60_000), ack=0)
    assert wire.tcp._sides[1].buffered <= MOST_WAITING
    assert wire.ear.said("missing") == [("missing", 1, 1.0, 1)]


def test_from_the_middle() -> None:
    """Without a SYN the first byte seen is the first; a probe is none."""
    wire = Wire(greet=False)
    wire.put(0, 1.0, 499, b"\0", ack=700)
    wire.put(1, 1.1, 700, b"down", ack=500)
    wire.put(0, 1.2, 500, b"up", ack=704)
    wire.tcp.finish(2.0)
    assert wire.ear.bytes == [b"up", b"down"]
    assert wire.ear.facts == [("finished",)]


def test_the_same_ports_again() -> None:
    """Another SYN is another connection, a repeated one is not."""
    wire = Wire(greet=False)
    wire.put(0, 0.0, -1, flags=SYN)
    assert not wire.tcp.renewed(0, 999)
    assert wire.tcp.renewed(0, 5000)
    assert not wire.tcp.renewed(1, 999), "both sides open at once"
    wire.put(1, 0.1, -1, ack=0, flags=RST | ACK)
    assert wire.tcp.renewed(0, 999)


def test_both_open_at_once() -> None:
    """Two SYNs that cross make one connection (RFC 9293, section 3.5)."""
    wire = Wire(greet=False)
    wire.put(0, 0.0, -1, flags=SYN)
    wire.put(1, 0.0, -1, flags=SYN)
    wire.put(0, 0.1, -1, ack=0, flags=SYN | ACK)
    wire.put(1, 0.1, -1, ack=0, flags=SYN | ACK)
    wire.put(0, 0.2, 0, b"hello", ack=0)
    assert wire.ear.said("connected", "missing") == [("connected", 0.2, 0.2)]
    assert wire.ear.bytes[0] == b"hello"
