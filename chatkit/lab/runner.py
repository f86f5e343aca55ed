"""Executes a fault plan for one connection, or for the server: keeps its state and its timers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chatkit.faults.moments import (
    Abort,
    Action,
    BlackHole,
    CloseWith,
    Crash,
    Delay,
    Evict,
    Inject,
    Malform,
    Moment,
    Refuse,
    Restart,
    Stall,
    Wake,
    Woke,
)
from chatkit.faults.plan import FaultPlan

Deed = Abort | CloseWith | Inject | Malform | BlackHole | Evict | Restart | Crash | Stall
"""The actions that somebody with hands must perform."""


class FaultRunner:
    """One plan, one subject, the loop's clock.

    Args:
        plan: what to ask.
        ordinal: the connection's number from 1; 0 for the server.
        perform: does a deed; called from the loop, never from within :meth:`tell`.
    """

    def __init__(self, plan: FaultPlan, ordinal: int, perform: Callable[[Deed], None]) -> None:
        self.plan = plan
        self.ordinal = ordinal
        self._state = plan.begin(ordinal)
        self._perform = perform
        self._timers: list[asyncio.TimerHandle] = []
        self._closed = False

    def ask(self, moment: Moment) -> tuple[Action, ...]:
        """What the plan says to this moment; nothing is performed."""
        now = asyncio.get_running_loop().time()
        self._state, actions = self.plan.decide(self._state, moment, now)
        return actions

    def tell(self, moment: Moment) -> tuple[Action, ...]:
        """The same, and deeds and wake-ups are put on the clock; the rest is for the caller."""
        if self._closed:
            return ()
        actions = self.ask(moment)
        for action in actions:
            self._schedule(action)
        return actions

    def close(self) -> None:
        """Forgets everything that was still to happen; twice is fine."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _schedule(self, action: Action) -> None:
        match action:
            case Wake(after=after, key=key):
                self._later(after, lambda: self.tell(Woke(key=key)))
            case Abort(after=after) | CloseWith(after=after):
                self._later(after, lambda: self._do(action))
            case Inject() | Malform() | BlackHole() | Evict() | Restart() | Crash() | Stall():
                self._later(0.0, lambda: self._do(action))

    def _do(self, deed: Deed) -> None:
        if not self._closed:
            self._perform(deed)

    def _later(self, seconds: float, callback: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [t for t in self._timers if not t.cancelled() and t.when() > loop.time()]
        self._timers.append(loop.call_later(seconds, callback))


def refusal(actions: tuple[Action, ...]) -> Refuse | None:
    """The first refusal among the answers."""
    return next((action for action in actions if isinstance(action, Refuse)), None)


def delay(actions: tuple[Action, ...]) -> float:
    """All delays together, in seconds."""
    return sum(action.seconds for action in actions if isinstance(action, Delay))
