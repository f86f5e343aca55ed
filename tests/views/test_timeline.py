"""The layout: what is drawn, in which words, and that it grows the same in any steps."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import HEADER, Script, event, incident_trace, split, trace
from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    BytesMissing,
    CloseReceived,
    EndReported,
    Established,
    FrameReceived,
    HealthChecked,
    HttpFailed,
    HttpRequested,
    Logged,
    LoopLagged,
    OpaqueReceived,
    OpaqueSent,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    Retransmitted,
    RetryScheduled,
    StateChanged,
    TransportEnded,
    UpgradeAnswered,
)
from chatkit.trace import Header, Origin, Trace, TraceBuilder, Vantage
from chatkit.views.palette import Shape, Tone
from chatkit.views.sheet import Cursor, Delta, Label, Layout
from chatkit.views.timeline import TimelineBuilder, lay_out
from million import crowd


def shapes(layout: Layout, shape: Shape) -> list[int]:
    return np.flatnonzero(layout.marks.shape == shape).tolist()


def only(layout: Layout, shape: Shape) -> int:
    (mark,) = shapes(layout, shape)
    return mark


def test_the_incident_has_its_lanes_in_order():
    titles = [lane.title for lane in lay_out(incident_trace()).lanes]
    assert titles == [
        *(f"connection {n}" for n in range(1, 5)),
        "client",
        "HTTP",
        "health",
        "typing",
        "streaming",
        "our loop lag",
    ]


def test_every_event_is_drawn():
    incident = incident_trace()
    layout = lay_out(incident)
    assert {*layout.ticks.row.tolist(), *layout.marks.row.tolist()} == set(range(len(incident)))


def test_an_abnormal_end_is_a_cross_with_the_connections_own_words():
    incident = incident_trace()
    layout = lay_out(incident)
    crosses = shapes(layout, Shape.CROSS)
    endings = [c.ending for c in incident.connections if c.ending is not None]
    assert [layout.labels[m] for m in crosses] == [
        Label(ending.words, ending.detail, f"retry in {delay} s")
        for ending, delay in zip(endings, (2.3, 4.6, 8.9), strict=True)
    ]
    lives = shapes(layout, Shape.LIFE)
    assert layout.marks.tone[lives].tolist() == [Tone.BAD] * 3 + [Tone.OK]
    assert np.isinf(layout.marks.x1[lives[3]])


def test_a_clean_end_is_quiet():
    layout = lay_out(
        trace(
            event(Opened, 1.0),
            event(CloseReceived, 5.0, code=1000, reason="bye"),
            event(TransportEnded, 5.1, how="fin", by="server"),
        )
    )
    assert layout.labels[only(layout, Shape.END)] == Label("", "closed by server: 1000 “bye”, age 4.0 s")
    assert not shapes(layout, Shape.CROSS)
    assert layout.marks.tone[only(layout, Shape.LIFE)] == Tone.OK


def test_a_refused_attempt_says_so():
    refused = lay_out(
        trace(
            event(AttemptStarted, 0.0, url="ws://x"), event(UpgradeAnswered, 0.1, status=403, reason="no", headers=[])
        )
    )
    assert refused.labels[only(refused, Shape.CROSS)].strong == "refused: HTTP 403"
    assert refused.marks.x1[only(refused, Shape.ATTEMPT)] == pytest.approx(0.1)
    failed = lay_out(
        trace(event(AttemptStarted, 0.0, url="ws://x"), event(AttemptFailed, 0.2, id="1", stage="tcp", error="refused"))
    )
    assert failed.labels[only(failed, Shape.CROSS)] == Label("failed at tcp", "refused")


def test_a_retry_beside_any_connection_belongs_to_the_last_that_ended():
    layout = lay_out(
        trace(
            event(Opened, 0.0),
            event(TransportEnded, 1.0, id="1", how="rst", by="server"),
            event(RetryScheduled, 1.1, None, id="2", attempt=1, delay=2.0),
        )
    )
    assert layout.labels[only(layout, Shape.CROSS)].below == "retry in 2.0 s"


def test_application_pings_join_their_pongs_by_timestamp_else_in_order():
    script = Script()
    script.put(0.0, Opened, "1")
    for at, stamp in ((1.0, "a"), (2.0, "b"), (3.0, None), (4.0, None)):
        script.sent(at, "1", "ping", **({"timestamp": stamp} if stamp else {}))
    for at, stamp in ((5.0, "b"), (6.0, "a"), (7.0, None), (8.0, None), (9.0, "late")):
        script.received(at, "1", "pong", **({"timestamp": stamp} if stamp else {}))
    layout = lay_out(script.trace())
    arcs = shapes(layout, Shape.ARC)
    assert [(layout.marks.x0[m], layout.marks.x1[m]) for m in arcs] == [(2, 5), (1, 6), (3, 7), (4, 8)]
    assert len(shapes(layout, Shape.PING)) == 4
    assert len(layout.ticks) == 5, "pings are triangles, pongs are ticks with an arc"


def test_protocol_pings_of_both_sides():
    layout = lay_out(
        trace(
            event(Opened, 0.0),
            event(PingSent, 1.0, id="1"),
            event(PongReceived, 1.004, id="2", rtt=0.004),
            event(PingReceived, 2.0, id="3"),
            event(PongReceived, 3.0, id="4"),
        )
    )
    assert layout.labels[only(layout, Shape.ARC)] == Label(dim="RTT 4 ms")
    pings = shapes(layout, Shape.PING)
    assert layout.marks.level[pings].tolist() == [-1, 1]


def test_quiet_time_before_the_first_ping():
    start = (event(Opened, 0.0), event(Established, 1.0, seconds=1.0))
    layout = lay_out(trace(*start, event(PingSent, 6.0)))
    quiet = only(layout, Shape.UNDERLINE)
    assert (layout.marks.x0[quiet], layout.marks.x1[quiet]) == (1.0, 6.0)
    assert layout.labels[quiet].dim == "stabilising 5 s"
    assert not shapes(lay_out(trace(*start)), Shape.UNDERLINE), "no ping yet and nothing known"
    assert lay_out(trace(*start), stabilise=5.0).marks.x1[1:].max() == 6.0
    early = lay_out(trace(*start, event(PingSent, 1.1)), stabilise=5.0)
    assert early.labels[only(early, Shape.UNDERLINE)] == Label(), "a broken promise is not called stabilising"


def test_states_http_health_and_lag():
    layout = lay_out(
        trace(
            event(StateChanged, 0.0, None, state="connecting"),
            event(HttpRequested, 0.5, None, exchange="a", method="POST", url="/", purpose="chat"),
            event(HttpRequested, 0.6, None, exchange="b", method="GET", url="/", purpose="history"),
            event(StateChanged, 1.0, None, state="live"),
            event(HttpFailed, 2.0, None, exchange="a", error="reset", seconds=1.5, purpose="chat", method="POST"),
            event(HealthChecked, 3.0, None, method="GET", healthy=False, seconds=5.0, error="time-out"),
            event(HealthChecked, 4.0, None, method="HEAD", healthy=False, seconds=0.01, status=405),
            event(LoopLagged, 5.0, None, lag=0.3),
        )
    )
    first, second = shapes(layout, Shape.SEGMENT)
    assert (layout.marks.x1[first], layout.marks.x1[second]) == (1.0, np.inf)
    a, b = shapes(layout, Shape.BAR)
    assert layout.labels[a].dim == "POST chat failed"
    assert layout.marks.x1[a] == 2.0
    assert np.isinf(layout.marks.x1[b])
    assert layout.marks.level[[a, b]].tolist() == [0, 1], "two at a time stand in two storeys"
    assert {layout.labels[m].dim for m in shapes(layout, Shape.CROSS) if m in layout.labels} == {"GET failed"}
    assert layout.labels[only(layout, Shape.DIAMOND)].dim == "HEAD 405"
    assert layout.labels[only(layout, Shape.AREA)].dim == "300 ms"
    assert [lane.kind for lane in layout.lanes] == ["client", "http", "health", "lag"]


def test_typing_and_streams_end_with_their_connection():
    script = Script()
    script.put(0.0, Opened, "1")
    script.received(1.0, "1", "typing_indicator", data={"username": "Mira", "is_typing": True})
    script.received(1.5, "1", "typing_indicator", data={"username": "Mira", "is_typing": True})
    for n in range(3):
        script.received(2.0 + n, "1", "chat_response_chunk", data={"message_id": "m", "seq": n, "delta": "x"})
    script.put(6.0, TransportEnded, "1", how="rst", by="server")
    layout = lay_out(script.trace())
    typing, stream = shapes(layout, Shape.BAR)
    assert layout.marks.x1[[typing, stream]].tolist() == [6.0, 6.0]
    assert layout.labels[stream].dim == "3 chunks, cut off"
    assert layout.marks.tone[stream] == Tone.BAD


def test_a_connection_whose_opening_nobody_saw_lives_from_its_first_frame():
    layout = lay_out(trace(event(FrameReceived, 3.0, size=2, text="{}")))
    assert layout.marks.x0[only(layout, Shape.LIFE)] == 3.0


def test_an_empty_trace_has_a_client_lane():
    layout = lay_out(trace())
    assert [lane.kind for lane in layout.lanes] == ["client"]
    assert len(layout.marks) == len(layout.ticks) == 0


def test_hostile_text_is_bounded():
    layout = lay_out(trace(event(AttemptFailed, 0.0, stage="tls", error="<b>" + "x" * 100_000)))
    assert all(len(word) <= 300 for word in layout.words)
    assert all(len(label.dim) <= 120 for label in layout.labels.values())


class Holder:
    """What the browser does with deltas, in Python."""

    def __init__(self) -> None:
        self.columns: dict[str, np.ndarray] = {}
        self.labels: dict[int, Label] = {}
        self.words: list[str] = []

    def take(self, delta: Delta) -> None:
        for table in (delta.ticks, delta.marks):
            for name, new in vars(table).items():
                key = f"{type(table).__name__}.{name}"
                self.columns[key] = np.concatenate([self.columns.get(key, new[:0]), new])
        for name, new in vars(delta.changes).items():
            self.columns[f"Marks.{name}"][delta.changed] = new
        self.labels |= delta.labels
        self.words += delta.words


def held(*deltas: Delta) -> Holder:
    holder = Holder()
    for delta in deltas:
        holder.take(delta)
    return holder


def same(a: Layout, b: Layout) -> None:
    one, other = held(a), held(b)
    for key, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[key], err_msg=key)
    assert (one.labels, one.words, a.lanes) == (other.labels, other.words, b.lanes)
    assert (a.first, a.last, a.events) == (b.first, b.last, b.events)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Anything in any order on three connections, however little sense it makes."""
    script = Script()
    kinds = st.sampled_from(
        [
            (Opened, {}),
            (AttemptStarted, {"url": "ws://x"}),
            (AttemptFailed, {"stage": "tcp", "error": "no"}),
            (UpgradeAnswered, {"status": 403, "reason": "", "headers": []}),
            (Established, {"seconds": 0.1}),
            (CloseReceived, {"code": 1011}),
            (TransportEnded, {"how": "rst", "by": "server"}),
            (RetryScheduled, {"attempt": 1, "delay": 2.0}),
            (PingSent, {}),
            (PongReceived, {"rtt": 0.01}),
            (StateChanged, {"state": "live"}),
            (LoopLagged, {"lag": 0.2}),
            ("ping", {"timestamp": "a"}),
            ("pong", {"timestamp": "a"}),
            ("chat_response_chunk", {"data": {"message_id": "m"}}),
            ("chat_response", {"data": {"message_id": "m"}}),
            ("typing_indicator", {"data": {"is_typing": True}}),
            ("typing_indicator", {"data": {"is_typing": False}}),
            ("other", {}),
        ]
    )
    for n, ((kind, fields), code) in enumerate(draw(st.lists(st.tuples(kinds, st.sampled_from("123")), max_size=40))):
        if isinstance(kind, str):
            (script.sent if kind == "ping" else script.received)(n / 10, code, kind, **fields)
        else:
            script.put(n / 10, kind, code, **fields)
    return script.trace()


