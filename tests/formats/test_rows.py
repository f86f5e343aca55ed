"""Rows that may be larger than memory: the same whether in memory or on disk, in order or not, by one reader or many."""

from __future__ import annotations

import threading

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import Event, Noted
from chatkit.formats import collector
from chatkit.formats.collector import Collector
from chatkit.formats.rows import Rows, Spool
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
