"""Two ends of an ending, as text and as HTML."""

from __future__ import annotations

from chatkit.events import CloseReceived, CloseSent, FrameReceived, Opened, TransportEnded
from chatkit.lessons.endings import TwoSides
from chatkit.lessons.ways import BY_ID
from chatkit.trace import Trace
from chatkit.views.two_sides import card, table, text


def side(*ends: object, text: str = "{}") -> Trace:
    """A life that opened at 1 s, received a message, and ended."""
    return Trace.of(
        [
            Opened(id="0", at=1.0, connection="1"),
            FrameReceived(id="1", at=1.1, connection="1", opcode="text", size=len(text), text=text),
            *ends,  # type: ignore[list-item]
        ]
    )


CLOSED = side(
    CloseSent(id="2", at=1.5, connection="1", code=1000, reason="done"),
    CloseReceived(id="3", at=1.6, connection="1", code=1000, reason="done"),
    TransportEnded(id="4", at=1.7, connection="1", how="fin", by="server"),
)
RESET = side(TransportEnded(id="2", at=2.0, connection="1", how="rst", by="server"))
CUT = side(TransportEnded(id="2", at=2.0, connection="1", how="local", by="client"))


def test_text_tells_both_ends() -> None:
    """The server's column is read from the server's side."""
    said = text(TwoSides(way=BY_ID["we-1000"], client=CLOSED, server=CLOSED))
    ours, _, theirs = said.partition("\nthe server ")
    assert "an API shows   1000, “done”, clean" in ours
    assert "0.50 s  sent close 1000 “done”" in ours
    assert "closed by the client: 1000 “done”" in theirs
    assert "0.50 s  received close 1000 “done”" in theirs
    assert "0.60 s  sent close 1000 “done”" in theirs


def test_an_end_of_which_the_server_knows_nothing() -> None:
    """Is still open there."""
    shown = card(TwoSides(way=BY_ID["dead-path"], client=CUT, server=side()))
    assert "An API shows: 1006, no reason, not clean" in shown
    assert "still open, as far as it knows" in shown


def test_a_life_that_goes_on() -> None:
    """Is said to."""
    two = TwoSides(way=BY_ID["we-cut"], client=side(), server=side())
    assert "nothing yet: it is still open" in text(two)
    assert "open</b>" in table([two])


def test_table_stands_by_the_code() -> None:
    """What one number hides stands together."""
    ways = [("server-rst", RESET), ("we-1000", CLOSED), ("we-cut", CUT)]
    shown = table([TwoSides(way=BY_ID[way], client=trace, server=trace) for way, trace in ways])
    places = [shown.index(words) for words in ("<b>1000</b>", "RST by server", "cut by us")]
    assert places == sorted(places)
    assert shown.count("<b>1006</b>") == 2


def test_hostile_text_stays_text() -> None:
    """What a server says is escaped and bounded."""
    hostile = side(CloseReceived(id="2", at=2.0, connection="1", code=1000, reason="<img src=x>"), text="<script>" * 99)
    two = TwoSides(way=BY_ID["server-1000"], client=hostile, server=hostile)
    for shown in (card(two), table([two])):
        assert "<img" not in shown
        assert "<script" not in shown
    assert max(map(len, text(two).splitlines())) < 250


def test_faces_are_registered() -> None:
    """In a notebook HTML, in a terminal text; an open one has no words of an ending."""
    two = TwoSides(way=BY_ID["we-1000"], client=CLOSED, server=CLOSED)
    assert two._repr_html_() == card(two)
    assert repr(two) == text(two)
