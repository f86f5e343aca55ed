"""What two vantage points tell differently of one connection: something between them did that.

Only what both could have seen counts: a format that shows no close frames denies none, and a recording that had ended
saw nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from chatkit.events import (
    KIND_CODE,
    BytesMissing,
    CloseReceived,
    CloseSent,
    Event,
    Headers,
    ProtocolFailed,
    TransportEnded,
    UpgradeAnswered,
)
from chatkit.merging.aligning import align
from chatkit.merging.sights import RECEIVED, SENT, Frames, Sight, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chatkit.trace import Trace

    Numbers = NDArray[np.int64]

MOST = 20
"""Events that one disagreement cites."""
SETTLE = 1.0
"""Seconds that something may be under way between two vantage points, beyond what their clocks may be off."""
_COMPARED = ("sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-version", "origin")
_MARK = (b"[redacted]", b"[jwt")
_SIDES = {SENT: ("client", "server"), RECEIVED: ("server", "client")}


class Disagreement(Struct, frozen=True, kw_only=True):
    """Two vantage points tell something different of one connection."""

    connection: str
    what: str
    """``close-not-delivered``, ``different-code``, ``frame-lost``, ``extra-frames``, ``frame-altered``, ``ping-lost``,
    ``extra-pings``, ``rst-only-one-side``, ``different-end``, ``end-not-seen``, ``handshake-altered`` or
    ``key-differs``."""
    events: tuple[str, ...]
    """Ids of the events that show it, at most twenty."""
    text: str
    """One sentence."""
    who: str
    """``proxy`` where something that speaks WebSocket or TCP for itself must have done it; ``network`` where a path
    alone can; ``unknown`` where either may."""

    def __str__(self) -> str:
        return f"connection {self.connection}: {self.text}"


def disagreements(trace: Trace) -> list[Disagreement]:
    """What the vantage points of a merged trace tell differently; nothing of any other trace.

    Vantage points are compared with their next neighbour on the way from client to server that could see the same;
    where the order is not known, what would need it is left out.
    """
    vantages = trace.header.vantages
    views = [View(vantage, trace, np.flatnonzero(trace.vantage_code == n), 0.0) for n, vantage in enumerate(vantages)]
    together: dict[int, list[Sight]] = {}
    for view in views:
        for sight in view.sights:
            together.setdefault(sight.code, []).append(sight)
    found: list[Disagreement] = []
    for code in sorted(together):
        if len(together[code]) > 1:
            found += _of_connection(trace.names[code], together[code])
    return found


def _of_connection(name: str, sights: list[Sight]) -> Iterator[Disagreement]:
    ordered = sorted(sights, key=_rank)
    for compare, word in (
        (_handshakes, "handshake"),
        (_closes, "close-code"),
        (_frames, "frames"),
        (_pings, "pings"),
        (_ends, "transport-end"),
    ):
        able = [sight for sight in ordered if sight.sees(word)]
        for near, far in pairwise(able):
            if word != "handshake" and not _in_order(near, far):
                continue
            for what, events, text, who in compare(near, far):
                yield Disagreement(connection=name, what=what, events=tuple(events[:MOST]), text=text, who=who)


Claim = tuple[str, list[str], str, str]


def _place(sight: Sight) -> int | None:
    return sight.view.vantage.place


def _rank(sight: Sight) -> int:
    place = _place(sight)
    return 99 if place is None else place


def _in_order(near: Sight, far: Sight) -> bool:
    a, b = _place(near), _place(far)
    return a is not None and b is not None and a < b


def _doubt(near: Sight, far: Sight) -> float:
    """Seconds by which two corrected times may be apart without meaning anything."""
    errors = [sight.view.vantage.offset_error for sight in (near, far)]
    return SETTLE + sum(error for error in errors if error is not None)


def _watched(sight: Sight, at: float, doubt: float) -> bool:
    """Whether the vantage was there to see what happened then: up to the connection's end, or well before its own."""
    first, last = float(sight.view.at[0]), float(sight.view.at[-1])
    if at < first - doubt:
        return False
    return at <= max(sight.ended, last) + doubt if sight.ended is not None else at + doubt <= last


