"""What to do about a failure: ``classify`` finds its row in the policy table and decides; pure and total.

In goes a close frame, an HTTP status, an exception or the end of a transport, together with what the client knows at
that moment; out comes exactly one :class:`Decision`. Time, chance and what the backend answered are arguments.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from chatkit.behaviour import Client, Kind, Row, Signal
from chatkit.errors import AuthError, ConnectFailed
from chatkit.events import CloseReceived, CloseSent, TransportEnded
from chatkit.policy.table import TABLE, covers

Stage = Literal["dns", "tcp", "tls", "upgrade", "established", "open"]

REPEATED = 60.0
"""Seconds within which the same failure counts as a repetition."""
NEARLY_EXPIRED = 30.0
"""Seconds of life below which a token counts as expired already."""


class Loss(Struct, frozen=True, kw_only=True):
    """How an attempt or a connection ended, as far as a client can tell."""

    stage: Stage = "open"
    """Where it happened; ``open`` is a connection that was established."""
    code: int | None = None
    """Close code as an API reports it (1005, 1006 included), where the WebSocket was open."""
    status: int | None = None
    """HTTP status of a refused upgrade."""
    error: str = ""
    """The close frame's reason, or an error's text."""
    by_us: bool = False
    """Whether our own close frame came first."""
    retry_after: float | None = None
    """Seconds that the server asked to wait."""
    signal: Signal | None = None
    names: tuple[str, ...] = ()
    """Names of an exception's class and of its bases."""


class Context(Struct, frozen=True, kw_only=True):
    """What the client knows when it has to decide."""

    rules: Client
    attempts: int = 0
    """Retries since the last stable connection."""
    step: int = 1
    """Step of the backoff that comes next; it starts at ``rules.retry_first``."""
    stable: bool = False
    """Whether the connection that was lost, or the last one before these retries, was stable."""
    repeated: float | None = None
    """Seconds since the last failure of the same kind, ``None`` for none."""
    can_refresh: bool = False
    """Whether another token can be had without asking the user."""
    refreshed: bool = False
    """Whether a refresh was tried just now: since the last stable connection, not longer ago than ``retry_cap``, and
    within the first half of the life of the token that it brought."""
    token_left: float | None = None
    """Seconds until the token expires, by the server's clock where that is known."""
    api_status: int | None = None
    """What the HTTP API answered the same token about the bot; 0 for no answer, ``None`` while it was not asked."""
    lag: float = 0.0
    """Worst lateness of our own loop shortly before, seconds."""
    draw: float = 0.5
    """A random number in [0, 1)."""


class Decision(Struct, frozen=True, kw_only=True):
    """What to do."""

    kind: Kind
    action: Literal["reconnect", "suspend", "refresh", "ask", "auth", "fail", "stop", "keep"]
    """``auth``: wait for another token. The others as in :class:`chatkit.behaviour.Row`; ``suspend`` is what becomes
    of ``reconnect`` when the fast retries are used up."""
    delay: float = 0.0
    """Seconds before the next attempt, or before the next look at the backend's health."""
    hint: str
    """What it may mean, one sentence without a full stop."""
    remedy: str = ""
    """What the user can do."""
    backoff: bool = False
    """Whether a step of the backoff was used."""
    compression: bool = True
    """Whether the next attempt may offer compression."""


Happening = Loss | CloseReceived | CloseSent | TransportEnded | Signal | int | BaseException
"""What can be classified: a close frame of either side, a transport's end without one, an HTTP status, an exception."""


def classify(what: Happening, context: Context) -> Decision:
    """What to do about ``what``."""
    loss = loss_of(what)
    found = row_of(loss, (*context.rules.rows, *TABLE))
    hint = found.hint or explain(loss)
    if found.kind is Kind.STARVED and context.lag > 0:
        hint += f"; our own loop was late by {context.lag:.1f} s shortly before"
    decision = Decision(
        kind=found.kind, action="fail", hint=hint, remedy=REMEDIES[found.kind], compression=found.compression
    )
    match found.action:
        case "stop" | "keep" as plain:
            return msgspec.structs.replace(decision, action=plain)
        case "fail":
            fights = found.kind is Kind.CONFLICT and context.rules.takeover
            return _again(decision, found, loss, context) if fights else decision
        case "refresh":
            return _refresh(decision, context)
        case "ask":
            return _ask(decision, found, loss, context)
        case "reconnect":
            return _again(decision, found, loss, context)


def row_of(loss: Loss, rows: tuple[Row, ...] = TABLE) -> Row:
    """The first row that fits; the last row of the table fits everything."""
    return next(row for row in rows if _fits(row, loss))


