"""Answers that HTTP gave and the socket never brought: all of them, a share, or those of other workers."""

from __future__ import annotations

from collections import Counter

from chatkit.diagnosis.case import Case, case_of
from chatkit.diagnosis.facts import Facts, Life
from chatkit.diagnosis.messages import received
from chatkit.diagnosis.observation import Observation
from chatkit.events import FrameReceived, HttpAnswered

REPLY_WITHIN, LISTENED = 10.0, 3.0
"""Seconds that a reply may take over the socket once HTTP has given it; and those for which an investigation's socket
has to have listened for one that did not come."""
ENOUGH_TO_TELL = 16
"""Answers from which on a lost share tells something about workers."""


def replies(facts: Facts) -> Case | None:
    """Answers that HTTP gave and the open socket never brought."""
    if not (facts.visible("received") and facts.visible("http") and facts.visible("payloads")):
        return None
    given = [one for one in facts.answers if one.purpose == "chat" and one.status == 200]
    came = [(life, event) for life, event, _ in received(facts, facts.trace.header.types.reply)]
    if facts.arms and (split := _reached(facts, given, came)) is not None:
        return split
    brought = _brought(given, came)
    came_over: list[bool] = []
    lost, lives = [], []
    for one in given:
        listening = _listening(facts, one)
        if not listening and one.id not in brought:
            continue
        came_over.append(one.id in brought)
        if one.id not in brought:
            lost.append(one)
            lives += listening
    if not lost:
        return None
    asked = len(came_over)
    share = len(lost) / asked
    value = "all-lost" if share == 1 else "share-lost"
    finding = f"{len(lost)} of {asked} answers that HTTP gave never came over the open socket"
    found = [Observation(of="replies", value=value, finding=finding, events=tuple(one.id for one in lost[:20]))]
    workers = _workers(came_over)
    if workers is not None:
        words = f"that is the share, or the rhythm, of {workers} workers without a shared bus"
        found.append(Observation(of="workers", value="split", finding=words))
    elif share < 1:
        value = "no" if asked >= ENOUGH_TO_TELL else "unclear"
        words = "too few answers to tell a worker's share" if value == "unclear" else "the share is that of no workers"
        found.append(Observation(of="workers", value=value, finding=words))
    unique = list(dict.fromkeys(lives))
    return case_of(
        "replies",
        "answers are lost",
        found,
        unique,
        lost=len(lost),
        asked=asked,
        share_lost=round(share, 2),
        workers=workers,
    )


def _listening(facts: Facts, one: HttpAnswered) -> list[Life]:
    """Sockets that were open for long enough to have brought an answer."""
    last = float(facts.trace.at[-1])
    until = one.at + LISTENED if facts.arms else min(one.at + REPLY_WITHIN, last)
    if last - one.at < 1.0:
        return []
    return [life for life in facts.open_at(one.at - one.seconds + 1e-6) if life.end >= until]


def _brought(given: list[HttpAnswered], came: list[tuple[Life, FrameReceived]]) -> set[str]:
    """Answers by HTTP whose reply came over a socket as well; each reply counts for the answer that is nearest."""
    first: dict[tuple[str, int], float] = {}
    times: Counter[tuple[str, str]] = Counter()
    for life, event in came:
        text = event.text or event.id
        first.setdefault((text, times[life.id, text]), event.at)  # each of several sockets brings the same text
        times[life.id, text] += 1
    found: set[str] = set()
    for at in sorted(first.values()):
        near = [one for one in given if one.id not in found and one.at - one.seconds - 1 <= at <= one.at + REPLY_WITHIN]
        if near:
            found.add(min(near, key=lambda one: abs(one.at - at)).id)
    return found


def unheard(facts: Facts) -> tuple[str, ...]:
    """What an investigation said to the bot without listening for long enough to the answer; sentences."""
    given = [one for one in facts.answers if one.purpose == "chat" and one.status == 200]
    if not given or any(_listening(facts, one) for one in given):
        return ()
    came = [(life, event) for life, event, _ in received(facts, facts.trace.header.types.reply)]
    return () if _brought(given, came) else ("no reply over the socket was waited for long enough",)


def _reached(facts: Facts, given: list[HttpAnswered], came: list[tuple[Life, FrameReceived]]) -> Case | None:
    """Answers that reached some sockets of the bot and not others: an investigation listens on several at once."""
    last = float(facts.trace.at[-1])
    reach: list[tuple[int, int]] = []
    seen = []
    for one in given:
        asked = one.at - one.seconds
        # One that was heard of later was there; of one that never was again, nobody knows.
        open_ = [life for life in facts.open_at(asked) if asked - life.start > 0.3 and _heard_after(life, one.at)]
        ids = {life.id for life in open_}
        got = {life.id for life, e in came if life.id in ids and asked <= e.at <= min(one.at + 1.0, last)}
        if len(ids) > 1 and got and last - one.at > 1.0:
            reach.append((len(got), len(ids)))
            seen += [one.id] if len(got) < len(ids) else []
    if not seen:
        return None
    # Many sockets tell the share better than two.
    most = max(ids for _, ids in reach)
    counted = [(got, ids) for got, ids in reach if 2 * ids >= most]
    reached = sum(got for got, _ in counted) / sum(ids for _, ids in counted)
    workers = max(2, round(1 / reached))
    finding = f"{len(seen)} of {len(reach)} answers reached some sockets of the bot and not others"
    words = f"an answer reached {reached:.0%} of the sockets: {workers} workers without a shared bus"
    found = [
        Observation(of="replies", value="share-lost", finding=finding, events=tuple(seen[:20])),
        Observation(of="workers", value="split", finding=words, events=tuple(seen[:20])),
    ]
    lives = [life for life in facts.lives if life.opened]
    lost = {"lost": len(seen), "asked": len(reach), "share_lost": round(1 - reached, 2), "workers": workers}
    return case_of("replies", "answers reach some sockets only", found, lives, **lost)


def _heard_after(life: Life, at: float) -> bool:
    last = life.last_activity("inbound")
    return last is not None and last > at + 0.2


def _workers(came: list[bool]) -> int | None:
    """The number k of workers: every k-th answer came, or many were lost at the share (k − 1)/k."""
    n, got = len(came), sum(came)
    for k in range(2, 9):
        if n >= 2 * k + 1 and any(came == [(i - shift) % k == 0 for i in range(n)] for shift in range(k)):
            return k
    if n < ENOUGH_TO_TELL or not 0 < got < n:
        return None
    share = 1 - got / n
    return next((k for k in range(2, 9) if abs(share - (k - 1) / k) <= 0.06), None)
