"""Events on their way into a trace: clean, sorted, numbered, bounded, and the same bytes as any other event."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.events import (
    KIND_CODE,
    EndReported,
    FrameReceived,
    FrameSent,
    HttpAnswered,
    Logged,
    Noted,
    Opened,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats import collector as module
from chatkit.formats import jsonl, rows
from chatkit.formats.collector import MOST_WARNINGS, Collector
from chatkit.formats.rows import Rows
from chatkit.formats.source import Options, Source
from chatkit.profile import Types
from chatkit.redact import Redactor
from chatkit.trace import EVENT_DECODER, Trace
from chatkit.views.timeline import lay_out
from chatkit.wire.reader import KEEP, KEEP_PREFIX, WireReader
from stories import ALL, make_jwt

WALL = 1_795_449_725.25


TEXTS = ["plain", "", "é\u2028", '{"type": "x"}', "\n\r\t\0", "\\", "z" * 999]


def collector(**changes: Any) -> Collector:
    redactor = Redactor(["hunter22"])
    fields: dict[str, Any] = {"options": Options(redactor=redactor), "not_visible": ("pings",)} | changes
    return Collector(
        Source.of(b"x", "file.har"), "har", fields["not_visible"], fields["options"], target=changes.get("target")
    )


def consistent(trace: Trace) -> None:
    """Columns and rows say the same, and rows are what encoding their event gives."""
    for place, row in enumerate(trace.rows):
        event = EVENT_DECODER.decode(row)
        assert msgspec.json.decode(row) == msgspec.json.decode(msgspec.json.encode(event))
        assert event.id == str(place)
        assert event.at == trace.at[place]
        assert type(event) is type(trace[place])
        assert trace.size[place] == getattr(event, "size", -1)
        code = trace.connection_code[place]
        assert (trace.names[code] if code >= 0 else None) == event.connection


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["1", "2", None])), max_size=40))
def test_sorted_by_time_and_numbered(facts: list[tuple[int, str | None]]) -> None:
    """Events of one moment stay in the order in which they came."""
    out = collector()
    for n, (at, connection) in enumerate(facts):
        out.add(WALL + at / 4, Noted, connection, text=str(n))
    trace = out.build()
    consistent(trace)
    expected = sorted(range(len(facts)), key=lambda n: facts[n][0])
    assert [event.text for event in trace] == [str(n) for n in expected]
    if facts:
        assert trace.epoch == WALL + facts[expected[0]][0] / 4
        assert trace.at.tolist() == [(facts[n][0] - facts[expected[0]][0]) / 4 for n in expected]


def test_every_kind_is_what_it_was() -> None:
    """All fields of all kinds, by both ways in."""
    for way in ("add", "extend"):
        out = collector()
        for n, event in enumerate(ALL):
            fields = {
                name: getattr(event, name) for name in event.__struct_fields__ if name not in ("id", "at", "connection")
            }
            if way == "add":
                out.add(WALL + n, type(event), event.connection, **fields)
            else:
                out.extend(WALL + n, [msgspec.structs.replace(event, id="", at=0.0)])
        trace = out.build()
        consistent(trace)
        for n, event in enumerate(ALL):
            assert trace[n] == msgspec.structs.replace(event, id=str(n), at=float(n))


PAYLOADS = st.one_of(st.text(max_size=60), st.binary(max_size=60))


@given(st.lists(st.tuples(PAYLOADS, st.booleans()), max_size=10), st.sampled_from([FrameSent, FrameReceived]))
def test_messages_say_what_came(payloads: list[tuple[str | bytes, bool]], kind: Any) -> None:
    """Text or bytes, whatever the caller knows about secrets."""
    out = collector()
    for payload, clean in payloads:
        out.message(WALL, kind, "1", payload, clean=clean)
    trace = out.build()
    consistent(trace)
    for event, (payload, _) in zip(trace, payloads, strict=True):
        raw = payload.encode() if isinstance(payload, str) else payload
        assert (type(event), event.size, event.length) == (kind, len(raw), None)
        if isinstance(payload, str):
            assert (event.text, event.opcode) == (payload, "text")
        else:
            assert event.opcode == "binary"
            assert event.data is not None


def test_messages_known_only_by_size_on_the_wire() -> None:
    """Compressed: both lengths are told."""
    out = collector()
    out.message(WALL, FrameSent, "1", "hello hello", size=5)
    out.message(WALL, FrameSent, "1", "hello", size=5)
    assert [(event.size, event.length) for event in out.build()] == [(5, 11), (5, None)]


@pytest.mark.parametrize("excess", [0, 1, 5000])
def test_long_messages_leave_beginning_and_digest(excess: int) -> None:
    """From the length on that the wire's reader keeps; cut between characters."""
    text = "é" * (KEEP // 2) + "x" * excess
    out = collector()
    out.message(WALL, FrameSent, "1", text)
    out.message(WALL, FrameSent, "1", text.encode())
    for event in out.build():
        kept = event.text if event.text is not None else event.data
        assert event.size == len(text.encode())
        if excess:
            assert event.digest == hashlib.sha256(text.encode()).hexdigest()
            assert len(kept.encode()) <= KEEP_PREFIX * 4 / 3 + 4
        else:
            assert event.digest is None


def test_messages_are_those_of_a_wire_reader() -> None:
    """The same payload is the same row, whichever importer saw it: merging relies on it."""
    import itertools

    from chatkit.redact import DEFAULT

    texts = ["hello", 'a "quoted" é\n', "x" * (KEEP + 9), json.dumps({"type": "auth", "token": make_jwt(exp=1)})]
    request = b"GET /p HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\n\r\n"
    reader = WireReader("1", itertools.count(), DEFAULT)
    reader.sent(0.0, request)
    reader.received(0.0, b"HTTP/1.1 101 ok\r\n\r\n")
    out = collector()
    for text in texts:
        raw = text.encode()
        length = bytes([len(raw)]) if len(raw) < 126 else b"\x7f" + len(raw).to_bytes(8, "big")
        if 126 <= len(raw) < 65536:
            length = b"\x7e" + len(raw).to_bytes(2, "big")
        out.extend(WALL, reader.received(0.0, b"\x81" + length + raw))
        out.message(WALL, FrameReceived, "1", text)
    rows = [row[row.index(b',"at"') :] for row in out.build().rows]
    assert rows[0::2] == rows[1::2]


@pytest.mark.parametrize("wall", [float("nan"), float("inf"), -float("inf"), 1e300, -1e15])
def test_times_that_are_none(wall: float) -> None:
    """Become zero; the rest stays in order."""
    out = collector()
    out.add(WALL, Noted, text="good")
    out.add(wall, Noted, text="bad")
    trace = out.build()
    consistent(trace)
    assert [event.text for event in trace] == ["bad", "good"]
    assert np.isfinite(trace.at).all()
    assert "2026" in str(trace.to_pandas()["time"].iloc[1])


@pytest.mark.parametrize("size", [0, 10**30, (1 << 62) + 1])
def test_sizes_that_are_none(size: int) -> None:
    """A length that a file claims fits its column."""
    out = collector()
    out.add(WALL, FrameSent, "1", size=size)
    assert out.build().size[0] == min(size, 1 << 62)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00", "\u2028", "😀"])
def test_text_that_is_no_text(text: str) -> None:
    """Half characters come out of JSON files; they are replaced, not refused."""
    out = collector()
    out.add(WALL, Noted, "1", text=text)
    out.add(WALL, UpgradeRequested, "2", target=text, headers=[(text, text)], key=text)
    for clean in (False, True):
        out.message(WALL, FrameSent, "1", text, clean=clean)
    out.warn(text)
    trace = out.build()
    consistent(trace)
    assert "\ud800" not in "".join(map(str, trace))
    assert len(trace.connections) == 2
    str(trace).encode()
    trace.warnings[0].encode()


def test_warnings_are_bounded_and_clean() -> None:
    """The rest is counted."""
    out = collector()
    for n in range(MOST_WARNINGS + 1234):
        out.warn(f"{n}: password hunter22, token {make_jwt(exp=1)}")
    warnings = out.build().warnings
    assert len(warnings) == MOST_WARNINGS + 1
    assert warnings[-1] == "and 1,234 more such remarks"
    assert "hunter22" not in str(warnings)
    assert "eyJ" not in str(warnings)


SECRETS = ["hunter22", make_jwt(exp=1_795_453_325), make_jwt()]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_in_any_field(secret: str) -> None:
    """Whatever the kind and the field, by every way in; also in names, file and target."""
    out = Collector(
        Source.of(b"", f"/x/{secret}.har"),
        "har",
        (),
        Options(redactor=Redactor(["hunter22"])),
        target=f"ws://h/?token={secret}",
    )
    out.add(
        WALL,
        UpgradeRequested,
        "1",
        target=f"/?token={secret}",
        headers=[("Cookie", f"a={secret}"), ("X", secret)],
        key=secret,
    )
    out.add(WALL, UpgradeAnswered, "1", status=403, reason=secret, headers=[], body=f'{{"token":"{secret}"}}')
    out.add(
        WALL, HttpAnswered, None, exchange=secret, status=1, seconds=0.0, purpose=secret, method=secret, detail=secret
    )
    out.add(WALL, Logged, "1", by="server", what="error", text=f"Bearer {secret}")
    out.add(WALL, EndReported, "1", reason=secret, source=secret)
    out.add(WALL, Opened, "1", subprotocol=secret)
    out.message(WALL, FrameSent, "1", f'{{"password": "{secret}"}}')
    out.message(WALL, FrameSent, "1", secret.encode())
    out.message(WALL, FrameSent, "1", "x" * (KEEP_PREFIX - 10) + secret + "y" * KEEP)
    trace = out.build()
    shown = (
        b"".join(trace.rows) + msgspec.json.encode(trace.header) + str(trace).encode() + " ".join(trace.names).encode()
    )
    assert secret.encode() not in shown
    assert secret[:20].encode() not in shown or secret == "hunter22"


def test_the_header() -> None:
    """Origin, clock, names, and what is not visible in the order of the vocabulary."""
    out = collector(
        not_visible=("pings", "close-code", "timing"), options=Options(types=Types(reply="answer")), target="ws://h/p"
    )
    trace = out.build()
    assert trace.not_visible == ("timing", "pings", "close-code")
    assert (trace.origin.kind, trace.origin.format, trace.origin.file, trace.origin.target) == (
        "file",
        "har",
        "file.har",
        "ws://h/p",
    )
    assert (trace.header.clock, trace.header.types.reply, trace.epoch, len(trace)) == ("wall", "answer", 0.0, 0)
    with pytest.raises(AssertionError):
        collector(not_visible=("nonsense",))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> tuple[Trace, Trace]:
    """The same events as a small trace and as one whose rows stay where they are."""
    made = []
    for threshold in (10**9, 100):
        monkeypatch.setattr(module, "LARGE", threshold)
        out = collector()
        for n in range(400):
            connection = str(n % 3)
            if n < 3:
                out.add(WALL + n, Opened, connection)
            out.message(WALL + 500 - n, FrameSent, connection, json.dumps({"type": "ping", "n": n}))
        out.add(WALL + 600, TransportEnded, "1", how="rst", by="server")
        made.append(out.build())
    return made[0], made[1]


def test_a_large_trace_is_a_trace(large: tuple[Trace, Trace], tmp_path: Path) -> None:
    """Selecting, summaries, drawing and writing work on rows that are made when asked for."""
    small, big = large
    assert isinstance(small.rows, list)
    assert isinstance(big.rows, Rows)
    assert list(big.rows) == small.rows
    assert [str(event) for event in big] == [str(event) for event in small]
    for chosen, expected in (
        (big.select(connection="1", since=50.0), small.select(connection="1", since=50.0)),
        (big.where([3, 1, 399]), small.where([3, 1, 399])),
        (big.select(kinds=["TransportEnded"]), small.select(kinds=["TransportEnded"])),
    ):
        assert list(chosen.rows) == list(expected.rows)
        assert chosen.connections == expected.connections
    assert big.connections == small.connections
    assert big.event("7") == small.event("7")
    assert big.message_types == small.message_types
    assert str(big.traffic()) == str(small.traffic())
    assert len(big.to_pandas()) == len(small)
    assert big.timeline().to_json() == small.timeline().to_json()
    assert len(lay_out(big).lanes) == len(lay_out(small).lanes)
    jsonl.dump(big, tmp_path / "big.jsonl")
    assert jsonl.load(tmp_path / "big.jsonl").rows == small.rows
    consistent(big)


def many(made: Collector, texts: list[str], *, connection: str = "a") -> None:
    kinds = bytes([KIND_CODE[FrameSent]] * len(texts))
    made.texts(100.0 + np.arange(len(texts)), kinds, connection, texts, rank=1)


@pytest.mark.parametrize("extra", ["", make_jwt(), '{"token": "hidden-value"}', "a" * (KEEP + 1)])
def test_many_texts_are_what_single_messages_are(extra: str) -> None:
    """Also where one of them holds a secret or is long."""
    texts = [*TEXTS, extra]
    one, other = collector(), collector()
    many(one, texts)
    for n, text in enumerate(texts):
        other.message(100.0 + n, FrameSent, "a", text)
    ours, theirs = one.build(), other.build()
    assert list(ours) == list(theirs)
    assert ours.size.tolist() == theirs.size.tolist()
    assert b"hidden-value" not in b"".join(ours.rows)
    assert b"eyJ" not in b"".join(ours.rows)


def test_order_within_a_moment() -> None:
    """By rank, then as they came."""
    made = collector()
    for n, rank in enumerate((5, 1, 1, 0)):
        made.add(1.0, Noted, rank=rank, text=str(n))
    made.add(0.5, Noted, text="first")
    assert [event.text for event in made.build()] == ["first", "3", "1", "2", "0"]
    assert [event.id for event in made.build()] == ["0", "1", "2", "3", "4"]


def test_connections_are_renamed() -> None:
    """In rows that are there already."""
    made = collector()
    many(made, TEXTS)
    made.add(99.0, Opened, "b")
    made.rename({"a": "2", "b": "1"})
    trace = made.build()
    assert [connection.id for connection in trace.connections] == ["1", "2"]
    assert {event.connection for event in trace} == {"1", "2"}


def test_times_that_are_missing() -> None:
    """The one before, or a floor; what is no number counts from the epoch of all clocks."""
    made = collector()
    kinds = bytes([KIND_CODE[FrameReceived]] * 4)
    made.texts(np.array([0.0, 107.0, 0.0, np.nan]), kinds, "a", ["a", "b", "c", "d"])
    made.retime(0, 4, 105.0)
    assert [event.at for event in made.build()] == [0.0, 2.0, 2.0, 2.0]


def test_an_epoch_that_is_set() -> None:
    """Times count from it."""
    made = collector()
    made.epoch = 90.0
    many(made, ["x"])
    assert (made.build().epoch, made.build()[0].at) == (90.0, 10.0)


def test_a_long_message_leaves_its_beginning() -> None:
    """And a digest."""
    made = collector()
    many(made, ["y" * (KEEP + 1)])
    event = made.build()[0]
    assert (len(event.text), event.size, len(event.digest)) == (KEEP_PREFIX, KEEP + 1, 64)


def test_a_secret_in_the_name_of_a_warning() -> None:
    """Goes; warnings without end are counted."""
    made = collector()
    for _ in range(60):
        made.warn("token=abcdef " + make_jwt())
    warnings = made.build().warnings
    assert (len(warnings), warnings[-1]) == (51, "and 10 more such remarks")
    assert "eyJ" not in "".join(warnings)


def test_more_rows_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in the file and those in memory are the same rows."""
    monkeypatch.setattr(rows, "IN_MEMORY", 100)
    made = collector()
    made._spool._in_memory = 100
    for _ in range(20):
        many(made, TEXTS)
        made.add(5.0, Noted, text="n")
    assert made._spool._written > 0
    assert sorted(e.text for e in made.build()) == sorted([*TEXTS, "n"] * 20)


def test_too_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with a way out, rather than half read."""
    monkeypatch.setattr("chatkit.formats.collector.MOST_EVENTS", 3)
    made = collector()
    for _ in range(3):
        made.add(1.0, Noted, text="x")
    with pytest.raises(ImportFailed, match="too many events"):
        made.add(1.0, Noted, text="x")
