"""Connections and their endings, read out of a trace; pure.

An ending is never the close code alone: it is the close frames of both directions, how the transport ended, and who
acted first. 1006 is what an API reports when a connection that was open ended without a close frame (RFC 6455,
section 7.1.5); nobody ever sends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from msgspec import Struct

from chatkit import display
from chatkit.clock import iso_utc
from chatkit.events import (
    KIND_CODE,
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    EndReported,
    Established,
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
    ProtocolFailed,
    RetryScheduled,
    TcpConnected,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
    completes,
    message_type,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.trace import Trace

E = TypeVar("E", bound=Event)

AFTERMATH = 1.0
"""Seconds within which an ending counts as following our last action (rule of thumb 4 of the taxonomy)."""

_COUNTED = (FrameSent, FrameReceived, PingSent, PingReceived, PongSent, PongReceived)
_OPAQUE = (OpaqueSent, OpaqueReceived)
_READ = (
    AttemptStarted,
    AttemptFailed,
    TcpConnected,
    UpgradeRequested,
    UpgradeAnswered,
    Opened,
    Established,
    CloseSent,
    CloseReceived,
    ProtocolFailed,
    TransportEnded,
    EndReported,
    RetryScheduled,
)


def _mask(*kinds: type[Event]) -> NDArray[np.bool_]:
    """Of every kind's code whether it is one of these: a look-up costs a tenth of a search, once per connection."""
    return np.isin(np.arange(256), [KIND_CODE[kind] for kind in kinds])


_IS_OPAQUE, _IS_COUNTED, _IS_OURS = _mask(*_OPAQUE), _mask(*_COUNTED), _mask(FrameSent, PingSent)


class Ending(Struct, frozen=True, kw_only=True):
    """How a connection ended."""

    at: float
    """Seconds since the trace's epoch."""
    first: str | None
    """Who acted first: ``client``, ``server``, or ``None`` where nobody did (a time-out) or it is not visible."""
    close_sent: CloseSent | None = None
    close_received: CloseReceived | None = None
    transport: TransportEnded | None = None
    reported: EndReported | None = None
    """What an API, a log or a HAR tells of it."""
    hidden: bool = False
    """Whether close frames are not visible in this evidence: without one, nothing is said about the code."""
    between: bool = False
    """Whether the client's side saw the server end it and the server's side saw the client end it: something on the
    way did. Told by merged evidence only."""
    failed: AttemptFailed | None = None
    """What stopped the attempt, when the connection never opened."""
    status: int | None = None
    """HTTP status of a refused upgrade."""
    opened: bool
    age: float | None
    """Seconds from open to end; ``None`` when it never opened, or the evidence does not show both times."""
    after: str | None = None
    """Our last action before an ending that came within a second of it: ``our ping``, ``our typing message`` …"""
    after_seconds: float | None = None
    events: tuple[str, ...] = ()
    """Ids of the events that show it."""
    _repr_html_, _repr_pretty_ = display.face("ending"), display.in_words

    @property
    def clean(self) -> bool:
        """Whether a close frame with a code of a normal life (1000, 1001 or none) ended it."""
        return self.close_code in (1000, 1001, 1005)

    @property
    def abort(self) -> bool:
        """Open, then gone without a close frame: what a browser shows as 1006."""
        return self.close_code == 1006

    @property
    def close(self) -> CloseSent | CloseReceived | None:
        """The first close frame, whoever sent it."""
        frames = [frame for frame in (self.close_sent, self.close_received) if frame is not None]
        return min(frames, key=lambda frame: (frame.at, _number(frame)), default=None)

    @property
    def close_code(self) -> int | None:
        """As an API reports it: the code of the close frame; 1005 without code; 1006 for an abort.

        ``None`` when it never opened, or when the evidence does not show it.
        """
        if not self.opened:
            return None
        if self.close is not None:
            return 1005 if self.close.code is None else self.close.code
        if self.reported is not None and self.reported.code is not None:
            return self.reported.code
        return None if self.hidden else 1006

    @property
    def close_reason(self) -> str | None:
        """The reason of the close frame, ``None`` without one."""
        if self.close is not None:
            return self.close.reason
        return self.reported.reason or None if self.opened and self.reported is not None else None

    @property
    def words(self) -> str:
        """The ending in a few words: who did what at which layer."""
        if not self.opened:
            return self._refusal()
        close = self.close
        if close is not None:
            return _closed("us" if close is self.close_sent else "server", close.code, close.reason)
        if self.reported is not None and self.reported.code not in (None, 1006):
            return _closed(_who(self.reported.by), self.reported.code, self.reported.reason)
        if self.between:
            return "cut on the way, no close frame: each side saw the other end it"
        if self._told_first and self.reported is not None and self.reported.code is None:
            return f"closed by {_who(self.reported.by)}, code not visible"
        how = self.transport.how if self.transport is not None else None
        if how == "rst":
            return f"RST by {_who(self.first)}"
        if how == "fin":
            return f"FIN by {_who(self.first)}" + (", no close frame" if self.abort else "")
        if how == "timeout":
            return "TCP time-out, peer silent"
        if how == "local":
            return "cut by us"
        return self._told()

    @property
    def _told_first(self) -> bool:
        """Whether somebody tells who closed, and the transport ended after it."""
        told, transport = self.reported, self.transport
        if told is None or told.by is None or transport is None:
            return False
        return (told.at, _number(told)) < (transport.at, _number(transport))

    def _told(self) -> str:
        if self.reported is None:
            return "end not visible"
        source = f" ({self.reported.source})" if self.reported.source else ""
        if self.reported.code == 1006:
            by = f" by {_who(self.reported.by)}" if self.reported.by else ""
            return f"ended{by} without a close frame: 1006{source}"
        return f"ended; how is not visible{source}"

    def _refusal(self) -> str:
        if self.status is not None and self.status != 101:
            return f"refused: HTTP {self.status}"
        if self.failed is not None:
            return f"failed at {self.failed.stage}"
        return "ended before it opened"

    @property
    def detail(self) -> str:
        """What makes the words precise: our last action and the age."""
        parts = []
        if self.after is not None and self.after_seconds is not None:
            parts.append(f"{self.after_seconds:.1f} s after {self.after}")
        if self.age is not None:
            parts.append(f"age {self.age:.1f} s")
        elif self.failed is not None:
            parts.append(self.failed.error)
        return ", ".join(parts)

    def __str__(self) -> str:
        return self.words + (f", {self.detail}" if self.detail else "")


