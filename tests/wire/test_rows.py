"""Rows of text messages are those that the encoder writes, byte for byte; what is not plain text is left to it."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatkit.events import FrameReceived
from chatkit.wire.rows import text_lines

PLAIN = st.text(st.characters(codec="utf-8", min_codepoint=0x20), max_size=80)


@given(
    st.lists(PLAIN, min_size=1, max_size=5), st.floats(0, 1e9).map(lambda at: round(at, 6)), PLAIN, st.integers(1, 900)
)
@example(["\\", '"', '\\"', "\x7f", "é\u2028🤖", ""], 0.0, "1", 1)
@example([json.dumps({"a": "b\n"})], 10.0, '"', 100)
def test_the_encoder_writes_the_same(texts: list[str], at: float, connection: str, times: int) -> None:
    """Short and long, whatever they quote."""
    payloads = [(text * times).encode() for text in texts]
    lines = text_lines(itertools.count(7), at, connection, payloads)
    events = [
        FrameReceived(id=str(7 + n), at=at, connection=connection, size=len(payload), text=payload.decode())
        for n, payload in enumerate(payloads)
    ]
    assert lines == b"".join(msgspec.json.encode(event) + b"\n" for event in events)


@pytest.mark.parametrize("odd", [b"a\nb", b"\x00", b"\x1f", b"\xff", b"\xc3", b"\xed\xa0\x80"])
@pytest.mark.parametrize("size", [0, 3000])
def test_what_is_not_plain_text_takes_no_id(odd: bytes, size: int) -> None:
    """A control character, or no UTF-8; alone and in a long run."""
    ids = itertools.count()
    assert text_lines(ids, 1.0, "1", [b"x" * size, odd, b"y"]) is None
    assert next(ids) == 0


def test_two_halves_of_a_letter_are_no_text() -> None:
    """Each message must be UTF-8 by itself (RFC 6455, section 5.6)."""
    assert text_lines(itertools.count(), 1.0, "1", [b"\xc3", b"\xa9"]) is None