@given(traces(), st.lists(st.integers(0, 40), max_size=4))
def test_any_split_gives_the_same_layout(whole: Trace, cuts: list[int]):
    at_once = lay_out(whole)
    builder = TimelineBuilder()
    deltas = [builder.extend(part) for part in split(whole, cuts)]
    same(at_once, builder.layout())
    if len(whole):
        followed = held(*deltas)
        for key, column in held(at_once).columns.items():
            np.testing.assert_array_equal(column, followed.columns[key], err_msg=key)
        assert followed.labels == at_once.labels


@given(traces())
def test_the_words_of_an_ending_are_the_traces_own(whole: Trace):
    layout = lay_out(whole)
    for connection in whole.connections:
        if connection.ending is None:
            continue
        lane = next(lane.code for lane in layout.lanes if lane.title == f"connection {connection.id}")
        ends = [m for m in (*shapes(layout, Shape.CROSS), *shapes(layout, Shape.END)) if layout.marks.lane[m] == lane]
        said = layout.labels[ends[0]]
        assert str(connection.ending) in (f"{said.strong}, {said.dim}".strip(", "), said.dim, said.strong)


def test_following_costs_what_is_new():
    builder = TimelineBuilder()
    parts = split(incident_trace(), [100])
    builder.extend(parts[0])
    before = builder.cursor
    delta = builder.extend(parts[1])
    assert delta.since == before
    assert len(delta.ticks) + len(delta.marks) <= 2 * len(parts[1])
    assert builder.since(builder.cursor).changed.size == 0
    assert dataclasses.replace(delta, since=Cursor()).until == builder.cursor


