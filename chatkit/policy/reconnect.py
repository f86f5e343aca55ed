"""Whether to try again after a loss, when, and what the loss may mean; pure.

These are the contract's own rules (preset ``incident``): exponential backoff without jitter, at most so many
attempts, stop codes, one token refresh.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from chatkit.behaviour import Client


class Loss(Struct, frozen=True, kw_only=True):
    """How an attempt or a connection ended, as far as a client can tell."""

    stage: Literal["dns", "tcp", "tls", "upgrade", "established", "open"]
    """Where it happened; ``open`` is a connection that was established."""
    code: int | None = None
    """Close code as an API reports it (1005, 1006 included), where the WebSocket was open."""
    status: int | None = None
    """HTTP status of a refused upgrade."""
    error: str = ""
    by_us: bool = False
    """Whether our own close frame came first."""
    retry_after: float | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """What to do about a loss."""

    action: Literal["retry", "refresh", "stop"]
    """``refresh``: get another token, then try again at once."""
    delay: float = 0.0
    """Seconds before the next attempt."""
    auth: bool = False
    """For ``stop``: whether another token would help."""
    hint: str
    """One sentence for people: what it may mean."""


def backoff(attempts: int, rules: Client) -> float:
    """Seconds before the retry that follows ``attempts`` earlier ones: 1, 2, 4 … up to the cap."""
    try:
        return float(min(rules.retry_cap, rules.retry_base * rules.retry_factor**attempts))
    except OverflowError:
        return rules.retry_cap


def decide(loss: Loss, rules: Client, *, attempts: int, may_refresh: bool) -> Decision:
    """What to do about ``loss``.

    Args:
        loss: how it ended.
        rules: the client's behaviour.
        attempts: retries since the last stable connection.
        may_refresh: whether a token refresh is possible and was not the last thing tried.
    """
    hint = explain(loss)
    if _wants_token(loss, rules):
        return Decision(action="refresh" if may_refresh else "stop", auth=True, hint=hint)
    if loss.code in rules.stop_codes:
        return Decision(action="stop", hint=hint)
    if loss.status is not None and 300 <= loss.status < 500 and loss.status not in (408, 425, 429):
        return Decision(action="stop", hint=hint)
    if attempts >= rules.retry_attempts:
        return Decision(action="stop", hint=f"gave up after {attempts} retries: {hint}")
    delay = backoff(attempts, rules)
    if loss.code == 1006:
        delay = max(delay, rules.abnormal_delay)
    if loss.retry_after is not None:
        delay = max(delay, loss.retry_after)
    return Decision(action="retry", delay=delay, hint=hint)


def _wants_token(loss: Loss, rules: Client) -> bool:
    return loss.code in rules.refresh_codes or loss.status in (401, 403)


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
}
_STAGES = {
    "dns": "the name does not resolve",
    "tcp": "nobody listens there, or a firewall is in between",
    "tls": "the TLS handshake failed",
    "upgrade": "the upgrade was not answered properly",
    "established": "the socket opened but the backend never said that it is ready",
}


def explain(loss: Loss) -> str:
    """What a loss may mean, in one sentence without a full stop."""
    if loss.status is not None:
        return f"HTTP {loss.status}: " + _STATUS.get(loss.status, "the upgrade was refused")
    if loss.by_us and loss.code == 1009:
        return "the server's message was larger than this client accepts (max_size)"
    if loss.code is not None:
        meaning = _CODES.get(loss.code, "a code of the application's own" if loss.code >= 3000 else "closed")
        return f"{loss.code}: {meaning}" + (f" ({loss.error})" if loss.error else "")
    return _STAGES.get(loss.stage, "lost") + (f": {loss.error}" if loss.error else "")
