"""The lanes beside the connections: client, HTTP, health, typing, streaming and our own loop's lag."""

from __future__ import annotations

import re

from msgspec import Struct

from chatkit.events import (
    KIND_CODE,
    Event,
    FrameReceived,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    Logged,
    LoopLagged,
    Noted,
    StateChanged,
)
from chatkit.views.palette import Shape, Tone
from chatkit.views.sheet import OPEN_END, Label, Sheet, clip, span
from chatkit.views.wording import seen_by, vantage

CLIENT, HTTP, HEALTH, TYPING, STREAMING, LAG, LOG = range(7)
TITLES = {
    CLIENT: ("client", "client"),
    HTTP: ("http", "HTTP"),
    HEALTH: ("health", "health"),
    TYPING: ("typing", "typing"),
    STREAMING: ("streaming", "streaming"),
    LAG: ("lag", "our loop lag"),
    LOG: ("log", "logs"),
}
"""Kind and title by lane code."""
LAG_WORTH_WORDS = 0.1
"""Seconds of lag from which a sample says its value."""
_STATES = {"connected": "live", "stable": "live, stable", "backoff": "reconnecting", "auth-required": "needs a token"}
"""The client's states as people say them; others stand as they are."""
_GOOD = ("connected", "stable", "live")
_FAILED = ("failed", "token", "auth")
_WAITING = ("connecting", "backoff", "reconnecting")
_MESSAGE_ID = re.compile(rb'[^\\]\\"message_id\\"\s*:\s*\\"([^"\\]{1,200})\\"')
_IS_TYPING = re.compile(rb'[^\\]\\"is_typing\\"\s*:\s*(true|false)')
_USER = re.compile(rb'[^\\]\\"(?:username|user_id)\\"\s*:\s*\\"([^"\\]{1,64})\\"')


class _Stream(Struct):
    mark: int
    view: str
    chunks: int


