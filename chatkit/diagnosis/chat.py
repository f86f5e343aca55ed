"""The chat itself: what may be wrong although the connection lives. Each rule finds its case or none."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

from chatkit.diagnosis.case import Case, case_of
from chatkit.diagnosis.facts import Facts, Life, body_of, failure_of, median
from chatkit.diagnosis.messages import FIELDS, received, text_at
from chatkit.diagnosis.mute import mutes
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.replies import replies
from chatkit.events import (
    BadMessageReceived,
    DeliveryChanged,
    DuplicateSuppressed,
    FrameReceived,
    GapDetected,
    HealthChecked,
    HttpAnswered,
)
from chatkit.profile import dig

COPY_WITHIN = 15.0
"""Seconds within which the same text counts as another copy of one answer, where no id tells."""
SLOW_ONCE, SLOW = 10.0, 5.0
"""Seconds: an answer that is called slow alone, and one among several like it."""
STUCK_AFTER = 5.0
"""Seconds after the answer for which a typing indicator may stay on."""
STORM_ATTEMPTS, STORM_PAUSE, STORM_LIFE = 5, 1.0, 3.0
"""Attempts in a row, the pause in seconds that a well-behaved client stays above in the long run, and the age up to
which a life is no success after which a client may begin anew."""
HEALTH_NEAR = 5.0
"""Seconds around a failure within which a look at health is about the same time."""
SEEN_TO_USE = 2
"""Looks with HEAD from which on the monitor is seen to use it."""
GATEWAY = {502, 503, 504}
NO_HEAD = {404, 405, 501}
MOST_READ = 2_000
"""Messages that are looked at one by one for what is no JSON."""


def cases(facts: Facts, health_method: str | None = None) -> Iterator[Case]:
    """What is wrong with the chat; ``health_method`` is what the monitor is known to use."""
    rules: tuple[Callable[[Facts], Case | None], ...] = (
        copies,
        replies,
        errors,
        mute,
        latency,
        typing,
        order,
        contract,
        storm,
        lambda facts: monitor(facts, 1 if health_method == "HEAD" else SEEN_TO_USE),
    )
    for rule in rules:
        if rule is storm and facts.arms:
            continue  # an investigation opens many connections, and none of them is a client's retry
        case = rule(facts)
        if case is not None:
            yield case


def copies(facts: Facts) -> Case | None:
    """One answer, delivered more than once."""
    if not facts.visible("payloads"):
        return None
    seen: dict[tuple[str, str], list[tuple[Life, FrameReceived]]] = {}
    for life, event, body in received(facts, facts.trace.header.types.reply):
        id = text_at(body, FIELDS.message_id)
        stamp, text = text_at(body, FIELDS.timestamp), text_at(body, FIELDS.content)
        key = ("id", id) if id else ("text", f"{stamp}\n{text}") if stamp else None
        if key is not None:
            seen.setdefault(key, []).append((life, event))
    view = facts.trace.vantage_code
    twice = []
    for group in seen.values():
        places = {int(view[facts.trace.index(event.id)]) for _, event in group}
        if len(group) > max(1, len(places)) and group[-1][1].at - group[0][1].at <= COPY_WITHIN:
            twice.append(group)
    if not twice:
        return _both_transports(facts)
    same = [group for group in twice if len({life.id for life, _ in group}) < len(group)]
    if facts.arms and not same:
        return None  # an investigation opens several sockets on purpose, and each gets every answer
    value = "same-socket" if same else "two-sockets"
    words = "on one socket" if same else "over two sockets of one user"
    group = (same or twice)[0]
    finding = f"{len(twice)} answers came more than once {words}"
    events = tuple(event.id for each in twice[:10] for _, event in each)
    lives = list(dict.fromkeys(life for each in twice for life, _ in each))
    found = [Observation(of="copies", value=value, finding=finding, events=events)]
    # Where several sockets are open, each gets the answer: copies are counted on one.
    most = max(Counter(life.id for life, _ in group).values()) if same else len(group)
    return case_of("copies", "answers come twice", found, lives, copies=most, via=words, who="server")


def _both_transports(facts: Facts) -> Case | None:
    """The HTTP answer became the message although the WebSocket's copy came too: nothing suppressed one of them."""
    settled = [one for one in facts.events(DeliveryChanged) if one.state == "replied" and one.via == "http"]
    dropped = [one.at for one in facts.events(DuplicateSuppressed)]
    frames = [(life, event) for life, event, _ in received(facts, facts.trace.header.types.reply)]
    twice = []
    for one in settled:
        copy = next(((life, event) for life, event in frames if abs(event.at - one.at) <= COPY_WITHIN), None)
        if copy is not None and not any(abs(at - one.at) <= COPY_WITHIN for at in dropped):
            twice.append((one, *copy))
    if not twice:
        return None
    finding = f"{len(twice)} answers were shown by HTTP although the WebSocket brought them too"
    events = tuple(id for one, _, event in twice[:10] for id in (one.id, event.id))
    found = [Observation(of="copies", value="both-transports", finding=finding, events=events)]
    lives = list(dict.fromkeys(life for _, life, _ in twice))
    return case_of(
        "copies", "answers are shown twice", found, lives, copies=2, via="by HTTP and by WebSocket", who="client"
    )


