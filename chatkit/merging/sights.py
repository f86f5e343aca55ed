"""What one vantage point saw of each connection: when it began, its key, what its frames say; read without decoding
every row."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chatkit.events import (
    KIND_CODE,
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    FrameReceived,
    FrameSent,
    OpaqueReceived,
    OpaqueSent,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
    completes,
)
from chatkit.trace import EVENT_DECODER, Trace, Vantage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Times = NDArray[np.float64]

SENT, RECEIVED = 0, 1
"""Client to server, and server to client."""
_DATA = (FrameSent, FrameReceived)
_CONTROL = ((PingSent, PongSent), (PingReceived, PongReceived))
_LANDMARKS = (
    AttemptStarted,
    UpgradeRequested,
    UpgradeAnswered,
    Opened,
    AttemptFailed,
    CloseSent,
    CloseReceived,
    TransportEnded,
    EndReported,
)
_OPAQUE = [KIND_CODE[OpaqueSent], KIND_CODE[OpaqueReceived]]
_TIMED = ("contents", "sizes", "controls")
COARSE = {"nginx-access": 1.0, "nginx-error": 1.0, "gunicorn-log": 1.0, "cloudflare": 1.0, "uvicorn-log": 1.0}
"""Seconds to which some formats round, though times that are computed from others look finer."""


class Frames(NamedTuple):
    """Frames of one direction: what identifies each, when it was seen, and its place in the trace."""

    token: Numbers
    at: Times
    place: Numbers

    def take(self, which: NDArray[np.bool_] | Numbers) -> Frames:
        return Frames(self.token[which], self.at[which], self.place[which])


class View:
    """One vantage point's part of a trace.

    Args:
        vantage: its name, origin and what it cannot show.
        trace: the trace that holds its events, alone or with others.
        places: where they stand in it.
        shift: seconds to add to the trace's times, so that all views count from one moment.
    """

    def __init__(self, vantage: Vantage, trace: Trace, places: Numbers, shift: float) -> None:
        self.vantage, self.trace, self.places, self.shift = vantage, trace, places, shift
        self.at: Times = trace.at[places] + shift

    def __len__(self) -> int:
        return len(self.places)

    def move(self, seconds: float) -> None:
        """Sets its clock; what was read of its connections moves along."""
        self.shift += seconds
        self.at = self.trace.at[self.places] + self.shift
        for sight in self.sights:
            sight.move(seconds)

    @property
    def name(self) -> str:
        return self.vantage.name

    def sees(self, word: str) -> bool:
        """Whether it can show this, a word of ``chatkit.visibility``."""
        return word not in self.vantage.not_visible

    @cached_property
    def grain(self) -> float:
        """Seconds to which its clock reads, as far as its times tell."""
        coarse = COARSE.get(self.vantage.origin.format or "", 0.0)
        # Differences of whole seconds stay exact whatever the epoch's fraction is.
        rest = (self.at - self.at[0]) % 1.0 if len(self.at) > 2 else np.ones(1)
        for step in (1.0, 0.001):
            parts = rest / step
            if (np.abs(parts - np.round(parts)) * step < 2e-6).all():
                return max(coarse, step)
        return max(coarse, 1e-6)

    @cached_property
    def sights(self) -> list[Sight]:
        """Connections in the order of their first events."""
        codes = self.trace.connection_code[self.places]
        if not len(codes):
            return []
        order = np.argsort(codes, kind="stable")
        present, first = np.unique(codes[order], return_index=True)
        parts = np.split(order, first[1:])
        found = [Sight(self, int(code), np.sort(part)) for code, part in zip(present, parts, strict=True) if code >= 0]
        return sorted(found, key=lambda sight: int(sight.mine[0]))


class Sight:
    """One connection as one vantage point saw it."""

    def __init__(self, view: View, code: int, mine: Numbers) -> None:
        self.view, self.code, self.mine = view, code, mine
        self.places = view.places[mine]
        self.at: Times = view.at[mine]
        self.kind = view.trace.kind[self.places]

    def move(self, seconds: float) -> None:
        """Its vantage's clock was set."""
        self.at = self.view.at[self.mine]
        for name, value in [(name, self.__dict__[name]) for name in _TIMED if name in self.__dict__]:
            self.__dict__[name] = tuple(Frames(one.token, one.at + seconds, one.place) for one in value)
        if "landmarks" in self.__dict__:
            self.landmarks = {kind: (event, at + seconds) for kind, (event, at) in self.landmarks.items()}

    @cached_property
    def landmarks(self) -> dict[type[Event], tuple[Event, float]]:
        """The first event of each kind that tells how it began or ended, and when."""
        found: dict[type[Event], tuple[Event, float]] = {}
        for kind in _LANDMARKS:
            where = np.flatnonzero(self.kind == KIND_CODE[kind])
            if len(where):
                i = int(where[0])
                found[kind] = (EVENT_DECODER.decode(self.view.trace.rows[int(self.places[i])]), float(self.at[i]))
        return found

    def first(self, kind: type[Event]) -> Event | None:
        found = self.landmarks.get(kind)
        return None if found is None else found[0]

    def when(self, *kinds: type[Event]) -> float | None:
        """When the first event of the first of these kinds that there is was seen."""
        return next((self.landmarks[kind][1] for kind in kinds if kind in self.landmarks), None)

    @property
    def request(self) -> UpgradeRequested | None:
        found = self.first(UpgradeRequested)
        return found if isinstance(found, UpgradeRequested) else None

    @property
    def key(self) -> str | None:
        """``Sec-WebSocket-Key``."""
        return self.request.key or None if self.request is not None else None

    @property
    def path(self) -> str | None:
        """Path of its URL, without the query."""
        started = self.first(AttemptStarted)
        if self.request is not None:
            target = self.request.target
        elif isinstance(started, AttemptStarted):
            target = started.url
        else:
            return None
        target = target.partition("?")[0].partition("#")[0]
        if "://" in target:
            target = "/" + target.partition("://")[2].partition("/")[2]
        return target or None

    @property
    def began(self) -> float | None:
        """When it opened, was asked for or refused; ``None`` where the evidence begins later."""
        return self.when(Opened, UpgradeAnswered, UpgradeRequested, AttemptStarted, AttemptFailed)

    @property
    def ended(self) -> float | None:
        """When it ended, by whatever this vantage shows of it."""
        ends = [self.when(kind) for kind in (CloseSent, CloseReceived, TransportEnded, EndReported)]
        return min((at for at in ends if at is not None), default=None)

    @property
    def opaque(self) -> bool:
        """Whether its bytes were seen and could not be read."""
        return Opened not in self.landmarks and bool(np.isin(self.kind, _OPAQUE).any())

    def sees(self, word: str) -> bool:
        """Whether the vantage could show this of this connection."""
        return self.view.sees(word) and not (self.opaque and word in ("frames", "payloads", "pings", "close-code"))

    @cached_property
    def contents(self) -> tuple[Frames, Frames]:
        """Whole messages of both directions by what they say; those that say nothing are left out."""
        return self._messages(SENT), self._messages(RECEIVED)

    def _messages(self, side: int) -> Frames:
        mine = np.flatnonzero(self.kind == KIND_CODE[_DATA[side]])
        tokens = np.fromiter((_content(row, side) for row in self._rows(mine)), np.int64, len(mine))
        frames = Frames(tokens, self.at[mine], self.places[mine])
        return frames.take(tokens != 0)

    @cached_property
    def sizes(self) -> tuple[Frames, Frames]:
        """Data frames of both directions by opcode and length on the wire."""
        return self._sized(SENT), self._sized(RECEIVED)

    def _sized(self, side: int) -> Frames:
        mine = np.flatnonzero(self.kind == KIND_CODE[_DATA[side]])
        size = self.view.trace.size[self.places[mine]]
        opcodes = (_opcode(row) for row in self._rows(mine))
        tokens = np.fromiter(
            (hash((side, opcode, n)) for opcode, n in zip(opcodes, size.tolist(), strict=True)), np.int64, len(mine)
        )
        return Frames(tokens, self.at[mine], self.places[mine])

    @cached_property
    def controls(self) -> tuple[Frames, Frames]:
        """Pings and pongs of both directions by kind and payload."""
        return self._controls(SENT), self._controls(RECEIVED)

    def _controls(self, side: int) -> Frames:
        mine = np.flatnonzero(np.isin(self.kind, [KIND_CODE[kind] for kind in _CONTROL[side]]))
        kinds = self.kind[mine].tolist()
        tokens = (hash((kind, _field(row, b"payload"))) for kind, row in zip(kinds, self._rows(mine), strict=True))
        return Frames(np.fromiter(tokens, np.int64, len(mine)), self.at[mine], self.places[mine])

    def _rows(self, mine: Numbers) -> list[bytes]:
        rows = self.view.trace.rows
        return [rows[i] for i in self.places[mine].tolist()]


def _content(row: bytes, side: int) -> int:
    """A number for what a whole message says; 0 where the message goes on or its content is not told."""
    if not completes(row):
        return 0
    found = _field(row, b"digest") or _field(row, b"text") or _field(row, b"data")
    return hash((side, found)) or 1 if found is not None else 0


def _field(row: bytes, name: bytes) -> bytes | None:
    """A text field as it is encoded. A quotation mark inside a text is escaped, so only a key can follow a comma so."""
    start = row.find(b',"%s":"' % name)
    if start < 0:
        return None
    start += len(name) + 5
    stop = row.find(b'"', start)
    while stop > 0 and _escaped(row, stop):
        stop = row.find(b'"', stop + 1)
    return row[start:stop] if stop > 0 else None


def _escaped(row: bytes, place: int) -> bool:
    count = 0
    while row[place - 1 - count] == 0x5C:
        count += 1
    return count % 2 == 1


def _opcode(row: bytes) -> bytes:
    return _field(row, b"opcode") or b"text"
