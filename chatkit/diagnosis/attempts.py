"""Attempts that did not open: cases of one stage and status each, and what is observed of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from chatkit.diagnosis.case import Case
from chatkit.diagnosis.facts import Facts, Life, answer_of, failure_of
from chatkit.diagnosis.observation import Observation
from chatkit.events import AttemptFailed, Opened, UpgradeRequested

BIG_SKEW = 60.0
"""Seconds by which clocks may differ before a token's margin is at stake."""
FAST = 1.0
"""Seconds between attempts below which their pace is called fast."""
REFUSALS = 3
"""Refused attempts from which on it is said whether a rest helped."""
_PROXIES = re.compile(
    r"nginx|haproxy|envoy|cloudflare|varnish|traefik|caddy|apache|awselb|cloudfront|gws|google|kong|squid|vegur|akamai",
    re.IGNORECASE,
)
_BODY = (
    ("plain-http", r"plain HTTP request was sent to HTTPS|client sent an HTTP request to an HTTPS"),
    ("rate", r"rate.?limit|too many requests|quota|throttl"),
    ("limit", r"too many connections|connection limit|max(imum)? (number of )?connections"),
    ("origin", r"\borigin\b"),
    ("subprotocol", r"sub-?protocol"),
    ("token", r"\b(token|jwt|unauthori[sz]ed|credential|authenticat|not authenticated|expired|signature)"),
    ("bot", r"\bbot\b|permission|access denied|not allowed to use"),
    ("upgrade", r"upgrade|websocket"),
    ("gateway", r"bad gateway|gateway time-?out|service (temporarily )?unavailable|no server is available|upstream"),
    ("not-found", r"not found|cannot get|no route"),
)


STAGES = {
    "dns": "the name did not resolve",
    "refused": "nobody was listening",
    "tcp": "TCP did not connect",
    "tls": "TLS failed",
    "upgrade": "the upgrade failed",
    "silent": "the upgrade was not answered",
    "handshake": "the answer to the upgrade was not valid",
    "established": "the backend did not greet",
}
"""What failed, in words."""


def cases(facts: Facts) -> Iterator[Case]:
    """Attempts that failed, together where stage, status and place of failure agree."""
    groups: dict[tuple[str, int | None], list[Life]] = {}
    for life in facts.lives:
        if life.connection.state == "refused":
            groups.setdefault((stage_of(life), _status(life)), []).append(life)
    for (stage, status), lives in groups.items():
        yield _case(facts, stage, status, tuple(lives))


def stage_of(life: Life) -> str:
    """The first step that failed, as the observable ``stage`` knows it."""
    failed, answer = failure_of(life), answer_of(life)
    words = failed.error.lower() if failed is not None else ""
    if answer is not None and answer.status != 101:
        return "upgrade"
    if failed is None:
        return "silent" if life.first(UpgradeRequested) is not None else "tcp"
    if failed.status is not None and failed.status not in (0, 101):
        return "upgrade"
    if failed.stage == "tcp":
        return (
            "refused"
            if re.search(r"refused|RST|connect call failed|errno 111|actively", words, re.IGNORECASE)
            else "tcp"
        )
    if failed.stage == "upgrade":
        if "upstream" in words or "limiting" in words:
            return "upgrade"  # a proxy's own words
        if re.search(r"time|no answer|silent|ended|closed|reset", words) and answer is None:
            return "silent"
        return "handshake"
    return failed.stage if failed.stage in ("dns", "tls", "established") else "silent"


def _status(life: Life) -> int | None:
    """The status that refused it; 101 refuses nothing."""
    failed = failure_of(life)
    status = life.connection.status or (failed.status if failed is not None else None)
    return status if status not in (0, 101) else None