def test_a_hundred_thousand_events_are_laid_out_in_seconds():
    incident = incident_trace()
    builder = TraceBuilder(HEADER)
    frames = [i for i in range(len(incident)) if incident.size[i] >= 0]
    for n in range(100_000):
        i = frames[n % len(frames)]
        builder.append_row(incident.rows[i], n / 100, int(incident.kind[i]), "1", int(incident.size[i]))
    big = builder.build()
    begin = time.process_time()
    layout = lay_out(big)
    assert time.process_time() - begin < 6.0, "about 0.8 s on an idle core"
    assert len(layout.ticks) + len(layout.marks) >= 100_000


def test_bytes_that_cannot_be_read_are_ticks():
    """A capture without its keys still shows a life and its rhythm."""
    layout = lay_out(
        trace(
            event(OpaqueReceived, 0.1, id="0", size=50),
            event(OpaqueSent, 0.2, id="1", size=90),
            event(TransportEnded, 3.0, id="2", how="rst", by="server"),
        )
    )
    assert layout.ticks.up.tolist() == [1, -1]
    assert layout.ticks.size.tolist() == [50, 90]
    assert [layout.words[n] for n in layout.ticks.word.tolist()] == [
        "received bytes, not readable here",
        "sent bytes, not readable here",
    ]
    life = only(layout, Shape.LIFE)
    assert (layout.marks.x0[life], layout.marks.x1[life]) == (0.1, 3.0)
    assert layout.labels[only(layout, Shape.CROSS)].strong == "RST by server"