class Connection(Struct, frozen=True, kw_only=True):
    """One life of one WebSocket, from the attempt to the end."""

    id: str
    url: str | None
    """Redacted."""
    started_at: float
    """Of its first event, seconds since the trace's epoch."""
    opened_at: float | None
    established_at: float | None
    last_at: float
    """Of its last event; of the trace's last event while it lives."""
    opened_wall: str | None
    """ISO-8601 UTC."""
    status: int | None
    """HTTP status that answered the upgrade."""
    extensions: str | None
    frames_in: int
    """Complete data messages, server to client."""
    frames_out: int
    pings_in: int | None
    """``None`` where the evidence cannot show pings; the same for the three that follow."""
    pings_out: int | None
    pongs_in: int | None
    pongs_out: int | None
    state: str
    """``refused``, ``open``, ``ended`` or ``unknown``."""
    ending: Ending | None
    retry: RetryScheduled | None = None
    """What the client planned after it."""
    vantages: tuple[str, ...] = ()
    """Names of the vantage points that saw it, in merged evidence."""
    opaque: bool = False
    """Whether its bytes could not be read: nothing above TCP is known."""
    _repr_html_, _repr_pretty_ = display.face("connection"), display.in_words

    @property
    def duration(self) -> float:
        """Seconds from open (or the attempt) to the end, or to the last event while it lives."""
        end = self.ending.at if self.ending is not None else self.last_at
        return end - (self.opened_at if self.opened_at is not None else self.started_at)

    def __str__(self) -> str:
        if self.ending is not None:
            return f"connection {self.id}: {self.ending}"
        return f"connection {self.id}: {self.state} for {self.duration:.1f} s"


def summarise(trace: Trace) -> tuple[Connection, ...]:
    """One :class:`Connection` per connection of the trace, in the order of their first events."""
    groups: dict[int, list[Event]] = {}
    for i in np.flatnonzero(_read(trace) & (trace.connection_code >= 0)):
        groups.setdefault(int(trace.connection_code[i]), []).append(trace[int(i)])
    places = _places(trace.connection_code)
    order = _order(trace.connection_code)
    return tuple(_summarise_one(trace, code, places[code], groups.get(code, [])) for code in order)


def summarise_one(trace: Trace, code: int) -> Connection:
    """The connection with this code, which must have an event; no other connection's events are read."""
    places = np.flatnonzero(trace.connection_code == code)
    read = places[_read(trace)[places]]
    return _summarise_one(trace, code, places, [trace[int(i)] for i in read])


