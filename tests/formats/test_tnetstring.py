"""Typed netstrings: every value mitmproxy writes, and no harm from those it does not."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.formats.tnetstring import Dump, loads


def dumps(value: Any) -> bytes:
    """The reverse, for tests."""
    if isinstance(value, dict):
        body, tag = b"".join(dumps(key) + dumps(each) for key, each in value.items()), b"}"
    elif isinstance(value, list):
        body, tag = b"".join(map(dumps, value)), b"]"
    elif isinstance(value, str):
        body, tag = value.encode(), b";"
    elif isinstance(value, bytes):
        body, tag = value, b","
    elif value is None:
        body, tag = b"", b"~"
    elif isinstance(value, bool):
        body, tag = (b"true" if value else b"false"), b"!"
    else:
        body, tag = repr(value).encode(), b"^" if isinstance(value, float) else b"#"
    return b"%d:%s%s" % (len(body), body, tag)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(value=VALUES)
def test_there_and_back(value: Any) -> None:
    """Whatever is written is read."""
    assert loads(dumps(value)) == value


def test_keys_become_text() -> None:
    """Old dumps have keys of bytes."""
    assert loads(b"10:3:abc,1:5#}") == {"abc": 5}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5",
        b"5:",
        b":",
        b"-1:a,",
        b"+1:a,",
        b"1 :a,",
        b"1:a",
        b"1:a?",
        b"2:a,",
        b"99999999999:a,",
        b"9999999999:a,",
        b"1:a,1:b,",
        b"2:nah!",
        b"1:a~",
        b"4:1:a,}",
        b"8:1:1#1:a,}",
        b"4:9:a,]",
        b"41:%s#" % (b"1" * 41),
        b"\xb2:a,",
    ],
)
def test_what_is_none(data: bytes) -> None:
    """Refused with the place, without another error."""
    with pytest.raises(ValueError, match="byte"):
        loads(data)


def test_numbers_that_are_none() -> None:
    """Python's own error is a ``ValueError`` too."""
    for data in (b"3:abc#", b"1:a#"):
        with pytest.raises(ValueError, match="invalid literal"):
            loads(data)


def test_depth_is_bounded() -> None:
    """A tower of lists is no value."""
    data = b"0:]"
    for _ in range(5000):
        data = b"%d:%s]" % (len(data), data)
    with pytest.raises(ValueError, match="levels"):
        loads(data)


@given(data=st.binary(max_size=60) | st.from_regex(rb"([0-9]{1,3}:[a0-9:]{0,5}[,;#^!~\]}]){0,6}", fullmatch=True))
def test_any_bytes_give_a_value_or_a_value_error(data: bytes) -> None:
    """Nothing else comes out."""
    try:
        loads(data)
    except ValueError:
        pass


def walk(data: bytes, longest: int = 1000) -> tuple[list[bytes], Dump]:
    dump = Dump(io.BytesIO(data), longest)
    return [bytes(piece) for piece in dump], dump


def test_a_file_value_by_value() -> None:
    """Each with its length and tag; what is too long is passed over."""
    pieces, dump = walk(b"1:a,2000:%s,1:b," % (b"x" * 2000))
    assert pieces == [b"1:a,", b"1:b,"]
    assert (dump.too_long, dump.cut, dump.broken) == (1, False, False)


@pytest.mark.parametrize(
    ("tail", "cut", "broken"),
    [
        (b"", False, False),
        (b"5", True, False),
        (b"5:", True, False),
        (b"5:abcde", True, False),
        (b"2000:abc", True, False),
        (b"x", False, True),
        (b":", False, True),
        (b"123456789012:", False, True),
        (b"\n", False, True),
    ],
)
def test_the_end_of_a_file(tail: bytes, cut: bool, broken: bool) -> None:
    """Cut within a value, or followed by something else."""
    pieces, dump = walk(b"1:a," + tail)
    assert pieces == [b"1:a,"]
    assert (dump.cut, dump.broken) == (cut, broken)
