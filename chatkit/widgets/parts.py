"""Stretches of one trace, one after the other as they came, read by row: a row is an event's place in the layout."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from chatkit.errors import InvalidInput
from chatkit.trace import Header, Origin, Trace, TraceBuilder
from chatkit.views.query import Finder, found_in, matches

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Parts:
    """What is added stays as it is; whoever grows it from one thread and reads it from another holds a lock."""

    def __init__(self) -> None:
        self._parts: list[Trace] = []
        self._starts: list[int] = []
        self._length = 0

    def __len__(self) -> int:
        """Events in all."""
        return self._length

    def __bool__(self) -> bool:
        """Whether anything was added, an empty stretch included."""
        return bool(self._parts)

    def add(self, part: Trace) -> Trace:
        """Puts a stretch behind the others; hands it back."""
        self._starts.append(self._length)
        self._parts.append(part)
        self._length += len(part)
        return part

    def copy(self) -> Parts:
        """The same stretches, which will not grow."""
        other = Parts()
        for part in self._parts:
            other.add(part)
        return other

    def find(self, row: int) -> tuple[Trace, int]:
        """The stretch that holds an event, and the event's place in it.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < self._length:
            raise IndexError(f"no event {row}: there are {self._length:,}")
        n = bisect.bisect_right(self._starts, row) - 1
        return self._parts[n], row - self._starts[n]

    def row(self, id: str) -> int:
        """The row of the event with this id.

        Raises:
            InvalidInput: there is no such event.
        """
        for start, part in zip(self._starts, self._parts, strict=True):
            with suppress(InvalidInput):
                return start + part.index(id)
        raise InvalidInput("no such event", expected="an id of the timeline", got=id)

    def pick(self, rows: Iterable[int]) -> Trace:
        """The events at these rows, in order, as a trace; no event is decoded."""
        builder = TraceBuilder(self._parts[0].header if self._parts else Header(origin=Origin(kind="live"), epoch=0.0))
        for row in sorted(set(rows)):
            part, place = self.find(row)
            code = int(part.connection_code[place])
            name = part.names[code] if code >= 0 else None
            at, kind, size = float(part.at[place]), int(part.kind[place]), int(part.size[place])
            builder.append_row(part.rows[place], at, kind, name, size)
        return builder.build()

    def whole(self, without: int = 0) -> Trace:
        """All of it as one trace, without the last so many events."""
        if len(self._parts) == 1 and not without:
            return self._parts[0]
        return self.pick(range(self._length - without))

    def at(self, row: int) -> float:
        """When an event happened, seconds since the epoch."""
        part, place = self.find(row)
        return float(part.at[place])

    def moments_before(self, row: int) -> dict[str, float]:
        """When the event before happened, and the one before on the same connection, seconds; by what they are."""
        part, place = self.find(row)
        found = {"the event before": self.at(row - 1)} if row else {}
        code = int(part.connection_code[place])
        if code >= 0 and (at := self._before_of(part.names[code], row)) is not None:
            found["the one before on this connection"] = at
        return found

    def _before_of(self, connection: str, row: int) -> float | None:
        for start, part in zip(reversed(self._starts), reversed(self._parts), strict=True):
            if start < row and connection in part.names:
                codes = part.connection_code[: row - start]
                places = np.flatnonzero(codes == part.names.index(connection))
                if len(places):
                    return float(part.at[places[-1]])
        return None

    def matches(self, query: str, since: int = 0, find: Finder = found_in) -> NDArray[np.bool_]:
        """Which events from row ``since`` on fit a query; as for ``chatkit.views.query.matches``."""
        masks = [
            matches(part, query, find)[max(since - start, 0) :]
            for start, part in zip(self._starts, self._parts, strict=True)
            if start + len(part) > since or not since
        ]
        return np.concatenate(masks) if masks else np.zeros(0, dtype=bool)
