"""What a rule is: a pure function of a fault, its memory and a moment, and the few things it may remember."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chatkit.faults.moments import Abort, Action, CloseWith, Moment, Opened, Wake, Woke
from chatkit.faults.parse import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one fault remembers of one connection (or of the server)."""

    opened: float | None = None
    """When the connection opened, monotonic seconds."""
    active: float | None = None
    """When activity that counts was last seen, monotonic seconds."""
    draws: int = 0
    """How many random decisions were taken."""
    times: tuple[float, ...] = ()
    """When the things happened that are counted in a window of time, monotonic seconds, oldest first; or when a
    throttled line is free again, outbound and inbound."""
    present: tuple[tuple[int, str], ...] = ()
    """Connections that count: the number of each and the key it counts under, oldest first."""
    done: bool = False
    """The fault has struck and will not strike again here."""


Answer = tuple[Memory, tuple[Action, ...]]
Chance = Callable[[int], float]
"""The n-th random number in [0, 1) of this fault on this connection."""
Rule = Callable[[Fault, Memory, Moment, float, Chance], Answer]


def ending(fault: Fault, reason: str, code: int | None = None) -> Abort | CloseWith:
    """The end that a fault's key ``how`` names, with its ``code`` unless there is another."""
    match fault.word("how"):
        case "rst":
            return Abort(how="rst")
        case "fin":
            return Abort(how="fin")
    return closing(fault, reason, code)


def closing(fault: Fault, reason: str, code: int | None = None) -> CloseWith:
    """A close frame with a fault's ``code``, unless there is another, and the reason, unless its key says ``none``."""
    stated = reason if fault.parameters.get("reason", "stated") == "stated" else ""
    return CloseWith(code=fault.whole("code") if code is None else code, reason=stated)


def once(fault: Fault, memory: Memory, moment: Moment, now: float, action: Action) -> Answer:
    """That action, ``after`` seconds from the opening of each connection."""
    match moment:
        case Opened():
            return replace(memory, opened=now), (Wake(after=fault.seconds("after")),)
        case Woke() if memory.opened is not None and not memory.done:
            return replace(memory, done=True), (action,)
    return memory, ()
