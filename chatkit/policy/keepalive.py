"""When to send the application ping, and when its answer is overdue; pure.

The first ping waits for ``stabilise`` seconds after the backend said that it is ready: a ping right after open was
the incident. Then one ping every ``ping_interval``. Any inbound message answers for a late pong: it shows life.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from chatkit.behaviour import Client


class Pulse(Struct, frozen=True, kw_only=True):
    """What keepalive knows; all times by one monotonic clock, seconds."""

    established_at: float
    pings: int = 0
    last_ping_at: float | None = None
    answered: bool = True
    """Whether anything came in since the last ping."""


class Step(Struct, frozen=True):
    """What to do now, and when to ask again at the latest."""

    action: Literal["wait", "ping", "dead"]
    wake_at: float


def step(pulse: Pulse, now: float, rules: Client) -> Step:
    """What keepalive does at ``now``."""
    if pulse.last_ping_at is not None and not pulse.answered:
        deadline = pulse.last_ping_at + rules.pong_timeout
        if now >= deadline:
            return Step("dead", now)
        return Step("wait", deadline)
    due = next_ping(pulse, rules)
    if now >= due:
        return Step("ping", now)
    return Step("wait", due)


def next_ping(pulse: Pulse, rules: Client) -> float:
    """When the next ping is due."""
    if pulse.last_ping_at is None:
        return pulse.established_at + rules.stabilise
    return pulse.last_ping_at + rules.ping_interval
