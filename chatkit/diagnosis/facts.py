"""What a trace says, laid out for the rules: lives, attempts and what happened beside them, each read once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from chatkit.ending import Connection
from chatkit.events import (
    KIND_CODE,
    ArmStarted,
    AttemptFailed,
    AttemptStarted,
    Event,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Logged,
    LoopLagged,
    OpaqueReceived,
    OpaqueSent,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    Retransmitted,
    TokenChanged,
    UpgradeAnswered,
    UpgradeRequested,
    message_type,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.merging import Disagreement
    from chatkit.trace import Trace

E = TypeVar("E", bound=Event)

BIG = 32_768
"""Bytes from which a message counts as big: the smallest limit of a managed platform (``limits.csv``)."""
VERY_BIG = 262_144
"""Bytes from which a message that came in is a suspect for our own limit."""
SERVER_LOGS = ("uvicorn-log", "gunicorn-log", "nginx-access", "nginx-error", "cloudflare")
EXPIRES = re.compile(r"\[jwt[^\]]*\bexp=(\d+)")
ISSUED = re.compile(r"\[jwt[^\]]*\biat=(\d+)")

_INBOUND = (FrameReceived, PingReceived, PongReceived, OpaqueReceived)
_OUTBOUND = (FrameSent, PingSent, PongSent, OpaqueSent)
_DATA = (FrameReceived, FrameSent)
_LOOKED_AT = 500
"""Frames at the beginning and at the end of a life whose type is looked at."""
_FAREWELL, _ALERT = 0.5, 64
"""Seconds before the end within which so few unreadable bytes are TLS's own goodbye (RFC 8446, section 6.1)."""
ACTIVITY = ("any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping")
"""Kinds of activity that an idle time-out may count, seen from the client."""


def codes(*kinds: type[Event]) -> NDArray[np.uint8]:
    """Their numbers in the column ``kind``."""
    return np.array([KIND_CODE[kind] for kind in kinds], dtype=np.uint8)