def errors(facts: Facts) -> Case | None:
    """Messages that HTTP answered with 5xx while a connection was open: the server is there, what it does fails."""
    asked = [one for one in facts.answers if one.purpose in ("chat", "session") and facts.open_at(one.at)]
    bad = [one for one in asked if one.status >= 500]
    if not bad:
        return None
    value = "gateway" if bad[0].status in GATEWAY else "server"
    finding = (
        f"{len(bad)} of {len(asked)} requests of the chat were answered {bad[0].status} while a connection was open"
    )
    found = [Observation(of="errors", value=value, finding=finding, events=tuple(one.id for one in bad[:20]))]
    good = [one for one in facts.health if one.healthy and abs(one.at - bad[0].at) <= HEALTH_NEAR]
    if good:
        words = "the health endpoint was good meanwhile"
        found.append(Observation(of="health", value="good", finding=words, events=tuple(one.id for one in good[:5])))
    lives = list(dict.fromkeys(life for one in bad for life in facts.open_at(one.at)))
    found.append(Observation(of="others", value="together", finding="connections to the same backend lived meanwhile"))
    return case_of(
        "errors", "requests fail", found, lives, code=f"HTTP {bad[0].status}", status=bad[0].status, trigger="message"
    )


def mute(facts: Facts) -> Case | None:
    """The whole server stood still and came back."""
    silent = mutes(facts)
    if not silent:
        return None
    longest = max(silent, key=lambda one: one.seconds)
    finding = f"{' and '.join(longest.signs)} were mute together for {longest.seconds:.1f} s, then answered"
    finding += f" ({len(silent)} times like that)" if len(silent) > 1 else ""
    events = tuple(id for one in silent[:5] for id in one.events)
    found = [Observation(of="mute", value="yes", finding=finding, events=events)]
    paths = [one for one in silent if one.path is not None]
    if paths:
        bad = [one for one in paths if one.path == "unacknowledged"]
        words = "nothing that was sent was acknowledged meanwhile" if bad else "TCP was acknowledged meanwhile"
        samples = tuple(id for one in (bad or paths)[:5] for id in one.samples)
        value = "unacknowledged" if 2 * len(bad) > len(paths) else "clean"
        found.append(Observation(of="path", value=value, finding=words, events=samples))
    lives = [life for life in facts.lives if life.opened and any(one.covers(life.start, life.end) for one in silent)]
    spans = tuple((one.begin, one.end) for one in silent)
    return case_of("mute", "the server was mute", found, lives, mute_s=round(longest.seconds, 1), spans=spans)


def latency(facts: Facts) -> Case | None:
    """Answers that take long while pings are answered."""
    silent = mutes(facts)
    chats = [
        one
        for one in facts.answers
        if one.purpose == "chat"
        and one.status == 200
        # What the whole server did not do, the bot behind it did not delay.
        and not any(each.covers(one.at - one.seconds, one.at) for each in silent)
    ]
    if not chats:
        return None
    took = [one.seconds for one in chats]
    middle = median(took)
    if not (middle >= SLOW_ONCE or (len(took) > 1 and middle >= SLOW)):
        return None
    finding = f"answers took {middle:.1f} s ({len(took)} of them)"
    found = [Observation(of="latency", value="long", finding=finding, events=tuple(one.id for one in chats[:10]))]
    lives = [life for life in facts.lives if life.opened]
    return case_of("latency", "answers are slow", found, lives, latency_s=round(middle, 1))