def kind_of(loss: Loss, rules: Client) -> Kind:
    """The class of a loss, by the rows of the rules and then those of the table."""
    return row_of(loss, (*rules.rows, *TABLE)).kind


def _fits(row: Row, loss: Loss) -> bool:
    side = row.by is None or (row.by == "client") == loss.by_us
    said = row.reason is None or row.reason in loss.error
    asked = not row.retry_after or loss.retry_after is not None
    named = row.error is None or row.error in loss.names
    signal = row.signal is None or row.signal is loss.signal
    numbers = covers(row.close, loss.code) and covers(row.status, loss.status)
    return numbers and side and said and asked and named and signal


def _refresh(decision: Decision, context: Context) -> Decision:
    """One refresh, then somebody must act."""
    if decision.kind is Kind.AUTH_DENIED or context.refreshed or not context.can_refresh:
        return msgspec.structs.replace(decision, action="auth", remedy=REMEDIES[Kind.AUTH_DENIED])
    return msgspec.structs.replace(decision, action="refresh")


def _ask(decision: Decision, row: Row, loss: Loss, context: Context) -> Decision:
    """Five causes look like 403: the token's own expiry and the HTTP API tell them apart."""
    say = decision.hint
    if context.token_left is not None and context.token_left <= NEARLY_EXPIRED:
        ago = "has expired" if context.token_left <= 0 else f"expires in {context.token_left:.0f} s"
        return _refresh(_expired(decision, f"{say}; the token {ago}"), context)
    match context.api_status:
        case None:
            return msgspec.structs.replace(decision, action="ask")
        case 401:
            return _refresh(_expired(decision, f"{say}; the HTTP API refuses the token as well"), context)
        case 404:
            return _settled(decision, Kind.NOT_FOUND, "the HTTP API does not know this bot")
        case 403:
            return _settled(decision, Kind.FORBIDDEN, "the HTTP API says that the user may not use this bot")
        case status if 200 <= status < 300:
            why = "the HTTP API accepts token and bot, so it is the Origin, the path, or a rule of the socket's own"
            return _settled(decision, Kind.FORBIDDEN, why)
    unclear = msgspec.structs.replace(decision, kind=Kind.TRANSIENT, remedy=REMEDIES[Kind.TRANSIENT])
    return _again(unclear, row, loss, context)


def _expired(decision: Decision, hint: str) -> Decision:
    return msgspec.structs.replace(decision, kind=Kind.AUTH_EXPIRED, hint=hint, remedy=REMEDIES[Kind.AUTH_EXPIRED])


def _settled(decision: Decision, kind: Kind, why: str) -> Decision:
    return msgspec.structs.replace(decision, kind=kind, hint=f"{why}; {decision.hint}", remedy=REMEDIES[kind])


def _again(decision: Decision, row: Row, loss: Loss, context: Context) -> Decision:
    rules = context.rules
    if row.once and context.repeated is not None and context.repeated < REPEATED:
        return msgspec.structs.replace(decision, hint=f"again within a minute: {decision.hint}")
    if context.attempts >= rules.retry_attempts:
        hint = f"{decision.hint}; {context.attempts} retries did not help"
        if not rules.suspend:
            return msgspec.structs.replace(decision, hint=f"gave up after {context.attempts} retries: {decision.hint}")
        wait = max(probe_delay(rules, context.draw), asked_to_wait(loss.retry_after, rules))
        return msgspec.structs.replace(decision, action="suspend", delay=wait, hint=hint)
    quick = row.wait is not None and (row.every or context.attempts == 0) and _began_well(row, context)
    delay = _uniform(row.wait or (0, 0), rules, context.draw) if quick else _stepped(row, context)
    delay = max(delay, row.least * rules.retry_base, asked_to_wait(loss.retry_after, rules))
    return msgspec.structs.replace(decision, action="reconnect", delay=delay, backoff=not quick)


def _began_well(row: Row, context: Context) -> bool:
    """Whether a retry may be drawn as the row says. A hasty one is for a connection that was stable: otherwise
    a server that accepts and ends at once would be met by a storm."""
    assert row.wait is not None
    return context.stable or row.wait[0] >= 1


def _uniform(wait: tuple[float, float], rules: Client, draw: float) -> float:
    low, high = wait
    return rules.retry_base * (low + (high - low) * draw)


def _stepped(row: Row, context: Context) -> float:
    return backoff(row.step if row.step is not None else context.step, context.rules, context.draw)


