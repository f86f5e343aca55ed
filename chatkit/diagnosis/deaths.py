"""Lives that ended, and what is observed of each end: the facts of one life, before lives are compared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from chatkit.deflate import deflate_parameters
from chatkit.diagnosis.facts import BIG, VERY_BIG, Facts, Life, answer_of, median
from chatkit.diagnosis.observation import Observation
from chatkit.ending import AFTERMATH, Ending
from chatkit.events import (
    CloseSent,
    FrameReceived,
    FrameSent,
    LoopLagged,
    OpaqueReceived,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    TcpInfoSampled,
)

EARLY, INSTANT, HOURS = 15.0, 1.0, 3600.0
"""Seconds: ages that are told apart in words."""
QUIET_MARGIN = 1.3
"""How many times as long a survived quiet has to be for a shorter one to be none of a fatal length."""
EARLY_PING = 4.5
"""Seconds after the opening from which on a ping is not early: the usual cure waits five."""
ANSWERED = 0.3
"""Seconds after a ping that was answered from which on an end is not about it."""
_PINGS = {"first-ping", "ping", "protocol-ping"}
PATIENCE = 1.0
"""Seconds after which a missing pong counts as missing."""
BLOCKED = 4.0
"""Seconds of our own loop's lag that can break a keep-alive."""
_AUTH, _REPLACED, _RATE = {4001, 4003, 4401, 4403}, {4009, 4409}, {4429}
_REASONS = (
    ("keepalive", r"keep.?alive|ping.?timed? ?out|ping timeout|pong|heartbeat"),
    (
        "replaced",
        r"replac|another (session|connection|device|client|tab)|new(er)? (session|connection)"
        r"|duplicate|superseded|taken over|elsewhere",
    ),
    ("rate", r"rate|too many (messages|requests)|flood|throttl|quota"),
    ("limit", r"too many (connections|sessions)|connection limit|max(imum)? connections|limit reached"),
    ("token", r"token|jwt|expired|unauthori|credential|auth"),
    ("bot", r"\bbot\b|permission|forbidden|access denied"),
    ("too-big", r"too (big|large|long)|exceed|max(imum)? (message )?size|limit of \d+ bytes"),
    ("slow", r"slow|buffer (is )?full|backpressure|queue full|not reading"),
    ("idle", r"\bidle|inactiv|no activity"),
    ("lifetime", r"max(imum)?.?(age|life|duration|connection time)|lifetime|session (duration|time)"),
    ("restart", r"restart|shut.?ting? ?down|shutdown|deploy|reload|maintenance|drain|service restart|sigterm"),
    ("utf8", r"utf-?8|encoding|invalid (text|frame payload|(start|continuation) byte)"),
    ("protocol", r"protocol|reserved|mask|opcode|frame|compress|rsv"),
    ("error", r"internal|error|exception|failed|traceback|unexpected"),
    ("goodbye", r"bye|logout|log out|client (left|closed|going)|going away|normal|done|finished|navigat|unload"),
)  # fmt: skip


def ending_value(facts: Facts, life: Life) -> str:
    """How it ended, as the observable ``ending`` knows it."""
    ending = life.connection.ending
    assert ending is not None
    code = ending.close_code
    if ending.first == "client" and ending.close_received is None and _lost(facts, life):
        return "silence"  # what we did then was the consequence
    if code is not None and code != 1006:
        return close_value(code)
    told = ending.reported
    if told is not None and told.code is None and told.by is not None:
        return "close-hidden"
    if ending.hidden and ending.first == "client" and told is None:
        return "hidden"  # a close frame that cannot be seen may have come before
    transport = ending.transport
    if transport is not None:
        if transport.how == "local" or (transport.by == "client" and transport.how == "rst"):
            return "local" if transport.how == "local" else "rst"
        if transport.how == "timeout":
            return "silence"
        if transport.how in ("fin", "rst"):
            return transport.how
    return "abort" if code == 1006 else "hidden"


def close_value(code: int) -> str:
    """A close code, as the observable ``ending`` knows it."""
    if code in _AUTH:
        return "close-auth"
    if code in _REPLACED:
        return "close-replaced"
    if code in _RATE:
        return "close-rate"
    return "close-4xxx" if 4000 <= code <= 4999 else f"close-{code}"


