"""When to send the application ping, and when the peer is given up; pure.

The first ping waits for ``stabilise`` seconds after the backend said that it is ready: a ping right after open was
the incident. Then one ping every ``ping_interval``, shortened by a random part of ``ping_jitter``. Any inbound message
answers for a late pong: it shows life.

A silence is the peer's only if we were there to hear it. Where our own timer fired late, the answer may lie unread in
the socket: what waits is read and the timer set once more, before the connection counts as half open.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from chatkit.behaviour import Client


class Pulse(Struct, frozen=True, kw_only=True):
    """What keepalive knows; all times by one monotonic clock, seconds."""

    established_at: float
    pings: int = 0
    last_ping_at: float | None = None
    interval: float = 0.0
    """From the last ping to the next one."""
    answered: bool = True
    """Whether anything came in since the last ping."""
    deadline: float = 0.0
    """When silence after the last ping makes the peer suspect."""
    forgiven: bool = False
    """Whether the timer was set once more since the last ping."""

    def heard(self) -> Pulse:
        """Something came in."""
        return self if self.answered else msgspec.structs.replace(self, answered=True)

    def pinged(self, now: float, rules: Client, draw: float) -> Pulse:
        """A ping went out; ``draw`` is a random number in [0, 1)."""
        return msgspec.structs.replace(
            self,
            pings=self.pings + 1,
            last_ping_at=now,
            interval=max(0.0, rules.ping_interval - rules.ping_jitter * draw),
            answered=False,
            deadline=now + rules.pong_timeout,
            forgiven=False,
        )

    def rearmed(self, now: float, rules: Client) -> Pulse:
        """The timer is set once more, because we were late ourselves."""
        return msgspec.structs.replace(self, deadline=now + rules.pong_timeout, forgiven=True)


class Step(Struct, frozen=True):
    """What to do now, and when to ask again at the latest."""

    action: Literal["wait", "ping", "drain", "dead"]
    """``drain``: read what waits, then :meth:`Pulse.rearmed`. ``dead``: half open."""
    wake_at: float


def step(pulse: Pulse, now: float, rules: Client) -> Step:
    """What keepalive does at ``now``, the moment at which its timer fired."""
    if pulse.last_ping_at is not None and not pulse.answered:
        if now < pulse.deadline:
            return Step("wait", pulse.deadline)
        late = now - pulse.deadline > rules.lag_forgiven
        return Step("drain" if late and not pulse.forgiven else "dead", now)
    due = next_ping(pulse, rules)
    if now >= due:
        return Step("ping", now)
    return Step("wait", due)


def next_ping(pulse: Pulse, rules: Client) -> float:
    """When the next ping is due."""
    if pulse.last_ping_at is None:
        return pulse.established_at + rules.stabilise
    return pulse.last_ping_at + pulse.interval
