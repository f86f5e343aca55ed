"""The two TCP connections of one client through a hop, and what a fault plan does to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from chatkit.faults.moments import Abort, Action, BlackHole, CloseWith, Delay, How, Moment, Opened, Wake, Woke
from chatkit.faults.path_kinds import READS_FRAMES
from chatkit.faults.path_moments import Direction, Flowed, Linked, Lose
from chatkit.faults.plan import FaultPlan
from chatkit.tap.altering import close_frame
from chatkit.tap.hole import Hole, lose
from chatkit.tap.lane import Lane
from chatkit.tap.reading import Reading
from chatkit.tap.side import Side
from chatkit.tap.watch import Watch

LINGER = 2.0
"""Seconds that a client has to read a last answer and to end its side."""
_PIECE = 4096
"""Bytes that are delayed together, so that a throttled line is no line of bursts."""
_PACES = frozenset({"throttle", "latency"})


class Keeper(Protocol):
    """Who has all pairs of a hop."""

    open: int
    """WebSockets that are open."""
    watch: Watch

    def forget(self, pair: Pair) -> None:
        """Both connections are no more."""


class Pair:
    """One client, one connection to the server, a lane each way; without faults nothing is read.

    Args:
        keeper: who made it.
        ordinal: its number from 1.
        plan: what goes wrong.
    """

    def __init__(self, keeper: Keeper, ordinal: int, plan: FaultPlan) -> None:
        self.client, self.server = Side(self, "outbound"), Side(self, "inbound")
        self._lanes: dict[Direction, Lane] = {
            "outbound": Lane(self.client, self.server, self._done),
            "inbound": Lane(self.server, self.client, self._done),
        }
        self._keeper, self._plan = keeper, plan
        self._state = plan.begin(ordinal)
        ids = {fault.id for fault in plan.faults}
        self._reading = Reading(self, frames=bool(ids & READS_FRAMES)) if ids else None
        self._paces = bool(ids & _PACES)
        self._timers: set[asyncio.TimerHandle] = set()
        self._healing: asyncio.TimerHandle | None = None
        self._holes: list[Hole] = []
        self._losses: list[tuple[Side, float]] = []
        self._over = self._counted = False

    # Life

    def link(self) -> None:
        """Both connections stand: bytes may flow."""
        if self._over:
            self.client.end("rst")
            self.server.end("rst")
            return
        for side in (self.client, self.server):
            if not side.gone:
                self._keeper.watch.add(side)
        if self._reading is not None:
            for action in self.ask(Linked()):
                if isinstance(action, Lose):
                    self._lose(action)
        for lane in self._lanes.values():
            lane.go()

    def end(self, how: How) -> None:
        """Ends both connections at once; after the end it does nothing."""
        if not self._over:
            self._stop()
            for side in (self.client, self.server):
                side.end(how)

    def close(self, code: int, reason: str) -> None:
        """Ends the WebSocket with a close frame to the client; within a message that is not possible, and a FIN ends
        it."""
        if self._over:
            return
        if self._reading is not None and self._reading.between:
            self.leave(close_frame(code, reason))
        else:
            self.end("fin")

    def leave(self, answer: bytes) -> None:
        """Sends the client a last answer behind what waits for it, and ends both connections."""
        if self._over:
            return
        self._stop(clear=False)
        self._lanes["outbound"].clear()
        lane = self._lanes["inbound"]
        lane.put(answer)
        lane.finish()
        self.server.end("fin")
        for why in ("full", "lane"):
            self.client.release(why)  # what still comes is read and thrown away, or its end would be an RST
        self.later(LINGER, lambda: self.client.end("fin"))

    def abandon(self) -> None:
        """Ends what there is of a pair that was never linked, or whose hop is no more."""
        self._stop()
        for hole in self._holes:
            hole.close()
        self._holes.clear()
        for side in (self.client, self.server):
            if not side.gone:
                side.end("fin")
        self._keeper.forget(self)

    def mute(self, seconds: float) -> None:
        """Kills the path of both connections in silence, for that time or, with 0, until :meth:`heal`."""
        if self._holes or self.client.gone or self.server.gone:
            return
        for side in (self.client, self.server):
            side.hold("mute")
            self._holes.append(Hole(side.sock))
        for lane in self._lanes.values():
            lane.stop()
        if seconds > 0:
            self._healing = asyncio.get_running_loop().call_later(seconds, self.heal)

    def heal(self) -> None:
        """Undoes :meth:`mute`: what was held goes on, an end that was hidden shows; twice is fine."""
        if self._healing is not None:
            self._healing.cancel()
        if not self._holes:
            return
        for hole in self._holes:
            hole.close()
        self._holes.clear()
        for side, share in self._losses:
            with suppress(OSError):
                lose(side.sock, share)
        for side in (self.client, self.server):
            side.release("mute")
        if not self._over:
            for lane in self._lanes.values():
                lane.go()
        self._forget()

    # What a reading asks for

    @property
    def open(self) -> int:
        """WebSockets that are open through the hop."""
        return self._keeper.open

    def ask(self, moment: Moment) -> tuple[Action, ...]:
        """What the plan says; wake-ups are put on the clock."""
        loop = asyncio.get_running_loop()
        self._state, actions = self._plan.decide(self._state, moment, loop.time())
        for action in actions:
            if isinstance(action, Wake):
                self._wake(action)
        return actions

    def put(self, way: Direction, data: bytes, delay: float) -> None:
        """Passes bytes on."""
        if not self._over:
            self._lanes[way].put(data, delay)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Calls after that time, unless it is over by then."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            self._timers.discard(timer)
            callback()

        timer = loop.call_later(seconds, run)
        self._timers.add(timer)

    def opened(self) -> None:
        """A WebSocket is open."""
        self._counted = True
        self._keeper.open += 1
        self.ask(Opened())

    # What the sides tell

    def came(self, side: Side, data: bytes) -> None:
        """Bytes: counted, delayed, read and passed on, as far as the plan has to do with them."""
        if self._over:
            return
        if self._reading is None:
            self._lanes[side.direction].put(data)
            return
        step = _PIECE if self._paces else len(data)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            actions = self.ask(Flowed(direction=side.direction, size=len(piece)))
            delay = sum(action.seconds for action in actions if isinstance(action, Delay))
            self._reading.feed(side.direction, piece, delay)

    def finished(self, side: Side) -> None:
        """FIN stays FIN, and half of a connection stays half; when both came, both connections are over."""
        if self._over:
            side.close()
            return
        if self._reading is not None:
            self._reading.rest(side.direction)
        self._lanes[side.direction].finish()

    def lost(self, side: Side, error: Exception | None) -> None:
        """RST stays RST. What else ends a connection ends the other in order."""
        self._keeper.watch.remove(side)
        other = self.server if side is self.client else self.client
        if not self._over:
            if error is not None:
                self._stop()
                other.end("rst")
            else:
                if not side.ended:
                    self.finished(side)
                self._done()
        self._forget()

    def reset(self, side: Side) -> None:
        """An RST that reading did not notice."""
        if not self._over:
            self._stop()
            for one in (self.client, self.server):
                one.end("rst")

    def full(self, side: Side) -> None:
        """Reads the other side no more."""
        self._other(side).hold("full")

    def drained(self, side: Side) -> None:
        """Reads the other side again."""
        self._other(side).release("full")

    # How

    def _other(self, side: Side) -> Side:
        return self.server if side is self.client else self.client

    def _done(self) -> None:
        if not self._over and all(lane.done for lane in self._lanes.values()):
            self._stop()
            for side in (self.client, self.server):
                side.close()

    def _lose(self, action: Lose) -> None:
        for side in (self.client, self.server):
            if action.direction in ("both", side.direction):
                self._losses.append((side, action.share))
                lose(side.sock, action.share)

    def _wake(self, wake: Wake) -> None:
        def woke() -> None:
            if not self._over:
                for action in self.ask(Woke(key=wake.key)):
                    self._perform(action)

        self.later(wake.after, woke)

    def _perform(self, action: Action) -> None:
        match action:
            case Abort(how=how):
                self.end(how)
            case CloseWith(code=code, reason=reason):
                self.close(code, reason)
            case BlackHole(seconds=seconds):
                self.mute(seconds)

    def _stop(self, *, clear: bool = True) -> None:
        self._over = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if clear:
            for lane in self._lanes.values():
                lane.clear()
        self._uncount()

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._keeper.open -= 1

    def _forget(self) -> None:
        if self.client.gone and self.server.gone:
            self._uncount()
            self._stop()
            if not self._holes:
                self._keeper.forget(self)
