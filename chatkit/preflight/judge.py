"""What each answer means, as lines; pure: facts in, :class:`Line` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from chatkit.policy.reconnect import Loss, explain
from chatkit.policy.token import Claims, span
from chatkit.preflight.report import CheckStatus

SKEW = 5.0
"""Seconds that two clocks may differ: a ``Date`` counts whole seconds, and servers cache it for a second or two."""
EXPIRES_SOON = 60.0
"""A token with less than so many seconds left is worth a warning."""
CERTIFICATE_SOON = 14 * 86_400.0
"""A certificate with less than so many seconds left is worth a warning."""

THREE_WAYS = "--token-env NAME, --token-file FILE or --token TOKEN (token= in Python), or log in with user and password"


class Line(Struct, frozen=True, kw_only=True):
    """A step's outcome before it is cleaned for showing; fields as in ``Check``."""

    status: CheckStatus
    summary: str
    remedy: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Answer(Struct, frozen=True, kw_only=True):
    """An HTTP answer, or why none came."""

    status: int | None = None
    error: str | None = None
    seconds: float = 0.0
    location: str | None = None

    @property
    def good(self) -> bool:
        """Whether it is a 2xx."""
        return self.status is not None and 200 <= self.status < 300

    def words(self, method: str) -> str:
        """``GET 200 in 4 ms``."""
        if self.status is None:
            return f"{method} without answer: {self.error}"
        return f"{method} {self.status} in {ms(self.seconds)}"


def ms(seconds: float) -> str:
    """A short duration: ``0.4 ms``, ``40 ms``, ``1.2 s``."""
    if seconds < 0.01:
        return f"{max(0.1, seconds * 1000):.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def certificate(tls: dict[str, Any], seconds: float, now: float) -> Line:
    """A TLS handshake that was done; ``now`` is Unix time."""
    summary = f"{tls['version']} in {ms(seconds)}"
    left = tls["not_after"] - now if tls["not_after"] is not None else None
    if left is None:
        return Line(status="pass", summary=summary, details=tls)
    summary += f", certificate good for {span(left)}"
    if left < CERTIFICATE_SOON:
        return Line(status="warning", summary=summary, remedy="renew the certificate", details=tls)
    return Line(status="pass", summary=summary, details=tls)


def health(answer: Answer, path: str) -> Line:
    """The health endpoint by GET."""
    details = {"method": "GET", "http_status": answer.status}
    if answer.good:
        return Line(status="pass", summary=answer.words("GET"), details=details)
    if answer.status in (404, 405):
        remedy = f"name the health endpoint in the profile: paths.health is {path}"
    elif answer.location is not None:
        remedy = f"use the URL it points to: {answer.location}"
    elif answer.status is None:
        remedy = "check that this port speaks HTTP and that the server is not blocked"
    else:
        remedy = "look at the backend's log; the lines below say whether the chat works all the same"
    return Line(status="fail", summary=answer.words("GET"), remedy=remedy, details=details)


def health_head(head: Answer, get_good: bool, *, monitored: bool) -> Line:
    """The health endpoint by HEAD; ``monitored``: the profile says that its monitor uses HEAD."""
    details = {"method": "HEAD", "http_status": head.status}
    if head.good:
        return Line(status="pass", summary=head.words("HEAD"), details=details)
    if get_good:
        # No fault for a monitor that uses GET (rule of thumb 8 of the taxonomy).
        summary = f"{head.words('HEAD')} while GET is good: a monitor that uses HEAD says “down”"
        status: CheckStatus = "fail" if monitored else "warning"
        return Line(status=status, summary=summary, remedy="monitor with GET", details=details)
    return Line(status="fail", summary=head.words("HEAD"), remedy="see the line above", details=details)


def token(claims: Claims | None, *, now: float, ahead: float | None) -> Line:
    """A token that was given; ``None`` claims are no JWT's.

    Args:
        claims: its times.
        now: our Unix time.
        ahead: seconds that the server's clock is ahead of ours, where known; the server's clock is what counts.
    """
    skew = ahead if ahead is not None and abs(ahead) > SKEW else 0.0
    there = now + skew
    by = " by the server's clock" if ahead is not None else ""
    details: dict[str, Any] = {"skew_s": round(ahead, 1) if ahead is not None else None, "expires_in_s": None}
    if claims is None:
        summary, remedy = "not a JWT, so its age cannot be read", "compare it with what the login gave, whole"
        return Line(status="warning", summary=summary, remedy=remedy, details=details)
    if claims.exp is not None:
        details["expires_in_s"] = round(claims.exp - there, 1)
        if claims.exp <= there:
            summary = f"expired {span(there - claims.exp)} ago{by}"
            return Line(status="fail", summary=summary + _clock(skew), remedy=_expired(claims, now), details=details)
    early = max(claims.nbf or 0.0, claims.iat or 0.0) - there
    if early > SKEW:
        too_soon = claims.nbf is not None and claims.nbf > there + SKEW
        what = "not valid before" if too_soon else "issued"
        summary = f"{what} {span(early)} from now{by}: clock skew" + _clock(skew)
        remedy = "set both machines by NTP; allow some leeway where tokens are verified"
        return Line(status="fail" if too_soon else "warning", summary=summary, remedy=remedy, details=details)
    return _good_token(claims, there, skew, by, details)


