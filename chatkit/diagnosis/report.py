"""What the engine found, in words: causes with parameters and suspects, remarks, open questions, next steps."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chatkit.diagnosis import deaths
from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import Facts, Life
from chatkit.diagnosis.fingerprints import fingerprints
from chatkit.diagnosis.limits import suspects
from chatkit.diagnosis.observation import Observation
from chatkit.diagnosis.result import MOST_EVENTS, Evidence, Fix, RankedCause, Remark
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN, Cause, causes
from chatkit.diagnosis.trials import longest_quiet, measured
from chatkit.events import AttemptStarted, DuplicateSuppressed, FrameSent, Noted, PingSent
from chatkit.visibility import NOT_VISIBLE

if TYPE_CHECKING:
    from chatkit.diagnosis.engine import Hypothesis

TELLING = math.log(1.3)
"""An observation counts as evidence when it is at least this much likelier, or unlikelier, than in general."""
MOST_LOOKALIKES, MOST_LIKELY = 3, 6
MOST_NOTES = 5
NOT_APART = 0.15
"""Probability of the other kind of timer from which on they count as not told apart."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    "dns-failure": ("host", "error"),
    "connection-refused": ("port",),
    "connect-timeout": ("stage",),
    "tls-failure": ("reason",),
    "scheme-mismatch": ("expected_scheme",),
    "upgrade-stripped": ("status", "answered_by"),
    "not-found": ("status", "path"),
    "redirected": ("location",),
    "auth-rejected": ("status", "code", "reason"),
    "bot-access-denied": ("status", "code", "bot_status"),
    "origin-rejected": ("status", "origin"),
    "subprotocol-mismatch": ("offered", "selected"),
    "rate-limited": ("status", "code", "retry_after_s", "rate"),
    "connection-limit": ("limit_connections",),
    "upstream-unavailable": ("status", "answered_by"),
    "handshake-timeout": ("waited_s",),
    "handshake-invalid": ("header",),
    "clock-skew": ("skew_s",),
    "early-ping-abort": ("window_s", "window_min_s", "window_max_s", "ping", "after_s"),
    "no-established-message": ("waited_s",),
    "compression-broken": ("direction",),
    "replaced-by-new-session": ("scope", "code"),
    "idle-timeout": ("timeout_s", "counts", "counts_perhaps", "timeout_min_s", "timeout_max_s"),
    "nat-timeout": ("timeout_s", "timeout_min_s", "timeout_max_s"),
    "max-lifetime": ("age_s",),
    "token-expired": ("exp", "age_s", "code"),
    "keepalive-timeout": ("timeout_s", "by"),
    "client-blocked-loop": ("lag_s",),
    "server-blocked-loop": ("mute_s",),
    "message-too-big": ("limit_bytes", "limit_min_bytes", "limit_max_bytes", "size_bytes", "direction"),
    "client-message-limit": ("limit_bytes", "size_bytes"),
    "protocol-error": ("code", "detail"),
    "invalid-utf8": ("direction",),
    "policy-violation": ("code", "reason"),
    "server-error": ("code", "trigger"),
    "server-restart": ("gap_s", "code", "period_s"),
    "server-crash": ("gap_s", "trigger"),
    "worker-timeout": ("timeout_s",),
    "network-reset": ("hazard_per_s",),
    "peer-unreachable": ("since", "mute_s"),
    "client-going-away": ("code", "reason"),
    "client-suspended": ("slept_s",),
    "client-error": ("exception",),
    "health-method-mismatch": ("head_status", "get_status"),
    "health-lies": ("health_status", "chat"),
    "duplicate-delivery": ("via", "copies"),
    "lost-reply": ("share_lost",),
    "multi-worker-split": ("share_lost", "workers"),
    "slow-reply": ("latency_s",),
    "reconnect-storm": ("attempts_per_s",),
    "wrong-contract": ("unexpected",),
}
"""Names of what is measured for each cause, as in the taxonomy."""