def actor(ending: Ending) -> str | None:
    """Who acted first; ``nobody`` for a death in silence; ``None`` where it is not visible."""
    if ending.first is not None:
        return ending.first
    return "nobody" if ending.transport is not None and ending.transport.how in ("timeout", "none") else None


def after(facts: Facts, life: Life) -> tuple[str, tuple[str, ...], float] | None:
    """What we had done within a second before: value, events, seconds; ``None`` where it is not visible."""
    if not facts.visible("sent") or not facts.visible("frames") or life.connection.opaque:
        return None
    if actor(_ending(life)) == "client":
        return None
    ours = life.of(FrameSent, PingSent, until=life.end + 1e-6)
    if not len(ours) or life.end - life.trace.at[ours[-1]] > AFTERMATH:
        asked = [
            one for one in facts.requests.values() if one.purpose == "chat" and 0 <= life.end - one.at <= AFTERMATH
        ]
        if asked:
            return "message", (asked[-1].id,), life.end - asked[-1].at
        return "nothing", (), AFTERMATH
    last = int(ours[-1])
    gap = life.end - float(life.trace.at[last])
    if life.type_at(last) is None and not facts.shows(life, "payloads"):
        return None  # what it was cannot be told
    action = _action(life, last)
    late = float(life.trace.at[last]) - life.start >= EARLY_PING
    # Where the end itself is not visible, a ping that was answered tells nothing of it either.
    over = (late and gap > ANSWERED) or ending_value(facts, life) == "hidden"
    if over and action in _PINGS and _answered(life, last, action):
        return "nothing", (), AFTERMATH  # it was dealt with, and life went on
    return action, life.ids([last]), gap


def _answered(life: Life, place: int, action: str) -> bool:
    pongs = life.of(PongReceived) if action == "protocol-ping" else life.app_pongs
    return bool(len(pongs)) and float(life.trace.at[pongs[-1]]) >= float(life.trace.at[place])


def acted(facts: Facts, life: Life) -> bool:
    """Whether it ended right after something that we did."""
    act = after(facts, life)
    return act is not None and act[0] != "nothing"


def _action(life: Life, last: int) -> str:
    event, types = life.trace[last], life.trace.header.types
    if isinstance(event, PingSent):
        return "protocol-ping"
    assert isinstance(event, FrameSent)
    if max(event.size, event.length or 0) >= BIG:
        return "big-message"
    kind = life.type_at(last)
    if kind == types.send_ping:
        first = len(life.app_pings) and int(life.app_pings[0]) == last
        return "first-ping" if first and float(life.trace.at[last]) - life.start < EARLY else "ping"
    return "typing" if kind == types.send_typing else "message"


def _ending(life: Life) -> Ending:
    assert life.connection.ending is not None
    return life.connection.ending


def of_end(facts: Facts, life: Life) -> Iterator[Observation]:
    """What one life's end shows by itself."""
    ending = _ending(life)
    yield Observation(
        of="ending", value=ending_value(facts, life), finding=f"it ended: {ending.words}", events=ending.events
    )
    who = actor(ending)
    if who is not None:
        words = {
            "client": "our side acted first",
            "server": "the other side acted first",
            "nobody": "nobody said a word",
        }
        yield Observation(of="by", value=who, finding=words[who], events=ending.events)
    age = life.age
    if age is not None:
        value = "instant" if age < INSTANT else "early" if age < EARLY else "minutes" if age < HOURS else "hours"
        yield Observation(of="age", value=value, finding=f"it was {age:.1f} s old", events=ending.events)
    if ending.close is not None or (ending.reported is not None and ending.reported.code not in (None, 1006)):
        yield _of_reason(ending)
    for each in (
        _of_first_frame,
        of_pongs,
        _of_lag,
        of_path,
        _of_log,
        _of_hello,
        _of_sizes,
        _of_compression,
        _of_sleep,
    ):
        yield from each(facts, life)


