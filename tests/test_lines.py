"""Rows stay in order, however they come and whenever somebody asks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.lines import Lines

ROWS = st.lists(st.text("ab ", min_size=1).map(str.encode), min_size=1, max_size=4)


@given(st.lists(st.tuples(ROWS, st.booleans(), st.booleans())))
def test_rows_come_as_they_went_in(pieces: list[tuple[list[bytes], bool, bool]]) -> None:
    """As rows and as lines, with looks between."""
    lines, expected = Lines(), []
    for rows, as_lines, look in pieces:
        if as_lines:
            lines.add_lines(b"".join(row + b"\n" for row in rows))
        else:
            lines.add(rows)
        expected += rows
        if look:
            assert lines.rows == expected
    assert lines.rows == expected


def test_what_is_taken_out_is_forgotten() -> None:
    """As a bounded recording does."""
    lines = Lines()
    lines.add_lines(b"1\n2\n")
    lines.add([b"3"])
    del lines.rows[:2]
    lines.add_lines(b"4\n")
    assert lines.rows == [b"3", b"4"]
