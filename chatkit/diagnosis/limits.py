"""Limits of known infrastructure, and which of them fit what was measured; pure.

``limits.csv`` beside this file is the table with its sources, ``checks.csv`` says what tells one product from the
others with the same number. A suspect is a hint where to look: the number fits, the ending and the counted traffic do
not speak against it, and its headers may speak for it. Rows that nobody documents never become suspects.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from chatkit.diagnosis.fingerprints import KNOWN, fingerprints
from chatkit.errors import InvalidInput

__all__ = ["Limit", "Suspect", "fingerprints", "limits", "suspects"]

UNSOURCED, FOLKLORE = "known, unsourced", "folklore"
TIMER = "timer"
"""A regular lifetime of which nobody knows whether it is idle time or age."""
_TIMERS = ("idle", "age", "keepalive-ping")
_KINDS = (
    "idle", "age", "handshake", "message-bytes", "keepalive-ping", "header-bytes", "shutdown-grace", "connections",
    "request",
)  # fmt: skip

SHARE, SECONDS, SHARE_OF_SIZE = 0.03, 0.5, 0.01
"""How far a measured time may be off its limit: the greater of 3 % and half a second; a size 1 %."""
_LATE = {"Cowboy": 6.0, "Phoenix sockets": 6.0, "daphne": 2.0}
"""Seconds by which a product's timer fires late by construction: it looks at its clock in ticks of that length."""

_HOPS = ("proxy", "load-balancer", "cdn", "nat")
_ABORTS = ("fin", "rst", "silence")
_COUNTS: dict[str, dict[str, float]] = {
    # seen from the client: what kept it alive, and how well each way of counting explains that
    "any": {"any-bytes": 2.0, "data-frames": 0.7, "ping-frames": 0.3, "client-to-server": 0.7, "server-to-client": 0.7},
    "outbound": {"client-to-server": 3.0, "any-bytes": 0.2, "data-frames": 0.2, "ping-frames": 0.2},
    "inbound": {"server-to-client": 3.0, "any-bytes": 0.2, "data-frames": 0.2},
    "data-frames": {"data-frames": 3.0, "any-bytes": 0.2, "client-to-server": 0.2, "server-to-client": 0.2},
    "app-ping": {"data-frames": 3.0, "client-to-server": 0.7, "any-bytes": 0.5},
    "protocol-ping": {"ping-frames": 3.0, "any-bytes": 0.5, "client-to-server": 0.5},
}
"""What is not in a row is ruled out; a limit of which nobody knows what counts stays as it is."""


class Limit(Struct, frozen=True, kw_only=True):
    """One row of the table: a default of one product."""

    product: str
    setting: str
    kind: str
    """``idle``, ``age``, ``handshake``, ``message-bytes``, ``keepalive-ping``, ``header-bytes``, ``shutdown-grace``,
    ``connections`` or ``request``."""
    default: float
    """In ``unit``; 0 is at once."""
    unit: str
    """``s``, ``B`` or ``count``."""
    counts_as_activity: str
    """``any-bytes``, ``data-frames``, ``ping-frames``, ``client-to-server``, ``server-to-client`` or ``unknown``."""
    configurable: str
    ending: str
    """``fin``, ``rst``, ``silence``, ``close:CODE``, ``http:STATUS`` or ``unknown``."""
    who: str
    fix: str
    source: str
    confidence: str
    """``documented``, ``from source``, ``folklore`` (users' reports) or ``known, unsourced``."""

    @property
    def sourced(self) -> bool:
        """Whether somebody can be named for it; what cannot is never told as a fact."""
        return bool(self.source) and self.confidence != UNSOURCED

    @property
    def words(self) -> str:
        """``nginx proxy_read_timeout (default)``."""
        name = re.sub(r"\s*\([^()]*\)\s*$", "", self.setting) or self.setting
        return f"{self.product} {name} ({self._standing})"

    @property
    def _standing(self) -> str:
        if self.confidence == FOLKLORE:
            return "users report"
        if "example" in self.product + self.setting:
            return "example's value"
        if "minimum" in self.setting:
            return "least allowed"
        return "fixed" if self.configurable == "no" else "default"