def ranked_cause(
    facts: Facts, case: Case, top: tuple[Hypothesis, list[Hypothesis], tuple[Evidence, ...]]
) -> RankedCause:
    """One cause of one case."""
    best, others, evidence = top
    cause = causes()[best.id]
    values = _values(facts, case, cause)
    parameters = {name: values[name] for name in PARAMETERS.get(cause.id, ()) if values.get(name) is not None}
    likely = _likely(facts, case, cause, values)
    return RankedCause(
        id=cause.id,
        title=cause.title,
        confidence=best.probability,
        who=_who(case, cause),
        connections=case.connections,
        summary=_summary(cause, values),
        parameters=parameters,
        likely=tuple(words for words, _ in likely),
        evidence=evidence,
        fix=_fix(cause, likely),
        lookalikes=tuple(
            (one.id, round(one.probability, 3))
            for one in others[:MOST_LOOKALIKES]
            if one.probability >= 0.02 and one.id not in (NONE, UNKNOWN)
        ),
        experiment=cause.experiment,
    )


def evidence_of(
    case: Case, lift: Callable[[Observation], float], arms: list[tuple[float, Observation]]
) -> tuple[Evidence, ...]:
    """Observations that speak for or against, strongest first, those for it before those against.

    Args:
        case: what is explained.
        lift: logarithm of how much likelier an observation is with the cause.
        arms: the same of an investigation's arms.
    """
    weighed = [*((lift(one), one) for one in case.observations), *arms]
    telling = [(weight, one) for weight, one in weighed if abs(weight) >= TELLING]
    telling.sort(key=lambda pair: (pair[0] < 0, -abs(pair[0])))
    found = [
        Evidence(
            finding=one.finding, events=one.events[:MOST_EVENTS], supports=weight > 0, weight=round(math.exp(weight), 3)
        )
        for weight, one in telling
    ]
    if not any(one.supports and one.events for one in found):
        # A cause is never reported without the events that show it.
        shown = next((one for one in case.observations if one.events), None)
        if shown is not None:
            found.insert(0, Evidence(finding=shown.finding, events=shown.events[:MOST_EVENTS]))
    return tuple(found)


def _who(case: Case, cause: Cause) -> str:
    """Who is responsible, where the case tells more than the taxonomy."""
    said = case.facts.get("who")
    if said:
        return str(said)
    if cause.id in ("idle-timeout", "max-lifetime", "upgrade-stripped"):
        return "proxy" if case.value("answerer") == "proxy" or case.facts.get("proxied") else cause.who[0]
    if cause.id == "keepalive-timeout":
        return "client" if case.value("by") == "client" else "server"
    if cause.id in ("protocol-error", "invalid-utf8"):
        return "server" if case.value("by") == "client" else "client"
    return cause.who[0]