def _of_first_frame(facts: Facts, life: Life) -> Iterator[Observation]:
    """Where messages cannot be read: whether the first that we ever sent was right before the end."""
    if facts.shows(life, "payloads") or not facts.visible("sent") or not facts.visible("frames"):
        return
    ours = life.of(FrameSent, PingSent, until=life.end + 1e-6)
    if life.connection.opaque or len(ours) != 1 or actor(_ending(life)) == "client" or life.end - life.start > EARLY:
        return
    gap = life.end - float(life.trace.at[ours[0]])
    if gap <= AFTERMATH:
        words = f"it ended {gap:.1f} s after the first thing that we sent"
        yield Observation(of="first-frame", value="last", finding=words, events=life.ids(ours))


def _of_reason(ending: Ending) -> Observation:
    text = ending.close_reason or ""
    value = next((name for name, pattern in _REASONS if re.search(pattern, text, re.IGNORECASE)), "other")
    value = value if text else "none"
    words = f"the close frame's reason is “{text}”" if text else "the close frame gives no reason"
    return Observation(of="reason", value=value, finding=words, events=ending.events)


def of_pongs(facts: Facts, life: Life) -> Iterator[Observation]:
    """Pings without a pong for longer than a round trip takes."""
    trace, end = life.trace, life.end
    if life.connection.opaque:
        return
    app = life.app_pings[trace.at[life.app_pings] <= end] if len(life.app_pings) else life.app_pings
    pongs = life.app_pongs
    if len(app) and facts.visible("received"):
        last_pong = float(trace.at[pongs[-1]]) if len(pongs) else -np.inf
        waiting = app[(trace.at[app] > last_pong) & (trace.at[app] < end - PATIENCE)]
        if len(waiting):
            words = f"our ping stayed unanswered for {end - float(trace.at[waiting[0]]):.1f} s"
            yield Observation(of="pong", value="ours-unanswered", finding=words, events=life.ids(waiting))
            return
    if facts.visible("pings"):
        for asked, given, value, whose in (
            (PingSent, PongReceived, "ours-unanswered", "our ping (RFC 6455)"),
            (PingReceived, PongSent, "theirs-unanswered", "the server's ping"),
        ):
            pings = life.of(asked, until=end)
            answers = life.of(given, until=end)
            last = float(trace.at[answers[-1]]) if len(answers) else -np.inf
            waiting = pings[(trace.at[pings] > last) & (trace.at[pings] < end - PATIENCE)]
            if len(waiting):
                words = f"{whose} stayed unanswered for {end - float(trace.at[waiting[0]]):.1f} s"
                yield Observation(of="pong", value=value, finding=words, events=life.ids(waiting))
                return
    if len(pongs) or len(life.of(PongReceived, PongSent)):
        yield Observation(of="pong", value="answered", finding="every ping was answered", events=life.ids(pongs[-3:]))


def _of_lag(facts: Facts, life: Life) -> Iterator[Observation]:
    if not facts.live:
        return
    near = [
        one for one in facts.lags if life.end - 90 <= one.at <= life.end + 2 and one.at - one.lag >= life.start - 90
    ]
    worst = max(near, key=lambda one: one.lag, default=None)
    if worst is not None and (worst.lag >= BLOCKED or _found_on_waking(life, worst)):
        words = f"our own loop was away for {worst.lag:.1f} s just before"
        yield Observation(of="lag", value="blocked", finding=words, events=(worst.id,))
    else:
        yield Observation(of="lag", value="fine", finding="our own loop was in time", events=())


def _found_on_waking(life: Life, lag: LoopLagged) -> bool:
    """Whether it was given up for an unanswered ping, and we read of it when our loop came back."""
    ending = life.connection.ending
    given_up = ending is not None and ending.close_code == 1011 and actor(ending) == "server"
    return given_up and lag.lag >= PATIENCE and lag.at - lag.lag <= life.end <= lag.at + PATIENCE


def of_path(facts: Facts, life: Life) -> Iterator[Observation]:
    """What TCP had to do again, from a capture or from the kernel's own figures."""
    again = [one for one in facts.retransmissions if one.connection == life.id and one.at <= life.end + 1]
    lost = [one for one in again if not one.acknowledged and one.times > 1]
    if lost:
        yield Observation(of="path", value="unacknowledged", finding=str(lost[-1]), events=tuple(o.id for o in lost))
    elif again:
        yield Observation(of="path", value="repeated", finding=str(again[-1]), events=tuple(o.id for o in again[:10]))
    elif facts.visible("tcp") and not facts.live:
        yield Observation(of="path", value="clean", finding="TCP had nothing to send again", events=())
    else:
        yield from _of_kernel(life)


