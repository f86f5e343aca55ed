"""Encoded events of an import that may be larger than memory: the beginning in memory, the rest in a file without a
name, readable by this process only. Numbers and times are put in front when a row is asked for."""

from __future__ import annotations

import io
import os
import re
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import msgspec
import numpy as np

from chatkit.events import KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

IN_MEMORY = 1 << 26
"""Bytes of rows that stay in memory."""
_BLOCK = 1 << 20
"""Bytes that are read at a time by who goes through all rows."""

HEADS = tuple(b'{"type":"%s","id":"' % kind.__name__.encode() for kind in KINDS)
"""How a row of each kind begins."""
_AT = re.compile(rb'"at":[^,}]+(?:,"connection":"(?:[^"\\]|\\.)*")?')
_encode = msgspec.json.Encoder().encode


def tail(row: bytes) -> bytes:
    """What an encoded event says beside type, id, time and connection."""
    match = _AT.search(row)
    assert match is not None
    return row[match.end() :]


class Spool:
    """Appends pieces of bytes; hands them out by number."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._ends = array("q", [0])
        self._buffer = bytearray()
        self._written = 0
        self._file: Any = None

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, piece: bytes) -> None:
        """Adds a piece."""
        self._buffer += piece
        self._ends.append(self._written + len(self._buffer))
        if len(self._buffer) > self._in_memory:
            self._spill()

    def extend(self, pieces: bytes, ends: NDArray[np.int64]) -> None:
        """Adds many pieces at once; ``ends`` are their ends in ``pieces``."""
        self._ends.frombytes((self._written + len(self._buffer) + ends).astype(np.int64).tobytes())
        self._buffer += pieces
        if len(self._buffer) > self._in_memory:
            self._spill()

    def holds(self, needle: bytes) -> bool:
        """Whether some piece holds these bytes."""
        end, start = self._ends[-1], 0
        while start < end:
            if needle in self.read(start, min(start + _BLOCK + len(needle), end)):
                return True
            start += _BLOCK
        return False

    def find(self, needle: bytes, most: int) -> list[int]:
        """Numbers of the first ``most`` pieces that hold these bytes."""
        ends = np.frombuffer(self._ends, np.int64)
        found: list[int] = []
        end, start = int(ends[-1]), 0
        while start < end and len(found) < most:
            block = self.read(start, min(start + _BLOCK + len(needle) - 1, end))
            hit = block.find(needle)
            while hit >= 0 and len(found) < most:
                number = int(np.searchsorted(ends, start + hit, "right")) - 1
                if ends[number + 1] >= start + hit + len(needle) and (not found or found[-1] != number):
                    found.append(number)
                # The rest of this piece tells nothing new.
                hit = block.find(needle, max(hit + 1, int(ends[number + 1]) - start))
            start += _BLOCK
        return found

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="chatkit-", buffering=0)
            weakref.finalize(self, self._file.close)
        self._file.seek(0, io.SEEK_END)
        self._file.write(self._buffer)
        self._written += len(self._buffer)
        self._buffer = bytearray()

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop`` of all pieces in one row."""
        if start >= self._written:
            return bytes(self._buffer[start - self._written : stop - self._written])
        # At a place of its own: two threads may read one trace.
        data = os.pread(self._file.fileno(), min(stop, self._written) - start, start)
        return data if stop <= self._written else data + bytes(self._buffer[: stop - self._written])

    def __getitem__(self, number: int) -> bytes:
        return self.read(self._ends[number], self._ends[number + 1])

    def __iter__(self) -> Iterator[bytes]:
        """All pieces in order, read in blocks."""
        number, count = 0, len(self)
        while number < count:
            first = self._ends[number]
            last = number + 1
            while last < count and self._ends[last + 1] - first <= _BLOCK:
                last += 1
            block = self.read(first, self._ends[last])
            for n in range(number, last):
                yield block[self._ends[n] - first : self._ends[n + 1] - first]
            number = last


class Rows(Sequence[bytes]):
    """Rows of a trace: what an import spooled, in the order of time.

    A piece is what an event says beside type, id, time and connection; or, where it begins with a quotation mark, the
    JSON text of a message that has nothing else to say, with a line feed behind it.

    Args:
        spool: the pieces.
        order: number of the piece at each place; ``None`` where they came in order.
        kind: index into ``KINDS`` at each place.
        at: seconds since the epoch at each place.
        code: index into ``names`` at each place, -1 for none.
        size: payload bytes at each place.
        names: ids of connections.
    """

    def __init__(
        self,
        spool: Spool,
        order: NDArray[np.intp] | None,
        kind: NDArray[np.uint8],
        at: NDArray[np.float64],
        code: NDArray[np.int32],
        size: NDArray[np.int64],
        names: Sequence[str],
    ) -> None:
        self._spool, self._order, self._kind, self._at = spool, order, kind, at
        self._code, self._size = code, size
        self._of = [b',"connection":' + _encode(name) for name in names] + [b""]

    def __len__(self) -> int:
        return len(self._spool)

    @cached_property
    def whole(self) -> bool:
        """Whether every data frame completes its message."""
        return not self._spool.holds(b',"fin":false')

    def find(self, needle: bytes, most: int) -> list[int]:
        """Places of the first ``most`` rows whose message holds these bytes, in order."""
        numbers = self._spool.find(needle, most)
        return numbers if self._order is None else sorted(self._places[numbers].tolist())

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        """The place of each piece."""
        assert self._order is not None
        places = np.empty(len(self._order), np.intp)
        places[self._order] = np.arange(len(self._order))
        return places

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        count = len(self)
        i = int(place) + (count if place < 0 else 0)
        if not 0 <= i < count:
            raise IndexError(place)
        return self._compose(i, self._spool[i if self._order is None else int(self._order[i])])

    def __iter__(self) -> Iterator[bytes]:
        if self._order is not None:
            return (self[i] for i in range(len(self)))
        return (self._compose(i, piece) for i, piece in enumerate(self._spool))

    def _compose(self, i: int, piece: bytes) -> bytes:
        head = HEADS[self._kind[i]]
        at = repr(float(self._at[i])).encode()
        of = self._of[self._code[i]]
        if piece.startswith(b'"'):
            return b'%s%d","at":%s%s,"size":%d,"text":%s}' % (head, i, at, of, self._size[i], piece[:-1])
        return b'%s%d","at":%s%s%s' % (head, i, at, of, piece)