def median(values: Iterable[float]) -> float:
    """Of at least one value; numpy's own would load its masked arrays, a tenth of what inspecting a file costs."""
    ordered = sorted(float(value) for value in values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


class Life:
    """One connection with its events.

    Attributes:
        places: positions of its events in the trace, in order.
    """

    def __init__(self, trace: Trace, connection: Connection, places: NDArray[np.int64]) -> None:
        self.trace, self.connection, self.places = trace, connection, places
        self.kinds, self.at = trace.kind[places], trace.at[places]

    @property
    def id(self) -> str:
        """Of the connection."""
        return self.connection.id

    @property
    def opened(self) -> bool:
        """Whether it ever opened, as far as the evidence tells."""
        return self.connection.state in ("open", "ended")

    @property
    def start(self) -> float:
        """When it opened, or began; seconds since the trace's epoch."""
        opened = self.connection.opened_at
        return self.connection.started_at if opened is None else opened

    @property
    def end(self) -> float:
        """When it ended, or its last event."""
        ending = self.connection.ending
        return ending.at if ending is not None else self.connection.last_at

    @property
    def age(self) -> float | None:
        """Seconds from open to end; ``None`` where one of them was not seen."""
        return self.connection.ending.age if self.connection.ending is not None else None

    def of(self, *kinds: type[Event], until: float | None = None) -> NDArray[np.int64]:
        """Positions of its events of these kinds, up to a moment."""
        found = np.isin(self.kinds, codes(*kinds))
        if until is not None:
            found &= self.at <= until
        return self.places[found]

    def first(self, kind: type[E]) -> E | None:
        """Its first event of a kind."""
        found = self.of(kind)
        event = self.trace[int(found[0])] if len(found) else None
        return event if isinstance(event, kind) else None

    def all(self, kind: type[E]) -> list[E]:
        """Its events of a kind."""
        events = (self.trace[i] for i in self.of(kind).tolist())
        return [event for event in events if isinstance(event, kind)]

    def type_at(self, place: int) -> str | None:
        """The ``type`` of the data frame there."""
        return message_type(self.trace.rows[place])

    def ids(self, places: NDArray[np.int64] | list[int]) -> tuple[str, ...]:
        """Ids of events."""
        return tuple(self.trace[int(i)].id for i in list(places)[:50])

    @cached_property
    def app_pings(self) -> NDArray[np.int64]:
        """Positions of our application's pings."""
        wanted = self.trace.header.types.send_ping
        return np.array([i for i in self._small(FrameSent) if self.type_at(i) == wanted], dtype=np.int64)

    @cached_property
    def app_pongs(self) -> NDArray[np.int64]:
        """Positions of the answers to them."""
        wanted = self.trace.header.types.pong
        return np.array([i for i in self._small(FrameReceived) if self.type_at(i) == wanted], dtype=np.int64)

    def _small(self, kind: type[Event]) -> list[int]:
        """Frames that may be pings: none of them is big."""
        found = self.of(kind)
        found = found[self.trace.size[found] <= 1000]
        if len(found) > 2 * _LOOKED_AT:
            found = np.concatenate((found[:_LOOKED_AT], found[-_LOOKED_AT:]))
        return [int(i) for i in found]

    def last_activity(self, what: str) -> float | None:
        """The last moment before the end at which something of that kind happened; ``None`` for never."""
        found = self.activity(what)
        return float(self.trace.at[found[-1]]) if len(found) else None

    def activity(self, what: str) -> NDArray[np.int64]:
        """Positions of what happened of that kind before the end, without what belongs to the end itself."""
        match what:
            case "any":
                found = self.of(*_INBOUND, *_OUTBOUND, until=self.end)
            case "inbound":
                found = self.of(*_INBOUND, until=self.end)
            case "outbound":
                found = self.of(*_OUTBOUND, until=self.end)
            case "data-frames":
                found = self.of(*_DATA, until=self.end)
            case "app-ping":
                found = self.app_pings
            case _:
                found = self.of(PingSent, PingReceived, until=self.end)
        at = self.trace.at[found]
        mine = at <= self.end - 1e-4
        if self.connection.opaque:
            mine &= (at < self.end - _FAREWELL) | (self.trace.size[found] > _ALERT)
        return found[mine]

    def longest_quiet(self, what: str) -> float:
        """Seconds of the longest quiet of that kind that it survived."""
        at = self.trace.at[self.activity(what)]
        return float(np.diff(at, prepend=min(self.start, at[0])).max()) if len(at) else 0.0

    def idle(self, what: str) -> float | None:
        """Seconds of quiet of that kind before the end: since the opening where there was none of it."""
        if self.connection.ending is None:
            return None
        last = self.last_activity(what)
        if last is None and self.connection.opened_at is None:
            return None
        return self.end - max(self.start, last if last is not None else self.start)

    @cached_property
    def expires(self) -> float | None:
        """``exp`` of the token that the attempt carried, Unix time; ``None`` where the evidence has none."""
        for text in self._handshake_texts():
            if found := EXPIRES.search(text):
                return float(found.group(1))
        return None

    @cached_property
    def issued(self) -> float | None:
        """``iat`` of that token."""
        for text in self._handshake_texts():
            if found := ISSUED.search(text):
                return float(found.group(1))
        return None

    def _handshake_texts(self) -> list[str]:
        asked, started = self.first(UpgradeRequested), self.first(AttemptStarted)
        texts = [self.connection.url or "", started.url if started is not None else ""]
        return texts + ([asked.target, *(value for _, value in asked.headers)] if asked is not None else [])


class Facts:
    """A trace for the rules."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        order = np.argsort(trace.connection_code, kind="stable").astype(np.int64)
        sorted_codes = trace.connection_code[order]
        names = {name: code for code, name in enumerate(trace.names)}
        lives = [
            Life(trace, connection, order[slice(*np.searchsorted(sorted_codes, [code, code + 1]))])
            for connection in trace.connections
            for code in [names[connection.id]]
        ]
        self.arms: dict[str, ArmStarted] = {
            event.connection: event for event in self.events(ArmStarted) if event.connection is not None
        }
        """What an investigation did, by the connection's id; empty for any other recording."""
        altered = {id for id, arm in self.arms.items() if arm.alters}
        self.lives: tuple[Life, ...] = tuple(life for life in lives if life.id not in altered)
        """Connections, in the order of their first events; of an investigation those opened in the client's way."""
        self.variants: tuple[Life, ...] = tuple(life for life in lives if life.id in altered)
        """Connections of an investigation that were opened otherwise on purpose: a bad token, another origin."""

    def life_at(self, place: int) -> Life | None:
        """The connection that an event belongs to."""
        code = int(self.trace.connection_code[place])
        return self._by_code.get(code) if code >= 0 else None

    @cached_property
    def _by_code(self) -> dict[int, Life]:
        known = {life.id: life for life in self.lives}
        return {code: known[name] for code, name in enumerate(self.trace.names) if name in known}

    def visible(self, word: str) -> bool:
        """Whether the evidence can show something (a word of ``chatkit.visibility``)."""
        return word not in self.trace.not_visible

    def shows(self, life: Life, word: str) -> bool:
        """As :meth:`visible`, of merged evidence for the vantage points that saw this connection."""
        seen = [one for one in self.trace.header.vantages if one.name in life.connection.vantages]
        return self.visible(word) if not seen else any(word not in one.not_visible for one in seen)

    @property
    def live(self) -> bool:
        """Whether chatkit itself recorded it."""
        return self.trace.origin.kind == "live" or any(v.origin.kind == "live" for v in self.trace.header.vantages)

    @property
    def server_log(self) -> bool:
        """Whether all there is was written by servers or proxies: several clients may stand behind it."""
        return self.trace.origin.format in SERVER_LOGS

    @property
    def browser_only(self) -> bool:
        """Whether all there is comes from a browser that shows neither close frames nor TCP."""
        return not self.visible("close-code") and not self.visible("transport-end")

    def events(self, kind: type[E]) -> list[E]:
        """All events of a kind, whatever the connection."""
        places = np.flatnonzero(self.trace.kind == KIND_CODE[kind]).tolist()
        return [event for i in places if isinstance(event := self.trace[i], kind)]

    @cached_property
    def disagreements(self) -> list[Disagreement]:
        """What the vantage points of merged evidence tell differently; none of any other."""
        if not self.trace.header.vantages:
            return []
        from chatkit.merging import disagreements

        return list(disagreements(self.trace))

    @cached_property
    def health(self) -> list[HealthChecked]:
        """Looks at the health endpoint."""
        return self.events(HealthChecked)

    @cached_property
    def answers(self) -> list[HttpAnswered]:
        """Answers of the HTTP API."""
        return self.events(HttpAnswered)

    @cached_property
    def failures(self) -> list[HttpFailed]:
        """Requests without an answer."""
        return self.events(HttpFailed)

    @cached_property
    def requests(self) -> dict[str, HttpRequested]:
        """Requests by their exchange."""
        return {event.exchange: event for event in self.events(HttpRequested)}

    @cached_property
    def logs(self) -> list[Logged]:
        """Lines of logs that are facts."""
        return self.events(Logged)

    @cached_property
    def lags(self) -> list[LoopLagged]:
        """Lateness of our own loop."""
        return self.events(LoopLagged)

    @cached_property
    def tokens(self) -> list[TokenChanged]:
        """Changes of the token."""
        return self.events(TokenChanged)

    @cached_property
    def retransmissions(self) -> list[Retransmitted]:
        """TCP's repetitions."""
        return self.events(Retransmitted)

    @cached_property
    def violations(self) -> list[ProtocolFailed]:
        """Bytes that break RFC 6455."""
        return self.events(ProtocolFailed)

    def expires(self, life: Life) -> float | None:
        """When the token of a connection expires, Unix time."""
        if life.expires is not None:
            return life.expires
        known = [event.expires for event in self.tokens if event.at <= life.start + 0.5]
        return known[-1] if known else None

    def next_attempt(self, life: Life, within: float = 60.0) -> Life | None:
        """The connection that was tried next after the end of this one."""
        later = [one for one in self.lives if one.connection.started_at >= life.end - 1e-3 and one is not life]
        found = min(later, key=lambda one: one.connection.started_at, default=None)
        return found if found is not None and found.connection.started_at - life.end <= within else None

    def open_at(self, at: float) -> list[Life]:
        """Connections that were open at a moment."""
        return [one for one in self.lives if one.opened and one.start < at and (one.end > at or not ended(one))]


def ended(life: Life) -> bool:
    """Whether its end was seen."""
    return life.connection.ending is not None


def answer_of(life: Life) -> UpgradeAnswered | None:
    """What the upgrade was answered."""
    return life.first(UpgradeAnswered)


def failure_of(life: Life) -> AttemptFailed | None:
    """What stopped the attempt."""
    return life.first(AttemptFailed)


def body_of(text: str | None) -> object:
    """A message's JSON, ``None`` for anything else."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
