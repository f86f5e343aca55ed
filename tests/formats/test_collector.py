"""Facts in any order become a trace: cleaned, sorted, numbered."""

from __future__ import annotations

import numpy as np
import pytest

from chatkit.events import KIND_CODE, FrameReceived, FrameSent, Noted, Opened
from chatkit.formats import rows
from chatkit.formats.collector import Collector
from chatkit.formats.source import Options, Source
from chatkit.wire.reader import KEEP, KEEP_PREFIX
from stories import make_jwt


def collector() -> Collector:
    return Collector(Source.of(b"x"), "har", ("pings",), Options())


def many(made: Collector, texts: list[str], *, connection: str = "a") -> None:
    kinds = bytes([KIND_CODE[FrameSent]] * len(texts))
    made.texts(100.0 + np.arange(len(texts)), kinds, connection, texts, rank=1)


TEXTS = ["plain", "", "é\u2028", '{"type": "x"}', "\n\r\t\0", "\\", "z" * 999]


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