def _read(trace: Trace) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which events a summary decodes."""
    return np.isin(trace.kind, [KIND_CODE[kind] for kind in _READ])


def _places(codes: NDArray[np.int32]) -> dict[int, NDArray[np.int64]]:
    """Positions by connection, found in one pass: looking for each connection anew is quadratic."""
    order = np.argsort(codes, kind="stable")
    present, first = np.unique(codes[order], return_index=True)
    return dict(zip(present.tolist(), np.split(order, first[1:]), strict=True)) if len(present) else {}


def _order(codes: np.ndarray[tuple[int], np.dtype[np.int32]]) -> list[int]:
    present, first = np.unique(codes, return_index=True)
    return [int(present[i]) for i in np.argsort(first) if present[i] >= 0]


def _summarise_one(trace: Trace, code: int, places: NDArray[np.int64], events: list[Event]) -> Connection:
    kinds = trace.kind[places]
    opened = _first(events, Opened)
    answered = _first(events, UpgradeAnswered)
    started = _first(events, AttemptStarted)
    established = _first(events, Established)
    opaque = opened is None and bool(_IS_OPAQUE[kinds].any())
    frames = opaque or bool(_IS_COUNTED[kinds].any())
    # Frames, or the end of a life, without an opening: the evidence begins in the middle.
    refused = answered is not None and answered.status != 101
    told = frames or (not refused and _first(events, EndReported) is not None)
    failed = _first(events, AttemptFailed)
    # A 101 that the client could not accept opened nothing.
    lived = (opened is not None and not (failed is not None and failed.stage == "upgrade")) or (told and failed is None)
    ending = _ending(trace, places, events, opened, lived=lived, hidden=_hidden(trace, places, "close-code", opaque))
    pings = _hidden(trace, places, "pings", opaque)
    counts = _counts(trace, places)
    return Connection(
        id=trace.names[code],
        url=_url(trace, started, events),
        started_at=float(trace.at[places[0]]),
        opened_at=opened.at if opened is not None else None,
        established_at=established.at if established is not None else None,
        last_at=float(trace.at[places[-1] if ending is not None else -1]),
        opened_wall=iso_utc(trace.epoch + opened.at) if opened is not None else None,
        status=answered.status if answered is not None else None,
        extensions=opened.extensions if opened is not None else None,
        frames_in=counts[FrameReceived],
        frames_out=counts[FrameSent],
        pings_in=None if pings else counts[PingReceived],
        pings_out=None if pings else counts[PingSent],
        pongs_in=None if pings else counts[PongReceived],
        pongs_out=None if pings else counts[PongSent],
        state=_state(lived, answered, ending),
        ending=ending,
        retry=_first(events, RetryScheduled),
        vantages=tuple(trace.vantage_names[n] for n in np.unique(trace.vantage_code[places]).tolist() if n >= 0),
        opaque=opaque,
    )


def _hidden(trace: Trace, places: NDArray[np.int64], word: str, opaque: bool) -> bool:
    """Whether this cannot be seen of a connection: by none of the vantage points that saw it, in merged evidence."""
    if not trace.header.vantages:
        return opaque or word in trace.not_visible
    views = trace.vantage_code[places]
    return all(
        n >= 0 and (word in trace.header.vantages[n].not_visible or _unreadable(trace.kind[places[views == n]]))
        for n in np.unique(views).tolist()
    )


def _unreadable(kinds: NDArray[np.uint8]) -> bool:
    """Whether bytes were seen there and none of them could be read."""
    return KIND_CODE[Opened] not in kinds and bool(np.isin(kinds, [KIND_CODE[kind] for kind in _OPAQUE]).any())


def _url(trace: Trace, started: AttemptStarted | None, events: list[Event]) -> str | None:
    """As the client named it; else put together from the request."""
    if started is not None:
        return started.url
    asked = _first(events, UpgradeRequested)
    if asked is None:
        return None
    host = next((value for name, value in asked.headers if name.lower() == "host"), None)
    return f"ws://{host}{asked.target}" if host and asked.target.startswith("/") else asked.target


def _counts(trace: Trace, places: NDArray[np.int64]) -> dict[type[Event], int]:
    """Complete data messages and control frames; of several vantage points, what the one tells that saw most."""
    most: dict[type[Event], int] = dict.fromkeys(_COUNTED, 0)
    views = trace.vantage_code[places]
    for view in np.unique(views).tolist():
        mine = places[views == view]
        for kind in _COUNTED:
            found = mine[trace.kind[mine] == KIND_CODE[kind]]
            count = _complete(trace, found) if kind in (FrameSent, FrameReceived) else len(found)
            most[kind] = max(most[kind], count)
    return most


def _first(events: Iterable[Event], kind: type[E]) -> E | None:
    return next((event for event in events if isinstance(event, kind)), None)


def _state(lived: bool, answered: UpgradeAnswered | None, ending: Ending | None) -> str:
    if lived:
        return "open" if ending is None else "ended"
    if answered is not None and answered.status != 101:
        return "refused"
    return "unknown" if ending is None else "refused"


def _complete(trace: Trace, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    if getattr(trace.rows, "whole", False):
        return len(places)
    return sum(map(completes, map(trace.rows.__getitem__, places.tolist())))


def _ending(
    trace: Trace,
    places: np.ndarray[tuple[int], np.dtype[np.int64]],
    events: list[Event],
    opened: Opened | None,
    *,
    lived: bool,
    hidden: bool,
) -> Ending | None:
    sent, received = _first(events, CloseSent), _first(events, CloseReceived)
    transport, failed = _first(events, TransportEnded), _first(events, AttemptFailed)
    answered, reported = _first(events, UpgradeAnswered), _first(events, EndReported)
    shown = [event for event in (sent, received, transport, failed, reported) if event is not None]
    if not shown:
        return None
    order = {event.id: n for n, event in enumerate(events)}
    first = min(shown, key=lambda event: order[event.id])
    between = sent is None and received is None and _between(trace, events)
    timed = "timing" not in trace.not_visible and not (isinstance(first, EndReported) and not first.timed)
    after, seconds = _aftermath(trace, places, first) if lived and timed else (None, None)
    tcp = _first(events, TcpConnected)
    began = opened.at if opened is not None else tcp.at if tcp is not None and lived else None
    return Ending(
        at=first.at,
        first=None if between else _actor(first, transport, reported),
        close_sent=sent,
        close_received=received,
        transport=transport,
        reported=reported,
        hidden=hidden,
        between=between,
        failed=failed,
        status=answered.status if answered is not None else failed.status if failed is not None else None,
        opened=lived,
        age=first.at - began if began is not None and timed else None,
        after=after,
        after_seconds=seconds,
        events=tuple(event.id for event in shown),
    )


def _number(event: Event) -> int:
    return int(event.id.rpartition("/")[2])


def _between(trace: Trace, events: list[Event]) -> bool:
    """Whether a vantage point saw the server end it, and one that is nearer to the server saw the client end it."""
    told: dict[str, list[int]] = {"server": [], "client": []}
    heard: set[str] = set()
    places = {vantage.name: vantage.place for vantage in trace.header.vantages}
    for event in events:
        name = event.id.rpartition("/")[0]
        place = places.get(name)
        if name in heard or place is None or not isinstance(event, TransportEnded | EndReported):
            continue
        if event.by in told:
            heard.add(name)
            told[event.by].append(place)
    return bool(told["server"] and told["client"]) and min(told["server"]) < max(told["client"])


def _actor(first: Event, transport: TransportEnded | None, reported: EndReported | None) -> str | None:
    if isinstance(first, CloseSent):
        return "client"
    if isinstance(first, CloseReceived):
        return "server"
    if isinstance(first, EndReported) and first.by is not None:
        return first.by
    if transport is not None and transport.by is not None:
        return transport.by
    return reported.by if reported is not None else None


def _aftermath(
    trace: Trace, places: np.ndarray[tuple[int], np.dtype[np.int64]], end: Event
) -> tuple[str | None, float | None]:
    """Our last frame before an ending that we did not begin, if it came within ``AFTERMATH`` seconds of it."""
    if isinstance(end, CloseSent) or (isinstance(end, TransportEnded | EndReported) and end.by == "client"):
        return None, None
    ours = _IS_OURS[trace.kind[places]] & (trace.at[places] <= end.at)
    # Seen from where the end was seen, if that shows what we sent: another clock is not as sure.
    name, _, _ = end.id.rpartition("/")
    mine = trace.vantage_code[places] == (trace.vantage_names.index(name) if name in trace.vantage_names else -1)
    found = places[ours & mine] if (ours & mine).any() else places[ours]
    if not len(found):
        return None, None
    last = int(found[-1])
    seconds = end.at - float(trace.at[last])
    if seconds > AFTERMATH:
        return None, None
    if trace.kind[last] == KIND_CODE[PingSent]:
        return "our ping (RFC 6455)", seconds
    type_ = message_type(trace.rows[last])
    if type_ == trace.header.types.send_ping:
        return "our ping", seconds
    return f"our {type_} message" if type_ else "our message", seconds


def _closed(who: str, code: int | None, reason: str) -> str:
    return f"closed by {who}: {'without code' if code is None else code}" + (f" “{reason}”" if reason else "")


def _who(side: str | None) -> str:
    return {"client": "us", "server": "server"}.get(side or "", "nobody seen")