def _good_token(claims: Claims, there: float, skew: float, by: str, details: dict[str, Any]) -> Line:
    left = claims.exp - there if claims.exp is not None else None
    summary = f"good, {span(left)} left" if left is not None else "good, without expiry"
    if skew:
        remedy = "set both machines by NTP"
        return Line(status="warning", summary=f"{summary}{by}{_clock(skew)}", remedy=remedy, details=details)
    if left is not None and left < EXPIRES_SOON:
        return Line(status="warning", summary=summary, remedy="log in again before a long test", details=details)
    return Line(status="pass", summary=summary, details=details)


def _clock(skew: float) -> str:
    return f", which is {span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} ours" if skew else ""


def _expired(claims: Claims, now: float) -> str:
    if claims.exp is not None and claims.exp > now:
        return "log in again; by our clock the token is good, so set both machines by NTP"
    return "log in again"


def no_token(bot: CheckStatus, bot_status: object) -> Line:
    """No token was given; whether that matters is what the API says of the bot."""
    if bot_status in (401, 403):
        return Line(status="fail", summary="none given, and the backend asks for one", remedy=THREE_WAYS)
    if bot == "pass":
        summary = "none given; the API does not ask for one"
        return Line(status="warning", summary=summary, remedy="nothing, if this backend is open to everybody")
    return Line(status="warning", summary="none given", remedy=THREE_WAYS)


_BOT = {
    401: ("the API refuses the token", "log in again, or give another token"),
    403: ("the token is good, but its user may not use this bot", "ask for permission on the bot, or use another user"),
    404: ("no such bot, or not at this path", "check the bot's id; paths.bot of the profile names the call"),
    429: ("too many requests", "wait, and ask less often"),
}


def bot(answer: Answer, name: str | None, *, is_json: bool, has_token: bool) -> Line:
    """What ``GET`` of the bot answered."""
    details = {"http_status": answer.status}
    words = answer.words("GET")
    if answer.good and is_json:
        return Line(status="pass", summary=words + (f", “{name}”" if name else ""), details=details)
    if answer.good:
        remedy = "check the URL: a web page may have answered instead of the API"
        return Line(status="warning", summary=f"{words}, but not a JSON object", remedy=remedy, details=details)
    if answer.status == 401 and not has_token:
        return Line(status="fail", summary=f"{words}: the API asks for a token", remedy=THREE_WAYS, details=details)
    if answer.location is not None:
        meaning, remedy = f"redirected to {answer.location}", "use the final URL"
    elif answer.status is None:
        return Line(status="fail", summary=words, remedy="look at the backend's log", details=details)
    else:
        meaning, remedy = _BOT.get(answer.status, ("the API fails", "look at the backend's log"))
    return Line(status="fail", summary=f"{words}: {meaning}", remedy=remedy, details=details)


def refused(status: int, what: str, remedy: str | None, *, token_bad: str | None, bot_status: int | None) -> Line:
    """An upgrade that was answered with something other than 101.

    Args:
        status: of the answer.
        what, remedy: as the connection's error has them.
        token_bad: the summary of a token line that failed.
        bot_status: what the API answered for the bot, the thing that tells the meanings of 403 apart.
    """
    details: dict[str, Any] = {"http_status": status, "may_mean": []}
    if status not in (401, 403):
        return Line(status="fail", summary=what, remedy=remedy, details=details)
    means, remedy, causes = meaning(token_bad, bot_status)
    details["may_mean"] = list(causes)
    return Line(status="fail", summary=f"HTTP {status}: {means}", remedy=remedy, details=details)


def meaning(token_bad: str | None, bot_status: int | None) -> tuple[str, str, Sequence[str]]:
    """What 401 or 403 on an upgrade means, its remedy, and the ids of the causes that are left; see :func:`refused`."""
    if token_bad is not None:
        return f"it is the token ({token_bad})", "see the line of the token", ("auth-rejected",)
    if bot_status == 401:
        return "it is the token: the HTTP API refuses it too", "log in again, or give another token", ("auth-rejected",)
    if bot_status == 403:
        words = "it is the permission: the HTTP API knows the token but not for this bot"
        return words, "ask for permission on the bot", ("bot-access-denied",)
    if bot_status == 404:
        return "there is no such bot: the HTTP API says 404", "check the bot's id", ("bot-access-denied", "not-found")
    if bot_status is not None and 200 <= bot_status < 300:
        words = "token and bot are good for the HTTP API, so the path of the socket is unknown to the server, the "
        words += "Origin is not allowed, the socket wants the token elsewhere, or an edge rule refuses it"
        remedy = "compare paths.chat_socket and [auth] of the profile with the backend's routes"
        return words, remedy, ("not-found", "origin-rejected", "auth-rejected")
    words = "token, bot, Origin or path; without an answer of the API for the bot these are not told apart"
    return (
        words,
        "first mend the line of the bot",
        ("auth-rejected", "bot-access-denied", "origin-rejected", "not-found"),
    )


def ended(loss: Loss, words: str) -> Line:
    """The connection ended where it should have lived; ``words`` is its ending."""
    details = {"code": loss.code}
    if loss.code in (4001, 4003, 4401, 4403, 1008):
        remedy = "the backend accepts the upgrade and refuses afterwards: see the lines of token and bot"
    else:
        remedy = f"{explain(loss)}; look at the backend's log at this moment"
    return Line(status="fail", summary=words, remedy=remedy, details=details)