def test_facts_of_logs_and_of_tcp_have_words():
    """On their connection where they name one, on a lane of their own otherwise."""
    layout = lay_out(
        trace(
            event(Opened, 0.0, id="0"),
            event(Retransmitted, 1.0, id="1", by="client", times=4, seconds=3.1),
            event(BytesMissing, 2.0, id="2", by="server", size=1460),
            event(Logged, 3.0, id="3", by="proxy", what="upstream-timeout", text="110: timed out"),
            event(Logged, 4.0, None, id="4", by="server", what="worker-timeout"),
        )
    )
    found = [layout.labels[m].dim for m in shapes(layout, Shape.DIAMOND)]
    assert found == [
        "client sent again 4 ×, 3.10 s",
        "1,460 B missing here",
        "proxy: upstream-timeout",
        "server: worker-timeout",
    ]
    assert layout.lanes[-1].kind == "log"


def test_an_end_that_is_only_told_is_an_end():
    """As a cross, in the words of the ending."""
    layout = lay_out(trace(event(Opened, 0.0, id="0"), event(EndReported, 9.0, id="1", code=1006, source="browser")))
    assert layout.labels[only(layout, Shape.CROSS)].strong == "ended without a close frame: 1006 (browser)"


def merged_trace() -> Trace:
    """One connection as a browser and a proxy saw it: a ping, a streamed reply, the end."""
    origin = Origin(kind="file")
    views = tuple(Vantage(name=name, origin=origin) for name in ("browser", "proxy"))
    script = Script()
    for shift, _ in enumerate(views):
        late = shift * 0.01
        script.put(0.0 + late, Opened, "1")
        script.sent(1.0 + late, "1", "ping", timestamp="t")
        script.received(1.1 - late, "1", "pong", timestamp="t")
        for n in range(3):
            script.received(2.0 + n / 10 - late, "1", "chat_response_chunk", data={"message_id": "m", "seq": n})
        script.received(2.5 - late, "1", "chat_response", data={"message_id": "m"})
    script.put(3.0, TransportEnded, "1", how="rst", by="server")
    events = script.events()
    seen: dict[str, int] = {}
    named = []
    for one in events:
        key = str(one)
        # The first and the second time that a fact is told, in the order in which it reached the two places.
        n = seen.get(key, 0)
        seen[key] = n + 1
        inward = isinstance(one, FrameReceived)
        name = ("proxy", "browser")[n] if inward else ("browser", "proxy")[n]
        named.append(type(one)(**{f: getattr(one, f) for f in one.__struct_fields__} | {"id": f"{name}/{one.id}"}))
    header = Header(origin=origin, epoch=HEADER.epoch, vantages=views)
    return Trace.of(named, header)