def _values(facts: Facts, case: Case, cause: Cause) -> dict[str, Any]:
    """What is known by name, for parameters and summary."""
    values = {"established": facts.trace.header.types.established} | case.facts
    if case.trials is not None:
        values |= measured(case.trials, case.trials.fit(cause))
    lives = case.lives
    if cause.id == "no-established-message":
        values["waited_s"] = round(max((life.end - life.start for life in lives), default=0.0), 1)
    if cause.id in ("keepalive-timeout",):
        values |= _keepalive(case)
    if cause.id == "nat-timeout":
        values |= _forgotten(facts, lives)
    if cause.id == "client-message-limit":
        values |= _sizes(case, "inbound")
        values["limit"] = f"{values['limit_bytes']:,} bytes" if values.get("limit_bytes") else "its limit"
    if cause.id == "message-too-big":
        values |= _sizes(case, "outbound") if values.get("limit_max_bytes") is None else {}
        low, high = values.get("limit_min_bytes"), values.get("limit_max_bytes")
        values["limit_words"] = f" ({low:,} bytes pass, {high:,} do not)" if low and high else ""
    if cause.id == "token-expired":
        values["at"] = f" (after {values['age_s']:.0f} s of life)" if values.get("age_s") else ""
    if cause.id == "client-blocked-loop":
        values["lag_s"] = round(max((one.lag for one in facts.lags), default=0.0), 1)
    if cause.id == "network-reset" and values.get("mean_s"):
        values["hazard_per_s"] = round(1 / values["mean_s"], 6)
    if cause.id in ("server-restart", "server-crash"):
        count, gap = values.get("count"), values.get("gap_s")
        values["count_words"] = f": {count} connections ended together" if count else ""
        values["gap_words"] = f"; it was back after {gap:.1f} s" if gap is not None else ""
    if cause.id == "server-error":
        trigger = values.get("trigger")
        values["trigger_words"] = (
            f" right after our {trigger.replace('-', ' ')}" if trigger not in (None, "nothing") else ""
        )
    if cause.id == "connection-limit" and case.kind == "attempt":
        values["limit_connections"] = min((len(facts.open_at(life.connection.started_at)) for life in lives), default=0)
        values["limit_connections"] = values["limit_connections"] or None
    if cause.id == "rate-limited":
        wait = values.get("retry_after_s")
        values["retry"] = f", Retry-After {wait:.0f} s" if wait else ""
    if cause.id == "client-suspended":
        values["slept_s"] = round(max((_quiet(life) for life in lives), default=0.0), 1)
    if cause.id == "replaced-by-new-session":
        values["scope"] = case.value("reach") or "user"
    if cause.id == "peer-unreachable":
        healed = case.kind == "mute"
        values["how_long"] = f"for {values['mute_s']:.1f} s" if healed else "any more"
        values["and_then"] = "then all of it came at once" if healed else "and new connections failed too"
    if cause.id == "client-error":
        values["exception"] = values.get("error") or values.get("reason") or "no exception is recorded"
    if cause.id == "protocol-error":
        broken = [one for one in facts.violations if one.connection in case.connections]
        values["whose"] = "The server" if case.value("by") == "client" else "The client"
        if broken:
            values |= {"whose": f"The {broken[0].by}", "detail": broken[0].detail}
        values.setdefault("detail", values.get("reason") or "close 1002")
    if cause.id in ("invalid-utf8", "compression-broken"):
        values["direction"] = "inbound" if case.value("by") == "client" else "outbound"
    if cause.id == "early-ping-abort":
        values |= _window(case, values)
    if cause.id == "server-error":
        code = values.get("code")
        values["how"] = "no close frame" if code == 1006 else code if code is not None else values.get("status")
    if cause.id == "health-lies":
        values = {"health_status": "good", "chat": "fails"} | values
    if cause.id == "idle-timeout":
        values.setdefault("timeout_s", values.get("age_s"))  # all of its life, where its quiet is not visible
    if cause.id == "worker-timeout":
        values.pop("timeout_s", None)  # it is the worker's, and no quiet of ours
    return values


def _forgotten(facts: Facts, lives: tuple[Life, ...]) -> dict[str, Any]:
    """How long a quiet was survived, how short a one was fatal, and the middle of both."""
    if not facts.arms:
        return {}
    low = deaths.survived_quiet(facts)[0]
    high = deaths.fatal_quiet(lives, low)
    if not low or high == math.inf:
        return {}
    bounds = {"timeout_min_s": round(low, 2), "timeout_max_s": round(high, 2)}
    return {"timeout_s": round((low + high) / 2, 2)} | bounds


def _window(case: Case, values: dict[str, Any]) -> dict[str, Any]:
    """What came too early, and how early that was."""
    found: dict[str, Any] = {"first": "the first ping"}
    if values.get("window_s") is None:
        found = _first_frame(case) | {"first": "the first thing that the client sends, its ping by all appearances"}
    low, high = values.get("window_min_s", found.get("window_s")), values.get("window_max_s")
    if low is not None:
        found["window_words"] = f"{low:g} s" + (f", when {high:g} s is late enough," if high is not None else "")
    if high is None:
        found["window_min_s"] = None  # the same as the window
    return found


