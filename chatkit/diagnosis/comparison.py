"""A recording beside a healthy one: what differs before and around the failure, as findings and as observations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from chatkit.diagnosis.facts import Facts, Life, answer_of, median
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.result import Remark
from chatkit.events import FrameReceived, FrameSent, PingReceived, PingSent, UpgradeRequested
from chatkit.trace import Trace

VOLATILE = frozenset(
    {"sec-websocket-key", "sec-websocket-accept", "date", "content-length", "cookie", "set-cookie", "authorization"}
    | {"x-request-id", "cf-ray", "traceparent", "x-amzn-trace-id", "x-azure-ref", "if-none-match", "etag", "age"}
)
"""Header fields that differ between any two connections."""
BY_NAME_ONLY = frozenset({"user-agent", "host", "origin", "referer", "accept-language", "accept-encoding"})
"""Fields of which a difference says who asked, not what is wrong; told, but last."""
EXTENSIONS = frozenset({"sec-websocket-extensions"})
"""Told apart from the rest of the handshake: what was agreed on counts."""
FACTOR = 3.0
"""How many times another a typical figure must be to be told."""


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that is unlike the baseline."""

    finding: str
    events: tuple[str, ...] = ()
    value: str | None = None
    """Of the observable ``unlike``, where it may say something about the cause."""


class Differences(Struct, frozen=True, kw_only=True):
    """All of them, and the connection that was compared."""

    connection: str | None
    remarks: tuple[Remark, ...]
    observations: tuple[Observation, ...] = ()
    """Of ``unlike``, each value once."""


def compare(trace: Trace, baseline: Trace) -> tuple[Remark, ...]:
    """What differs from a healthy recording, the handshake first.

    Args:
        trace: the recording in question; events that are named are its own.
        baseline: a healthy recording of the same backend.

    Returns:
        Findings in words, each beginning with ``unlike the baseline``.
    """
    return differences(trace, baseline).remarks


def differences(trace: Trace, baseline: Trace) -> Differences:
    """The same with what it tells about causes; arguments as for :func:`compare`."""
    mine, good = Facts(trace), Facts(baseline)
    ours = _typical(mine, failing=True)
    theirs = _typical(good, failing=False)
    if ours is None or theirs is None:
        which = "this recording" if ours is None else "the baseline"
        remark = Remark(finding=f"no comparison with the baseline: {which} has no connection")
        return Differences(connection=None, remarks=(remark,))
    found = [*_handshake(ours, theirs), *_extensions(mine, good, ours, theirs), *_pings(mine, good, ours, theirs)]
    found += [*_sizes(mine, good, ours, theirs), *_timing(ours, theirs), *_endings(ours, theirs)]
    told: dict[str, Difference] = {}
    for one in found:
        if one.value is not None:
            told.setdefault(one.value, one)
    return Differences(
        connection=ours.id,
        remarks=tuple(Remark(finding=one.finding, events=one.events) for one in found),
        observations=tuple(
            Observation(of="unlike", value=value, finding=one.finding, events=one.events) for value, one in told.items()
        ),
    )


def _typical(facts: Facts, *, failing: bool) -> Life | None:
    """The connection to compare: of the failing ones the first, of healthy ones the longest."""
    lives = list(facts.lives)
    if not lives:
        return None
    bad = [life for life in lives if life.connection.ending is not None and not life.connection.ending.clean]
    if failing:
        return (bad or lives)[0]
    fine = [life for life in lives if life.opened and life not in bad]
    return max(fine or lives, key=lambda life: life.end - life.start)


def _said(text: str, events: tuple[str, ...] = (), value: str | None = None) -> Difference:
    return Difference(finding=f"unlike the baseline, {text}", events=events, value=value)


def _handshake(ours: Life, theirs: Life) -> Iterator[Difference]:
    asked, good = ours.first(UpgradeRequested), theirs.first(UpgradeRequested)
    if asked is not None and good is not None:
        yield from _fields("the request", asked.headers, good.headers, asked.id)
    answer, well = answer_of(ours), answer_of(theirs)
    if answer is not None and well is not None:
        if answer.status != well.status:
            yield _said(f"the upgrade was answered {answer.status}, not {well.status}", (answer.id,), "handshake")
        yield from _fields("the answer", answer.headers, well.headers, answer.id)


