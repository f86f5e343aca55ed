"""How long a quiet is fatal: arms between the longest that was survived and the shortest that was not."""

from __future__ import annotations

from chatkit.experiments.treatments import Doing, Treatment

CLOSE, CLOSE_SHARE = 0.5, 0.05
"""Seconds, or share of the shortest fatal quiet, that the two may differ by: its middle is then right to half of it."""
MOST = 6
"""Arms of one round: they part what lies between into one more."""
UNANSWERED = 4.5
"""Seconds after the ping for which an arm stays: TCP has sent it again often enough then."""


def quiets(survived: float | None, fatal: float | None, room: int) -> tuple[float, ...]:
    """Lengths in seconds to try next, evenly between; none where the answer is close enough, or not bracketed."""
    if survived is None or fatal is None or not 0 < survived < fatal:
        return ()
    if fatal - survived <= max(CLOSE, CLOSE_SHARE * fatal):
        return ()
    count = min(MOST, room)
    step = (fatal - survived) / (count + 1)
    return tuple(round(survived + step * (n + 1), 2) for n in range(count))


def quiet(seconds: float) -> Treatment:
    """One that long, then an RFC 6455 ping: who answers has not forgotten the connection."""
    return Treatment(
        id=f"quiet-of-{seconds:g}s",
        what=f"silent for {seconds:g} s, then one RFC 6455 ping",
        doings=(Doing(what="protocol-ping", at=seconds),),
        until=seconds + UNANSWERED,
        asks="how long a quiet is fatal?",
    )
