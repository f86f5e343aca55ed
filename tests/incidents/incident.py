"""What an incident is: a stack that can be started, the true cause, and what a diagnosis should measure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

Stack = Literal["lab", "hop", "nginx", "haproxy", "uvicorn", "gunicorn", "aiohttp", "node-ws"]

NONE = "none"
"""The label of a healthy run."""
RESERVED = 3
"""Every so many-th seed is never used while the diagnosis is tuned."""
RELATIVE, ABSOLUTE_S = 0.03, 0.3
"""How near a measured time must come; the larger of the two counts (issue 6)."""


@dataclass(frozen=True, slots=True)
class Near:
    """A number, to 3 % or 0.3, whichever is more."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"

    def fits(self, found: object) -> bool:
        """A number near enough, or an interval that holds it and is itself not too wide."""
        room = max(RELATIVE * abs(self.value), ABSOLUTE_S)
        low, high = _interval(found)
        return self.value - room <= low <= high <= self.value + room


@dataclass(frozen=True, slots=True)
class Between:
    """An interval: a server that sweeps every T ends an idle connection somewhere from T to 2 T."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def fits(self, found: object) -> bool:
        """A number inside it, or an interval inside it; the ends have the room that a number has."""
        room = max(RELATIVE * self.high, ABSOLUTE_S)
        low, high = _interval(found)
        return self.low - room <= low <= high <= self.high + room


@dataclass(frozen=True, slots=True)
class Among:
    """One of several words or numbers, for what a client cannot tell apart; a list found must hold only these."""

    values: tuple[object, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.values))

    def fits(self, found: object) -> bool:
        """Whether it is one of them."""
        listed = found if isinstance(found, list) else [found]
        # Compared, not looked up: what a script prints may be anything, also what has no hash.
        return bool(listed) and all(any(one == value for value in self.values) for one in listed)


Expected = Near | Between | Among


def among(*values: object) -> Among:
    """One of these."""
    return Among(values)


def _interval(found: object) -> tuple[float, float]:
    """A number as an interval; anything that is neither fits nothing."""
    nothing = (float("inf"), float("-inf"))
    if isinstance(found, bool):
        return nothing
    if isinstance(found, int | float):
        return float(found), float(found)
    match found:
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
    return nothing


@dataclass(frozen=True, kw_only=True)
class Site:
    """A stack that runs."""

    url: str
    bot: str
    token: str
    """Good for the default user of the stack."""
    direct_url: str | None = None
    """The way past the proxy, where there is one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For the client's process: which certificate authority it trusts."""
    pids: tuple[int, ...] = ()
    """The processes that were started at the beginning."""

    @property
    def ws_url(self) -> str:
        """The same place for sockets."""
        return "ws" + self.url.removeprefix("http")

    def __repr__(self) -> str:
        return f"<Site {self.url}>"  # a token has no business in a traceback


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One stack with one fault, or none."""

    id: str
    """``stack/what``, the same for every seed."""
    stack: Stack
    seed: int
    label: str
    """The id of the cause (``causes.md``), or ``none``."""
    who: tuple[str, ...] = ()
    """Who acts; several where the taxonomy permits several."""
    start: Callable[[], AbstractAsyncContextManager[Site]]
    """Starts the stack and ends it; nothing runs before."""
    expected: Mapping[str, Expected] = field(default_factory=dict)
    """Parameters of the cause that a diagnosis can measure."""
    minimum_s: float = 0.0
    """What no method can undercut: an idle time-out of T takes T."""
    options: tuple[str, ...] = ()
    """For the command line."""
    also: bool = False
    """Whether the client is told of the way past the proxy."""

    @property
    def key(self) -> str:
        """Unique in a catalogue."""
        return f"{self.id}#{self.seed}"

    @property
    def reserved(self) -> bool:
        """Whether it is kept for measuring, and not used while tuning."""
        return self.seed % RESERVED == 0


def drawn(id: str, seed: int) -> random.Random:
    """The chance of one incident: parameters differ from seed to seed and never from run to run."""
    return random.Random(f"{id}#{seed}")
