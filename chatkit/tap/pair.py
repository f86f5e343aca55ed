"""The two TCP connections of one client through a hop, and what a fault plan does to them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from chatkit.faults.moments import Abort, Action, BlackHole, CloseWith, Delay, How, Moment, Opened, Wake, Woke
from chatkit.faults.path_kinds import READS_FRAMES
from chatkit.faults.path_moments import Direction, Flowed, Linked, Lose
from chatkit.faults.plan import FaultPlan
from chatkit.recorder import RelayTap
from chatkit.tap.altering import close_frame
from chatkit.tap.hole import Hole, lose
from chatkit.tap.lane import Lane
from chatkit.tap.reaching import address
from chatkit.tap.reading import Reading
from chatkit.tap.recorded import MOST_BEHIND, RecordedSide, behind
from chatkit.tap.side import Side
from chatkit.tap.telling import dead, told
from chatkit.tap.watch import Watch
from chatkit.wire.relayed import Relayed

LINGER = 2.0
"""Seconds that a client has to read a last answer and to end its side."""
_PIECE = 4096
"""Bytes that are delayed together, so that a throttled line is no line of bursts."""
_PACES = frozenset({"throttle", "latency"})
_LOOK = 0.05
"""Seconds between two looks at whether the recording has caught up."""
_UNREACHABLE = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
BY_FAULT = "a fault of the tap did it"
STOPPED = "the tap was stopped"


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
        tap: where it is recorded, if it is.
        host: what requests shall name as their host; ``None`` leaves them as they are.
    """

    def __init__(
        self, keeper: Keeper, ordinal: int, plan: FaultPlan, tap: RelayTap | None = None, host: str | None = None
    ) -> None:
        self.client = Side(self, "outbound") if tap is None else RecordedSide(self, "outbound", tap)
        self.server = Side(self, "inbound")
        self._lanes: dict[Direction, Lane] = {
            "outbound": Lane(self.client, self.server, self._done),
            "inbound": Lane(self.server, self.client, self._answered),
        }
        self._tap = tap
        self._by_fault = False
        self._waiting: set[Side] = set()
        self._keeper, self._plan = keeper, plan
        self._state = plan.begin(ordinal)
        ids = {fault.id for fault in plan.faults}
        self._reading = Reading(self, frames=bool(ids & READS_FRAMES), host=host) if ids or host else None
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

    def end(self, how: How, *, stopped: bool = False) -> None:
        """Ends both connections at once; after the end it does nothing.

        Args:
            how: how.
            stopped: whether the relay itself ends, and no fault of the plan.
        """
        if not self._over:
            self._by_fault = not stopped
            self._tell("local", None, STOPPED) if stopped else self._tell(how, "server")
            self._stop()
            for side in (self.client, self.server):
                side.end(how)

    @property
    def recorded(self) -> bool:
        """Whether somebody records it."""
        return self._tap is not None

    def heard(self, data: bytes) -> None:
        """What the client said to a server that was not reached."""
        if self._tap is not None and data:
            self._tap.sent(data)

    def reached(self, client: tuple[Any, ...], seconds: float) -> None:
        """The server's connection stands; ``client`` is the address of the other one."""
        if self._tap is None:
            return
        agreed = None
        if (
            self.server.transport is not None
            and (tls := self.server.transport.get_extra_info("ssl_object")) is not None
        ):
            from chatkit.client.opening import describe_tls  # the whole client comes with it

            agreed = describe_tls(tls)
        local, peer = address(*client[:2]), address(*self.server.sock.getpeername()[:2])
        self._tap.tell(Relayed.connected, local, peer, round(seconds, 6), agreed)

    def fail(self, stage: str, error: str) -> None:
        """Tells the recording why the two connections were never linked, before they are ended."""
        if self._tap is not None:
            self._tap.tell(Relayed.failed, stage, error)
            self._tap = None

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
        self._by_fault = True
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
        self.note(dead(seconds))
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
            elif self._tap is not None and (words := told(moment, action)) is not None:
                self.note(words)
        return actions

    def note(self, text: str) -> None:
        """Puts a remark into the recording, if there is one."""
        if self._tap is not None:
            self._tap.tell(Relayed.noted, text)

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
        if self._tap is not None and behind(self._tap.recorder):
            self._wait(side)
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
        if side is self.client:
            self._tell("fin", "client")
        if self._reading is not None:
            self._reading.rest(side.direction)
        self._lanes[side.direction].finish()

    def lost(self, side: Side, error: Exception | None) -> None:
        """RST stays RST. What else ends a connection ends the other in order."""
        self._keeper.watch.remove(side)
        other = self._other(side)
        if not self._over:
            if error is not None:
                self._tell(*self._cause(side, error))
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
            self._tell("rst", self._name(side))
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

    def _tell(self, how: str, by: str | None, error: str | None = None) -> None:
        """How the client's connection ends, for the recording; the first time counts."""
        if self._tap is not None:
            self._tap.ended(how, by, BY_FAULT if self._by_fault else error)

    def _wait(self, side: Side) -> None:
        """Reads a side no more until the recording has caught up: it must lose nothing, and memory has an end."""
        if side in self._waiting:
            return
        assert self._tap is not None
        recorder, loop = self._tap.recorder, asyncio.get_running_loop()
        began = loop.time()
        self._waiting.add(side)
        side.hold("recording")

        def look() -> None:
            if behind(recorder, MOST_BEHIND // 2):
                self.later(_LOOK, look)
                return
            self._waiting.discard(side)
            side.release("recording")
            self.note(f"the tap held up the {self._name(side)} for {loop.time() - began:.2f} s: its recording was late")

        self.later(_LOOK, look)

    def _name(self, side: Side) -> str:
        return "client" if side is self.client else "server"

    def _cause(self, side: Side, error: Exception) -> tuple[str, str | None, str]:
        """An error of asyncio as what happened to the transport, by whom, and in words."""
        name = self._name(side)
        words = f"at the {name}'s side: {error}"
        if isinstance(error, ConnectionError):
            return "rst", name, words
        if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno in _UNREACHABLE):
            return "timeout", None, words
        return "rst", name, words

    def _answered(self) -> None:
        """FIN went to the client."""
        self._tell("fin", "server")
        self._done()

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
