"""Rows of a merged trace: each is its vantage's row with another id, time and connection, made when asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import msgspec
import numpy as np

from chatkit.events import KIND_CODE, HttpAnswered, HttpFailed, HttpRequested
from chatkit.merging.sights import View
from chatkit.trace import EVENT_DECODER

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD = re.compile(
    rb'(\{"type":"\w+","id":")(?:[\w.-]+/)?(\d+)","at":[^,}"]+(,"connection":"(?:[^"\\]|\\.)*")?(?=[,}])'
)
_HTTP = frozenset(KIND_CODE[kind] for kind in (HttpRequested, HttpAnswered, HttpFailed))
_EXCHANGE = re.compile(rb'(,"exchange":")(?:[\w.-]+/)?')
_encode = msgspec.json.Encoder().encode


class MergedRows(Sequence[bytes]):
    """Rows of several views in the order of one clock.

    Args:
        views: the vantage points.
        view: number of the view at each place.
        place: place in that view's trace.
        at: seconds since the merged epoch.
        kind: index into ``KINDS``.
        connection: encoded text of each connection's new id, by code.
        code: code of the connection at each place, -1 for none.
    """

    def __init__(
        self,
        views: list[View],
        view: NDArray[np.int16],
        place: NDArray[np.int64],
        at: NDArray[np.float64],
        kind: NDArray[np.uint8],
        connection: list[bytes],
        code: NDArray[np.int32],
    ) -> None:
        self._names = [one.name.encode() for one in views]
        self._rows = [one.trace.rows for one in views]
        self._view, self._place, self._at, self._kind, self._code = view, place, at, kind, code
        self._connection = [b',"connection":"%s"' % name for name in connection]

    def __len__(self) -> int:
        return len(self._view)

    @property
    def whole(self) -> bool:
        """Whether every data frame is known to complete its message."""
        return all(getattr(rows, "whole", False) for rows in self._rows)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        i = int(place) + (len(self) if place < 0 else 0)
        if not 0 <= i < len(self):
            raise IndexError(place)
        return self._compose(i)

    def _compose(self, i: int) -> bytes:
        view, code = int(self._view[i]), int(self._code[i])
        row = self._rows[view][int(self._place[i])]
        match = _HEAD.match(row)
        if match is None or (match.group(3) is None) != (code < 0):
            row = self._plain(i, row)
            match = _HEAD.match(row)
            assert match is not None, row[:80]
        rest = row[match.end() :]
        name = self._names[view]
        if int(self._kind[i]) in _HTTP:
            rest = _EXCHANGE.sub(rb"\g<1>" + name + b"/", rest, count=1)
        whose = self._connection[code] if code >= 0 else b""
        at = repr(float(self._at[i])).encode()
        return b'%s%s/%s","at":%s%s%s' % (match.group(1), name, match.group(2), at, whose, rest)

    def _plain(self, i: int, row: bytes) -> bytes:
        """A row that somebody else wrote, as we write them; an id that is no number becomes one."""
        event = EVENT_DECODER.decode(row)
        number = event.id.rpartition("/")[2]
        number = number if number.isascii() and number.isdigit() else str(int(self._place[i]))
        return _encode(msgspec.structs.replace(event, id=number, at=0.0, connection=None))
