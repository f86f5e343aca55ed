"""Flow control towards one browser, in virtual time."""

from __future__ import annotations

import pytest

from chatkit.views.sheet import Cursor
from chatkit.widgets.flow import MOST_BYTES, MOST_SENDS, PACE, PATIENCE, Flow

A, B, C = Cursor(1, 1, 1, 0), Cursor(2, 1, 2, 0), Cursor(3, 1, 2, 1)


def test_the_next_delta_waits_for_the_paint():
    flow = Flow(Cursor())
    assert flow.wait(0.0, Cursor()) is None, "nothing to send"
    assert flow.wait(0.0, A) == 0.0
    flow.sent(0.0, A, 100)
    assert flow.wait(0.1, A) is None
    assert flow.wait(0.1, B) == pytest.approx(0.9), "something new waits for the word about what was sent"
    assert flow.painted(A)
    assert flow.wait(0.1, B) == 0.0
    assert flow.held == A


def test_without_any_word_it_goes_on_once_a_second_from_what_is_known_to_be_there():
    flow = Flow(A)
    flow.sent(0.0, B, 100)
    assert flow.wait(PATIENCE, C) == 0.0
    assert flow.held == A, "the next delta contains the one that may be lost"
    flow.sent(1.0, C, 100)
    assert flow.wait(1.5, Cursor(9, 1, 2, 1)) == pytest.approx(0.5)
    assert flow.painted(B), "a late word"
    assert flow.held == B


def test_big_unacknowledged_deltas_are_paced_and_somebody_silent_is_gone():
    flow = Flow(Cursor())
    flow.sent(0.0, A, 40_000_000)
    assert flow.wait(1.0, B) == pytest.approx(9.0)
    flow.sent(10.0, B, 40_000_000)
    assert flow.gone
    assert flow.wait(1000.0, C) is None
    many = Flow(Cursor())
    for n in range(MOST_SENDS):
        many.sent(float(n), Cursor(ticks=n + 1), 10)
    assert many.gone


def test_a_wrong_count_brings_everything_again():
    flow = Flow(A)
    flow.sent(0.0, C, 10)
    assert not flow.painted(Cursor(7, 7, 7, 7))
    assert flow.held == Cursor()
    assert flow.wait(0.1, C) == 0.0


def test_a_paint_of_what_went_to_everybody_is_no_mismatch():
    flow = Flow(A)
    assert flow.painted(B)
    assert flow.held == B
    assert not flow.painted(A), "less than it held"
    assert flow.held == Cursor()


D = Cursor(9, 1, 2, 1)
NOTHING = Cursor()
BIG = 2 * PACE

TABLE = {
    # (seconds, what happens, with what, what follows): "due" asks for the wait until a delta up to there.
    "in step": [
        (0.0, "due", A, 0.0),
        (0.0, "sent", A, 10),
        (0.1, "painted", A, True),
        (0.1, "due", A, None),
        (0.2, "due", B, 0.0),
        (0.2, "sent", B, 10),
        (0.3, "painted", B, True),
        (0.3, "held", B, None),
    ],
    "a cell blocks, the acknowledgements come late": [
        (0.0, "sent", A, 10),
        (0.4, "due", B, 0.6),
        (1.0, "due", B, 0.0),
        (1.0, "sent", B, 10),
        (2.0, "sent", C, 10),
        (2.5, "painted", A, True),
        (2.5, "held", A, None),
        (2.5, "due", D, 0.5),
        (2.6, "painted", B, True),
        (2.7, "painted", C, True),
        (2.7, "due", D, 0.0),
    ],
    "big deltas wait as long as they take": [
        (0.0, "sent", A, BIG),
        (1.5, "due", B, 0.5),
        (2.0, "due", B, 0.0),
        (9.0, "due", B, 0.0),
    ],
    "a page that was loaded again has nothing": [
        (0.0, "sent", B, 10),
        (0.1, "painted", NOTHING, False),
        (0.1, "held", NOTHING, None),
        (0.1, "due", B, 0.0),
    ],
    "silent for long, then back": [
        (0.0, "sent", A, MOST_BYTES + 1),
        (99.0, "due", B, None),
        (100.0, "painted", A, True),
        (100.0, "due", B, 0.0),
    ],
}


@pytest.mark.parametrize("name", TABLE)
def test_a_story_in_virtual_time(name: str) -> None:
    """When the next delta is due, and what the receiver is known to hold."""
    flow = Flow(NOTHING)
    for now, what, cursor, value in TABLE[name]:
        if what == "due":
            wait = flow.wait(now, cursor)
            assert wait == (None if value is None else pytest.approx(value)), (now, cursor)
        elif what == "sent":
            flow.sent(now, cursor, int(value or 0))
        elif what == "painted":
            assert flow.painted(cursor) == value, (now, cursor)
        else:
            assert flow.held == cursor, now


def test_gone_is_a_matter_of_bytes_or_of_sends() -> None:
    """Exactly at the limits."""
    flow = Flow(NOTHING)
    flow.sent(0.0, A, MOST_BYTES)
    assert not flow.gone
    flow.sent(1.0, B, 1)
    assert flow.gone
