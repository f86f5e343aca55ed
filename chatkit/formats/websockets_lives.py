"""Which connection a line of a websockets debug log belongs to, and how its life begins and ends.

The library names no connection. Where the program puts an id in front, that decides; otherwise the order of states
does: a request belongs to the connection that is connecting, an answer to the one that waits for it. With several
open at once a frame goes to the one that was last active, and is counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from chatkit.events import (
    AttemptFailed,
    CloseReceived,
    CloseSent,
    EndReported,
    Event,
    Headers,
    Opened,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.collector import Collector

_CONNECTING, _OPEN, _CLOSING, _CLOSED = "CONNECTING", "OPEN", "CLOSING", "CLOSED"
MOST_ALIVE = 10_000
"""Connections without an end that are kept in mind."""


class Life:
    """One connection, as far as the log has told."""

    def __init__(self, ids: Iterator[int], side: str | None, state: str) -> None:
        self.side, self.state = side, state
        self._ids, self._id = ids, ""
        self.echo = False
        """Whether the other end's log in the same file tells this life already."""
        self.request: tuple[float, str, Headers] | None = None
        self.response: tuple[float, int, str, Headers] | None = None
        self.told: set[str] = set()
        self.pings: dict[bool, dict[bytes, float]] = {True: {}, False: {}}
        self.closing: set[bool] = set()
        """Directions of close frames; true is client to server."""
        self.opened = self.done = False
        """Done: nothing but the word ``CLOSED`` is still to come, which not every server writes."""

    @property
    def refused(self) -> bool:
        """Whether the upgrade failed."""
        return "failed" in self.told

    @property
    def id(self) -> str:
        """Its number among the connections that have an event."""
        self._id = self._id or str(next(self._ids))
        return self._id

    def sent(self, mark: str) -> bool:
        """Whether a marked line went from client to server."""
        return (mark == ">") == (self.side != "server")

    def add(self, collector: Collector, wall: float, kind: type[Event], **fields: Any) -> None:
        """Adds an event of this life, unless somebody else tells it."""
        if not self.echo:
            collector.add(wall, kind, self.id, **fields)


