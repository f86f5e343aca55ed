"""Foreign text made harmless: nothing moves a cursor, nothing hides, nothing vanishes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.plain import harmless, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünï, 🤖", "plain, ünï, 🤖"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[2J\x07", "␛[2J␇"),
        ("\x00\r\x7f", "␀␍␡"),
        ("\x9b31m", "�31m"),
        ("a\u202egnp.exe", "a�gnp.exe"),
        ("a\u2028b\ud800", "a�b�"),
    ],
)
def test_harmless(text: str, shown: str) -> None:
    """Each control character becomes one that can be seen."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [("a\n  b\tc", 10, "a b c"), ("abcdef", 6, "abcdef"), ("abcdefg", 6, "abcde…"), ("\x1b" * 10, 3, "␛␛…"), ("", 3, "")],
)
def test_one_line(text: str, limit: int, line: str) -> None:
    """Bounded, whatever comes."""
    assert one_line(text, limit) == line


@given(st.text(alphabet=st.characters()), st.integers(1, 50))
def test_any_text(text: str, limit: int) -> None:
    """No control characters but tabs and line feeds; the same length; idempotent."""
    clean = harmless(text)
    assert len(clean) == len(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in clean if c not in "\t\n")
    assert harmless(clean) == clean
    line = one_line(text, limit)
    assert len(line) <= limit
    assert "\n" not in line
