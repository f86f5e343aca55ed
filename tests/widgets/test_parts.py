"""Stretches of a trace, read by row."""

from __future__ import annotations

import pytest

from builders import incident_trace, split
from chatkit.errors import InvalidInput
from chatkit.views.query import matches
from chatkit.widgets.parts import Parts

TRACE = incident_trace()


def parts(*cuts: int) -> Parts:
    made = Parts()
    for part in split(TRACE, cuts):
        made.add(part)
    return made


@pytest.mark.parametrize("cuts", [(), (40, 90), (1, 1, 147)])
def test_they_read_as_the_whole(cuts) -> None:
    """Wherever they were cut."""
    made = parts(*cuts)
    assert len(made) == len(TRACE)
    assert list(made.whole().rows) == list(TRACE.rows)
    assert [str(part[place]) for part, place in map(made.find, range(len(TRACE)))] == [str(event) for event in TRACE]
    assert [made.row(event.id) for event in TRACE] == list(range(len(TRACE)))
    picked = made.pick([120, 7, 7])
    assert [event.id for event in picked] == ["7", "120"]
    assert [event.connection for event in picked] == [TRACE[7].connection, TRACE[120].connection]
    for query in ("", "type:ping", "connection:4 /pong/"):
        whole = matches(TRACE, query)
        for since in (0, 8, 40, 104, 148):
            assert made.matches(query, since).tolist() == whole[since:].tolist(), (query, since)


@pytest.mark.parametrize("cuts", [(), (40, 90), range(1, 148)])
def test_moments_before(cuts) -> None:
    """The event before, and the one before on the same connection, in whatever stretch it lies."""
    made = parts(*cuts)
    assert made.moments_before(0) == {}
    row = next(i for i in range(100, len(TRACE)) if TRACE[i].connection == "4" and TRACE[i - 1].connection != "4")
    own = max(i for i in range(row) if TRACE[i].connection == "4")
    assert made.moments_before(row) == {
        "the event before": TRACE[row - 1].at,
        "the one before on this connection": TRACE[own].at,
    }
    first = next(i for i in range(len(TRACE)) if TRACE[i].connection == "2")
    assert list(made.moments_before(first)) == ["the event before"]


def test_what_is_not_there() -> None:
    """Nothing added, no such row, no such id; a copy does not grow."""
    made = Parts()
    assert (bool(made), len(made), len(made.whole()), len(made.matches("x"))) == (False, 0, 0, 0)
    copy = made.copy()
    made.add(TRACE)
    assert (bool(made), bool(copy)) == (True, False)
    with pytest.raises(IndexError):
        made.find(len(TRACE))
    with pytest.raises(InvalidInput):
        made.row("no")
