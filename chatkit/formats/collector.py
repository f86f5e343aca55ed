"""Events of one file on their way into a trace: they come in any order, are cleaned, sorted by time and numbered."""

from __future__ import annotations

import base64
import hashlib
import itertools
from array import array
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from chatkit.events import KIND_CODE, Event, FrameReceived, FrameSent
from chatkit.formats.rows import HEADS, Rows, Spool, tail
from chatkit.trace import Header, Origin, Trace
from chatkit.visibility import NOT_VISIBLE
from chatkit.wire.reader import KEEP, KEEP_PREFIX

if TYPE_CHECKING:
    from chatkit.formats.source import Options, Source

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
        self.ids = itertools.repeat("")
        """For a ``WireReader``: the numbers are given at the end."""
        self._warnings: list[str] = []
        self._more_warnings = 0
        self._spool = Spool()
        self._wall = array("d")
        self._kind = array("B")
        self._code = array("i")
        self._size = array("q")
        self._names: dict[str, int] = {}
        self._encoded: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._wall)

    def warn(self, text: str) -> None:
        """Notes something about the file that a reader should know; it is shown with the trace."""
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(self.redactor.text(text))
        else:
            self._more_warnings += 1

    def add(self, wall: float, kind: type[Event], connection: str | None = None, **fields: Any) -> None:
        """Adds a fact.

        Args:
            wall: when, Unix time in seconds.
            kind: class of the event; ``fields`` are its own.
            connection: id of the connection it belongs to.
        """
        row = _encode(kind(id="", at=0.0, connection=connection, **fields))
        # Whatever a field holds, no secret passes: the encoded row is looked at as a whole.
        row = self.redactor.clean(row)
        code = KIND_CODE[kind]
        size = fields.get("size", -1)
        self._put(wall, code, connection, size, row[_SHORT[code] :])

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
    ) -> None:
        """Adds a whole message that stands for its one data frame.

        Args:
            wall: when, Unix time in seconds.
            kind: its direction.
            connection: id of the connection.
            payload: text, or bytes of a binary message.
            clean: whether the caller knows that no secret stands in it.
            size: bytes on the wire, where the source tells; those of the payload otherwise.
        """
        raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
        total = len(raw) if size is None else size
        if clean and isinstance(payload, str) and len(raw) <= KEEP and total == len(raw):
            text = _encode(payload)
            piece = b'%s,"size":%d,"text":%s}' % (self._of(connection), total, text) if payload else None
            if piece is not None:
                self._put(wall, KIND_CODE[kind], connection, total, piece)
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
        self.add(wall, kind, connection, **fields)

    def build(self) -> Trace:
        """The trace: sorted by time, events of one moment in the order in which they came."""
        wall = np.frombuffer(self._wall, np.float64) if self._wall else np.zeros(0)
        order = None
        if len(wall) and (np.diff(wall) < 0).any():
            order = np.argsort(wall, kind="stable")
        columns = [np.array(column) for column in (self._kind, self._code, self._size)]
        if order is not None:
            wall, columns = wall[order], [column[order] for column in columns]
        epoch = round(float(wall[0]), 6) if len(wall) else 0.0
        at = np.round(wall - epoch, 6) + 0.0  # no minus before a zero
        kind, code, size = columns
        header = Header(
            origin=Origin(kind="file", format=self.format, file=self.source.name, target=self._target()),
            epoch=epoch,
            clock="wall",
            not_visible=tuple(word for word in NOT_VISIBLE if word in self.not_visible),
            types=self.options.types,
        )
        rows = Rows(self._spool, order, kind.astype(np.uint8), at)
        warnings = list(self._warnings)
        if self._more_warnings:
            warnings.append(f"and {self._more_warnings:,} more such remarks")
        return Trace(
            header,
            list(rows) if len(rows) < 100_000 else rows,
            at,
            kind.astype(np.uint8),
            code.astype(np.int32),
            size.astype(np.int64),
            tuple(self._names),
            tuple(warnings),
        )

    def _target(self) -> str | None:
        return self.redactor.text(self.target) if self.target else None

    def _put(self, wall: float, kind: int, connection: str | None, size: int, piece: bytes) -> None:
        if not -1e11 < wall < 1e11:  # also no number at all
            wall = 0.0
        self._wall.append(wall)
        self._kind.append(kind)
        self._code.append(-1 if connection is None else self._names.setdefault(connection, len(self._names)))
        self._size.append(min(size, (1 << 62)))
        self._spool.append(piece)

    def _of(self, connection: str | None) -> bytes:
        if connection is None:
            return b""
        found = self._encoded.get(connection)
        if found is None:
            found = self._encoded[connection] = b',"connection":' + _encode(connection)
        return found