def _lost(facts: Facts, life: Life) -> bool:
    """Whether what was sent was never acknowledged."""
    return any(one.value == "unacknowledged" for one in of_path(facts, life))


def _of_kernel(life: Life) -> Iterator[Observation]:
    samples = life.all(TcpInfoSampled)
    if not samples:
        return
    last = samples[-1]
    grown = last.retransmits - samples[0].retransmits
    if last.unacked and last.last_ack_received > 3 and grown > 1:
        words = f"{last.unacked} segments were never acknowledged, {grown} sent again"
        yield Observation(of="path", value="unacknowledged", finding=words, events=(last.id,))
    elif grown:
        yield Observation(of="path", value="repeated", finding=f"{grown} segments were sent again", events=(last.id,))
    else:
        yield Observation(of="path", value="clean", finding="TCP had nothing to send again", events=(last.id,))


_LOGGED = {
    "worker-timeout": "worker-timeout",
    "exception": "exception",
    "stop": "stop",
    "worker-exit": "stop",
    "oom": "oom",
    "upstream-timeout": "upstream-timeout",
    "upstream-closed": "upstream-closed",
    "upstream-reset": "upstream-reset",
    "upstream-refused": "upstream-refused",
    "client-closed": "client-closed",
    "network-changed": "network-changed",
}


def _of_log(facts: Facts, life: Life) -> Iterator[Observation]:
    near = [line for line in facts.logs if abs(line.at - life.end) <= 2.0 and line.what in _LOGGED]
    mine = [line for line in near if line.connection in (life.id, None)]
    order = list(_LOGGED)
    best = min(mine, key=lambda line: order.index(line.what), default=None)
    if best is not None:
        words = f"the {best.by}'s log says {best.what} at that moment: {best.text[:120]}"
        yield Observation(of="log", value=_LOGGED[best.what], finding=words, events=(best.id,))


def _of_hello(facts: Facts, life: Life) -> Iterator[Observation]:
    if life.connection.opaque or not facts.visible("received") or not facts.visible("frames"):
        return
    if life.connection.opened_at is None:
        return
    came = life.of(FrameReceived)
    if len(came):
        yield Observation(of="hello", value="yes", finding="the backend sent messages", events=life.ids(came[:1]))
    elif not len(life.of(OpaqueReceived)):
        words = f"the backend sent no message in {life.end - life.start:.1f} s"
        yield Observation(of="hello", value="never", finding=words, events=_ending(life).events)


def _of_sizes(facts: Facts, life: Life) -> Iterator[Observation]:
    if not facts.visible("received") or life.connection.opaque:
        return
    ending, came = _ending(life), life.of(FrameReceived, until=life.end)
    unfinished = ending.transport.unfinished if ending.transport is not None else 0
    big = came[life.trace.size[came] >= VERY_BIG]
    last = big[life.trace.at[big] >= life.end - AFTERMATH] if len(big) else big
    if len(last) or unfinished >= VERY_BIG:
        size = max(int(life.trace.size[last].max()) if len(last) else 0, unfinished)
        words = f"a message of {size:,} bytes was coming in"
        yield Observation(of="inbound", value="big", finding=words, events=life.ids(last) or ending.events)


