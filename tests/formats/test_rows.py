"""Rows that may be larger than memory: the same whether in memory or on disk, in order or not, by one reader or many."""

from __future__ import annotations

import threading

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import KIND_CODE, Event, FrameSent, Noted
from chatkit.formats import collector, rows
from chatkit.formats.collector import Collector
from chatkit.formats.rows import Rows, Spool, tail
from chatkit.formats.source import Options, Source
from chatkit.trace import EVENT_DECODER

WALL = 1_795_449_725.0


def filled(pieces: list[bytes], in_memory: int) -> Spool:
    spool = Spool(in_memory)
    for piece in pieces:
        spool.append(piece)
    return spool


@given(st.lists(st.binary(max_size=50), max_size=60), st.integers(0, 200))
def test_pieces_come_back(pieces: list[bytes], in_memory: int) -> None:
    """By number and in turn, however much of them was written to disk."""
    spool = filled(pieces, in_memory)
    assert len(spool) == len(pieces)
    assert [spool[n] for n in range(len(pieces))] == list(spool) == pieces
    whole = b"".join(pieces)
    assert spool.read(0, len(whole)) == whole
    assert [spool.read(a, a + 7) for a in range(0, len(whole), 3)] == [
        whole[a : a + 7] for a in range(0, len(whole), 3)
    ]


def test_a_spool_grows_while_it_is_read() -> None:
    """Appending after reading, before and after the first spill."""
    spool = Spool(100)
    for n in range(300):
        spool.append(b"%d," % n)
        assert spool[n] == b"%d," % n
        assert spool[0] == b"0,"
    assert list(spool) == [b"%d," % n for n in range(300)]


def test_pieces_larger_than_a_block() -> None:
    """Each of them is read as a whole."""
    pieces = [bytes([n]) * ((1 << 20) + n) for n in range(3)] + [b"", b"x"]
    assert list(filled(pieces, 1 << 10)) == pieces


def rows_of(count: int, in_memory: int, order: list[int] | None) -> Rows:
    """Rows of facts that an importer found in this order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "Spool", lambda: Spool(in_memory))
        patch.setattr(collector, "LARGE", 0)
        out = Collector(Source.of(b""), "har", (), Options())
        for n in range(count) if order is None else order:
            out.add(WALL + n / 8, Noted, str(n % 3), text=f"fact {n}")
        rows = out.build().rows
    assert isinstance(rows, Rows)
    return rows


def facts(rows: list[bytes]) -> list[Event]:
    return [EVENT_DECODER.decode(row) for row in rows]


@given(st.integers(1, 40), st.sampled_from([0, 30, 1 << 20]), st.booleans(), st.randoms(use_true_random=False))
def test_rows_are_a_sequence(count: int, in_memory: int, sorted_: bool, random: object) -> None:
    """Iterating, indexing and slicing give the same; numbers and times are those of the place."""
    order = list(range(count))
    random.shuffle(order)  # type: ignore[attr-defined]
    rows = rows_of(count, in_memory, None if sorted_ else order)
    every = list(rows)
    assert every == [rows[i] for i in range(count)] == rows[:] == [rows[i - count] for i in range(count)]
    assert rows[1:-1:2] == every[1:-1:2]
    assert every == [rows[np.int64(i)] for i in range(count)]
    events = facts(every)
    assert [event.id for event in events] == [str(n) for n in range(count)]
    assert [event.at for event in events] == [n / 8 for n in range(count)]
    assert [event.connection for event in events] == [str(n % 3) for n in range(count)]
    assert [event.text for event in events if isinstance(event, Noted)] == [f"fact {n}" for n in range(count)]
    for outside in (count, -count - 1):
        with pytest.raises(IndexError):
            rows[outside]


def test_threads_read_at_once() -> None:
    """A view in one thread, an export in another."""
    rows = rows_of(3000, 500, None)
    expected = list(rows)
    found: dict[int, bool] = {}

    def read(number: int) -> None:
        places = range(number, 3000, 7)
        found[number] = all(rows[i] == expected[i] for i in places) and list(rows) == expected

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(6), True)


@pytest.mark.parametrize("later", [1e-06, 123456.789012, 1e9])
def test_times_are_json(later: float) -> None:
    """Whatever their size."""
    out = Collector(Source.of(b""), "har", (), Options())
    for wall in (0.0, later):
        out.add(wall, Noted, text="x")
    assert [msgspec.json.decode(row)["at"] for row in out.build().rows] == [0.0, later]


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_bytes_are_found_in_all_pieces(in_memory: int) -> None:
    """Wherever they stand."""
    spool = Spool(in_memory)
    for _ in range(3000):
        spool.append(b"a" * 1000)
    assert not spool.holds(b"ab")
    spool.append(b"ab")
    assert spool.holds(b"ab")


@pytest.mark.parametrize("connection", [None, "1", 'odd "name, } \\'])
def test_what_stands_behind_the_time(connection: str | None) -> None:
    """Type, id, time and connection come from the columns."""
    row = msgspec.json.encode(Noted(id="7", at=1.25, connection=connection, text="x"))
    assert tail(row) == b',"text":"x"}'


def test_rows_are_events() -> None:
    """Of both shapes, in another order than they were added."""
    spool = Spool()
    spool.append(b'"hello"\n')
    spool.append(b',"text":"x"}')
    kinds = np.array([KIND_CODE[Noted], KIND_CODE[FrameSent]], np.uint8)
    at, code, size = np.array([0.0, 0.5]), np.array([-1, 0], np.int32), np.array([-1, 5])
    rows = Rows(spool, np.array([1, 0]), kinds, at, code, size, ["a"])
    expected = [Noted(id="0", at=0.0, text="x"), FrameSent(id="1", at=0.5, connection="a", size=5, text="hello")]
    assert [EVENT_DECODER.decode(row) for row in rows] == expected
    assert (rows[-1], rows[0:2], len(rows), rows.whole) == (rows[1], [rows[0], rows[1]], 2, True)
    with pytest.raises(IndexError):
        rows[2]
    spool.append(b',"size":1,"fin":false}')
    assert not Rows(spool, None, kinds, at, code, size, ["a"]).whole


@pytest.mark.parametrize("block", [16, 1 << 20])
@given(
    pieces=st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"x", b"") + b"."), max_size=30),
    where=st.sets(st.integers(0, 29)),
    most=st.integers(1, 40),
)
def test_pieces_are_found_by_what_they_hold(block: int, pieces: list[bytes], where: set[int], most: int) -> None:
    """Each once, the first so many, also where a block ends in the needle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_BLOCK", block)
        spool = Spool(20)
        for n, piece in enumerate(pieces):
            spool.append(piece + b"xx-xxyxx-xx" if n in where else piece)
        expected = [n for n in range(len(pieces)) if n in where]
        assert spool.find(b"xx-xx", most) == expected[:most]