class Suspect(Struct, frozen=True, kw_only=True):
    """A limit that fits what was measured."""

    limit: Limit
    weight: float
    """How well it fits beside the other suspects; the weights of one answer add up to 1. No probability."""
    off: float
    """Measured value less the limit, in the limit's unit."""
    fingerprinted: bool
    """Whether a header speaks for the product."""
    check: str | None
    """What would tell it apart from others with the same number."""

    @property
    def words(self) -> str:
        """The product, the setting, and whether that is its default."""
        return self.limit.words

    @property
    def fix(self) -> str:
        """What to set, or to do where nothing can be set."""
        return self.limit.fix

    @property
    def source(self) -> str:
        """Where the number comes from."""
        return self.limit.source

    @property
    def confidence(self) -> str:
        """In the number, not in the suspicion: ``documented``, ``from source`` or ``users report``."""
        return "users report" if self.limit.confidence == FOLKLORE else self.limit.confidence

    def __str__(self) -> str:
        return self.words


@cache
def limits() -> tuple[Limit, ...]:
    """Every row of the table, those without a source included."""
    return tuple(Limit(**{**row, "default": float(row["default"])}) for row in _rows("limits.csv"))


@cache
def _checks() -> dict[tuple[str, str, float], str]:
    return {(row["product"], row["kind"], float(row["default"])): row["check"] for row in _rows("checks.csv")}


def _rows(name: str) -> list[dict[str, Any]]:
    text = files("chatkit.diagnosis").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text), strict=True))


def suspects(
    kind: str,
    value: float,
    *,
    error: float = 0.0,
    ending: str | None = None,
    counts: str | None = None,
    fingerprints: Iterable[str] = (),
    traffic: bool | None = None,
    by: str | None = None,
) -> tuple[Suspect, ...]:
    """Sourced limits that fit, the likeliest first.

    Args:
        kind: as in :class:`Limit`, or ``timer`` for a regular lifetime of which idle or age is not told apart.
        value: what was measured: seconds, bytes or a count.
        error: how far off that may be, in the same unit.
        ending: ``fin``, ``rst``, ``silence``, ``abort`` (no close frame, by whatever), ``close:CODE``,
            ``http:STATUS``; ``None`` where it is not visible.
        counts: what was seen to keep it alive: ``any``, ``inbound``, ``outbound``, ``data-frames``, ``app-ping``,
            ``protocol-ping``; ``None`` where that is not known.
        fingerprints: products that the response's headers speak of, from :func:`fingerprints`.
        traffic: whether it died in spite of traffic both ways; that clears idle limits. ``None``: not known.
        by: ``client`` or ``server``: who acted first, where that is visible.

    Raises:
        InvalidInput: there is no such kind, ending or way of counting, or a number is not one.
    """
    _demand("kind", kind, (*_KINDS, TIMER))
    _demand("counts", counts, (None, *_COUNTS))
    _demand("by", by, (None, "client", "server"))
    for name, number in (("value", value), ("error", error)):
        if not math.isfinite(number) or number < 0:
            raise InvalidInput("no such measure", expected="a number >= 0", got=number, where=name)
    seen, marks = _ending(ending), tuple(fingerprints)
    weighed = []
    for limit in limits():
        if not limit.sourced or not _asked(limit, kind):
            continue
        weight = _near(limit, value, error) * _ends(limit, seen) * _counted(limit, counts) * _under(limit, traffic)
        weight *= _side(limit, by) * _known(limit, marks) * (0.5 if limit.confidence == FOLKLORE else 1.0)
        if weight > 0:
            weighed.append((weight, limit))
    total = sum(weight for weight, _ in weighed)
    weighed.sort(key=lambda one: -one[0])
    return tuple(_suspect(limit, weight / total, value, marks) for weight, limit in weighed)


