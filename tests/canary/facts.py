"""Facts in one line, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any

from chatkit.canary.facts import AnyFact, LifeEnded, LifeOpened
from chatkit.canary.rows import Row


def row(number: int, opened_at: float | None, ended_at: float | None = None, **facts: Any) -> Row:
    """The row of connection ``number`` of the target ``t``."""
    lifetime = ended_at - opened_at if opened_at is not None and ended_at is not None else 0.0
    told = {
        "source": "watch",
        "connection": f"t/1-{number}",
        "target": "ws://h/ws",
        "state": "open",
        "lifetime_s": lifetime,
    }
    return Row(**{**told, "opened_at": opened_at, "ended_at": ended_at, **facts})


def opened(number: int, at: float) -> AnyFact:
    """A connection opened."""
    return LifeOpened(target="t", row=row(number, at))


def died(number: int, opened_at: float, at: float, **facts: Any) -> AnyFact:
    """It died by RST."""
    dead = row(number, opened_at, at, state="ended", ended=True, transport_how="rst", close_code=1006, **facts)
    return LifeEnded(target="t", row=dead, words="RST by server", at=at, file=f"deaths/{number}.jsonl")


def refused(number: int, at: float) -> AnyFact:
    """It never opened."""
    return LifeEnded(target="t", row=row(number, None, at, state="refused"), words="refused: HTTP 503", at=at)


def left(number: int, opened_at: float, at: float) -> AnyFact:
    """We closed it."""
    return LifeEnded(target="t", row=row(number, opened_at, at, state="ended", close_code=1000), words="closed", at=at)
