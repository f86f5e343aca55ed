"""Frames of one direction: any cut of the bytes gives the same frames; violations end the reading."""

from __future__ import annotations

import hashlib
import itertools
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as LibraryFrame
from websockets.frames import Opcode

from chatkit.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Frame,
    FrameParser,
    Lost,
    Message,
    Violation,
    likeness,
    unmask,
)

KEY = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bool = False, rsv1: bool = False) -> bytes:
    """The bytes of a frame, as websockets writes them."""
    raw = LibraryFrame(Opcode(opcode), payload, fin=fin).serialize(mask=mask)
    return bytes([raw[0] | 0x40 * rsv1]) + raw[1:]


def parse(chunks: Iterable[bytes], keep: int = 1 << 20, **options: bool) -> list[Frame]:
    """All frames of a direction."""
    parser = FrameParser(keep, **options)
    return [found for chunk in chunks for found in parser.feed(chunk)]


def deflated(payload: bytes, compressor: zlib._Compress) -> bytes:
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 200_000])
def test_lengths(size: int, mask: bool) -> None:
    """All three spellings of a length, masked and not, around every border."""
    payload = bytes(i % 251 for i in range(size))
    assert parse([frame(BINARY, payload, mask=mask)]) == [
        Frame(BINARY, size, True, False, b"", Message(BINARY, size, payload, None))
    ]


STREAM = b"".join(
    [
        frame(TEXT, b"hello", mask=True),
        frame(TEXT, "h\u00e9".encode()[:2], fin=False),
        frame(PING, b"in between"),
        frame(CONTINUATION, "h\u00e9".encode()[2:], fin=False, mask=True),
        frame(CONTINUATION, b"", fin=True),
        frame(BINARY, b"\x00" * 200),
        frame(CLOSE, b"\x03\xe8bye", mask=True),
    ]
)


def test_a_conversation() -> None:
    """Fragments with a split character, a control frame inside, empty frames, a close."""
    assert [(f.opcode, f.size, f.fin, f.payload, f.message) for f in parse([STREAM])] == [
        (TEXT, 5, True, b"", Message(TEXT, 5, b"hello", None)),
        (TEXT, 2, False, b"", None),
        (PING, 10, True, b"in between", None),
        (CONTINUATION, 1, False, b"", None),
        (CONTINUATION, 0, True, b"", Message(TEXT, 3, "hé".encode(), None)),
        (BINARY, 200, True, b"", Message(BINARY, 200, b"\x00" * 200, None)),
        (CLOSE, 5, True, b"\x03\xe8bye", None),
    ]


def test_cut_at_every_position() -> None:
    """In two, and byte by byte."""
    whole = parse([STREAM])
    for cut in range(len(STREAM) + 1):
        assert parse([STREAM[:cut], STREAM[cut:]]) == whole
    assert parse(STREAM[i : i + 1] for i in range(len(STREAM))) == whole


_FRAMES = st.lists(
    st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.binary(max_size=300), st.booleans(), st.integers(1, 3)),
    max_size=6,
)