def _first_frame(case: Case) -> dict[str, Any]:
    """When the first thing that we sent went out, and how long the connection outlived it, where it cannot be read."""
    places = [(life, life.of(FrameSent, PingSent)) for life in case.lives]
    sent = [(life, float(life.trace.at[found[0]])) for life, found in places if len(found)]
    if not sent:
        return {}
    window = max(at - life.start for life, at in sent)
    return {"window_s": round(window, 2), "after_s": round(min(life.end - at for life, at in sent), 2)}


def _quiet(life: Any) -> float:
    pings = life.app_pings
    return life.end - float(life.trace.at[pings[-1]]) if len(pings) else 0.0


def _keepalive(case: Case) -> dict[str, Any]:
    by = "client" if case.value("by") == "client" else "server"
    found = next((one.finding for one in case.observations if one.of == "pong"), "")
    digits = [word for word in found.split() if word.replace(".", "", 1).isdigit()]
    return {
        "by": by,
        "who_gave_up": "Our side" if by == "client" else "The server",
        "timeout_s": float(digits[-1]) if digits else case.facts.get("timeout_s"),
    }


def _sizes(case: Case, direction: str) -> dict[str, Any]:
    from chatkit.events import FrameReceived, FrameSent

    kind = FrameReceived if direction == "inbound" else FrameSent
    sizes = [int(life.trace.size[life.of(kind)].max()) for life in case.lives if len(life.of(kind))]
    reason = str(case.facts.get("reason") or "")
    numbers = [int(word) for word in reason.replace(",", "").split() if word.isdigit()]
    return {
        "direction": direction,
        "size_bytes": max([*sizes, *numbers[:1]], default=None),
        "limit_bytes": numbers[-1] if "limit" in reason and numbers else None,
    }