def test_each_vantage_point_is_named():
    """Marks of both stand on one lane, each with who saw it; a round trip is measured at one place."""
    layout = lay_out(merged_trace())
    pings = [layout.words[layout.marks.word[m]] for m in shapes(layout, Shape.PING)]
    assert pings == [f"sent application ping (seen by {name})" for name in ("browser", "proxy")]
    assert [round(float(layout.marks.value[m]), 3) for m in shapes(layout, Shape.ARC)] == [0.08, 0.1]
    assert {layout.words[n] for n in layout.ticks.word.tolist()} == {
        f"received {kind} (seen by {name})"
        for kind in ("pong", "chat_response", "chat_response_chunk")
        for name in ("browser", "proxy")
    }
    assert len(shapes(layout, Shape.LIFE)) == 1


def test_a_stream_that_two_places_saw_is_one_stream():
    """With the pieces that one of them counted."""
    layout = lay_out(merged_trace())
    assert [layout.labels[m].dim for m in shapes(layout, Shape.BAR)] == ["3 chunks"]


@pytest.mark.parametrize("window", [64, 16_384])
def test_chunks_are_counted_alike_in_one_stretch_and_in_small_ones(monkeypatch: pytest.MonkeyPatch, window: int):
    """The quick way through a stream's chunks changes no word and no count."""
    monkeypatch.setattr("chatkit.views.timeline._WINDOW", window)
    events = crowd(12_000)
    whole, single = TimelineBuilder(), TimelineBuilder()
    whole.extend(events)
    for part in split(events, list(range(7, len(events), 7))):
        single.extend(part)
    assert whole.layout().labels == single.layout().labels
    assert whole.layout().words == single.layout().words
    assert any("198 chunks" in label.dim for label in whole.layout().labels.values())
