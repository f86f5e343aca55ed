"""Foreign text can do nothing, and nothing of it is hidden."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.plain import harmless, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünï 日本 🙂", "plain – ünï 日本 🙂"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x00\x07\x08", "␀␇␈"),
        ("\x1b[2J", "␛[2J"),
        ("\r\n", "␍\n"),
        ("\x7f", "␡"),
        ("\x9b2J\x85", "�2J�"),
        ("\u202eabc\u2066\u200f\u061c", "�abc���"),
        ("\u2028\u2029", "��"),
        ("\ud800", "�"),
    ],
)
def test_what_becomes_of_a_character(text: str, shown: str) -> None:
    """Control characters, marks of direction and lone surrogates become visible; tabs and line feeds stay."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        ("", 10, ""),
        ("  two\n\twords ", 10, "two words"),
        ("0123456789", 10, "0123456789"),
        ("0123456789a", 10, "012345678…"),
        ("x\x1b]0;t\x07", 10, "x␛]0;t␇"),
        ("a" * 100_000, 3, "aa…"),
    ],
)
def test_one_line(text: str, limit: int, line: str) -> None:
    """White space becomes one blank, and what is cut ends with an ellipsis."""
    assert one_line(text, limit) == line


@given(st.text())
def test_harmless_text_stays_as_it_is(text: str) -> None:
    """Twice is once, and no character is lost."""
    once = harmless(text)
    assert harmless(once) == once
    assert len(once) == len(text)


@given(st.text())
def test_one_line_is_one_short_line(text: str) -> None:
    """Whatever comes."""
    line = one_line(text, 40)
    assert len(line) <= 40
    assert harmless(line) == line
    assert "\n" not in line
    line.encode()
