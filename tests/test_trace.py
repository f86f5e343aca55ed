"""A trace is columns and rows; objects are made on demand and nothing changes it."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidInput, MissingDependency
from chatkit.events import (
    KINDS,
    AttemptStarted,
    FrameReceived,
    FrameSent,
    HealthChecked,
    Noted,
    Opened,
    PingSent,
    TransportEnded,
)
from chatkit.trace import Header, Origin, Trace, TraceBuilder
from stories import ALL, events, header, story, text

STORY = story(
    (0.0, AttemptStarted, {"url": "ws://h/p"}),
    (0.1, Opened),
    (0.2, FrameReceived, text("connection_established")),
    (0.3, FrameSent, text("ping")),
    (0.4, HealthChecked, {"connection": None, "method": "GET", "healthy": True, "seconds": 0.1, "status": 200}),
    (0.5, PingSent, {"connection": "2"}),
    (0.6, TransportEnded, {"how": "fin", "by": "server"}),
)


def test_columns() -> None:
    """Times, kinds, connections and sizes, of equal length."""
    assert STORY.at.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert [KINDS[code].__name__ for code in STORY.kind] == [type(event).__name__ for event in STORY]
    assert STORY.names == ("1", "2")
    assert STORY.connection_code.tolist() == [0, 0, 0, 0, -1, 1, 0]
    assert STORY.size.tolist() == [-1, -1, 34, 16, -1, -1, -1]
    assert (STORY.at.dtype, STORY.kind.dtype) == (np.float64, np.uint8)


def test_objects_on_demand() -> None:
    """Iterating and indexing make the events that went in."""
    made = list(STORY)
    assert Trace.of(made, STORY.header).rows == STORY.rows
    assert (STORY[1], STORY[-1]) == (made[1], made[-1])
    assert len(STORY) == 7
    with pytest.raises(IndexError):
        STORY[7]


def test_by_id() -> None:
    """The id, not the position: a selection keeps its ids."""
    chosen = STORY.select(since=0.3)
    assert chosen.event("4") == STORY[4]
    assert chosen.index("4") == 1
    for unknown in ("0", "x", ""):
        with pytest.raises(InvalidInput, match="no such event"):
            chosen.event(unknown)


@pytest.mark.parametrize("prefix", ["", "laptop/"])
def test_every_kind_is_found_by_id(prefix: str) -> None:
    """Whatever stands in its other fields."""
    import msgspec

    named = [msgspec.structs.replace(event, id=f"{prefix}{n}") for n, event in enumerate(ALL)]
    trace = Trace.of(named, header())
    assert [trace.index(event.id) for event in named] == list(range(len(named)))


@pytest.mark.parametrize(
    ("criteria", "ids"),
    [
        ({}, ["0", "1", "2", "3", "4", "5", "6"]),
        ({"connection": "2"}, ["5"]),
        ({"connection": {"1", "2"}, "since": 0.5}, ["5", "6"]),
        ({"connection": "9"}, []),
        ({"connection": []}, []),
        ({"kinds": {"FrameSent", "FrameReceived"}}, ["2", "3"]),
        ({"kinds": []}, []),
        ({"since": 0.1, "until": 0.3}, ["1", "2", "3"]),
        ({"until": -1}, []),
        ({"kinds": ["PingSent"], "connection": "1"}, []),
    ],
)
def test_select(criteria: dict[str, object], ids: list[str]) -> None:
    """All criteria together, bounds included; the header stays."""
    chosen = STORY.select(**criteria)
    assert [event.id for event in chosen] == ids
    assert chosen.header is STORY.header


@pytest.mark.parametrize("kinds", [{"PingsSent"}, {"PingSent", "x"}])
def test_select_refuses_a_kind_that_does_not_exist(kinds: set[str]) -> None:
    """An empty answer would be a wrong one."""
    with pytest.raises(InvalidInput, match=r"no such kind of event\.\nExpected: of AttemptStarted"):
        STORY.select(kinds=kinds)


def test_where() -> None:
    """Positions in any order, each once."""
    assert [event.id for event in STORY.where([5, 1, 5])] == ["1", "5"]
    assert len(STORY.where([])) == 0


def test_connections() -> None:
    """One summary each, in the order of their first events; asking for another one says which there are."""
    assert [connection.id for connection in STORY.connections] == ["1", "2"]
    assert STORY.connections is STORY.connections
    assert STORY.connection("1").url == "ws://h/p"
    with pytest.raises(InvalidInput, match="one of 1, 2"):
        STORY.connection("3")
    with pytest.raises(InvalidInput, match="none: the trace has none"):
        Trace.of([]).connection("1")


def test_message_types() -> None:
    """Of data frames only."""
    assert STORY.message_types == [None, None, "connection_established", "ping", None, None, None]


def test_an_empty_trace() -> None:
    """Zero of everything."""
    empty = Trace.of([])
    assert (len(empty), empty.duration, empty.connections, empty.names) == (0, 0.0, (), ())
    assert str(empty) == "0 events, 0 connections, 0.0 s from 1970-01-01T00:00:00.000Z"
    assert len(empty.to_pandas()) == 0
    assert empty.to_arrow().num_rows == 0


def test_the_text_of_a_trace() -> None:
    """A line, its connections, its warnings."""
    builder = TraceBuilder(header())
    for event in STORY:
        builder.append(event)
    builder.warnings.append("line 9 is cut off")
    assert str(builder.build()).splitlines() == [
        "7 events, 2 connections, 0.6 s from 2023-11-14T22:13:20.000Z",
        "  connection 1: FIN by server, no close frame, 0.3 s after our ping, age 0.5 s",
        "  connection 2: open for 0.1 s",
        "  note: line 9 is cut off",
    ]
    assert builder.build().select(until=0).warnings == ("line 9 is cut off",)


def test_what_a_trace_says_of_itself() -> None:
    """Origin, epoch, what cannot be seen."""
    trace = Trace.of([], Header(origin=Origin(kind="file", format="har"), epoch=3.0, not_visible=("ping frames",)))
    assert (trace.origin.format, trace.epoch, trace.not_visible) == ("har", 3.0, ("ping frames",))


def test_pandas() -> None:
    """One row per event, wall time in UTC."""
    frame = STORY.to_pandas()
    assert list(frame.columns) == ["id", "at", "type", "connection", "size", "text", "time"]
    assert frame.loc[3, ["id", "type", "connection", "size"]].tolist() == ["3", "FrameSent", "1", 16]
    assert str(frame.loc[3, "time"]) == "2023-11-14 22:13:20.300000+00:00"
    assert frame.loc[3, "text"] == str(STORY[3])
    assert frame.loc[4, "connection"] is None or frame["connection"].isna()[4]


def test_arrow() -> None:
    """The same columns."""
    table = STORY.to_arrow()
    assert table.column_names == ["id", "at", "type", "connection", "size", "text", "time"]
    assert table.slice(3, 1).to_pylist()[0]["time"].isoformat() == "2023-11-14T22:13:20.300000+00:00"
    assert table["connection"].to_pylist()[4] is None


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_pandas"), ("pyarrow", "to_arrow")])
def test_a_missing_package_is_an_instruction(monkeypatch: pytest.MonkeyPatch, package: str, method: str) -> None:
    """Which extra to install."""
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=r"the extra 'tables'"):
        getattr(STORY, method)()


def test_a_builder_hands_out_what_is_there() -> None:
    """Later appends do not touch an earlier trace; a start gives the rest."""
    builder = TraceBuilder(header())
    one, two, three = events((0, Noted, {"text": "a"}), (1, Noted, {"text": "b"}), (2, Noted, {"text": "c"}))
    builder.append(one)
    early = builder.build()
    builder.append(two)
    builder.append(three)
    assert list(early) == [one]
    assert early.at.tolist() == [0]
    assert list(builder.build(1)) == [two, three]
    assert list(builder.build(3)) == []
    assert len(builder) == 3


def life(builder: TraceBuilder, name: str, frames: int, *, ends: bool = True) -> None:
    """Appends a connection's whole life, ids going on."""

    def put(kind: type, **fields: object) -> None:
        n = len(builder)
        builder.append(kind(id=str(n), at=float(n), connection=name, **fields))

    put(AttemptStarted, url="ws://h/p")
    put(Opened, extensions="permessage-deflate")
    for _ in range(frames):
        put(FrameReceived, size=2, text="{}")
    if ends:
        put(TransportEnded, how="rst", by="server")


