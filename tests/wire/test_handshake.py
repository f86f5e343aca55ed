"""The opening handshake: head out of bytes, extension parameters out of a header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.uri import parse_uri

from chatkit.wire.handshake import MAX_HEAD, Head, split_head


@pytest.mark.parametrize(
    ("data", "first", "headers", "rest"),
    [
        (b"GET /p?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/p?x=1", "HTTP/1.1"), [("Host", "h")], b""),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00",
            ("HTTP/1.1", "101", "Switching Protocols"),
            [],
            b"\x81\x00",
        ),
        (b"HTTP/1.1 404\r\nA:b\r\nC :  d \r\n\r\nbody", ("HTTP/1.1", "404", ""), [("A", "b"), ("C", "d")], b"body"),
        (b"HTTP/1.0 502 \r\nX: \xe9\r\n\r\n", ("HTTP/1.0", "502", ""), [("X", "é")], b""),
    ],
)
def test_a_head_and_what_follows(
    data: bytes, first: tuple[str, ...], headers: list[tuple[str, str]], rest: bytes
) -> None:
    """Requests and responses."""
    assert split_head(data) == (Head(first, headers), rest)


def test_an_incomplete_head() -> None:
    """Cut anywhere before its end it is not there yet."""
    data = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert all(split_head(data[:cut]) is None for cut in range(len(data)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x16\x03\x01\x00\r\n\r\n", "not an HTTP/1.1 start line"),
        (b"SSH-2.0-x\r\n\r\n", "not an HTTP/1.1 start line"),
        (b"GET /\r\n\r\n", "not an HTTP/1.1 start line"),
        (b"\r\n\r\n", "not an HTTP/1.1 start line"),
        (b"HTTP/2 200\r\n\r\n", "not an HTTP/1.1 start line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "not an HTTP field: 'no colon'"),
        (b"x" * (MAX_HEAD + 1), "no end of the HTTP head within 65536 bytes"),
    ],
)
def test_what_is_no_handshake(data: bytes, words: str) -> None:
    """A sentence that quotes the start of it."""
    with pytest.raises(ValueError, match=words):
        split_head(data)


def test_fields_are_found_whatever_their_case() -> None:
    """Several are joined by comma."""
    head = Head(("GET", "/", "HTTP/1.1"), [("A", "1"), ("b", "2"), ("a", "3")])
    assert (head.get("a"), head.get("B"), head.get("c")) == ("1, 3", "2", None)


def test_the_request_of_a_real_library() -> None:
    """What websockets writes is read field by field."""
    protocol = ClientProtocol(parse_uri("ws://h:1/p?q=1"), extensions=[ClientPerMessageDeflateFactory()])
    request = protocol.connect()
    protocol.send_request(request)
    head, rest = split_head(b"".join(protocol.data_to_send()))
    assert (head.first, rest) == (("GET", "/p?q=1", "HTTP/1.1"), b"")
    assert head.headers == list(request.headers.raw_items())


@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda b: b"HTTP/1.1 101 x\r\n" + b + b"\r\n\r\n"))
def test_any_bytes_give_a_head_or_a_value_error(data: bytes) -> None:
    """Two outcomes, or nothing yet."""
    try:
        found = split_head(data)
    except ValueError as error:
        assert str(error)
    else:
        assert found is None or data.endswith(found[1])