class Sidelines:
    """Open bars of the lanes beside the connections."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.used = {CLIENT}
        self._state: int | None = None
        self._exchanges: dict[tuple[str, str], tuple[int, int]] = {}
        self._typing: dict[tuple[int, bytes], int] = {}
        self._streams: dict[tuple[int, bytes], _Stream] = {}
        self._seen: set[tuple[int, bytes]] = set()
        """Streams of merged evidence that are drawn: other vantage points see them, too."""

    def add(self, event: Event, row: int) -> None:
        """An event beside any connection, or one whose place is beside them."""
        view = vantage(event.id)
        kind, word = KIND_CODE[type(event)], self.sheet.word(str(event) + seen_by(view))
        match event:
            case StateChanged():
                self._change(event, row, kind, word)
            case HttpRequested():
                self._request(event, row, kind, word, view)
            case HttpAnswered() | HttpFailed():
                self._answer(event, row, kind, word, view)
            case HealthChecked():
                self._check(event, row, kind, word)
            case LoopLagged():
                label = Label(dim=span(event.lag)) if event.lag >= LAG_WORTH_WORDS else None
                self._put(LAG, Shape.AREA, Tone.LAG, event.at, row, kind, word, label=label, value=event.lag)
            case Logged():
                label = Label(dim=clip(f"{event.by}: {event.what}", 60))
                self._put(LOG, Shape.DIAMOND, Tone.REMARK, event.at, row, kind, word, label=label)
            case Noted():
                label = Label(dim=clip(event.text, 80))
                at = event.at if event.moment is None else event.moment
                self._put(CLIENT, Shape.DIAMOND, Tone.REMARK, at, row, kind, word, label=label)
            case _:
                self._put(CLIENT, Shape.DOT, Tone.QUIET, event.at, row, kind, word, level=-1)

    def typing(self, connection: int, at: float, row: int, raw: bytes, kind: int) -> None:
        """Somebody types, or stopped; ours when we sent it."""
        found = _IS_TYPING.search(raw, 0, 8192)
        if found is None:
            return
        ours = kind != KIND_CODE[FrameReceived]
        user = _USER.search(raw, 0, 8192)
        who = b"" if ours or user is None else user.group(1)
        key = (connection, b"\0us" if ours else who)
        if found.group(1) == b"false":
            self._shut(self._typing.pop(key, None), at)
        elif key not in self._typing:
            name = "we type" if ours else f"{who.decode('utf-8', 'replace') or 'somebody'} types"
            word, tone = self.sheet.word(name), Tone.SENT if ours else Tone.TYPING
            self._typing[key] = self._put(TYPING, Shape.BAR, tone, at, row, kind, word, x1=OPEN_END)

    def chunk(
        self, connection: int, at: float, row: int, raw: bytes, kind: int, view: str = "", pieces: int = 1
    ) -> None:
        """Pieces of a streamed reply; of several vantage points, the first that shows a stream counts its pieces."""
        found = _MESSAGE_ID.search(raw, 0, 8192)
        key = (connection, found.group(1) if found else b"")
        if (stream := self._streams.get(key)) is not None:
            stream.chunks += pieces if stream.view == view else 0
            return
        if view and key in self._seen:
            return
        if view:
            self._seen.add(key)
        word = self.sheet.word("streamed reply" + seen_by(view))
        mark = self._put(STREAMING, Shape.BAR, Tone.RECEIVED, at, row, kind, word, x1=OPEN_END)
        self._streams[key] = _Stream(mark, view, pieces)

    def reply(self, connection: int, at: float, raw: bytes) -> None:
        """A whole reply; if it was streamed, it is complete now."""
        found = _MESSAGE_ID.search(raw, 0, 8192)
        self._finish_stream((connection, found.group(1) if found else b""), at, "")

    def gone(self, connection: int, at: float) -> None:
        """A connection ended: what it left open ends with it."""
        for key in [key for key in self._typing if key[0] == connection]:
            self._shut(self._typing.pop(key), at)
        for key in [key for key in self._streams if key[0] == connection]:
            self._finish_stream(key, at, ", cut off")

    def _put(
        self,
        lane: int,
        shape: Shape,
        tone: Tone,
        at: float,
        row: int,
        kind: int,
        word: int,
        *,
        x1: float | None = None,
        level: int = 0,
        value: float = 0.0,
        label: Label | None = None,
    ) -> int:
        self.used.add(lane)
        return self.sheet.mark(
            shape, tone, lane, at, x1, row=row, kind=kind, word=word, level=level, value=value, label=label
        )

    def _shut(self, mark: int | None, at: float) -> None:
        if mark is not None:
            self.sheet.patch(mark, x1=max(at, self.sheet.begin(mark)))

    def _finish_stream(self, key: tuple[int, bytes], at: float, remark: str) -> None:
        stream = self._streams.pop(key, None)
        if stream is None:
            return
        self._shut(stream.mark, at)
        self.sheet.relabel(stream.mark, Label(dim=f"{stream.chunks} chunk{'s' if stream.chunks != 1 else ''}{remark}"))
        if remark:
            self.sheet.patch(stream.mark, tone=Tone.BAD)

    def _change(self, event: StateChanged, row: int, kind: int, word: int) -> None:
        self._shut(self._state, event.at)
        label = Label(dim=clip(_STATES.get(event.state, event.state), 40))
        self._state = self._put(
            CLIENT, Shape.SEGMENT, _tone(event.state), event.at, row, kind, word, x1=OPEN_END, label=label
        )

    def _request(self, event: HttpRequested, row: int, kind: int, word: int, view: str) -> None:
        taken = {storey for _, storey in self._exchanges.values()}
        storey = next((free for free in (0, 1, 2) if free not in taken), 0)
        label = Label(dim=clip(f"{event.method} {event.purpose} …", 60))
        mark = self._put(HTTP, Shape.BAR, Tone.QUIET, event.at, row, kind, word, x1=OPEN_END, level=storey, label=label)
        self._exchanges[view, event.exchange] = (mark, storey)

    def _answer(self, event: HttpAnswered | HttpFailed, row: int, kind: int, word: int, view: str) -> None:
        failed = isinstance(event, HttpFailed)
        outcome = "failed" if isinstance(event, HttpFailed) else str(event.status)
        label = Label(dim=clip(f"{event.method} {event.purpose} {outcome}", 60))
        bad = failed or (isinstance(event, HttpAnswered) and event.status >= 400)
        tone = Tone.BAD if bad else Tone.QUIET
        mark, storey = self._exchanges.pop((view, event.exchange), (None, 0))
        if mark is None:
            begin = event.at - event.seconds
            mark = self._put(HTTP, Shape.BAR, tone, begin, row, kind, word, x1=event.at)
        self.sheet.patch(mark, x1=max(event.at, self.sheet.begin(mark)), tone=tone)
        self.sheet.relabel(mark, label)
        self._put(HTTP, Shape.CROSS if failed else Shape.CAP, tone, event.at, row, kind, word, level=storey)

    def _check(self, event: HealthChecked, row: int, kind: int, word: int) -> None:
        answer = "failed" if event.status is None else str(event.status)
        if event.healthy:
            label = Label(dim=f"{event.method} {answer}, {span(event.seconds)}")
            self._put(HEALTH, Shape.POINT, Tone.OK, event.at, row, kind, word, label=label)
            return
        remark = event.status is not None and event.status < 500
        shape, tone = (Shape.DIAMOND, Tone.REMARK) if remark else (Shape.CROSS, Tone.BAD)
        self._put(HEALTH, shape, tone, event.at, row, kind, word, label=Label(dim=f"{event.method} {answer}"))


def stream_of(raw: bytes) -> bytes | None:
    """The stretch of an encoded chunk that names its message, if it has one."""
    found = _MESSAGE_ID.search(raw, 0, 8192)
    return found.group(0) if found else None


def _tone(state: str) -> Tone:
    lower = state.lower()
    if lower in _GOOD:
        return Tone.OK
    if lower in _WAITING:
        return Tone.REMARK
    return Tone.BAD if any(part in lower for part in _FAILED) else Tone.QUIET