@given(_FRAMES, st.lists(st.integers(0, 2500), max_size=20), st.booleans())
def test_any_chunking_gives_the_same_frames(
    messages: list[tuple[int, bytes, bool, int]], cuts: list[int], deflate: bool
) -> None:
    """Any messages, fragmented and compressed or not."""
    compressor = zlib.compressobj(wbits=-15)
    stream = b""
    for opcode, payload, mask, parts in messages:
        if opcode == PING:
            stream += frame(PING, payload[:125], mask=mask)
            continue
        body = deflated(payload, compressor) if deflate else payload
        step = max(1, -(-len(body) // parts))
        pieces = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
        for number, piece in enumerate(pieces):
            last, code = number == len(pieces) - 1, CONTINUATION if number else opcode
            stream += frame(code, piece, fin=last, mask=mask, rsv1=deflate and not number)
    edges = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    found = parse(chunks, deflate=deflate)
    assert found == parse([stream], deflate=deflate)
    told = [(f.message.opcode, f.message.payload) for f in found if f.message is not None]
    assert told == [(opcode, payload) for opcode, payload, _, _ in messages if opcode != PING]


@pytest.mark.parametrize("takeover", [True, False])
def test_compression_with_and_without_context(takeover: bool) -> None:
    """RFC 7692: with takeover the second message leans on the first."""
    compressor = zlib.compressobj(wbits=-15)
    stream, texts = b"", [b"the same words again and again " * 5] * 3
    for text in texts:
        if not takeover:
            compressor = zlib.compressobj(wbits=-15)
        stream += frame(TEXT, deflated(text, compressor), rsv1=True)
    found = parse([stream], deflate=True, takeover=takeover)
    assert [f.message.payload for f in found] == texts
    assert all(f.compressed and f.size < len(texts[0]) for f in found)


def test_uncompressed_messages_between_compressed_ones() -> None:
    """RSV1 is a choice per message."""
    body = deflated(b"squeezed", zlib.compressobj(wbits=-15))
    found = parse([frame(TEXT, body, rsv1=True) + frame(TEXT, b"plain")], deflate=True)
    assert [f.message.payload for f in found] == [b"squeezed", b"plain"]


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("chunk", [1000, 65_536, 1 << 24])
def test_sixteen_mebibytes_leave_a_beginning_and_a_digest(mask: bool, chunk: int) -> None:
    """Never held whole."""
    payload = bytes(range(256)) * (1 << 16)
    stream = frame(BINARY, payload, mask=mask)
    found = parse((stream[i : i + chunk] for i in range(0, len(stream), chunk)), keep=100)
    digest = hashlib.sha256(payload).hexdigest()
    assert found == [
        Frame(BINARY, len(payload), True, False, b"", Message(BINARY, len(payload), payload[:100], digest))
    ]


@pytest.mark.parametrize("mask", [False, True])
def test_a_large_frame_takes_little_memory(mask: bool) -> None:
    """16 MiB in pieces of 64 KiB: a few pieces at a time."""
    head = frame(BINARY, b"\x00" * (1 << 24), mask=mask)[: 14 if mask else 10]
    piece, parser = b"\x00" * 65_536, FrameParser(4096)
    tracemalloc.start()
    try:
        assert list(parser.feed(head)) == []
        for _ in range(255):
            assert list(parser.feed(piece)) == []
        assert parser.unfinished == 255 * 65_536
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert [f.message.length for f in parser.feed(piece)] == [1 << 24]
    assert parser.unfinished == 0


def test_a_compressed_message_that_grows_is_a_beginning_too() -> None:
    """Ten thousand to one."""
    body = deflated(b"a" * 10_000_000, zlib.compressobj(wbits=-15))
    (found,) = parse([frame(TEXT, body, rsv1=True)], keep=10, deflate=True)
    assert (found.size, found.message.length, found.message.payload) == (len(body), 10_000_000, b"a" * 10)


def test_a_decompression_bomb_is_a_violation() -> None:
    """It is stopped before it fills the memory."""
    compressor = zlib.compressobj(9, wbits=-15)
    body = b"".join(compressor.compress(b"\x00" * (1 << 24)) for _ in range(17)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(Violation, match="inflates beyond 256 MiB"):
        parse([frame(BINARY, body, rsv1=True)], deflate=True)


@pytest.mark.parametrize(
    ("stream", "words", "options"),
    [
        (b"\xa1\x00", "reserved bits or opcode", {}),
        (b"\x91\x00", "reserved bits or opcode", {}),
        (b"\x83\x00", "reserved bits or opcode", {}),
        (b"\x8f\x00", "reserved bits or opcode", {}),
        (b"\x09\x00", "ping frame fragmented", {}),
        (b"\x89\x7e\x00\x7e" + bytes(126), "ping frame fragmented or longer", {}),
        (b"\x80\x00", "without a message to continue", {}),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), "a new message began", {}),
        (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, bytes(70_000)) + frame(CONTINUATION, b"x"), "without", {}),
        (b"\x80" + frame(BINARY, bytes(70_000))[1:], "without a message to continue", {}),
        (frame(TEXT, b"a", rsv1=True), "no compression was negotiated", {}),
        (frame(TEXT, b"a", rsv1=True, fin=False) + b"\xc0\x00", "continuation frame", {"deflate": True}),
        (frame(TEXT, b"\xff\xff\xff", rsv1=True), "cannot be inflated", {"deflate": True}),
        (b"\xc9\x00", "RSV1", {"deflate": True}),
        (frame(TEXT, b"a", mask=True), "masked frame from the server", {"masked": False}),
        (frame(TEXT, b"a"), "without a mask", {"masked": True}),
        (b"\x82\xff" + b"\x80" + bytes(7) + KEY, "length", {}),
    ],
    # Masking keys are random; two workers must still collect the same names.
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_violations(stream: bytes, words: str, options: dict[str, bool]) -> None:
    """Each with what is wrong; frames before it count."""
    good = frame(TEXT, b"before", mask=options.get("masked", False))
    parser = FrameParser(100, **options)
    found: list[Frame] = []
    octets = (bytes([octet]) for octet in good + stream)
    with pytest.raises(Violation, match=words):
        found.extend(one for octet in octets for one in parser.feed(octet))
    assert found[0].message.payload == b"before"


@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
def test_any_bytes_give_frames_or_a_violation(chunks: list[bytes], deflate: bool) -> None:
    """Two outcomes."""
    parser = FrameParser(64, deflate=deflate)
    try:
        for chunk in chunks:
            for found in parser.feed(chunk):
                assert found.size >= 0
    except Violation as violation:
        assert str(violation)


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_unmasking_twice_is_nothing(data: bytes, key: bytes) -> None:
    """And it is what the RFC writes: octet i XOR octet i mod 4 of the key."""
    masked = unmask(data, key)
    assert masked == bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert unmask(masked, key) == data


@given(st.data())
def test_a_hole_within_one_frame(data: st.DataObject) -> None:
    """Of any size, masked or not: the frame keeps its size, the next one its content."""
    size = data.draw(st.sampled_from([1, 100, 125, 126, 70_000, 200_000]))
    mask = data.draw(st.booleans())
    raw = frame(BINARY, bytes(size), mask=mask)
    head = len(raw) - size
    start = data.draw(st.integers(head, len(raw) - 1))
    stop = data.draw(st.integers(start + 1, len(raw)))
    parser = FrameParser(1 << 20)
    found = list(parser.feed(raw[:start])) + parser.gap(stop - start) + list(parser.feed(raw[stop:]))
    assert found == [Frame(BINARY, size, True, False)]
    (after,) = parser.feed(frame(TEXT, b"next", mask=mask))
    assert after.message == Message(TEXT, 4, b"next", None)


@pytest.mark.parametrize("start", [0, 1, 3, 50])
def test_a_hole_beyond_a_frame(start: int) -> None:
    """Within a head, or over the end of a frame: where the next one begins is not known."""
    parser = FrameParser(1 << 20)
    list(parser.feed(frame(BINARY, bytes(200))[:start]))
    with pytest.raises(Lost):
        parser.gap(400)


def test_a_hole_in_a_message_of_several_frames() -> None:
    """The message is not known; the one after it is."""
    parser = FrameParser(1 << 20)
    raw = frame(TEXT, b"one", fin=False) + frame(CONTINUATION, b"two")
    found = list(parser.feed(raw[:3])) + parser.gap(2) + list(parser.feed(raw[5:] + frame(TEXT, b"three")))
    assert [one.message and one.message.payload for one in found] == [None, None, b"three"]


def test_a_close_frame_keeps_what_is_known() -> None:
    """Bytes before the hole."""
    parser = FrameParser(1 << 20)
    raw = frame(CLOSE, b"\x03\xe8goodbye")
    list(parser.feed(raw[:6]))
    (closed,) = parser.gap(len(raw) - 6)
    assert (closed.payload, closed.size) == (b"\x03\xe8go", 9)


def test_guessing_never_breaks_over_what_was_not_seen() -> None:
    """A continuation of something, compression that was never agreed, a window that was never there."""
    packer = zlib.compressobj(wbits=-15)
    deflated(b"lighthouse", packer)
    again = deflated(b"lighthouse", packer)
    chunks = [
        frame(CONTINUATION, b"rest"),
        frame(TEXT, again, rsv1=True),
        frame(TEXT, deflated(b"fresh", zlib.compressobj(wbits=-15)), rsv1=True),
    ]
    found = parse(chunks, guess=True)
    assert [one.message and one.message.payload for one in found] == [None, None, b"fresh"]
    with pytest.raises(Violation):
        parse(chunks)


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.binary(max_size=120)), min_size=1, max_size=5),
    st.booleans(),
)
def test_frames_look_like_frames(messages: list[tuple[int, bytes]], mask: bool) -> None:
    """Whole ones, from the first byte to the last; not with the other side's mask."""
    raw = b"".join(
        frame(opcode, payload.hex().encode()[:120] if opcode == TEXT else payload, mask=mask)
        for opcode, payload in messages
    )
    assert likeness(raw, masked=mask) == len(messages)
    assert likeness(raw, masked=not mask) == 0
    assert likeness(raw[:-1], masked=mask) in (0, *range(len(messages)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        b"hello world",
        b"\x81\x7e\x00\x05hello",
        b"\x81\x02\xff\xff",
        b"\x89\x7e\x00\x7e" + bytes(126),
        b"\x83\x00",
    ],
)
def test_others_do_not(data: bytes) -> None:
    """Text, lengths that are not the shortest, text that is none, long pings, unknown opcodes."""
    assert likeness(data, masked=False) == 0