def backoff(step: int, rules: Client, draw: float) -> float:
    """Seconds of the backoff's ``step``: exponential up to the cap, shortened by up to the jitter's share.

    The shape is "equal jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    try:
        full = float(min(rules.retry_cap, rules.retry_base * rules.retry_factor**step))
    except OverflowError:
        full = rules.retry_cap
    return full * (1 - rules.retry_jitter * (1 - draw))


def asked_to_wait(retry_after: float | None, rules: Client) -> float:
    """A server's ``Retry-After`` as far as it is obeyed, seconds (RFC 9110, section 10.2.3)."""
    return 0.0 if retry_after is None else max(0.0, min(retry_after, rules.retry_after_cap))


def probe_delay(rules: Client, draw: float) -> float:
    """Seconds until a suspended client looks at the backend's health again."""
    return rules.suspend_probe * (1 + rules.suspend_jitter * (2 * draw - 1))


def may_leave(healthy: bool, since_attempt: float, rules: Client) -> bool:
    """Whether a suspended client tries: the backend is healthy, or the last attempt is ``since_attempt`` s ago."""
    return healthy or since_attempt >= rules.suspend_attempt


def rejoin_delay(rules: Client, draw: float) -> float:
    """Seconds that a suspended client waits once it may try: a backend comes back for everybody at the same time."""
    return rules.retry_base * draw


# What happened, in one shape


def loss_of(what: Happening) -> Loss:
    """Anything that can be classified as a :class:`Loss`."""
    match what:
        case Loss():
            return _completed(what)
        case CloseReceived(code=code, reason=reason):
            return Loss(code=1005 if code is None else code, error=reason)
        case CloseSent(code=code, reason=reason):
            return Loss(code=1005 if code is None else code, error=reason, by_us=True)
        case TransportEnded():
            return Loss(signal=Signal.NO_CLOSE_FRAME, error=what.error or "")
        case Signal():
            return Loss(signal=what)
        case int():
            return Loss(stage="upgrade", status=what)
        case _:
            return _loss_of_exception(what)


def _completed(loss: Loss) -> Loss:
    """A loss that says no more than where it happened, as what that means."""
    if loss.code is not None or loss.status is not None or loss.signal is not None or loss.names:
        return loss
    if loss.stage == "established":
        return msgspec.structs.replace(loss, signal=Signal.HELLO_TIMEOUT)
    if loss.stage == "open":
        return msgspec.structs.replace(loss, signal=Signal.NO_CLOSE_FRAME)
    return msgspec.structs.replace(loss, names=("gaierror", "OSError") if loss.stage == "dns" else ("OSError",))


def _loss_of_exception(error: BaseException) -> Loss:
    names = tuple(kind.__name__ for kind in type(error).__mro__)
    if isinstance(error, ConnectFailed):
        stage: Any = error.stage
        wait, bases = error.retry_after, error.names
        return _completed(Loss(stage=stage, status=error.status, error=error.what, retry_after=wait, names=bases))
    if isinstance(error, AuthError):
        return Loss(stage="upgrade", signal=Signal.PROVIDER_DENIED, error=error.what, names=names)
    # The libraries' exceptions are known by what they carry: no policy imports a library that opens sockets.
    if "ConnectionClosed" in names and hasattr(error, "rcvd"):
        return _loss_of_close(error, names)
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        return Loss(stage="upgrade", status=status, error=str(error), retry_after=_seconds(response), names=names)
    return Loss(stage="upgrade", error=str(error), names=names)


def _seconds(response: Any) -> float | None:
    """``Retry-After`` of an answer, seconds. A date would need a clock: it asks for no certain time here."""
    try:
        text = response.headers.get("Retry-After")
    except (AttributeError, LookupError):  # no headers, or the header more than once
        return None
    if text is None:
        return None
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _loss_of_close(error: Any, names: tuple[str, ...]) -> Loss:
    """A ``websockets.ConnectionClosed``: who closed first counts."""
    received, sent = error.rcvd, error.sent
    if received is not None and (error.rcvd_then_sent or sent is None):
        return Loss(code=received.code, error=received.reason, names=names)
    if sent is not None:
        return Loss(code=sent.code, error=sent.reason, by_us=True, names=names)
    return Loss(code=1006, error=str(error.__cause__ or ""), names=names)


# Words

