"""What a crowd of connections went through, and whose limit it met; values in, values out, pure.

A limit is the backend's where it turned attempts away while others lived, and the machine's where our own system had no
descriptor or no port left. Which number it is follows from how many were open each time.
"""

from __future__ import annotations

import errno
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from chatkit.diagnosis.survival import Curve, kaplan_meier
from chatkit.table import aligned

TURNED_AWAY = 2.0
"""A life that the server ended within so many seconds was turned away after the upgrade."""
REFUSALS = 3
"""So many of a kind make a limit; fewer may be accidents."""
_DESCRIPTORS, _PORTS = {errno.EMFILE, errno.ENFILE}, {errno.EADDRNOTAVAIL}
_BUSY = {429, 503}
CURVE_POINTS = 200
"""Steps of the survival curve in JSON at most."""


class Life(Struct, frozen=True, kw_only=True, array_like=True):
    """One attempt, and the life that followed."""

    at: float
    """Seconds since the start of the run."""
    took: float
    """Seconds until it was open, or had failed."""
    others: int
    """How many connections were open when it was made."""
    lived: float | None = None
    """Seconds from open to the end; ``None`` where it never opened."""
    died: bool = False
    """Whether it ended otherwise than by us."""
    ending: str = ""
    """How it ended, or why it failed."""
    status: int | None = None
    """The HTTP status of a refused upgrade."""
    errno: int | None = None
    """The system's number for a failure of our own or of TCP."""

    @property
    def opened(self) -> bool:
        return self.lived is not None

    @property
    def ours(self) -> bool:
        """Whether our own machine could not."""
        return self.errno in _DESCRIPTORS | _PORTS

    @property
    def turned_away(self) -> bool:
        """Whether the backend had it and did not want it."""
        if self.lived is not None:
            return self.died and self.lived <= TURNED_AWAY
        return self.status is not None


class Machine(Struct, frozen=True, kw_only=True):
    """What a client machine allows one process."""

    name: str
    descriptors: int | None
    """``RLIMIT_NOFILE``, the soft limit; ``None`` for no limit or none that is known."""
    ports: int | None
    """Ephemeral ports to one address; ``None`` where that is not known."""


class Share(Struct, kw_only=True):
    """What one process did; grows while it runs."""

    machine: Machine
    asked: int
    lives: list[Life]
    peak: int = 0
    """Most connections that were open at a time."""
    memory: int | None = None
    """Bytes that the process grew by until the peak; ``None`` where they cannot be told."""
    elapsed: float = 0.0
    stopped: str = ""
    """Why no more were tried; empty where all were."""


class Limit(Struct, frozen=True, kw_only=True):
    """Whose limit was met."""

    whose: str
    """``backend`` or ``machine``."""
    connections: int
    """How many were open, on this machine, when it struck; the median."""
    because: str
    remedy: str


class Load(Struct, frozen=True, kw_only=True):
    """The whole run."""

    target: str
    """The URL, redacted."""
    rate: float
    """Attempts a second that were asked for, all processes together."""
    shares: list[Share]
    interrupted: bool
    elapsed: float

    @property
    def lives(self) -> list[Life]:
        """Every attempt of every process, by its time."""
        return sorted((life for share in self.shares for life in share.lives), key=lambda life: life.at)

    @property
    def survival(self) -> Curve | None:
        """Kaplan–Meier over all lives; those that we ended are censored. ``None`` where nothing opened."""
        lives = [(life.lived, life.died) for life in self.lives if life.lived is not None]
        return kaplan_meier([lived for lived, _ in lives], [died for _, died in lives]) if lives else None

    @property
    def limits(self) -> list[Limit]:
        """Each machine's own, then the backend's; empty where none was met."""
        found = [limit for share in self.shares if (limit := machine_limit(share)) is not None]
        backend = backend_limit(self.shares)
        return [*dict.fromkeys(found), *([backend] if backend is not None else [])]


def machine_limit(share: Share) -> Limit | None:
    """The client machine's own limit, where an attempt struck it."""
    for numbers, what in ((_DESCRIPTORS, "descriptors"), (_PORTS, "ports")):
        struck = [life.others for life in share.lives if life.errno in numbers]
        if struck:
            have = getattr(share.machine, what)
            limit = f" ({have:,})" if have is not None else ""
            because, remedy = {
                "descriptors": (
                    f"this machine had no file descriptor left for the process{limit}: RLIMIT_NOFILE",
                    "raise it before the run (ulimit -n), or spread the connections over more processes (--scheduler)",
                ),
                "ports": (
                    f"this machine had no ephemeral port left to that address{limit}",
                    "widen net.ipv4.ip_local_port_range, wait a minute, or use more machines (--scheduler)",
                ),
            }[what]
            return Limit(whose="machine", connections=round(statistics.median(struck)), because=because, remedy=remedy)
    return None


