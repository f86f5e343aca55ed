"""Every way to end a connection, on real sockets, as both ends recorded it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatkit.errors import InvalidInput, LabError
from chatkit.lessons import EndingsLesson

TOLD = {
    "we-1000": (1000, "client", "closed by us: 1000 “done”"),
    "we-1001": (1001, "client", "closed by us: 1001 “page closed”"),
    "we-no-code": (1005, "client", "closed by us: without code"),
    "server-1000": (1000, "server", "closed by server: 1000 “bye”"),
    "server-1001": (1001, "server", "closed by server: 1001 “shutting down”"),
    "server-1008": (1008, "server", "closed by server: 1008 “policy”"),
    "server-1009": (1009, "server", "closed by server: 1009 “message too big”"),
    "we-1009": (1009, "client", "closed by us: 1009 “frame with 2000000 bytes exceeds limit of 1048576 bytes”"),
    "server-1011": (1011, "server", "closed by server: 1011 “internal error”"),
    "server-fin": (1006, "server", "FIN by server, no close frame"),
    "server-rst": (1006, "server", "RST by server"),
    "we-cut": (1006, "client", "cut by us"),
    "idle": (1006, "server", "FIN by server, no close frame"),
    "dead-path": (1006, None, "TCP time-out, peer silent"),
}


@pytest.fixture(scope="module")
def lesson() -> Iterator[EndingsLesson]:
    """One for all ways."""
    one = EndingsLesson("tests")
    yield one
    one.close()


def test_every_way_is_tested(lesson: EndingsLesson) -> None:
    """The table above is complete."""
    assert {way.id for way in lesson.ways} == set(TOLD)


@pytest.mark.parametrize("way", TOLD)
def test_way_to_end(lesson: EndingsLesson, way: str) -> None:
    """Code, who was first, the words; the server agrees who was first, but for a path that died."""
    two = lesson.end(way)
    ending = two.connection.ending
    assert ending is not None
    assert (ending.close_code, ending.first, ending.words) == TOLD[way]
    [theirs] = two.server.connections
    if way == "dead-path":
        assert theirs.ending is None
        assert theirs.state == "open"
    else:
        assert theirs.ending is not None
        assert (theirs.ending.first, theirs.ending.close_code) == (ending.first, ending.close_code)
    assert two.way.point


def test_both_ends_count_the_same_messages(lesson: EndingsLesson) -> None:
    """What one sent the other received."""
    two = lesson.end("server-1009")
    [ours], [theirs] = two.client.connections, two.server.connections
    assert (ours.frames_in, ours.frames_out) == (theirs.frames_in, theirs.frames_out) == (1, 1)


def test_no_token_at_either_end(lesson: EndingsLesson) -> None:
    """The upgrade's query holds one; neither recording does."""
    two = lesson.end("we-1000")
    rows = b"".join([*two.client.rows, *two.server.rows])
    assert b"token=" in rows
    assert b"eyJ" not in rows


def test_unknown_way(lesson: EndingsLesson) -> None:
    """Is told which there are."""
    with pytest.raises(InvalidInput, match="we-1000 or"):
        lesson.end("explode")


def test_closed_lesson() -> None:
    """Refuses; another of its name takes its place."""
    first = EndingsLesson("again")
    second = EndingsLesson("again")
    with pytest.raises(LabError):
        first.end("we-1000")
    second.close()
    second.close()