def _alive(sight: Sight, at: float) -> bool:
    """Whether the connection had not ended there before."""
    return sight.ended is None or sight.ended >= at


# Handshake


def _handshakes(near: Sight, far: Sight) -> Iterator[Claim]:
    names = f"{near.view.name} and {far.view.name}"
    asked, asked_far = near.request, far.request
    if asked is not None and asked_far is not None:
        both = [asked.id, asked_far.id]
        if asked.key and asked_far.key and asked.key != asked_far.key:
            yield (
                "key-differs",
                both,
                f"{names} show different keys: a proxy between opens a WebSocket of its own",
                "proxy",
            )
        changed = _changed(asked.headers, asked_far.headers)
        if near.path and far.path and near.path != far.path:
            changed.append(f"path ({near.path} became {far.path})")
        if changed:
            yield "handshake-altered", both, f"the request was changed on its way: {', '.join(changed)}", "proxy"
    answer, answer_far = near.first(UpgradeAnswered), far.first(UpgradeAnswered)
    if isinstance(answer, UpgradeAnswered) and isinstance(answer_far, UpgradeAnswered):
        both = [answer_far.id, answer.id]
        if answer.status != answer_far.status and near.sees("http-status") and far.sees("http-status"):
            text = f"{far.view.name} shows the upgrade answered {answer_far.status}, {near.view.name} {answer.status}"
            yield "handshake-altered", both, text, "proxy"
        elif changed := _changed(answer_far.headers, answer.headers):
            yield "handshake-altered", both, f"the answer was changed on its way: {', '.join(changed)}", "proxy"


def _changed(before: Headers, after: Headers) -> list[str]:
    """Fields of the handshake that differ; none where either side shows no fields."""
    if not before or not after:
        return []
    found = []
    for name in _COMPARED:
        old, new = _field(before, name), _field(after, name)
        if old.replace(" ", "").lower() != new.replace(" ", "").lower():
            found.append(f"{name} ({old or 'none'} became {new or 'none'})")
    return found


def _field(headers: Headers, name: str) -> str:
    return ", ".join(value for key, value in headers if key.lower() == name)


# Close frames


def _closes(near: Sight, far: Sight) -> Iterator[Claim]:
    for kind, origin, goal in ((CloseReceived, far, near), (CloseSent, near, far)):
        sender, receiver = ("server", "client") if kind is CloseReceived else ("client", "server")
        at = origin.when(kind)
        sent, came = origin.first(kind), goal.first(kind)
        if at is None or not isinstance(sent, CloseReceived | CloseSent):
            if isinstance(came, CloseReceived | CloseSent) and _saw_to_the_end(origin, came, goal.when(kind)):
                text = f"the {receiver}'s side got close {_code(came.code)} that {origin.view.name} never saw"
                text += ": something between made it"
                yield "extra-frames", [came.id], text, "proxy"
            continue
        if isinstance(came, CloseReceived | CloseSent):
            if came.code != sent.code:
                text = f"the {sender} sent close {_code(sent.code)}, the {receiver}'s side got {_code(came.code)}"
                yield "different-code", [sent.id, came.id], text, "proxy"
        elif _alive(goal, at - _doubt(near, far)) and _watched(goal, at, _doubt(near, far)) and not _broken(goal):
            before = goal.ended is not None and goal.ended < at
            text = f"the {sender} sent close {_code(sent.code)}, the {receiver} never received it: "
            text += "its side of the connection had just ended" if before else "something between ate it"
            yield "close-not-delivered", [sent.id, *_end_ids(goal)], text, "unknown" if before else "proxy"