class _Known(string.Formatter):
    """Fills a sentence; what is not known is said so."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        value = kwargs.get(key)
        return (
            "an unknown number of"
            if value is None and str(key).endswith("connections")
            else "?"
            if value is None
            else value
        )


def _summary(cause: Cause, values: dict[str, Any]) -> str:
    shown = {name: f"{value:g}" if isinstance(value, float) else value for name, value in values.items()}
    code = shown.get("code")
    shown["status"] = shown.get("status") or (f"close {code}" if code else "by an end without a word")
    shown["bot_status"] = shown.get("bot_status") or shown["status"]
    shown.setdefault("counts", "of which kind is not visible here")
    shown["code"] = code or shown.get("log") or "no code"
    return _Known().vformat(cause.summary, (), shown)


_LIMIT = {
    "idle-timeout": ("idle", "timeout_s"),
    "nat-timeout": ("idle", "timeout_s"),
    "max-lifetime": ("age", "age_s"),
    "keepalive-timeout": ("keepalive-ping", "timeout_s"),
    "message-too-big": ("message-bytes", "size_bytes"),
    "client-message-limit": ("message-bytes", "limit_bytes"),
    "handshake-timeout": ("handshake", "waited_s"),
}


def _likely(facts: Facts, case: Case, cause: Cause, values: dict[str, Any]) -> list[tuple[str, str]]:
    """Known limits that fit what was measured, as words and cure."""
    kind, name = _LIMIT.get(cause.id, ("", ""))
    value = values.get(name) if kind else None
    if not isinstance(value, int | float) or value <= 0:
        return []
    seen: tuple[str, ...] = ()
    for life in case.lives[:5]:
        seen += fingerprints(deaths.headers(life))
    ending = {"fin": "fin", "rst": "rst", "silence": "silence"}.get(case.value("ending") or "")
    code = case.facts.get("code")
    if ending is None and isinstance(code, int) and code != 1006:
        ending = f"close:{code}"
    error = max(0.3, 0.01 * value) if kind != "message-bytes" else 0.0
    found = suspects(kind, float(value), error=error, ending=ending, fingerprints=tuple(dict.fromkeys(seen)))
    return [(one.words, one.limit.fix) for one in found[:MOST_LIKELY]]


def _fix(cause: Cause, likely: list[tuple[str, str]]) -> Fix:
    """The cure, with the settings of the suspects."""
    settings = dict(cause.fix.settings)
    for words, fix in likely[:3]:
        if fix and not any(fix in known or known in fix for known in settings.values()):
            settings[words.split(":")[0]] = fix
    return replace(cause.fix, settings=settings)


# Beside the causes


def remarks(facts: Facts, found: list[Case]) -> tuple[Remark, ...]:
    """Odd things that are no faults."""
    out: list[Remark] = []
    heads = [one for one in facts.health if one.method == "HEAD" and one.status in (404, 405, 501)]
    gets = [one for one in facts.health if one.method == "GET" and one.healthy]
    if heads and gets and not any(case.kind == "monitor" for case in found):
        words = f"HEAD of the health endpoint is answered {heads[0].status}, GET {gets[0].status}"
        words += ": harmless unless a monitor uses HEAD"
        out.append(Remark(finding=words, events=(heads[0].id, gets[0].id)))
    again = [one for one in facts.retransmissions if one.acknowledged]
    if again:
        words = f"{len(again)} stretches of bytes were sent again over TCP and acknowledged"
        out.append(Remark(finding=words, events=tuple(one.id for one in again[:10])))
    proxies = {one.proxy: one.id for one in facts.events(AttemptStarted) if one.proxy}
    out += [
        Remark(finding=f"the connection goes through the forward proxy {proxy}", events=(id,))
        for proxy, id in proxies.items()
    ]
    chats = [one for one in facts.answers if one.purpose == "chat" and one.status == 200]
    if len(chats) > 1 and chats[0].seconds > 3 * max(one.seconds for one in chats[1:]) and chats[0].seconds > 2:
        later = max(one.seconds for one in chats[1:])
        words = f"the first answer took {chats[0].seconds:.1f} s, later ones at most {later:.1f} s"
        out.append(Remark(finding=words, events=(chats[0].id,)))
    dropped = facts.events(DuplicateSuppressed)
    if dropped:
        words = f"{len(dropped)} second copies of answers were not shown again, as they should not be"
        out.append(Remark(finding=words, events=tuple(one.id for one in dropped[:10])))
    left = [life for life in facts.lives if life.connection.ending is not None and life.connection.ending.clean]
    if left:
        words = (
            f"{len(left)} connection{'s' if len(left) > 1 else ''} ended in order ({left[0].connection.ending.words})"  # type: ignore[union-attr]
        )
        events = tuple(id for life in left[:20] for id in life.connection.ending.events[:1])  # type: ignore[union-attr]
        out.append(Remark(finding=words, events=events))
    notes = sorted(facts.events(Noted), key=lambda one: not one.author)  # what a reader wrote comes before our own
    out += [Remark(finding=str(one) if one.author else one.text, events=(one.id,)) for one in notes[:MOST_NOTES]]
    told: dict[str, list[str]] = {}
    for one in facts.disagreements:
        told.setdefault(one.text, []).extend(one.events)
    out += [Remark(finding=text, events=tuple(events[:MOST_EVENTS])) for text, events in list(told.items())[:10]]
    return tuple(out)


def unknowns(
    facts: Facts, named: tuple[RankedCause, ...], doubts: list[tuple[Case, list[Hypothesis]]]
) -> tuple[str, ...]:
    """What the evidence leaves open."""
    out = [f"{case.title}: {case.why_not}" for case, _ in doubts if case.why_not]
    for case, hypotheses in doubts:
        if not case.why_not:
            perhaps = [one for one in hypotheses if one.id not in (UNKNOWN, NONE) and one.probability >= 0.1][:3]
            words = ", ".join(f"{one.id} ({one.probability:.0%})" for one in perhaps)
            out.append(f"{case.title}: no cause stands out" + (f"; perhaps {words}" if words else ""))
    if facts.arms and not named and not doubts:
        longest = max((life.end - life.start for life in facts.lives), default=0.0)
        out.append(f"what takes longer than {longest:.0f} s to show: a larger budget would see it")
    for cause in named:
        if any(id in ("idle-timeout", "max-lifetime") and chance >= NOT_APART for id, chance in cause.lookalikes):
            seconds = cause.parameters.get("timeout_s") or cause.parameters.get("age_s")
            out.append(f"timer of {seconds} s: idle or age, not told apart for certain here")
    dark = [life.id for life in facts.lives if life.connection.opaque]
    if dark:
        which = f"connection{'s' if len(dark) > 1 else ''} {', '.join(dark[:10])}"
        out.append(
            f"{which}: encrypted, and no keys were given: only what TCP shows is visible, no message and no close"
        )
    hidden = [NOT_VISIBLE[word] for word in facts.trace.not_visible if word in NOT_VISIBLE]
    if hidden:
        out.append(f"not visible in this evidence: {'; '.join(hidden)}")
    return tuple(dict.fromkeys(out))


def headline(
    facts: Facts,
    verdict: str,
    named: tuple[RankedCause, ...],
    doubts: list[tuple[Case, list[Hypothesis]]],
    left_out: tuple[str, ...] = (),
) -> str:
    """The verdict in one sentence; ``left_out`` is what an investigation did not try."""
    if verdict == "fault":
        more = f" (and {len(named) - 1} more)" if len(named) > 1 else ""
        return f"{named[0].summary}: {named[0].id}, {named[0].confidence:.0%}{more}."
    if verdict == "no-fault" and facts.arms:
        quiet, age = longest_quiet(facts), max((life.end - life.start for life in facts.lives), default=0.0)
        seen = f"a quiet of {quiet:.0f} s, an age of {age:.0f} s, pings at once and often, typing"
        return f"No fault found by experiment: {seen} were survived ({lives_line(facts)})."
    if verdict == "no-fault":
        return f"No fault found: {lives_line(facts)}."
    if doubts:
        return f"Not enough evidence for a cause: {doubts[0][0].title}."
    if left_out:
        return f"Not enough was tried for a verdict: {left_out[0]}."
    return "Not enough evidence: no WebSocket connection is in this recording."


def next_steps(
    facts: Facts, named: tuple[RankedCause, ...], doubts: list[tuple[Case, list[Hypothesis]]]
) -> tuple[str, ...]:
    """What would settle what is open, most telling first."""
    if facts.arms and named:
        # The experiments have been made; what is left is the cure.
        tried = any(arm.role == "cured" for arm in facts.arms.values())
        client = "" if tried else "where the client can stop it, have the cure tried: --verify; "
        return (f"{client}where the server must, mend it and run the same again with --baseline this recording",)
    out = [one.experiment for one in named if one.lookalikes and one.experiment]
    if any(one.who == "proxy" for one in facts.disagreements):
        out.insert(0, "a capture on each side of what stands between the vantage points: it changes what passes")
    if any(life.connection.opaque for life in facts.lives):
        out.insert(0, "the client's TLS keys: set SSLKEYLOGFILE, capture again, give --keylog")
    for case, hypotheses in doubts:
        if case.why_not:
            out.append("record it where the end is visible: NetLog, capture, server log, or `chatkit diagnose`")
        out += [causes()[one.id].experiment for one in hypotheses[:3] if one.id in causes() and one.probability >= 0.1]
    return tuple(dict.fromkeys(step for step in out if step))[:5]


def _hidden(life: Life) -> bool:
    ending = life.connection.ending
    return ending is not None and ending.opened and ending.close_code is None


def lives_line(facts: Facts) -> str:
    """Connections and how they ended, in a line."""
    total = len(facts.lives)
    open_ = sum(life.connection.state == "open" for life in facts.lives)
    clean = sum(life.connection.ending is not None and life.connection.ending.clean for life in facts.lives)
    refused = sum(life.connection.state == "refused" for life in facts.lives)
    parts = [f"{total} connection{'s' if total != 1 else ''}"]
    parts += [f"{open_} open to the end"] if open_ else []
    parts += [f"{clean} closed in order"] if clean else []
    parts += [f"{refused} refused"] if refused else []
    dim = sum(_hidden(life) for life in facts.lives)
    parts += [f"{dim} ended, how is not visible"] if dim else []
    lost = total - open_ - clean - refused - dim
    parts += [f"{lost} lost"] if lost > 0 else []
    return ", ".join(parts)
