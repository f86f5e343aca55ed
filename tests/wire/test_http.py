"""HTTP/1.1 messages of one direction, in any pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.wire.http import KEEP_BODY, Message, Reader, begins

ANSWERS = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\nwiki\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
)


def read(reader: Reader, data: bytes) -> list[Message]:
    """Messages completed by ``data``."""
    done = []
    reader.feed(data)
    while True:
        message = reader.head()
        if message is not None:
            reader.body_of(message, none=message.head.first[1] in ("100", "204"))
        ended = reader.ended()
        if ended is None:
            return done
        done.append(ended)


@given(st.lists(st.integers(0, len(ANSWERS)), max_size=12))
def test_answers_in_any_pieces(cuts: list[int]) -> None:
    """Lengths, chunks with extensions and a trailer; sizes add up to what came."""
    reader, done = Reader(request=False), []
    places = sorted({0, len(ANSWERS), *cuts})
    for a, b in itertools.pairwise(places):
        done += read(reader, ANSWERS[a:b])
    assert [(m.head.first[1], bytes(m.body)) for m in done] == [
        ("100", b""), ("200", b"hello"), ("200", b"wiki0123456789"), ("404", b""),
    ]  # fmt: skip
    assert sum(message.size for message in done) == len(ANSWERS)


def test_requests_behind_each_other() -> None:
    """With and without a body; one without a length has none."""
    data = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n"
    assert [m.head.first[1] for m in read(Reader(request=True), data)] == ["/a", "/b"]


def test_an_answer_without_a_length_goes_on_to_the_end() -> None:
    """Of the connection; its beginning is kept."""
    reader = Reader(request=False)
    assert read(reader, b"HTTP/1.0 200 OK\r\n\r\n" + bytes(10_000)) == []
    message = reader.cut_off()
    assert message is not None
    assert (message.size, len(message.body)) == (10_019, KEEP_BODY)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\r\n\r\n", b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n"])
def test_no_http(data: bytes) -> None:
    """Said at once."""
    with pytest.raises(ValueError, match="not an HTTP"):
        read(Reader(request=False), data)


def test_chunks_that_are_none() -> None:
    """No size where one must stand."""
    with pytest.raises(ValueError, match="size of a chunk"):
        read(Reader(request=False), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"z" * 5000)


def test_a_hole_in_a_body() -> None:
    """Is counted; the next message follows."""
    reader = Reader(request=False)
    read(reader, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab")
    assert reader.missing(50) is None
    (message,) = read(reader, b"x" * 48)
    assert message.size == 140
    assert not message.cut


def test_a_hole_beyond_a_body() -> None:
    """What is known is returned; then the next beginning is looked for."""
    reader = Reader(request=False)
    read(reader, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
    message = reader.missing(50)
    assert message is not None
    assert message.cut
    assert read(reader, b"the middle of something") == []
    assert [m.head.first[1] for m in read(reader, b"HTTP/1.1 204 No Content\r\n\r\n")] == ["204"]


def test_a_hole_in_a_head() -> None:
    """Whole lines are known; a start line that is cut is marked."""
    reader = Reader(request=True)
    assert read(reader, b"GET /api/ws/ch") == []
    message = reader.missing(300)
    assert message is not None
    assert (message.cut, message.head.first[1]) == (True, "/api/ws/ch...")
    reader = Reader(request=False)
    read(reader, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebS")
    message = reader.missing(99)
    assert message is not None
    assert message.head.headers == [("Upgrade", "websocket")]
    reader = Reader(request=False)
    read(reader, b"no HTTP")
    assert reader.missing(5) is None


def test_beginnings() -> None:
    """A start line, not a word that looks like one."""
    assert begins(b"GET / HTTP/1.1\r\n", request=True)
    assert begins(b"GET /a/long/target/that/is/cut", request=True)
    assert begins(b"HTTP/1.1 200 OK\r\n", request=False)
    for data in (b"", b"GET", b"get / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH\r\n", b"\x81\x05hello", b"GET / HTTP/2\r\n"):
        assert not begins(data, request=True), data


@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_any_bytes(pieces: list[bytes], request: bool) -> None:
    """Messages, or a ``ValueError``."""
    reader = Reader(request=request)
    try:
        for n, piece in enumerate(pieces):
            read(reader, (b"HTTP/1.1 200 OK\r\n" if n == 0 and not request else b"") + piece)
            if n % 5 == 4:
                reader.missing(n)
    except ValueError:
        pass