def _saw_to_the_end(origin: Sight, came: Event, at: float | None) -> bool:
    doubt = SETTLE + (origin.view.vantage.offset_error or 0.0)
    return at is not None and not _broken(origin) and _watched(origin, at, doubt)


def _code(code: int | None) -> str:
    return "without code" if code is None else str(code)


def _broken(sight: Sight) -> bool:
    """Whether part of its bytes is missing or could not be read, so that absence tells nothing."""
    kinds = [KIND_CODE[BytesMissing], KIND_CODE[ProtocolFailed]]
    return bool(np.isin(sight.kind, kinds).any())


def _end_ids(sight: Sight) -> list[str]:
    end = sight.first(TransportEnded)
    return [end.id] if end is not None else []


# Frames


def _frames(near: Sight, far: Sight) -> Iterator[Claim]:
    if _broken(near) or _broken(far):
        return
    for side, word in ((SENT, "sent"), (RECEIVED, "received")):
        if not (near.sees(word) and far.sees(word)):
            continue
        origin, goal = (near, far) if side == SENT else (far, near)
        told = near.sees("payloads") and far.sees("payloads")
        if not told and not _same_lengths(near, far):
            continue
        before, after = (origin.contents, goal.contents) if told else (origin.sizes, goal.sizes)
        yield from _compared(origin, goal, before[side], after[side], side)


def _same_lengths(near: Sight, far: Sight) -> bool:
    """Whether lengths of frames mean the same at both: on the wire, after compression."""
    return near.sees("sizes") and far.sees("sizes") and near.sees("compression") and far.sees("compression")


def _compared(origin: Sight, goal: Sight, before: Frames, after: Frames, side: int) -> Iterator[Claim]:
    sender, receiver = _SIDES[side]
    lost, extra = _unpaired(origin, goal, before, after)
    if _hides(origin, before.place[lost]) or _hides(goal, after.place[extra]):
        return
    if len(lost) and len(lost) == len(extra):
        events = [*_ids(origin, before.place[lost]), *_ids(goal, after.place[extra])]
        yield "frame-altered", events, f"{_count(len(lost), 'message')} of the {sender} changed on the way", "proxy"
        return
    if len(lost):
        text = f"{_count(len(lost), 'message')} that the {sender} sent never reached the {receiver}'s side"
        died = goal.ended is not None or origin.ended is not None
        tail = bool(before.at[lost].min() > (after.at.max() if len(after.at) else -np.inf))
        yield "frame-lost", _ids(origin, before.place[lost]), text, "unknown" if tail and died else "proxy"
    if len(extra):
        text = f"the {receiver}'s side got {_count(len(extra), 'message')} that {origin.view.name} never saw"
        text += ": something between made " + ("it" if len(extra) == 1 else "them")
        yield "extra-frames", _ids(goal, after.place[extra]), text, "proxy"


def _unpaired(origin: Sight, goal: Sight, before: Frames, after: Frames) -> tuple[Numbers, Numbers]:
    """Frames of each side without a partner, of those that the other side was there to see."""
    pairs = align(before.token, after.token)
    doubt = _doubt(origin, goal)
    lost = np.setdiff1d(np.arange(len(before.token)), pairs.mine)
    extra = np.setdiff1d(np.arange(len(after.token)), pairs.theirs)
    lost = lost[[_there(goal, at, doubt) for at in before.at[lost].tolist()]] if len(lost) else lost
    extra = extra[[_there(origin, at, doubt) for at in after.at[extra].tolist()]] if len(extra) else extra
    return lost, extra


def _there(sight: Sight, at: float, doubt: float) -> bool:
    """Whether the vantage, and its view of this connection, covers a moment."""
    if not _watched(sight, at, doubt):
        return False
    # Without an opening the evidence of this connection begins in the middle.
    return sight.began is not None or at > float(sight.at[0]) + doubt


def _hides(sight: Sight, places: Numbers) -> bool:
    """Whether a secret was taken out of the frames, so that they may look different for that reason alone."""
    rows = sight.view.trace.rows
    return any(mark in rows[place] for place in places.tolist() for mark in _MARK)


