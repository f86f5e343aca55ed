"""Events of one file on their way into a trace: they come in any order, are cleaned, sorted by time and numbered."""

from __future__ import annotations

import base64
import hashlib
import itertools
from array import array
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from chatkit.errors import ImportFailed
from chatkit.events import KIND_CODE, Event, FrameReceived, FrameSent
from chatkit.formats.rows import HEADS, Rows, Spool, tail
from chatkit.trace import Header, Origin, Trace
from chatkit.visibility import NOT_VISIBLE
from chatkit.wire.reader import KEEP, KEEP_PREFIX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.formats.source import Options, Source

LARGE = 100_000
"""Events from which on rows are made when asked for, not held."""
MOST_WARNINGS = 50
"""Warnings that are kept; the rest is counted."""
MOST_EVENTS = 50_000_000
"""Events beyond which a file is refused rather than half read."""

_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Encoder().encode_lines
_SHORT = tuple(len(head) + len(b'","at":0.0') for head in HEADS)


class Collector:
    """Gathers what an importer finds.

    Args:
        source: the file.
        format: name of its format.
        not_visible: words of ``chatkit.visibility`` for what this file cannot show.
        options: how to read it.
        target: URL that is talked to, where the file tells one for all.
    """

    def __init__(
        self,
        source: Source,
        format: str,
        not_visible: Collection[str],
        options: Options,
        *,
        target: str | None = None,
    ) -> None:
        assert set(not_visible) <= set(NOT_VISIBLE), not_visible
        self.source, self.format, self.not_visible, self.options = source, format, set(not_visible), options
        self.redactor = options.redactor
        self.target = target
        self.epoch: float | None = None
        """Unix time from which the trace counts; of the first event where it is not set."""
        self.ids = itertools.repeat("")
        """For a ``WireReader``: the numbers are given at the end."""
        self._warnings: list[str] = []
        self._more_warnings = 0
        self._spool = Spool()
        self._wall = array("d")
        self._kind = array("B")
        self._code = array("i")
        self._size = array("q")
        self._rank = array("q")
        self._names: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._wall)

    def warn(self, text: str) -> None:
        """Notes something about the file that a reader should know; it is shown with the trace."""
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(_mended(self.redactor.text(text)))
        else:
            self._more_warnings += 1

    def add(
        self, wall: float, kind: type[Event], connection: str | None = None, *, rank: int = 0, **fields: Any
    ) -> None:
        """Adds a fact.

        Args:
            wall: when, Unix time in seconds.
            kind: class of the event; ``fields`` are its own.
            connection: id of the connection it belongs to.
            rank: place among the events of one moment, where the order of adding does not tell.
        """
        try:
            row = _encode(kind(id="", at=0.0, **fields))
        except UnicodeEncodeError:
            fields = {name: _mended(value) for name, value in fields.items()}
            row = _encode(kind(id="", at=0.0, **fields))
        # Whatever a field holds, no secret passes: the encoded row is looked at as a whole.
        row = self.redactor.clean(row)
        code = KIND_CODE[kind]
        size = fields.get("size", -1)
        self._put(wall, code, connection, size, row[_SHORT[code] :], rank)

    def extend(self, base: float, events: list[Event]) -> None:
        """Adds events of a ``WireReader``, cleaned already, whose ``at`` counts from ``base`` (Unix time, seconds)."""
        if not events:
            return
        rows = _lines(events)[:-1].split(b"\n")
        for event, row in zip(events, rows, strict=True):
            size = getattr(event, "size", -1)
            self._put(base + event.at, KIND_CODE[type(event)], event.connection, size, tail(row))

    def message(
        self,
        wall: float,
        kind: type[FrameSent] | type[FrameReceived],
        connection: str | None,
        payload: str | bytes,
        *,
        clean: bool = False,
        size: int | None = None,
        rank: int = 0,
    ) -> None:
        """Adds a whole message that stands for its one data frame.

        Args:
            wall: when, Unix time in seconds.
            kind: its direction.
            connection: id of the connection.
            payload: text, or bytes of a binary message.
            clean: whether the caller knows that no secret stands in it.
            size: bytes on the wire, where the source tells; those of the payload otherwise.
            rank: as for :meth:`add`.
        """
        raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
        total = len(raw) if size is None else size
        if clean and isinstance(payload, str) and len(raw) <= KEEP and total == len(raw):
            self._put(wall, KIND_CODE[kind], connection, total, _encode(raw.decode("utf-8", "replace")) + b"\n", rank)
            return
        fields: dict[str, Any] = {"size": total}
        if len(raw) != total:
            fields["length"] = len(raw)
        if not isinstance(payload, str):
            fields["opcode"] = "binary"
        if len(raw) > KEEP:
            fields["digest"] = hashlib.sha256(raw).hexdigest()
            raw = self.redactor.prefix(raw[:KEEP])[:KEEP_PREFIX]
        else:
            raw = self.redactor.clean(raw)
        if isinstance(payload, str):
            fields["text"] = raw.decode("utf-8", "ignore" if "digest" in fields else "replace")
        else:
            fields["data"] = base64.b64encode(raw).decode()
        self.add(wall, kind, connection, rank=rank, **fields)

    def texts(
        self,
        walls: NDArray[np.float64],
        kinds: bytes,
        connection: str,
        texts: Sequence[str],
        *,
        rank: int = 0,
    ) -> None:
        """Adds whole text messages of one connection at once: what a thousand calls of :meth:`message` add.

        Args:
            walls: Unix time of each.
            kinds: the direction of each, as the code of its kind of event.
            connection: id of the connection.
            texts: the messages, without lone surrogates.
            rank: of the first; each next one's is two more.
        """
        lines = _lines(texts)
        if self.redactor.suspicious(lines) or max(map(len, texts), default=0) > KEEP // 4:
            for n, (wall, kind, text) in enumerate(zip(walls.tolist(), kinds, texts, strict=True)):
                clean = not self.redactor.suspicious(text.encode())
                direction = FrameSent if kind == KIND_CODE[FrameSent] else FrameReceived
                self.message(wall, direction, connection, text, clean=clean, rank=rank + 2 * n)
            return
        sizes = map(len, texts if lines.isascii() else [text.encode() for text in texts])
        self._wall.frombytes(np.where(np.abs(walls) < 1e11, walls, 0.0).tobytes())
        self._kind.frombytes(kinds)
        self._code.frombytes(np.full(len(texts), self._name(connection), np.int32).tobytes())
        self._size.frombytes(np.fromiter(sizes, np.int64, len(texts)).tobytes())
        self._rank.frombytes((rank + 2 * np.arange(len(texts), dtype=np.int64)).tobytes())
        # No line feed stands in a JSON text: they end the pieces.
        self._spool.extend(lines, np.flatnonzero(np.frombuffer(lines, np.uint8) == 10) + 1)

    def rename(self, names: dict[str, str]) -> None:
        """Gives connections the ids that they have in the trace."""
        self._names = {names.get(name, name): code for name, code in self._names.items()}

    def retime(self, first: int, stop: int, floor: float) -> None:
        """Gives the events from ``first`` to ``stop`` that have no time that of the one before, at least ``floor``."""
        wall = np.array(self._wall[first:stop])
        wall = np.where(wall > 0, wall, floor)
        self._wall[first:stop] = array("d", np.maximum.accumulate(wall).tobytes())

    def build(self) -> Trace:
        """The trace: sorted by time, events of one moment in the order in which they came."""
        wall = np.frombuffer(self._wall, np.float64) if self._wall else np.zeros(0)
        rank = np.frombuffer(self._rank, np.int64) if self._rank else np.zeros(0, np.int64)
        order = None
        if len(wall):
            steps = np.diff(wall)
            if (steps < 0).any() or ((steps == 0) & (np.diff(rank) < 0)).any():
                order = np.lexsort((rank, wall))
        columns = [np.array(column) for column in (self._kind, self._code, self._size)]
        if order is not None:
            wall, columns = wall[order], [column[order] for column in columns]
        epoch = self.epoch
        if epoch is None:
            epoch = round(float(wall[0]), 6) if len(wall) else 0.0
        at = np.round(wall - epoch, 6) + 0.0  # no minus before a zero
        kind, code, size = columns
        header = Header(
            origin=Origin(
                kind="file", format=self.format, file=self.redactor.text(self.source.name), target=self._target()
            ),
            epoch=epoch,
            clock="wall",
            not_visible=tuple(word for word in NOT_VISIBLE if word in self.not_visible),
            types=self.options.types,
        )
        kind, code, size = kind.astype(np.uint8), code.astype(np.int32), size.astype(np.int64)
        rows = Rows(self._spool, order, kind, at, code, size, tuple(self._names))
        warnings = list(self._warnings)
        if self._more_warnings:
            warnings.append(f"and {self._more_warnings:,} more such remarks")
        return Trace(
            header,
            list(rows) if len(rows) < LARGE else rows,
            at,
            kind,
            code,
            size,
            tuple(self._names),
            tuple(warnings),
        )

    def _target(self) -> str | None:
        return self.redactor.text(self.target) if self.target else None

    def _put(self, wall: float, kind: int, connection: str | None, size: int, piece: bytes, rank: int = 0) -> None:
        if len(self._kind) >= MOST_EVENTS:
            raise ImportFailed(
                "the file holds too many events",
                source=self.source.name,
                expected=f"at most {MOST_EVENTS:,}",
                remedy="cut the capture or log down to the time of the incident",
            )
        if not -1e11 < wall < 1e11:  # also no number at all
            wall = 0.0
        self._wall.append(wall)
        self._kind.append(kind)
        self._code.append(-1 if connection is None else self._name(connection))
        self._size.append(min(size, (1 << 62)))
        self._rank.append(rank)
        self._spool.append(piece)

    def _name(self, connection: str) -> int:
        code = self._names.get(connection)
        if code is None:
            code = self._names[connection] = len(self._names)
        return code


def _mended(value: Any) -> Any:
    """Text without the half characters (lone surrogates) that JSON can name and UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_mended(item) for item in value]
    return value