_STATUS = {
    401: "the token was refused",
    403: "the token is missing, wrong or expired, the user may not use this bot, the bot does not exist, the Origin is "
    "not allowed, or an ASGI server does not know the path: all of these look like 403 on an upgrade",
    404: "the path is wrong, or a proxy does not know it",
    426: "whoever answered wants an upgrade: a proxy may have stripped the Upgrade header",
    429: "too many attempts",
    502: "a proxy cannot reach the backend",
    503: "a proxy or server has no backend ready",
    504: "the backend did not answer a proxy in time",
}
_CODES = {
    1000: "the server said goodbye",
    1001: "the server goes away: restart or shutdown",
    1005: "closed without a reason",
    1006: "the connection was cut without a close frame",
    1008: "against the server's policy",
    1009: "a message was too big",
    1011: "the server failed while it handled something",
    1012: "the server restarts",
    1013: "the server is overloaded",
    4001: "no token, or an invalid or expired one",
    4003: "no permission for this bot, or no such bot",
    4009: "another session took over",
    4409: "another session took over",
}
_STAGES = {
    "dns": "the name does not resolve",
    "tcp": "nobody listens there, or a firewall is in between",
    "tls": "the TLS handshake failed",
    "upgrade": "the upgrade was not answered properly",
    "established": "the socket opened but the backend never said that it is ready",
}
_SIGNALS = {
    Signal.LOCAL_CLOSE: "closed by us",
    Signal.NO_CLOSE_FRAME: _CODES[1006],
    Signal.HELLO_TIMEOUT: _STAGES["established"],
    Signal.BAD_MESSAGE: "a message could not be read",
    Signal.TOO_MANY_BAD_MESSAGES: "message after message could not be read: another contract than the profile's",
    Signal.CALLBACK_FAILED: "a callback failed",
    Signal.PROVIDER_UNREACHABLE: "asking for a token got no answer",
    Signal.PROVIDER_DENIED: "asking for a token was refused",
}
REMEDIES = {
    Kind.LOCAL: "connect again when you like",
    Kind.SERVER_DONE: "ask the backend why it says goodbye; Reconnect tries again",
    Kind.TRANSIENT: "nothing for now; if it repeats, run the check: it says which step fails",
    Kind.HALF_OPEN: "nothing for now; if it repeats, look for a firewall or NAT that drops quiet connections",
    Kind.STARVED: "keep blocking work off the client's thread: chatkit.connect runs it on a thread of its own",
    Kind.SERVER_ERROR: "look at the backend's log at this moment",
    Kind.RESTART: "nothing: it comes back",
    Kind.OVERLOAD: "wait; fewer connections or messages help",
    Kind.PROTOCOL: "look for a middlebox that changes frames; compression is off for the retry",
    Kind.PAYLOAD: "raise max_size in the profile, or have the backend split the message",
    Kind.TLS: "renew or complete the certificate, or correct the host name",
    Kind.AUTH_EXPIRED: "nothing: another token is fetched",
    Kind.AUTH_MAYBE: "nothing: the HTTP API is asked what it means",
    Kind.AUTH_DENIED: "log in again or give another token",
    Kind.FORBIDDEN: "get permission for this bot, or choose another one",
    Kind.NOT_FOUND: "correct the bot's id or the path",
    Kind.BAD_REQUEST: "correct the URL or the profile",
    Kind.REDIRECT: "use the final URL",
    Kind.CONFLICT: "close the other session, or connect with takeover",
    Kind.UNKNOWN_APP: "ask the backend's team what the code means, and name it in the profile",
    Kind.SERVER_FATAL: "ask the backend's team; the code says: do not come back",
    Kind.DNS: "check the name, VPN and DNS",
    Kind.HELLO_TIMEOUT: "look at the backend's connect handler",
    Kind.BAD_MESSAGE: "compare the profile with the backend's contract",
    Kind.APP_ERROR: "correct the callback",
    Kind.BUG: "report it, with the recording",
}
"""What a reader can do about each class of failures."""


def explain(loss: Loss) -> str:
    """What a loss may mean, in one sentence without a full stop."""
    if loss.status is not None:
        return f"HTTP {loss.status}: " + _STATUS.get(loss.status, "the upgrade was refused")
    if loss.by_us and loss.code == 1009:
        return "the server's message was larger than this client accepts (max_size)"
    if loss.by_us and loss.code == 1011:
        return "the peer did not answer our ping in time"
    if loss.code == 1011 and "keepalive ping timeout" in loss.error:
        return "the server missed our answers to its pings and gave up"
    if loss.code is not None:
        meaning = _CODES.get(loss.code, "a code of the application's own" if loss.code >= 3000 else "closed")
        return f"{loss.code}: {meaning}" + (f" ({loss.error})" if loss.error else "")
    if loss.signal is not None:
        return _SIGNALS[loss.signal] + (f": {loss.error}" if loss.error else "")
    return _STAGES.get(loss.stage, "lost") + (f": {loss.error}" if loss.error else "")
