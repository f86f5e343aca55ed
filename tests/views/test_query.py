"""One grammar for what a reader looks for, and which events fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import incident_trace
from chatkit.errors import InvalidInput
from chatkit.events import CloseReceived, FrameReceived, FrameSent, HealthChecked, PingSent, PongReceived
from chatkit.views.query import DEEPEST, MOST, matches, parse
from stories import story, text

EXAMPLES = json.loads((Path(__file__).parent / "queries.json").read_text("utf-8"))
"""The browser's reader is tested on the same ones."""
STORY = story(
    (0.0, FrameSent, text("ping") | {"connection": "1"}),
    (0.1, FrameReceived, {"connection": "1", "size": 40, "text": '{"type":"pong","say":"TIME-out \\"now\\""}'}),
    (0.2, PingSent, {"connection": "2"}),
    (0.3, PongReceived, {"connection": "2"}),
    (0.4, CloseReceived, {"connection": "2", "code": 1011, "reason": "keepalive ping timeout"}),
    (0.5, HealthChecked, {"connection": None, "method": "HEAD", "healthy": False, "seconds": 0.1, "status": 405}),
)


@pytest.mark.parametrize(("query", "tree"), EXAMPLES["read"])
def test_a_query_is_read(query: str, tree: list) -> None:
    """Into a tree that is plain JSON."""
    assert parse(query) == tree


@pytest.mark.parametrize(("query", "place"), EXAMPLES["refused"])
def test_a_wrong_query_says_where(query: str, place: int) -> None:
    """With the character at which it goes wrong."""
    with pytest.raises(InvalidInput) as caught:
        parse(query)
    assert f"character {place} of the query" in str(caught.value)


@pytest.mark.parametrize("query", ["x" * (MOST + 1), "(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), "-" * 30 + "a"])
def test_a_query_is_bounded(query: str) -> None:
    """In length and in depth."""
    with pytest.raises(InvalidInput):
        parse(query)


@pytest.mark.parametrize(
    ("query", "fit"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("sent", [0, 2]),
        ("received", [1, 3, 4]),
        ("only control frames", [2, 3, 4]),
        ("data", [0, 1]),
        ("ping", [0, 2, 4]),
        ("type:ping", [0]),
        ("type:ping*", [0, 2]),
        ("type:[p]*", []),
        ("connection:2", [2, 3, 4]),
        ("connection:1,2 -control", [0, 1]),
        ("time-OUT", [1]),
        ("/time.?out/", [1, 4]),
        ('/"say":"time/', [1]),
        ("/time.?out/ control", [4]),
        ("size>20", [1]),
        ("size<=20", [0]),
        ("not data", [2, 3, 4, 5]),
        ("405 or 1011", [4, 5]),
        ("-(sent or received)", [5]),
    ],
)
def test_what_fits(query: str, fit: list[int]) -> None:
    """Columns, words and payloads."""
    assert matches(STORY, query).nonzero()[0].tolist() == fit


def test_the_incident() -> None:
    """What the reader of the incident asks first."""
    trace = incident_trace()
    pings = [i for i, name in enumerate(trace.message_types) if name == "ping"]
    assert matches(trace, "sent type:ping").nonzero()[0].tolist() == pings
    assert matches(trace, "-type:LoopLagged").sum() == len(trace) - 43


@given(st.text(st.sampled_from('abor not-!()"/: sizetype>5,\\*[') | st.characters(), max_size=60))
def test_any_text_is_a_query_or_refused(query: str) -> None:
    """Nothing else comes out, and a query that is read can be asked."""
    try:
        tree = parse(query)
    except InvalidInput:
        return
    assert json.loads(json.dumps(tree)) == tree
    assert len(matches(STORY, query)) == len(STORY)