def _asked(limit: Limit, kind: str) -> bool:
    """An interval of pings ends nothing: it is no timer of a life."""
    if kind == TIMER:
        return limit.kind in _TIMERS and not (limit.kind == "keepalive-ping" and limit.counts_as_activity == "unknown")
    return limit.kind == kind


def _suspect(limit: Limit, weight: float, value: float, marks: tuple[str, ...]) -> Suspect:
    check = _checks().get((limit.product, limit.kind, limit.default))
    fingerprinted = any(limit.product.startswith(mark) for mark in marks)
    return Suspect(limit=limit, weight=weight, off=value - limit.default, fingerprinted=fingerprinted, check=check)


def _demand(name: str, got: str | None, known: tuple[str | None, ...]) -> None:
    if got not in known:
        raise InvalidInput(f"no such {name}", expected="one of " + ", ".join(map(str, known)), got=got)


def _ending(ending: str | None) -> str | None:
    """1006 is nobody's close frame."""
    if ending is None or re.fullmatch(r"fin|rst|silence|abort|(close|http):\d{3,4}", ending):
        return "abort" if ending == "close:1006" else ending
    raise InvalidInput("no such ending", expected="fin, rst, silence, abort, close:CODE or http:STATUS", got=ending)


def _near(limit: Limit, value: float, error: float) -> float:
    """1 where the number is the limit, 0 beyond what measuring and ticks explain."""
    if limit.unit == "s":
        room = max(error, SHARE * limit.default, SECONDS)
        late = _LATE.get(limit.product, 0.0) if value > limit.default else 0.0
    else:
        room, late = max(error, SHARE_OF_SIZE * limit.default), 0.0
    off = max(abs(value - limit.default) - late, 0.0)
    return 0.0 if off > room else math.exp(-2 * (off / room) ** 2) if room else 1.0


def _ends(limit: Limit, seen: str | None) -> float:
    """An unknown ending speaks neither for nor against; hops turn a FIN into an RST, never into a close frame."""
    mine = limit.ending
    if mine == "unknown":  # hops carry bytes, close frames are the ends' word
        return 0.3 if seen is not None and seen.startswith("close") and limit.who in _HOPS else 1.0
    if seen is None:
        return 1.0
    if seen == mine:
        return 3.0
    if seen == "abort" and mine in _ABORTS:
        return 1.5
    if {seen, mine} == {"fin", "rst"}:
        return 0.4
    if (seen, mine) == ("rst", "silence"):  # the forgotten flow's next packet is answered so
        return 1.0
    # The RST of a server that does not read on overtakes its close frame.
    return 0.5 if mine == "close:1009" and seen in ("abort", "rst", "fin") else 0.0


def _counted(limit: Limit, counts: str | None) -> float:
    if counts is None or limit.counts_as_activity == "unknown":
        return 1.0
    return _COUNTS[counts].get(limit.counts_as_activity, 0.0)


def _under(limit: Limit, traffic: bool | None) -> float:
    """Traffic both ways keeps everything alive that waits for traffic."""
    if not traffic or limit.kind != "idle":
        return 1.0
    return 0.3 if limit.counts_as_activity in ("unknown", "data-frames", "ping-frames") else 0.0


def _side(limit: Limit, by: str | None) -> float:
    """A client's limit is ended by the client and by nobody else; libraries with one limit for both ends do either."""
    both = "client" in limit.product and "server" in limit.product
    theirs = limit.who in ("browser", "client-library")
    return 1.0 if by is None or both or theirs == (by == "client") else 0.0


def _known(limit: Limit, marks: tuple[str, ...]) -> float:
    """A header for it raises, headers that only name others lower; nothing follows from no header at all."""
    if any(limit.product.startswith(mark) for mark in marks):
        return 5.0
    speaks = any(limit.product.startswith(product) for product in KNOWN)
    return 0.5 if marks and speaks else 1.0
