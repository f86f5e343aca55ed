"""Rows of an import, in memory or in a file, with what every row begins with put in front."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from chatkit.events import KIND_CODE, FrameSent, Noted
from chatkit.formats.rows import Rows, Spool, tail
from chatkit.trace import EVENT_DECODER


@pytest.mark.parametrize("in_memory", [0, 10, 1 << 20])
def test_pieces_come_back(in_memory: int) -> None:
    """One by one, in order, by number; added singly or many at once."""
    spool = Spool(in_memory)
    pieces = [b"x" * n for n in range(20)]
    for piece in pieces[:10]:
        spool.append(piece)
    spool.extend(b"".join(pieces[10:]), np.cumsum([len(piece) for piece in pieces[10:]]))
    assert (list(spool), [spool[n] for n in range(20)], len(spool)) == (pieces, pieces, 20)


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