def _case(facts: Facts, stage: str, status: int | None, lives: tuple[Life, ...]) -> Case:
    first = lives[0]
    failed = failure_of(first)
    shown = tuple(event.id for life in lives[:10] for event in (failure_of(life), answer_of(life)) if event is not None)
    times = "" if len(lives) == 1 else f", {len(lives)} times"
    title = f"refused with HTTP {status}{times}" if status else f"{STAGES[stage]}{times}"
    error = failed.error if failed is not None else ""
    url = _url(first.connection.url or "")
    case = Case(
        kind="attempt",
        title=title,
        lives=lives,
        facts={
            "stage": stage,
            "status": status,
            "host": url.hostname or "of the backend",
            "port": _port(url.scheme, url.netloc),
            "path": url.path or "/",
            "error": error,
            "attempts": len(lives),
        },
    )
    words = f"the attempt was refused with HTTP {status}{times}" if status else f"{STAGES[stage]}{times}"
    found = [Observation(of="stage", value=stage, finding=words + (f": {error}" if error else ""), events=shown)]
    asked = first.first(UpgradeRequested)
    offered = next((v for n, v in asked.headers if n.lower() == "sec-websocket-protocol"), None) if asked else None
    case.facts["offered"] = offered or "none"
    if status is not None:
        found += _of_answer(case, lives, status, shown)
    if stage == "tls":
        found.append(_of_tls(case, error, shown))
    if stage == "handshake":
        found += _of_handshake(case, first, error, shown)
    found += [
        *_of_token(facts, first),
        *([] if facts.server_log else _of_api(facts, case, lives)),
        *_of_others(facts, lives),
        *_of_health(facts, lives),
    ]
    found += [*_of_logs(facts, lives), *_of_variants(facts, status)]
    case.observations = tuple(found)
    _judge_evidence(facts, case, error)
    if stage == "silent":
        case.facts["waited_s"] = round(max((life.end - life.start for life in lives), default=0.0), 1)
    return case


def _url(text: str) -> SplitResult:
    """In parts; empty where it is none."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def _judge_evidence(facts: Facts, case: Case, error: str) -> None:
    """A browser's script is not told why an attempt failed (HTML Standard, section 9.3.7)."""
    stage, told = case.facts["stage"], case.facts["status"] is not None
    if not told and stage in ("silent", "handshake") and "the browser tells no reason" in error:
        case.carries = False
        case.why_not = (
            "a browser does not tell a page why an attempt failed; the console's own red lines, a HAR, a NetLog or "
            "`chatkit check` would show it"
        )


def _port(scheme: str, netloc: str) -> int | None:
    tail = netloc.rpartition(":")[2]
    return int(tail) if tail.isdigit() and len(tail) < 6 else {"ws": 80, "wss": 443}.get(scheme)


def _of_answer(case: Case, lives: tuple[Life, ...], status: int, shown: tuple[str, ...]) -> Iterator[Observation]:
    value = "redirect" if status in (301, 302, 303, 307, 308) else str(status)
    yield Observation(of="status", value=value, finding=f"the upgrade was answered HTTP {status}", events=shown)
    answer = answer_of(lives[0])
    if answer is None:
        return
    fields = {name.lower(): text for name, text in answer.headers}
    server = " ".join(fields.get(name, "") for name in ("server", "via", "cf-ray", "x-served-by")).strip()
    if server or fields:
        proxy = bool(_PROXIES.search(server)) or "cf-ray" in fields or "via" in fields
        by = "proxy" if proxy else "backend"
        case.facts["answered_by"] = server or "unknown"
        words = f"the answer carries the fingerprint of a {by} ({server})" if server else "no proxy signed the answer"
        yield Observation(of="answerer", value=by, finding=words, events=(answer.id,))
    if "retry-after" in fields or status in (429, 503):
        wait = fields.get("retry-after", "")
        case.facts["retry_after_s"] = float(wait) if wait.isdigit() else None
        value = "yes" if wait else "no"
        words = f"it asked to wait {wait} s" if wait else "it did not say how long to wait"
        yield Observation(of="retry-after", value=value, finding=words, events=(answer.id,))
    if "location" in fields:
        case.facts["location"] = fields["location"]
    if answer.body is not None and re.search(_BODY[0][1], answer.body, re.IGNORECASE):
        case.facts["expected_scheme"] = "wss"
    asked = lives[0].first(UpgradeRequested)
    if asked is not None:
        case.facts["origin"] = next(
            (text for name, text in asked.headers if name.lower() == "origin"), "of the request"
        )
    yield from _of_body(answer.body, fields.get("content-type", ""), answer.reason, answer.id)
    yield from _of_clock(case, lives[0], fields.get("date"), answer.id)