def backend_limit(shares: Sequence[Share]) -> Limit | None:
    """The backend's, where it turned attempts away while others lived."""
    lives = sorted((life for share in shares for life in share.lives), key=lambda life: life.at)
    away = [life for life in lives if life.turned_away or life.errno == errno.ECONNREFUSED]
    if len(away) < REFUSALS or not any(life.opened and not life.turned_away for life in lives):
        return None
    first = away[0]
    if not any(life.opened and not life.turned_away and life.at <= first.at for life in lives):
        return None
    words, count = Counter(life.ending for life in away).most_common(1)[0]
    struck = _open_at(lives, [life.at for life in away])
    passed = [life.at for life in lives if life.opened and not life.turned_away and life.at > first.at]
    later = _open_at(lives, passed)
    by_rate = any(count_then > max(struck) for count_then in later)
    known = {life.status for life in away if life.status in _BUSY}
    what = "at this rate, not at this number: later attempts passed with more open" if by_rate else "with so many open"
    said = f"HTTP {'/'.join(sorted(map(str, known)))}" if known else "no number of a limit"
    return Limit(
        whose="backend",
        connections=round(statistics.median(struck)),
        because=f"the backend turned {len(away):,} attempts away {what} ({said}; {count:,} × {words})",
        remedy="try --rate with a smaller number" if by_rate else "its own limit, or that of a proxy before it",
    )


def _open_at(lives: Sequence[Life], moments: Sequence[float]) -> list[int]:
    """How many lived at each moment, those aside that were turned away after the upgrade."""
    real = [(life.at + life.took, life.lived) for life in lives if life.lived is not None and not life.turned_away]
    began = np.sort([start for start, _ in real])
    ended = np.sort([start + lived for start, lived in real])
    alive = np.searchsorted(began, moments, "right") - np.searchsorted(ended, moments, "right")
    found: list[int] = alive.tolist()
    return found


def document(load: Load) -> dict[str, Any]:
    """``chatkit.load/1``: plain values for JSON."""
    lives, curve = load.lives, load.survival
    opened = [life for life in lives if life.opened]
    took = sorted(life.took for life in opened)
    memory = [(share.memory, share.peak) for share in load.shares if share.memory is not None and share.peak]
    last = max((life.at + life.took for life in opened), default=0.0)
    return {
        "schema": "chatkit.load/1",
        "target": load.target,
        "elapsed_s": round(load.elapsed, 3),
        "interrupted": load.interrupted,
        "processes": len(load.shares),
        "connections": {
            "asked": sum(share.asked for share in load.shares),
            "attempted": len(lives),
            "opened": len(opened),
            "failed": len(lives) - len(opened),
            "most_open": sum(share.peak for share in load.shares),
            "died": sum(life.died for life in opened),
            "alive_at_end": sum(not life.died for life in opened),
        },
        "connect": {
            "asked_per_s": load.rate,
            "per_s": round(len(opened) / last, 3) if last else None,
            "median_s": round(statistics.median(took), 6) if took else None,
            "p99_s": round(took[min(len(took) - 1, int(len(took) * 0.99))], 6) if took else None,
        },
        "survival": None if curve is None else _curve(curve),
        "memory_per_connection": round(sum(m for m, _ in memory) / sum(n for _, n in memory)) if memory else None,
        "failures": _counted(life.ending for life in lives if not life.opened),
        "endings": _counted(life.ending for life in opened if life.died),
        "stopped": sorted({share.stopped for share in load.shares if share.stopped}),
        "limits": [
            {"whose": one.whose, "connections": one.connections, "because": one.because, "remedy": one.remedy}
            for one in load.limits
        ],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    step = max(1, len(curve.time) // CURVE_POINTS)
    picked = sorted({*range(0, len(curve.time), step), len(curve.time) - 1})
    return {
        "median_s": curve.median,
        "steps": [
            {
                "at_s": round(float(curve.time[n]), 3),
                "alive": round(float(curve.survival[n]), 6),
                "low": round(float(curve.low[n]), 6),
                "high": round(float(curve.high[n]), 6),
            }
            for n in picked
        ],
    }


def _counted(words: Any) -> list[dict[str, Any]]:
    return [{"what": what, "count": count} for what, count in Counter(words).most_common(20)]


def told(load: Load) -> str:
    """The same for people."""
    facts = document(load)
    counts, connect, memory = facts["connections"], facts["connect"], facts["memory_per_connection"]
    curve = load.survival
    rows = [
        (
            "opened",
            f"{counts['opened']:,} of {counts['attempted']:,} attempts; at most {counts['most_open']:,} at a time",
        ),
        ("rate", "–" if connect["per_s"] is None else f"{connect['per_s']:,.1f} opened a second ({load.rate:g} asked)"),
    ]
    if connect["median_s"] is not None:
        rows.append(("to open", f"median {connect['median_s'] * 1e3:,.1f} ms, p99 {connect['p99_s'] * 1e3:,.1f} ms"))
    if curve is not None:
        longest = f"{100 * curve.at(curve.last):.1f} % alive after {curve.last:,.1f} s"
        rows.append(("survival", f"{counts['died']:,} died; {longest}{_half(curve)}"))
    if memory is not None:
        rows.append(("memory", f"{memory / 1024:,.1f} KiB a connection, recording included"))
    rows += [("failed", f"{one['count']:,} × {one['what']}") for one in facts["failures"][:5]]
    rows += [("died", f"{one['count']:,} × {one['what']}") for one in facts["endings"][:5]]
    rows += [("stopped", why) for why in facts["stopped"]]
    for limit in load.limits:
        rows += [(f"limit of the {limit.whose}", f"{limit.connections:,} connections: {limit.because}")]
        rows += [("remedy", limit.remedy)]
    if not load.limits:
        rows.append(("limit", "none was met"))
    head = f"{load.target}, {load.elapsed:.1f} s{', interrupted' if load.interrupted else ''}"
    return "\n".join([head, *(line.rstrip() for line in aligned(("", ""), rows, left=2)[1:])])


def _half(curve: Curve) -> str:
    return "" if curve.median is None else f", half were gone after {curve.median:,.1f} s"