def typing(facts: Facts) -> Case | None:
    """An indicator that was switched on and never off, though the answer came."""
    if not facts.visible("payloads"):
        return None
    on: dict[tuple[str, str], FrameReceived] = {}
    types = facts.trace.header.types
    stuck: list[tuple[Life, FrameReceived]] = []
    for life, event, body in received(facts, types.typing):
        key = (life.id, text_at(body, FIELDS.user_id) or text_at(body, FIELDS.username) or "")
        if dig(body, FIELDS.is_typing) is True:
            on.setdefault(key, event)
        else:
            on.pop(key, None)
    by_id = {life.id: life for life in facts.lives}
    answered = [(life.id, event.at) for life, event, _ in received(facts, types.reply)]
    for (id, _), event in on.items():
        life = by_id[id]
        done = [at for other, at in answered if other == id and at >= event.at]
        since = done[0] if done else event.at + 30.0
        if life.end - since >= STUCK_AFTER:
            stuck.append((life, event))
    if not stuck:
        return None
    finding = f"{len(stuck)} typing indicators were switched on and never off"
    found = [Observation(of="typing", value="stuck", finding=finding, events=tuple(e.id for _, e in stuck[:20]))]
    return case_of("typing", "typing never ends", found, [life for life, _ in stuck], count=len(stuck))


def order(facts: Facts) -> Case | None:
    """Chunks of a streamed answer that are missing or out of order."""
    gaps: list[tuple[str, int, int]] = [(e.id, e.expected, e.got) for e in facts.events(GapDetected)]
    lives: list[Life] = []
    if not gaps and facts.visible("payloads"):
        next_: dict[tuple[str, str], int] = {}
        for life, event, body in received(facts, facts.trace.header.types.chunk):
            id, seq = text_at(body, FIELDS.message_id) or "", dig(body, FIELDS.seq)
            if not isinstance(seq, int):
                continue
            expected = next_.get((life.id, id), 0 if seq == 0 else 1 if seq == 1 else seq)
            if seq != expected:
                gaps.append((event.id, expected, seq))
                lives.append(life)
            next_[life.id, id] = seq + 1
    if not gaps:
        return None
    _, expected, got = gaps[0]
    finding = f"chunk {expected} was expected and {got} came" + (f", {len(gaps)} times" if len(gaps) > 1 else "")
    found = [Observation(of="order", value="broken", finding=finding, events=tuple(id for id, _, _ in gaps[:20]))]
    lives = lives or [life for life in facts.lives if life.opened]
    return case_of("order", "a streamed answer is broken", found, list(dict.fromkeys(lives)), expected=expected)


def contract(facts: Facts) -> Case | None:
    """Messages that the profile does not know."""
    bad: list[tuple[str, str, str | None]] = [(e.id, e.detail, e.connection) for e in facts.events(BadMessageReceived)]
    if not bad and facts.visible("payloads") and not facts.live:
        bad = list(_unreadable(facts))
    if not bad:
        return None
    finding = f"{len(bad)} messages do not fit the contract: {bad[0][1]}"
    found = [Observation(of="contract", value="broken", finding=finding, events=tuple(id for id, _, _ in bad[:20]))]
    ids = {connection for _, _, connection in bad}
    lives = [life for life in facts.lives if life.id in ids]
    return case_of("contract", "messages do not fit", found, lives, count=len(bad), unexpected=bad[0][1])


def _unreadable(facts: Facts) -> Iterator[tuple[str, str, str | None]]:
    """Text messages of the server that are no JSON, where the rest of them is."""
    left = MOST_READ
    # Some evidence shortens messages itself.
    short = {one.name for one in facts.trace.header.vantages if "payloads" in one.not_visible}
    for life in facts.lives:
        places = life.of(FrameReceived)[: max(0, min(2000, left))].tolist()
        left -= len(places)
        frames = [e for i in places if isinstance(e := facts.trace[i], FrameReceived)]
        frames = [e for e in frames if e.id.rpartition("/")[0] not in short]
        texts = [e for e in frames if e.opcode == "text" and e.fin and e.text and e.digest is None]
        broken = [e for e in texts if body_of(e.text) is None and e.text != "null"]
        if broken and len(broken) < len(texts) / 2:
            yield from ((e.id, "a text that is not JSON", life.id) for e in broken)