def _ids(sight: Sight, places: Numbers) -> list[str]:
    return [sight.view.trace[int(place)].id for place in places[:MOST].tolist()]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _pings(near: Sight, far: Sight) -> Iterator[Claim]:
    if _broken(near) or _broken(far):
        return
    for side in (SENT, RECEIVED):
        origin, goal = (near, far) if side == SENT else (far, near)
        before, after = origin.controls[side], goal.controls[side]
        sender, receiver = _SIDES[side]
        lost, extra = _unpaired(origin, goal, before, after)
        if len(lost) and _alive(goal, float(before.at[lost].min())):
            text = f"{_count(len(lost), 'ping or pong frame')} of the {sender} never reached the {receiver}'s side"
            yield "ping-lost", _ids(origin, before.place[lost]), text + ": a proxy between answers itself", "proxy"
        if len(extra):
            text = f"the {receiver}'s side got {_count(len(extra), 'ping or pong frame')} that the {sender} never sent"
            yield "extra-pings", _ids(goal, after.place[extra]), text + ": a proxy between made them", "proxy"


# Ends


def _ends(near: Sight, far: Sight) -> Iterator[Claim]:
    a, b = near.first(TransportEnded), far.first(TransportEnded)
    doubt = _doubt(near, far)
    if isinstance(a, TransportEnded) and isinstance(b, TransportEnded):
        yield from _two_ends(near, far, a, b)
    elif isinstance(a, TransportEnded) and _lived_on(far, near.when(TransportEnded), doubt):
        yield _half_open("client", near, a, far)
    elif isinstance(b, TransportEnded) and _lived_on(near, far.when(TransportEnded), doubt):
        yield _half_open("server", far, b, near)


def _two_ends(near: Sight, far: Sight, a: TransportEnded, b: TransportEnded) -> Iterator[Claim]:
    both = [a.id, b.id]
    gap = abs((near.when(TransportEnded) or 0.0) - (far.when(TransportEnded) or 0.0))
    closed = any(sight.first(kind) is not None for sight in (near, far) for kind in (CloseSent, CloseReceived))
    if a.by == "server" and b.by == "client" and not closed:
        text = f"{near.view.name} saw {_how(a)} from the server's side, {far.view.name} {_how(b)} from the client's"
        text += ": something between ended both"
        yield "different-end", both, text, "proxy"
    elif "rst" in (a.how, b.how) and a.how != b.how and {a.how, b.how} <= {"rst", "fin"}:
        where = near if a.how == "rst" else far
        yield (
            "rst-only-one-side",
            both,
            f"only {where.view.name} saw a RST, the other side saw {_how(b if a.how == 'rst' else a)}",
            "proxy",
        )
    elif gap > _doubt(near, far):
        first, second = (
            (near, far) if (near.when(TransportEnded) or 0) < (far.when(TransportEnded) or 0) else (far, near)
        )
        text = f"{first.view.name} saw the end {gap:.1f} s before {second.view.name}"
        yield "different-end", both, text, "unknown"


def _how(end: TransportEnded) -> str:
    return {"fin": "a FIN", "rst": "a RST", "timeout": "a TCP time-out", "local": "its own closing"}.get(
        end.how, end.how
    )


def _lived_on(sight: Sight, at: float | None, doubt: float) -> bool:
    """Whether the vantage went on recording this connection without an end."""
    return at is not None and sight.ended is None and float(sight.view.at[-1]) > at + doubt and not _broken(sight)


def _half_open(side: str, ended: Sight, end: TransportEnded, open_: Sight) -> Claim:
    longer = float(open_.view.at[-1]) - (ended.when(TransportEnded) or 0.0)
    text = (
        f"on the {side}'s side it ended by {_how(end)}; {open_.view.name} saw no end in the {longer:.1f} s after that"
    )
    return "end-not-seen", [end.id], text, "unknown"
