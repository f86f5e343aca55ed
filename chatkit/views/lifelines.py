"""The lane of one connection: its life, its end in words, its pings and the quiet before the first of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chatkit.ending import Ending
from chatkit.events import (
    KIND_CODE,
    AttemptFailed,
    AttemptStarted,
    BadMessageReceived,
    BytesMissing,
    CloseReceived,
    CloseSent,
    EndReported,
    Established,
    Event,
    FrameReceived,
    FrameSent,
    GapDetected,
    Logged,
    Noted,
    OpaqueReceived,
    OpaqueSent,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    Retransmitted,
    RetryScheduled,
    TcpConnected,
    TransportEnded,
    UpgradeAnswered,
)
from chatkit.trace import Header, TraceBuilder
from chatkit.views.palette import Shape, Tone
from chatkit.views.sheet import OPEN_END, Label, Sheet, clip, span
from chatkit.views.wording import seen_by, vantage

if TYPE_CHECKING:
    from chatkit.trace import Trace

QUIET_FLOOR = 0.5
"""Seconds: a shorter pause before the first ping is not called stabilising."""
PENDING = 1000
"""Application pings that may wait for their pong; older ones are given up."""
MOST_ROWS = 24
"""Rows that an ending is read from; a recording that ends one connection over and over adds no more."""
_ENDS = (CloseSent, CloseReceived, TransportEnded, AttemptFailed, EndReported)
_BEFORE = (TcpConnected, UpgradeAnswered, Opened)
_FRAMES = (FrameSent, FrameReceived, PingSent, PingReceived, PongSent, PongReceived, OpaqueSent, OpaqueReceived)
_KEPT = (*_ENDS, *_BEFORE)
_TIMESTAMP = re.compile(rb'[^\\]\\"timestamp\\"\s*:\s*\\"([^"\\]{1,64})\\"')


class Lifeline:
    """What is known of one connection while its events come in."""

    def __init__(self, sheet: Sheet, lane: int, name: str, header: Header, stabilise: float | None) -> None:
        self.sheet, self.lane, self.name, self.header, self.stabilise = sheet, lane, name, header, stabilise
        self.origin: float | None = None
        """Open, or the first event until then; seconds."""
        self.ended_at: float | None = None
        self.last_sent: tuple[float, int, bytes] | None = None
        """Our last frame before what is being read: time, kind, row."""
        self._rows: list[tuple[float, int, bytes]] = []
        self._kept: set[int] = set()
        self._frames = False
        self._life: int | None = None
        self._attempt: int | None = None
        self._end: int | None = None
        self._quiet: int | None = None
        self._established: float | None = None
        self._established_row = 0
        self._retry: float | None = None
        self._pings: dict[tuple[str, bytes], float] = {}
        """When they went out, by vantage point and timestamp."""

    def live(self, at: float, row: int, kind: int, opened: bool = False, raw: bytes | None = None) -> None:
        """The connection lives at ``at``, whether or not its opening was seen; ``raw`` is the frame that shows it."""
        if raw is not None and not self._frames:
            self._frames = True
            self._rows.append((at, kind, raw))
            if self._end is not None:
                self._say_end()  # it lived, after all: the ending reads differently now
        if self._life is not None or self._end is not None:
            return
        word = self.sheet.word(f"connection {self.name}" + ("" if opened else ", opening not visible"))
        end = self.ended_at if self.ended_at is not None else OPEN_END
        self._life = self.sheet.mark(Shape.LIFE, Tone.OK, self.lane, at, end, row=row, kind=kind, word=word)
        if opened or self.origin is None:
            self.origin = at

    def add(self, event: Event, row: int, raw: bytes) -> None:
        """An event that is no data frame."""
        kind = KIND_CODE[type(event)]
        if self.origin is None:
            self.origin = event.at
        self._keep(event.at, kind, raw, isinstance(event, _ENDS))
        word = self.sheet.word(str(event) + seen_by(vantage(event.id)))
        if isinstance(event, _FRAMES):
            self.live(event.at, row, kind, raw=raw)
        match event:
            case AttemptStarted():
                self._begin(event, row, kind, word)
            case Opened():
                self._open(event, row, kind, word)
            case Established():
                self._establish(event, row, kind, word)
            case PingSent():
                self._ping(event.at, row, kind, word, Tone.SENT, -1)
            case PingReceived():
                self._ping(event.at, row, kind, word, Tone.RECEIVED, 1)
            case PongReceived(rtt=rtt) if rtt is not None:
                self._arc(event.at - rtt, event.at, row, kind, word)
            case CloseSent() | CloseReceived() | TransportEnded() | AttemptFailed() | EndReported():
                self._finish(event, row, kind, word)
            case UpgradeAnswered(status=status) if status != 101:
                self._refuse(event, row, kind, word)
            case RetryScheduled():
                self.retry(event, row, kind, word)
            case Noted():
                at = event.at if event.moment is None else event.moment
                mark = self._put(Shape.DIAMOND, Tone.REMARK, at, row, kind, word)
                self.sheet.relabel(mark, Label(dim=clip(event.text, 80)))
            case GapDetected() | BadMessageReceived() | ProtocolFailed():
                self._put(Shape.DIAMOND, Tone.REMARK, event.at, row, kind, word)
            case Logged() | Retransmitted() | BytesMissing():
                self._remark(event, row, kind, word)
            case PongReceived() | PongSent():
                level = 1 if isinstance(event, PongReceived) else -1
                self._put(Shape.DOT, Tone.QUIET, event.at, row, kind, word, level)
            case _:
                self._put(Shape.DOT, Tone.QUIET, event.at, row, kind, word)
        if self._end is not None and isinstance(event, _BEFORE):
            self._say_end()  # told out of order: the ending reads differently now

    def ping(self, at: float, row: int, raw: bytes, words: str, view: str = "") -> None:
        """An application ping went out; ``view`` is the vantage point that saw it."""
        self._ping(at, row, KIND_CODE[FrameSent], self.sheet.word(words + seen_by(view)), Tone.SENT, -1)
        self._pings[view, _stamp(raw, row)] = at
        if len(self._pings) > PENDING:
            del self._pings[next(iter(self._pings))]

    def pong(self, at: float, row: int, raw: bytes, view: str = "") -> None:
        """An application pong came: it echoes its ping's timestamp, else the oldest ping is the one."""
        key: tuple[str, bytes] | None = (view, _stamp(raw, row))
        if key not in self._pings:
            key = next((other for other in self._pings if other[0] == view), None)
        if key is None:
            return
        sent = self._pings.pop(key)
        word = self.sheet.word(f"pong, RTT {span(at - sent)}{seen_by(view)}")
        self._arc(sent, at, row, KIND_CODE[FrameReceived], word)

    def retry(self, event: RetryScheduled, row: int, kind: int, word: int) -> None:
        """What the client planned after this connection."""
        if self._retry is None:
            self._retry = event.delay
            if self._end is not None:
                label = self.sheet.label(self._end)
                self.sheet.relabel(self._end, Label(label.strong, label.dim, self._after()))
        self._put(Shape.DOT, Tone.QUIET, event.at, row, kind, word, -1)

    def _remark(self, event: Logged | Retransmitted | BytesMissing, row: int, kind: int, word: int) -> None:
        """A fact that is worth words beside its mark."""
        self.sheet.relabel(self._put(Shape.DIAMOND, Tone.REMARK, event.at, row, kind, word), Label(dim=brief(event)))

    def _put(self, shape: Shape, tone: Tone, at: float, row: int, kind: int, word: int, level: int = 0) -> int:
        return self.sheet.mark(shape, tone, self.lane, at, row=row, kind=kind, word=word, level=level)

    def _begin(self, event: Event, row: int, kind: int, word: int) -> None:
        if self._attempt is None and self._life is None and self._end is None:
            self._attempt = self.sheet.mark(
                Shape.ATTEMPT, Tone.QUIET, self.lane, event.at, OPEN_END, row=row, kind=kind, word=word
            )
        else:
            self._put(Shape.DOT, Tone.QUIET, event.at, row, kind, word)

    def _open(self, event: Event, row: int, kind: int, word: int) -> None:
        self._stop_attempt(event.at)
        self.live(event.at, row, kind, opened=True)
        self._put(Shape.OPEN, Tone.OK, event.at, row, kind, word)

    def _stop_attempt(self, at: float) -> None:
        if self._attempt is not None and self.sheet.is_open(self._attempt):
            self.sheet.patch(self._attempt, x1=at)

    def _establish(self, event: Event, row: int, kind: int, word: int) -> None:
        self._put(Shape.DOT, Tone.OK, event.at, row, kind, word)
        if self._established is not None:
            return
        self._established, self._established_row = event.at, row
        if self.stabilise:
            self._underline(event.at + self.stabilise)

    def _underline(self, until: float) -> None:
        assert self._established is not None
        length = until - self._established
        label = Label(dim=f"stabilising {length:.3g} s")
        if self._quiet is not None:
            self.sheet.patch(self._quiet, x1=max(until, self._established))
            self.sheet.relabel(self._quiet, label if length >= QUIET_FLOOR else Label())
        elif length >= QUIET_FLOOR:
            self._quiet = self.sheet.mark(
                Shape.UNDERLINE,
                Tone.REMARK,
                self.lane,
                self._established,
                until,
                row=self._established_row,
                kind=KIND_CODE[Established],
                word=self.sheet.word(label.dim + ": no ping of ours"),
                label=label,
            )

    def _ping(self, at: float, row: int, kind: int, word: int, tone: Tone, level: int) -> None:
        self._put(Shape.PING, tone, at, row, kind, word, level)
        if tone is Tone.SENT and self._established is not None:
            self._underline(at)
            self._established = None

    def _arc(self, sent: float, at: float, row: int, kind: int, word: int) -> None:
        label = Label(dim=f"RTT {span(at - sent)}")
        self.sheet.mark(
            Shape.ARC,
            Tone.RECEIVED,
            self.lane,
            sent,
            at,
            row=row,
            kind=kind,
            word=word,
            level=1,
            value=at - sent,
            label=label,
        )

    def _keep(self, at: float, kind: int, raw: bytes, is_end: bool) -> None:
        if is_end and self.last_sent is not None and len(self._rows) < MOST_ROWS:
            self._rows.append(self.last_sent)
        if kind in _KEPT_CODES and kind not in self._kept:
            self._kept.add(kind)
            self._rows.append((at, kind, raw))

    def _ending(self) -> Ending | None:
        """By the one reading of endings there is, over the few rows that it looks at."""
        builder = TraceBuilder(self.header)
        for at, kind, raw in self._rows:
            builder.append_row(raw, at, kind, self.name, -1)
        trace: Trace = builder.build()
        return trace.connections[0].ending

    def _finish(self, event: Event, row: int, kind: int, word: int) -> None:
        if self._end is None:
            self._end = self._put(Shape.CROSS, Tone.BAD, event.at, row, kind, word)
        else:
            self._put(Shape.DOT, Tone.QUIET, event.at, row, kind, word)
        self._say_end()

    def _say_end(self) -> None:
        ending = self._ending()
        if ending is None or self._end is None:
            return
        shape, tone = (Shape.END, Tone.QUIET) if ending.clean else (Shape.CROSS, Tone.BAD)
        words, detail = clip(ending.words, 80), clip(ending.detail, 120)
        strong, dim = ("", f"{words}, {detail}" if detail else words) if ending.clean else (words, detail)
        self.sheet.patch(self._end, x0=ending.at, x1=ending.at, shape=shape, tone=tone)
        self.sheet.relabel(self._end, Label(strong, dim, self._after()))
        self._close(ending.at, Tone.OK if ending.clean else Tone.BAD)

    def _refuse(self, event: UpgradeAnswered, row: int, kind: int, word: int) -> None:
        if self._end is None:
            self._end = self._put(Shape.CROSS, Tone.BAD, event.at, row, kind, word)
            self.sheet.relabel(self._end, Label(f"refused: HTTP {event.status}", "", self._after()))
            self._close(event.at, Tone.BAD)
        else:
            self._put(Shape.DOT, Tone.QUIET, event.at, row, kind, word)

    def _close(self, at: float, tone: Tone) -> None:
        self.ended_at = at
        self._stop_attempt(at)
        if self._life is not None:
            self.sheet.patch(self._life, x1=max(at, self.sheet.begin(self._life)), tone=tone)
        if self._quiet is not None and self._established is not None:
            self._underline(at)
            self._established = None

    def _after(self) -> str:
        return "" if self._retry is None else f"retry in {self._retry:.1f} s"


def brief(event: Logged | Retransmitted | BytesMissing) -> str:
    """Such an event in a few words."""
    match event:
        case Retransmitted():
            return f"{event.by} sent again {event.times} ×, {span(event.seconds)}"
        case BytesMissing():
            return f"{event.size:,} B missing here"
        case _:
            return clip(f"{event.by}: {event.what}", 60)


_KEPT_CODES = {KIND_CODE[kind] for kind in _KEPT}


def _stamp(raw: bytes, row: int) -> bytes:
    """The timestamp of a ping or pong; a ping without one gets a key of its own."""
    match = _TIMESTAMP.search(raw, 0, 4096)
    return match.group(1) if match else b"\0%d" % row