def _of_body(body: str | None, kind: str, reason: str, event: str) -> Iterator[Observation]:
    if body is None:
        return
    for value, pattern in _BODY:
        if re.search(pattern, body, re.IGNORECASE):
            yield Observation(of="body", value=value, finding=f"its body speaks of {value}", events=(event,))
            return
    value = "html" if "html" in kind or body.lstrip().startswith("<") else "json" if "json" in kind else "other"
    yield Observation(of="body", value=value, finding=f"its body is {value}", events=(event,))


def _of_clock(case: Case, life: Life, date: str | None, event: str) -> Iterator[Observation]:
    """The server's ``Date`` (whole seconds, RFC 9110 section 6.6.1) against the clock of the recording."""
    answer = answer_of(life)
    if not date or answer is None or life.trace.epoch == 0 or "timing" in life.trace.not_visible:
        return
    from email.utils import parsedate_to_datetime

    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return
    skew = theirs - (life.trace.epoch + answer.at)
    large = abs(skew) > BIG_SKEW
    case.facts["skew_s"] = round(skew)
    words = f"the server's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    if large:
        yield Observation(of="skew", value="large", finding=words, events=(event,))
    else:
        yield Observation(of="skew", value="small", finding="both clocks agree", events=(event,))


def _of_tls(case: Case, error: str, shown: tuple[str, ...]) -> Observation:
    words = error.lower()
    case.facts["reason"] = error or "no detail is visible"
    if re.search(r"wrong.?version|plain|http request|unknown protocol|ssl_protocol_error|record layer", words):
        case.facts["expected_scheme"] = "ws"
        return Observation(of="tls-error", value="wrong-version", finding="plain text answered TLS", events=shown)
    if re.search(r"cert|self.?signed|hostname|expired|verify|authority|common_name", words):
        return Observation(of="tls-error", value="certificate", finding=f"the certificate fails: {error}", events=shown)
    return Observation(of="tls-error", value="alert", finding=f"TLS was broken off: {error}", events=shown)


def _of_handshake(case: Case, life: Life, error: str, shown: tuple[str, ...]) -> Iterator[Observation]:
    case.facts["header"] = error
    if "subprotocol" in error.lower() or "sec-websocket-protocol" in error.lower():
        yield Observation(of="subprotocol", value="refused", finding="no subprotocol was agreed on", events=shown)


def _of_token(facts: Facts, life: Life) -> Iterator[Observation]:
    if not facts.visible("timing") or (not facts.visible("handshake") and not facts.tokens):
        return
    expires, url = facts.expires(life), life.connection.url or ""
    asked = life.first(UpgradeRequested)
    events = (asked.id,) if asked is not None else ()
    now = life.trace.epoch + life.connection.started_at
    if expires is not None:
        left = expires - now
        value = "expired" if left <= 0 else "valid"
        words = (
            f"its token had expired {-left:.0f} s before" if left <= 0 else f"its token was good for {left:.0f} s more"
        )
        yield Observation(of="token", value=value, finding=words, events=events)
    elif asked is not None and "redacted" not in url + asked.target:
        carried = {name.lower() for name, _ in asked.headers} & {"authorization", "cookie", "sec-websocket-protocol"}
        if not carried and "token" not in url:
            yield Observation(of="token", value="missing", finding="the attempt carried no token", events=events)