def test_trimming_holds_the_newest() -> None:
    """In blocks; the length, the ids and the meaning of a start stay; the trace says what is missing."""
    builder = TraceBuilder(header())
    for n in range(5000):
        builder.append(Noted(id=str(n), at=float(n), text="x"))
        builder.trim(1000)
        assert 1000 <= len(builder.held.rows) < 1250 or n < 1250
    held = len(builder.held.rows)
    trace = builder.build()
    assert [event.id for event in trace] == [str(n) for n in range(5000 - held, 5000)]
    assert trace.at.tolist() == [float(n) for n in range(5000 - held, 5000)]
    assert trace.warnings == (f"older events dropped from memory: {5000 - held:,}",)
    assert len(builder) == 5000
    assert [event.id for event in builder.build(4998)] == ["4998", "4999"]
    assert (len(builder.build(5000)), builder.build(4000).warnings) == (0, ())
    assert builder.build(3000).warnings == (f"older events dropped from memory: {2000 - held:,}",)


def test_landmarks_outlive_their_block() -> None:
    """How a connection began is known as long as it lives, and as long as anything of it is there."""
    builder = TraceBuilder(header())
    life(builder, "long", 5, ends=False)
    for n in range(40):
        life(builder, f"short {n}", 100)
        builder.trim(1000)
    builder.append(FrameReceived(id="last", at=9e9, connection="long", size=2, text="{}"))
    trace = builder.build()
    assert (trace[0].id, trace[1].id, trace[0].connection) == ("0", "1", "long")
    assert list(trace.at) == sorted(trace.at)
    assert (trace.connection("long").state, trace.connection("long").extensions) == ("open", "permessage-deflate")
    assert trace.connection("long").opened_at == 1.0
    for connection in trace.connections[1:]:
        assert connection.ending.words == "RST by server"
    assert len(trace.connections) < 30
    assert set(trace.names) == {connection.id for connection in trace.connections}
    assert f"{len(builder) - len(trace):,}" in trace.warnings[0]