class Lives:
    """All connections of a log; :meth:`turn` says whose line comes next."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._streams: dict[str, list[Life]] = {}
        self._lives: list[Life] = []
        self._last: Life | None = None
        self._reading: dict[str, tuple[Life, str]] = {}
        self._latest: dict[str, Life] = {}
        self._keys: dict[str, str] = {}
        self._key, self._named = "", False
        self._ids = itertools.count(1)
        self._openings = self._closings = 0
        self._guessed = self._echoes = self._unsided = 0
        self.retries = 0
        self.side: str | None = None
        self.sides: set[str] = set()
        """Whose log it is: ``client``, ``server`` or both."""

    def turn(self, key: str | None, side: str | None) -> None:
        """The next line comes from the connection with this id, or at least from this side's log."""
        self._named = key is not None
        self._key = key or side or ""
        self.side = side or self.side
        self.sides |= {side} if side else set()

    # What lines say

    def state(self, wall: float, state: str, code: int | None) -> None:
        """``= connection is …``; the older dialect tells the code at the end."""
        self._flush()
        if state == _CONNECTING:
            self._new(_CONNECTING)
        elif state == _OPEN:
            self._opened(wall)
        elif state == _CLOSING:
            self._pick(lambda one: one.state == _OPEN and bool(one.closing)).state = _CLOSING
        else:
            self._closed(wall, code)

    def request(self, wall: float, mark: str, target: str) -> None:
        """``> GET … HTTP/1.1``."""
        self._flush()
        life = next((one for one in self._mine() if one.state == _CONNECTING and one.request is None), None)
        life = life or self._new(_CONNECTING)
        if life.side is None:
            life.side = "client" if mark == ">" else "server"
        self.side = self.side or life.side
        self.sides.add(life.side)
        life.request = (wall, target, [])
        self._reading[self._key] = (life, mark)

    def response(self, wall: float, mark: str, status: int, reason: str) -> None:
        """``< HTTP/1.1 101 …``."""
        self._flush()
        waiting = [one for one in self._mine() if one.request is not None and one.response is None]
        if len(waiting) > 1 and not self._named:
            self._guessed += 1
        life = waiting[0] if waiting else self._new(_CONNECTING)
        if life.side is None:
            life.side = "server" if mark == ">" else "client"
        life.response = (wall, status, reason, [])
        self._reading[self._key] = (life, mark)

    def header(self, mark: str, name: str, value: str) -> bool:
        """A field of the head that is being read; ``False`` where none is."""
        reading = self._reading.get(self._key)
        if reading is None or reading[1] != mark:
            return False
        life = reading[0]
        fields = life.response[3] if life.response is not None else life.request[2] if life.request else []
        if len(fields) < 200:
            fields.append((name, value))
        return True

    def frame(self, wall: float, mark: str) -> Life:
        """Whose a data frame is."""
        self._flush()
        return self._alive(mark)

    def control(self, wall: float, mark: str, opcode: str, payload: bytes) -> Life:
        """Whose a ping or pong is: a pong belongs to whoever was pinged so."""
        self._flush()
        if opcode == "PONG":
            asked = [one for one in self._mine() if payload in one.pings[not one.sent(mark)]]
            if len(asked) == 1:
                self._touch(asked[0])
                return asked[0]
        return self._alive(mark)

    def close(self, wall: float, mark: str, code: int | None, reason: str) -> None:
        """A close frame: an answer belongs to whoever asked."""
        self._flush()
        waits = [one for one in self._mine() if one.closing and one.sent(mark) not in one.closing and not one.done]
        life = waits[0] if waits else self._alive(mark, closing=True)
        self._touch(life)
        sent = life.sent(mark)
        life.closing.add(sent)
        life.add(self._collector, wall, CloseSent if sent else CloseReceived, code=code, reason=reason)

    def eof(self, wall: float, mark: str) -> None:
        """``< EOF``: no more bytes of that side; FIN and RST look alike here."""
        self._flush()
        life = self._leaving()
        if life is None:
            return
        self._touch(life)
        if life.opened and not life.closing:
            self._report(wall, life, None, "client" if life.sent(mark) else "server")
        life.done = life.refused or len(life.closing) == 2
        self._forget()

    def leaving(self, wall: float) -> None:
        """``x closing TCP connection``: we go; a log without states has no other word for the end."""
        self._flush()
        life = self._leaving()
        if life is not None:
            self._touch(life)

    def lost(self, wall: float, detail: str) -> None:
        """``event = connection_lost(…)`` of the older dialect: TCP's own end."""
        self._flush()
        life = self._leaving(ended=True)
        if life is None or "transport" in life.told:
            return
        life.told.add("transport")
        reset = "ConnectionReset" in detail
        how, by = ("rst", "server" if life.side != "server" else "client") if reset else ("local", None)
        if detail not in ("None", ""):
            self._collector.not_visible.discard("transport-end")
            life.add(self._collector, wall, TransportEnded, how=how, by=by, error=detail[:300])

    def failed(self, wall: float, text: str) -> Life:
        """An attempt that failed, as the reconnecting client tells it."""
        self._flush()
        life = next((one for one in reversed(self._lives) if "failed" in one.told and one.state != "told"), None)
        if life is None:
            life = self._new(_CLOSED)
            stage = "upgrade" if "InvalidStatus" in text or "InvalidHandshake" in text else "tcp"
            life.add(self._collector, wall, AttemptFailed, stage=stage, error=text[:300])
        life.state = "told"
        return life

    def active(self) -> Life | None:
        """The connection that a remark is about: the only open one, or the last active."""
        self._flush()
        mine = [one for one in self._mine() if one.state != _CLOSED and not one.done]
        if len(mine) > 1 and not self._named:
            self._guessed += 1
        return self._last if self._last in mine else (mine[-1] if mine else self._latest.get(self._key))

    def latest(self) -> Life | None:
        """The connection that was last spoken of, whether it lives or not."""
        self._flush()
        latest = self._latest.get(self._key)
        if not self._named and any(one is not latest and one.opened and not one.done for one in self._mine()):
            self._guessed += 1
        return latest

    def finish(self, *, timed: bool) -> None:
        """After the last line: what is half read is told, and what was guessed."""
        for key in list(self._reading):
            self._key = key
            self._flush()
        if self._guessed:
            self._collector.warn(
                f"the log names no connections and several were open at once: {self._guessed:,} lines were given to "
                "the one that fits by its state or was last active (put websocket.id into the program's log format)"
            )
        if self._echoes:
            self._collector.warn(
                f"the file holds the logs of both ends: {self._echoes:,} connections that the client's lines tell "
                "were not read once more from the server's lines"
            )
        if self._openings and not self._closings:
            self._collector.warn(
                "the log never says “connection is CLOSED” (uvicorn's use of the library does not): a connection "
                "without an end here may have ended all the same"
            )
        if self._unsided:
            self._collector.warn("the log does not say whose it is: it is taken for the client's")

    # Which one

    def _mine(self) -> list[Life]:
        return self._streams.setdefault(self._key, [])

    def _new(self, state: str) -> Life:
        mine = self._mine()
        if len(mine) >= MOST_ALIVE:
            mine.pop(0)
        known = self._key if self._key in ("client", "server") else self.side if self._named else None
        life = Life(self._ids, known, state)
        self._lives = [*self._lives[-20:], life]
        mine.append(life)
        self._touch(life)
        return life

    def _touch(self, life: Life) -> None:
        self._last = self._latest[self._key] = life

    def _pick(self, fits: Callable[[Life], bool]) -> Life:
        """The last that fits, else the last of all."""
        mine = self._mine()
        life = next((one for one in reversed(mine) if fits(one)), mine[-1] if mine else None) or self._new(_OPEN)
        self._touch(life)
        return life

    def _alive(self, mark: str, *, closing: bool = False) -> Life:
        """The open connection that a frame belongs to; a log that begins in the middle has one already."""
        alive = [one for one in self._mine() if one.opened and not one.done]
        if closing:
            # Nobody sends two close frames.
            alive = [one for one in alive if one.sent(mark) not in one.closing] or alive
        if not alive:
            alive = [self._new(_OPEN)]
            alive[0].opened = True
        if alive[0].side is None:
            self._unsided = 1
        if len(alive) > 1 and not self._named:
            self._guessed += 1
        latest = self._latest.get(self._key)
        life = latest if latest in alive else alive[-1]
        assert life is not None
        self._touch(life)
        return life

    def _leaving(self, *, ended: bool = False) -> Life | None:
        """The connection that is about to end."""
        mine = self._mine()
        closing = [one for one in mine if one.done] if ended else []
        closing = closing or [one for one in mine if not one.done and (one.state == _CLOSING or len(one.closing) == 2)]
        if closing:
            return closing[0]
        alive = [one for one in mine if one.state != _CLOSED and not one.done]
        latest = self._latest.get(self._key)
        if latest in alive or (ended and latest is not None):
            return latest
        if len(alive) > 1 and not self._named:
            self._guessed += 1
        return alive[-1] if alive else None

    # What is told

    def _flush(self) -> None:
        """The head that was being read is whole: the line after it is no field."""
        reading = self._reading.pop(self._key, None)
        if reading is None:
            return
        life = reading[0]
        if life.request is not None and "request" not in life.told:
            life.told.add("request")
            self._requested(life)
        if life.response is not None and "response" not in life.told:
            life.told.add("response")
            self._answered(life)

    def _requested(self, life: Life) -> None:
        assert life.request is not None
        wall, target, headers = life.request
        key = next((value for name, value in headers if name.lower() == "sec-websocket-key"), None)
        if key is not None:
            if self._keys.get(key, life.side) != life.side:
                # Both ends log into one file; the end that asked first in it tells the life.
                life.echo = True
                self._echoes += 1
            elif len(self._keys) < 1_000_000:
                self._keys[key] = life.side or ""
        fields = self._collector.redactor.headers(headers)
        target = self._collector.redactor.text(target)
        life.add(self._collector, wall, UpgradeRequested, target=target, headers=fields, key=key)

    def _answered(self, life: Life) -> None:
        assert life.response is not None
        wall, status, reason, headers = life.response
        timed = "timing" not in self._collector.not_visible and life.request is not None
        seconds = round(wall - life.request[0], 6) if timed and life.request is not None else None
        fields = self._collector.redactor.headers(headers)
        life.add(self._collector, wall, UpgradeAnswered, status=status, reason=reason, headers=fields, seconds=seconds)
        if status != 101:
            life.told.add("failed")
            life.add(
                self._collector,
                wall,
                AttemptFailed,
                stage="upgrade",
                error=f"HTTP {status} {reason}".rstrip(),
                status=status,
            )
        else:
            self._open(wall, life)

    def _open(self, wall: float, life: Life) -> None:
        if life.opened or "failed" in life.told:
            return
        life.opened = True
        life.state = _OPEN
        self._openings += 1
        self._touch(life)
        fields = {name.lower(): value for name, value in (life.response[3] if life.response else [])}
        life.add(
            self._collector,
            wall,
            Opened,
            extensions=fields.get("sec-websocket-extensions"),
            subprotocol=fields.get("sec-websocket-protocol"),
        )

    def _opened(self, wall: float) -> None:
        """``= connection is OPEN``; the head before it, where the log has one, has told it already."""
        mine, latest = self._mine(), self._latest.get(self._key)
        if latest is not None and latest in mine and latest.opened:
            return
        waits = [one for one in mine if not one.opened and one.request is None and not one.refused]
        life = waits[0] if waits else self._new(_CONNECTING)
        self._touch(life)
        self._open(wall, life)

    def _forget(self) -> None:
        """Of those that are done, the last are kept for the word that may still come."""
        mine = self._mine()
        done = [one for one in mine if one.done]
        if len(done) > 20:
            mine.remove(done[0])

    def _closed(self, wall: float, code: int | None) -> None:
        self._closings += 1
        mine = self._mine()
        life = self._leaving(ended=True)
        if life is None or life not in mine:
            return
        if life.opened and not life.closing:
            self._report(wall, life, code, None)
        elif not life.opened and life.request is not None and "failed" not in life.told:
            life.told.add("failed")
            life.add(self._collector, wall, AttemptFailed, stage="upgrade", error="ended before an answer came")
        life.state = _CLOSED
        self._touch(life)
        mine.remove(life)

    def _report(self, wall: float, life: Life, code: int | None, by: str | None) -> None:
        """An end without a close frame, once."""
        if "end" not in life.told:
            life.told.add("end")
            life.add(self._collector, wall, EndReported, code=code or 1006, by=by, source="websockets")