def storm(facts: Facts) -> Case | None:
    """Attempts in a row, each soon after the last one ended, without growing pauses."""
    if not facts.visible("timing") or facts.server_log:
        return None
    lives = sorted(facts.lives, key=lambda life: life.connection.started_at)
    run: list[Life] = []
    best: list[Life] = []
    for before, after in itertools.pairwise(lives):
        pause = after.connection.started_at - before.end
        soon = (
            0 <= pause < STORM_PAUSE and before.connection.ending is not None and before.end - before.start < STORM_LIFE
        )
        run = [*(run or [before]), after] if soon else []
        best = max(best, run, key=len)
    if len(best) < STORM_ATTEMPTS:
        return None
    pauses = [b.connection.started_at - a.end for a, b in itertools.pairwise(best)]
    if pauses[-1] > 2.5 * max(pauses[0], 0.02) and pauses[-1] > 0.3:
        return None  # they grow
    span = best[-1].connection.started_at - best[0].connection.started_at
    rate = (len(best) - 1) / span if span > 0 else float(len(best))
    finding = f"{len(best)} attempts within {span:.1f} s, {median(pauses):.2f} s after each end"
    finding += ", without growing pauses"
    events = tuple(failure.id for life in best[:20] if (failure := failure_of(life)) is not None)
    events = events or tuple(life.trace[int(life.places[0])].id for life in best[:20])
    found = [Observation(of="attempts", value="storm", finding=finding, events=events)]
    return case_of(
        "attempts", "reconnects without pause", found, best, attempts=len(best), attempts_per_s=round(rate, 1)
    )


def monitor(facts: Facts, heads_needed: int) -> Case | None:
    """A health check that says what the chat does not; one HEAD alone is a comparison, no monitor."""
    heads = [one for one in facts.health if one.method == "HEAD"]
    gets = [one for one in facts.health if one.method == "GET"]
    bad_heads = [one for one in heads if one.status in NO_HEAD]
    good_gets = [one for one in gets if one.healthy]
    works = any(one.opened for one in facts.lives) or bool(good_gets)
    if len(bad_heads) >= heads_needed and len(bad_heads) == len(heads) and works and (good_gets or not gets):
        finding = f"HEAD of the health endpoint was answered {bad_heads[0].status} {len(bad_heads)} times"
        finding += f", GET {good_gets[0].status}" if good_gets else ""
        found = [Observation(of="monitor", value="head-only-fails", finding=finding, events=_ids(bad_heads, good_gets))]
        get_status = good_gets[0].status if good_gets else None
        values = {"head_status": bad_heads[0].status, "get_status": get_status}
        return case_of("monitor", "the monitor asks with HEAD", found, [], **values)
    return _lies(facts, gets or [one for one in heads if one.status not in NO_HEAD])


def _ids(*groups: list[HealthChecked]) -> tuple[str, ...]:
    return tuple(one.id for group in groups for one in group[:10])


def _lies(facts: Facts, looks: list[HealthChecked]) -> Case | None:
    bad = [one for one in looks if not one.healthy and one.status is not None]
    if not bad or 2 * len(bad) < len(looks):
        return None
    good = [one for one in facts.answers if one.purpose in ("chat", "bot", "session") and one.status < 400]
    alive = [
        life
        for life in facts.lives
        if life.opened and any(life.start < one.at < life.end for one in bad) and life.end - life.start > 1
    ]
    if not alive or not (good or any(len(life.of(FrameReceived)) > 1 for life in alive)):
        return None
    finding = f"health answered {bad[0].status} while {len(alive)} connections lived and the API answered"
    found = [
        Observation(of="monitor", value="bad", finding=finding, events=_ids(bad)),
        Observation(of="chat", value="works", finding="the chat worked meanwhile", events=_answered(good)),
    ]
    return case_of("monitor", "health and chat disagree", found, alive, health_status=bad[0].status, chat="works")


def _answered(good: list[HttpAnswered]) -> tuple[str, ...]:
    return tuple(one.id for one in good[:5])