def _fields(whose: str, ours: list[tuple[str, str]], theirs: list[tuple[str, str]], event: str) -> Iterator[Difference]:
    mine = {name.lower(): value for name, value in ours if name.lower() not in VOLATILE}
    good = {name.lower(): value for name, value in theirs if name.lower() not in VOLATILE}
    names = sorted({*mine, *good}, key=lambda name: (name in BY_NAME_ONLY, name))
    for name in names:
        value = None if name in BY_NAME_ONLY | EXTENSIONS else "handshake"
        if name not in mine:
            yield _said(f"{whose} lacks {name}: {good[name][:80]}", (event,), value)
        elif name not in good:
            yield _said(f"{whose} has {name}: {mine[name][:80]}", (event,), value)
        elif mine[name] != good[name] and not (name == "host" and _name(mine[name]) == _name(good[name])):
            yield _said(f"{whose} has {name}: {mine[name][:80]} (there: {good[name][:80]})", (event,), value)


def _name(host: str) -> str:
    """Without the port, which is another for every server that is started for a test."""
    return host.rpartition(":")[0] or host


def _extensions(mine: Facts, good: Facts, ours: Life, theirs: Life) -> Iterator[Difference]:
    if not (mine.visible("handshake") and good.visible("handshake")):
        return
    if ours.opened and theirs.opened and ours.connection.extensions != theirs.connection.extensions:
        yield _said(
            f"the connection has {ours.connection.extensions or 'no extension'}"
            f" (there: {theirs.connection.extensions or 'none'})",
            value="compression",
        )


def _pings(mine: Facts, good: Facts, ours: Life, theirs: Life) -> Iterator[Difference]:
    """Who pings, when first, and how often."""
    for kind, words in ((PingSent, "the client pings (RFC 6455)"), (PingReceived, "the server pings")):
        if mine.visible("pings") and good.visible("pings"):
            yield from _rhythm(words, ours, theirs, ours.of(kind), theirs.of(kind))
    if mine.visible("payloads") and good.visible("payloads"):
        yield from _rhythm("the application pings", ours, theirs, ours.app_pings, theirs.app_pings)


def _rhythm(
    words: str,
    ours: Life,
    theirs: Life,
    mine: np.ndarray[tuple[int], np.dtype[np.int64]],
    good: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Iterator[Difference]:
    if bool(len(mine)) != bool(len(good)):
        longer = min(ours.end - ours.start, theirs.end - theirs.start)
        if len(mine):
            soon = float(ours.trace.at[mine[0]]) - ours.start < theirs.end - theirs.start
            yield _said(f"{words} at all", ours.ids(mine[:3]), "pings-earlier" if soon else None)
        elif longer > 5 and float(theirs.trace.at[good[0]]) - theirs.start < ours.end - ours.start:
            yield _said(f"nobody does what stands there: {words}", value="pings-missing")
        return
    if not len(mine):
        return
    first, there = float(ours.trace.at[mine[0]]) - ours.start, float(theirs.trace.at[good[0]]) - theirs.start
    if abs(first - there) > 1.0:
        value = "pings-earlier" if first < there else None
        yield _said(f"{words} first after {first:.1f} s (there: {there:.1f} s)", ours.ids(mine[:1]), value)
    if len(mine) > 2 and len(good) > 2:
        every = median(np.diff(ours.trace.at[mine]))
        usual = median(np.diff(theirs.trace.at[good]))
        if not 1 / 1.5 < every / max(usual, 1e-6) < 1.5:
            value = "pings-missing" if every > usual else None
            yield _said(f"{words} every {every:.1f} s (there: {usual:.1f} s)", ours.ids(mine[:3]), value)


def _sizes(mine: Facts, good: Facts, ours: Life, theirs: Life) -> Iterator[Difference]:
    for kind, word in ((FrameSent, "sent"), (FrameReceived, "received")):
        if not (mine.visible("sizes") and good.visible("sizes")):
            return
        places, there = ours.of(kind), theirs.of(kind)
        if len(places) and len(there):
            big, usual = int(ours.trace.size[places].max()), int(theirs.trace.size[there].max())
            if big > FACTOR * usual and big > 4096:
                place = int(places[int(np.argmax(ours.trace.size[places]))])
                yield _said(
                    f"a message of {big:,} bytes was {word} (there: at most {usual:,})",
                    ours.ids([place]),
                    "bigger-message",
                )


def _timing(ours: Life, theirs: Life) -> Iterator[Difference]:
    answer, well = answer_of(ours), answer_of(theirs)
    if answer is None or well is None or answer.seconds is None or well.seconds is None:
        return
    if answer.seconds > FACTOR * well.seconds and answer.seconds > 0.2:
        yield _said(
            f"the upgrade took {answer.seconds:.2f} s (there: {well.seconds:.2f} s)", (answer.id,), "upgrade-slower"
        )


def _endings(ours: Life, theirs: Life) -> Iterator[Difference]:
    bad, good = ours.connection.ending, theirs.connection.ending
    if bad is None or bad.clean:
        return
    there = str(good.words) if good is not None else "it lived to the end of the recording"
    yield _said(f"it ended: {bad.words} (there: {there}, after {theirs.end - theirs.start:.0f} s)", bad.events)
