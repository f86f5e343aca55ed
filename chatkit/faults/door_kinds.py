"""The catalogue's faults at the door: who is let in, and who has to leave for it."""

from __future__ import annotations

from chatkit.faults.kinds import FaultKind, Parameter, choice, close_code, reason, seconds

_WHEN = "before: HTTP status on the upgrade; after: accepted, then a close frame"


def _count(name: str, doc: str) -> Parameter:
    return Parameter(name=name, type="int", minimum=1, maximum=1e6, doc=doc)


ENTRIES = (
    FaultKind(
        id="replaced-by-new-session",
        summary="a second connection ends the first at once",
        cause="replaced-by-new-session",
        parameters=(
            choice("scope", "one connection for each user, user and bot, or token", "user", "bot", "token"),
            choice("how", "how the older connection ends", "close", "rst", "fin"),
            close_code("code of the close frame", 4009),
            reason(),
        ),
    ),
    FaultKind(
        id="connection-limit",
        summary="only so many connections live at a time; the next is turned away until one ends",
        cause="connection-limit",
        parameters=(
            _count("limit", "how many may live at a time"),
            choice("scope", "all connections, or those of one user", "all", "user"),
            choice("when", _WHEN, "before", "after"),
            choice("status", "the HTTP status", "429", "503", "403"),
            close_code("code of the close frame", 1013),
            reason(),
        ),
    ),
    FaultKind(
        id="upgrade-rate",
        summary="only so many upgrades in a time; the next is refused with Retry-After",
        cause="rate-limited",
        parameters=(
            _count("limit", "how many upgrades pass in the window"),
            seconds("window", "length of the window, which slides", 10.0),
            choice("status", "the HTTP status", "429", "503"),
        ),
    ),
    FaultKind(
        id="bot-access-denied",
        summary="one bot is closed to everybody, by the WebSocket and by the HTTP API; the token is fine",
        cause="bot-access-denied",
        parameters=(
            Parameter(name="bot", type="text", doc="id of the bot"),
            choice("when", "before: HTTP 403 on the upgrade; after: accepted, then close 4003", "before", "after"),
            choice("api", "what GET /api/bots/{id} answers", "403", "404"),
            reason(),
        ),
    ),
    FaultKind(
        id="origin-rejected",
        summary="the upgrade is refused because of its Origin header",
        cause="origin-rejected",
        parameters=(
            choice("refuse", "an origin other than the server's own, no origin, or both", "foreign", "missing", "both"),
            choice("status", "the HTTP status", "403", "400"),
        ),
    ),
    FaultKind(
        id="not-found",
        summary="the socket's path does not exist; the HTTP API does",
        cause="not-found",
        parameters=(choice("status", "404, or the 403 of an ASGI server", "404", "403"),),
    ),
    FaultKind(
        id="subprotocol-mismatch",
        summary="the server speaks one subprotocol only",
        cause="subprotocol-mismatch",
        parameters=(
            Parameter(name="protocol", type="text", default="chat.v2", doc="the subprotocol it speaks"),
            choice("how", "without it: HTTP 400, or 101 with a protocol that nobody offered", "refuse", "other"),
        ),
    ),
    FaultKind(
        id="redirected",
        summary="the upgrade is answered with a redirect",
        cause="redirected",
        parameters=(
            choice("status", "the HTTP status", "307", "301", "302", "308"),
            choice("to", "the path with a slash at its end, https, or a login page", "slash", "https", "login"),
        ),
    ),
    FaultKind(
        id="clock-skew",
        summary="the server's clock is wrong, but not that of who issues the tokens",
        cause="clock-skew",
        parameters=(
            Parameter(
                name="skew",
                type="float",
                unit="s",
                minimum=-1e8,
                maximum=1e8,
                doc="how far it is ahead, negative for behind",
            ),
            seconds("leeway", "error in the times of a token that is let pass", 0.0),
        ),
    ),
    FaultKind(
        id="handshake-timeout",
        summary="TCP and the request are accepted, the upgrade is not answered for a while",
        cause="handshake-timeout",
        parameters=(seconds("delay", "time until the upgrade is answered", 3600.0),),
    ),
    FaultKind(
        id="handshake-invalid",
        summary="the upgrade is answered with 101 and a header that is wrong",
        cause="handshake-invalid",
        parameters=(
            choice(
                "header",
                "Sec-WebSocket-Accept of another key, no Upgrade, or an extension that nobody offered",
                "accept",
                "upgrade",
                "extension",
            ),
        ),
    ),
    FaultKind(
        id="service-down",
        summary="GET /health says 200 while every upgrade, every chat message or both fail",
        cause="health-lies",
        parameters=(
            choice("what", "what fails", "upgrade", "chat", "both"),
            choice("status", "the HTTP status", "503", "500"),
        ),
    ),
)
"""In the order of the documentation."""