def _of_api(facts: Facts, case: Case, lives: tuple[Life, ...]) -> Iterator[Observation]:
    """Answers of the HTTP API to the same token, nearest to the attempts."""
    asked = [one for one in facts.answers if one.purpose in ("bot", "session", "chat", "history")]
    if not asked:
        return
    middle = lives[len(lives) // 2].connection.started_at
    nearest = min(asked, key=lambda one: (one.purpose != "bot", abs(one.at - middle)))
    status = nearest.status
    value = "ok" if status < 400 else str(status) if status in (401, 403, 404) else "failing"
    if nearest.purpose == "bot":
        case.facts["bot_status"] = status
    words = f"the HTTP API answered {status} to the same token ({nearest.method} {nearest.purpose})"
    yield Observation(of="api", value=value, finding=words, events=(nearest.id,))


def _of_others(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    mine = {life.id for life in lives}
    others = [one for one in facts.lives if one.id not in mine and one.opened]
    first, last = lives[0].connection.started_at, lives[-1].connection.started_at
    if not others:
        yield Observation(of="others", value="all-fail", finding="no connection of the recording opened")
        return
    tried = [one.connection.started_at for one in others]
    if facts.arms and any(first < at < last for at in tried):
        # An arm that lives on is meant to; what was let in between two refusals tells more.
        value, words = "between", "other attempts in between succeeded"
    elif any(one.start < first and (one.end > last or one.connection.ending is None) for one in others):
        value, words = "together", "other connections were open meanwhile"
    elif any(one.start > first for one in others) and any(one.start < last for one in others):
        value, words = "between", "other attempts in between succeeded"
    elif all(one.start < first for one in others):
        value, words = "before", "connections had opened before"
    else:
        value, words = "between", "a later attempt succeeded"
    crowd = list(_of_crowd(facts, lives))
    if crowd:
        # What matters of the others is how many they were.
        value, words = "together", "it was let in whenever fewer were open"
    yield Observation(of="others", value=value, finding=words, events=())
    yield from crowd
    yield from _of_rest(facts, lives)
    starts = sorted(one.connection.started_at for one in facts.lives if one.connection.started_at <= first)
    if len(starts) > 3:
        pace = (starts[-1] - starts[-4]) / 3
        value = "fast" if pace < FAST else "slow"
        yield Observation(of="pace", value=value, finding=f"attempts came {pace:.1f} s apart before it")


def _of_crowd(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    """Always refused with as many open, and let in with fewer."""
    counts = {len(facts.open_at(life.connection.started_at)) for life in lives}
    let_in = [len(facts.open_at(one.start - 1e-3)) for one in facts.lives if one.opened]
    least = 1 if facts.arms else 2
    if counts and min(counts) >= least and let_in and max(let_in) < min(counts):
        words = f"refused only while {min(counts)} connections were open"
        yield Observation(of="crowd", value="yes", finding=words, events=tuple(x.id for x in _failures(lives)))


def _of_rest(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    """Whether, since the first refusal, whatever was let in had waited longer than all that were refused.

    Only of an investigation: a client that backs off waits longer each time, and finds a host that came back.
    """
    if not facts.arms:
        return
    tried = sorted((*facts.lives, *facts.variants), key=lambda one: one.connection.started_at)
    first = min(one.connection.started_at for one in lives)
    later = [one for one in tried if one.opened and one.connection.started_at > first]
    if len(lives) < REFUSALS or not later:
        return
    events = tuple(one.id for one in _failures(lives))
    for rests, what in ((_since_any(tried), "without an attempt"), (_since_let_in(tried, lives), "without success")):
        refused, let_in = ([rests[one.id] for one in group if one.id in rests] for group in (lives, later))
        if len(refused) >= REFUSALS and let_in and min(let_in) > max(refused):
            words = f"let in again after {min(let_in):.1f} s {what}, refused up to {max(refused):.1f} s after one"
            yield Observation(of="rest", value="needed", finding=words, events=events)
            return
    words = "attempts that had waited for less than others were let in, and those were refused"
    yield Observation(of="rest", value="no", finding=words, events=events)


def _since_any(tried: list[Life]) -> dict[str, float]:
    """Seconds since the attempt before: what counts where refused attempts count as well."""
    return {
        after.id: after.connection.started_at - before.connection.started_at
        for before, after in itertools.pairwise(tried)
    }


def _since_let_in(tried: list[Life], refused: tuple[Life, ...]) -> dict[str, float]:
    """Seconds since the last attempt that passed, whatever was behind it: what counts in a leaky bucket.

    Nothing where the refused follow one attempt only: then the server was away for a while, and came back.
    """
    ids, status = {one.id for one in refused}, _status(refused[0])
    rests: dict[str, float] = {}
    last: Life | None = None
    before: set[str] = set()
    for one in tried:
        if last is not None:
            rests[one.id] = one.connection.started_at - last.connection.started_at
            before |= {last.id} if one.id in ids else set()
        if one.opened or _status(one) not in (None, status):
            last = one
    return rests if len(before) > 1 else {}


def _failures(lives: tuple[Life, ...]) -> list[AttemptFailed]:
    return [event for life in lives if (event := failure_of(life)) is not None]


def _of_health(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    start, stop = lives[0].connection.started_at - 30, lives[-1].end + 30
    near = [one for one in facts.health if start <= one.at <= stop]
    if near:
        bad = [one for one in near if not one.healthy and one.status not in (404, 405, 501)]
        value = "bad" if 2 * len(bad) > len(near) else "good"
        words = f"the health endpoint was {value} around it ({len(near) - len(bad)} of {len(near)} looks good)"
        yield Observation(of="health", value=value, finding=words, events=tuple(one.id for one in near[:10]))


def _of_variants(facts: Facts, status: int | None) -> Iterator[Observation]:
    """What became of openings that an investigation altered on purpose."""
    by: dict[str, list[Life]] = {}
    for life in facts.variants:
        by.setdefault(facts.arms[life.id].alters, []).append(life)
    opened = [life for life in by.get("origin", []) if life.opened]
    # Where the client's own opening worked at times, it is not its Origin that was refused at others.
    if by.get("origin") and status is not None and not any(life.opened for life in facts.lives):
        value = "decides" if opened else "same"
        words = "another Origin is let in" if opened else "no other Origin is let in either"
        yield Observation(of="origin", value=value, finding=words, events=_shown(opened or by["origin"]))
    if by.get("path"):
        same = all(not life.opened and _status(life) == status for life in by["path"])
        words = "a path that cannot exist is answered in the same way" if same else "a path that cannot exist differs"
        value = "same" if same else "differs"
        yield Observation(of="neighbour", value=value, finding=words, events=_shown(by["path"]))
        yield from _of_plain(by["path"])
    if any(life.opened for life in by.get("subprotocol", [])) and not any(life.opened for life in facts.lives):
        life = next(life for life in by["subprotocol"] if life.opened)
        words = "it is let in when subprotocols are offered"
        if chosen := next((one.subprotocol for one in life.all(Opened)), None):
            words += f", and chooses {chosen}"
        yield Observation(of="subprotocol", value="refused", finding=words, events=_shown([life]))
    if by.get("bot"):
        opens = any(life.opened for life in by["bot"])
        words = "another bot is let in with the same token" if opens else "another bot is refused as well"
        yield Observation(of="other-bot", value="opens" if opens else "same", finding=words, events=_shown(by["bot"]))
    if by.get("way"):
        opens = any(life.opened for life in by["way"])
        words = "the second way in opens" if opens else "the second way in fails as well"
        yield Observation(of="also", value="opens" if opens else "same", finding=words, events=_shown(by["way"]))


def _of_plain(lives: list[Life]) -> Iterator[Observation]:
    """An ASGI application refuses a WebSocket on an unknown path with 403: its 404 in JSON is for a plain GET."""
    answers = [answer for life in lives if (answer := answer_of(life)) is not None and answer.status == 404]
    plain = [one for one in answers if re.match(r'\{"detail":\s?"Not Found"\}$', (one.body or "").strip())]
    if plain:
        words = "an ASGI application took an upgrade for a plain GET"
        yield Observation(of="plain", value="yes", finding=words, events=tuple(one.id for one in plain))


def _shown(lives: list[Life]) -> tuple[str, ...]:
    return tuple(id for life in lives[:5] for id in life.ids(life.places[-1:]))


def _of_logs(facts: Facts, lives: tuple[Life, ...]) -> Iterator[Observation]:
    for life in lives:
        for line in facts.logs:
            if abs(line.at - life.end) <= 2.0 and line.what.startswith("upstream"):
                words = f"the {line.by}'s log says {line.what} at that moment"
                yield Observation(of="log", value=line.what, finding=words, events=(line.id,))
                return