def _of_compression(facts: Facts, life: Life) -> Iterator[Observation]:
    if not facts.visible("compression") or life.connection.opaque:
        return
    if deflate_parameters(life.connection.extensions) is None:
        if facts.visible("handshake") and life.connection.opened_at is not None:
            yield Observation(of="compressed", value="no", finding="no compression was agreed on")
        return
    said = _ending(life).close_code in (1002, 1003, 1007)
    for kind, whose in ((FrameSent, "sent"), (FrameReceived, "received")):
        frames = life.of(kind, until=life.end)
        packed = [i for i in frames[-3:].tolist() if b'"compressed":true' in life.trace.rows[i]]
        before = [i for i in frames[:-3][:50].tolist() if b'"compressed":true' in life.trace.rows[i]]
        alone = len(packed) == 1 and not before and life.end - life.trace.at[packed[0]] <= AFTERMATH
        # The very first message of a direction may be fatal for other reasons, unless the end itself speaks of frames.
        if alone and (said or len(frames) > 1):
            words = f"the first compressed message {whose} was the last"
            yield Observation(of="compressed", value="first", finding=words, events=life.ids(packed))
            return
    broken = [one for one in facts.violations if one.connection == life.id and "compress" in one.detail.lower()]
    if broken:
        yield Observation(of="compressed", value="first", finding=str(broken[0]), events=(broken[0].id,))


def _of_sleep(facts: Facts, life: Life) -> Iterator[Observation]:
    """Our own regular pings stopped long before the end, while the other side went on."""
    pings = life.app_pings if len(life.app_pings) >= 4 else life.of(PingSent)
    if len(pings) < 4:
        if facts.live and max((one.lag for one in facts.lags), default=0.0) < BLOCKED:
            yield Observation(of="sleep", value="no", finding="our own clock went on all the time")
        return
    at = life.trace.at[pings]
    usual = median(np.diff(at))
    quiet = life.end - float(at[-1])
    answered = life.of(FrameSent, PongSent, CloseSent)
    silent = not len(answered) or life.end - float(life.trace.at[answered[-1]]) > 0.9 * quiet
    came = life.of(FrameReceived, PingReceived)
    went_on = len(came) and float(life.trace.at[came[-1]]) > float(at[-1]) + max(usual, 5.0)
    if quiet > max(3 * usual, 20.0) and silent and went_on:
        words = f"our own pings, every {usual:.0f} s until then, stopped {quiet:.0f} s before the end"
        yield Observation(of="sleep", value="yes", finding=words, events=life.ids(pings[-1:]))


def headers(life: Life) -> list[tuple[str, str]]:
    """Of the answer to the upgrade."""
    answer = answer_of(life)
    return list(answer.headers) if answer is not None else []


# Quiet before a silence


def unheard(life: Life) -> float:
    """When the first ping was sent on a connection that nobody answered; without pings, the first thing at all."""
    last = life.last_activity("inbound")
    asked = [*life.app_pings.tolist(), *life.of(PingSent, until=life.end).tolist()]
    ours = np.sort(life.trace.at[asked or life.activity("outbound")])
    after = ours[ours > (last if last is not None else life.start)]
    return float(after[0]) if len(after) else life.end


def fatal_quiet(lives: tuple[Life, ...], beyond: float = 0.0) -> float:
    """Seconds of the shortest quiet, of those longer than ``beyond``, after which connections had fallen silent."""
    found = []
    for life in lives:
        silent = unheard(life)
        before = [at for at in life.trace.at[life.activity("any")].tolist() if at < silent - 1e-6]
        found.append(silent - max(before, default=life.start))
    return min((one for one in found if one > beyond), default=math.inf)


def survived_quiet(facts: Facts) -> tuple[float, Life | None]:
    """Seconds of the longest quiet after which something came all the same, and the connection that shows it."""
    survived = [(_longest_quiet(life), life) for life in facts.lives if life.opened]
    return max(survived, key=lambda pair: pair[0], default=(0.0, None))


def of_quiet(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    """Whether connections that fell silent had been quiet for longer than others could be: a NAT forgets only those."""
    longest, witness = survived_quiet(facts)
    if not lives or witness is None or longest == 0.0:
        return
    least = fatal_quiet(lives)
    value = "short" if longest > QUIET_MARGIN * least + 0.5 else "longest"
    words = f"it fell silent after a quiet of {least:.1f} s, and a quiet of {longest:.1f} s was survived"
    yield Observation(of="quiet", value=value, finding=words, events=witness.ids(witness.places[:1]))


def _longest_quiet(life: Life) -> float:
    """Seconds of the longest quiet after which something came all the same."""
    last = life.last_activity("inbound")
    if last is None:
        return 0.0
    at = life.trace.at[life.activity("any")]
    spans = np.diff(at[at <= last])
    return float(spans.max()) if len(spans) else 0.0