def test_one_connection_is_built_as_it_is_told_among_all() -> None:
    """The same summary, whatever was trimmed; and no other connection's frames."""
    builder = TraceBuilder(header())
    life(builder, "long", 50, ends=False)
    for n in range(30):
        life(builder, str(n), 60)
        builder.trim(1000)
    for connection in builder.build().connections:
        assert builder.build_one(connection.id).connection(connection.id) == connection
    assert len(builder.build_one("29")) == 63
    assert len(builder.build_one("long")) == 3
    with pytest.raises(InvalidInput, match="no such connection"):
        builder.build_one("0").connection("0")
    with pytest.raises(InvalidInput, match="no such connection"):
        TraceBuilder(header()).build_one("1").connection("1")


@given(
    st.lists(st.tuples(st.sampled_from(ALL), st.sampled_from([None, "1", "2", "3"])), max_size=60), st.integers(0, 70)
)
def test_whatever_is_trimmed_the_rest_is_as_it_was(facts: list[tuple[object, str | None]], start: int) -> None:
    """A snapshot from a start is that of an untrimmed builder, without what is gone; nothing is out of order."""
    import msgspec

    whole, trimmed = TraceBuilder(header()), TraceBuilder(header())
    for n, (event, name) in enumerate(facts):
        made = msgspec.structs.replace(event, id=str(n), at=float(n), connection=name)
        whole.append(made)
        trimmed.append(made)
        trimmed.trim(10)
    all_, some = list(whole.build(start)), list(trimmed.build(start))
    ids = [int(event.id) for event in some]
    assert ids == sorted(set(ids))
    assert some == [event for event in all_ if int(event.id) in set(ids)]
    assert {int(event.id) for event in all_[-10:]} <= set(ids)
    assert len(trimmed) == len(whole)


@given(
    st.lists(st.tuples(st.sampled_from(ALL), st.floats(0, 1e6), st.sampled_from([None, "1", "2", "x y"])), max_size=30),
    st.floats(0, 1e6),
    st.sampled_from(["1", "2", "x y", "none"]),
)
def test_selecting_is_filtering(facts: list[tuple[object, float, str | None]], since: float, connection: str) -> None:
    """The columns tell the same as the objects."""
    import msgspec

    made = [
        msgspec.structs.replace(event, id=str(n), at=at, connection=name) for n, (event, at, name) in enumerate(facts)
    ]
    trace = Trace.of(made, header())
    assert list(trace) == made
    assert list(trace.select(since=since)) == [event for event in made if event.at >= since]
    assert list(trace.select(connection=connection)) == [event for event in made if event.connection == connection]
    assert [c.id for c in trace.connections] == list(dict.fromkeys(e.connection for e in made if e.connection))


def test_rows_are_found_by_what_they_hold() -> None:
    """Positions in order, no more than asked for."""
    trace = Trace.of([Noted(id=str(n), at=float(n), text="yes" if n % 2 else "no") for n in range(10)], header())
    assert trace.find(b'"yes"', 3) == [1, 3, 5]
    assert trace.find(b'"perhaps"', 3) == []
