"""The catalogue: every fault that can be had on demand, with its parameters and the cause it produces.

The ids and keys are the lab's own words; ``cause`` is an id of the taxonomy, or the closest one where the
fault is a symptom rather than a cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from chatkit.faults import door_kinds, life_kinds, path_kinds
from chatkit.faults.kinds import FaultKind, Parameter, Value, choice, close_code, reason, seconds, share

__all__ = ["CATALOGUE", "COUNTS", "FaultKind", "Parameter", "Value"]

COUNTS = ("any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping")
"""What may count as activity, seen from the client: ``inbound`` is what the server sends."""

_ENDS = ("fin", "rst", "close")

_ENTRIES = (
    FaultKind(
        id="early-ping-abort",
        summary="the server aborts the connection when any ping arrives too soon after the opening",
        cause="early-ping-abort",
        parameters=(
            seconds("window", "a ping sooner than this after the opening is fatal", 3.0),
            seconds("delay", "time between that ping and the abort", 0.2),
            choice("how", "how the TCP connection ends", "rst", "fin"),
            choice("ping", "which pings are fatal", "both", "app", "protocol"),
        ),
    ),
    FaultKind(
        id="idle-timeout",
        summary="the connection is ended after a time without activity",
        cause="idle-timeout",
        parameters=(
            seconds("timeout", "longest permitted silence"),
            choice("counts", "what counts as activity, seen from the client", *COUNTS),
            choice("how", "fin or rst without a close frame, or a close frame", *_ENDS),
            close_code("code of the close frame", 1001),
            reason(),
        ),
    ),
    FaultKind(
        id="max-lifetime",
        summary="the connection is ended at a fixed age, whatever its traffic",
        cause="max-lifetime",
        parameters=(
            seconds("age", "age at which it ends"),
            choice("how", "fin or rst without a close frame, or a close frame", *_ENDS),
            close_code("code of the close frame", 1001),
            reason(),
        ),
    ),
    FaultKind(
        id="server-crash",
        summary="all sockets end without close frame, the port refuses for a while, then the server is back",
        cause="server-crash",
        parameters=(
            seconds("after", "time from the start of the server to the crash"),
            seconds("gap", "time during which the port refuses connections", 3.0),
        ),
    ),
    FaultKind(
        id="auth-rejected",
        summary="every token is refused, by the WebSocket and by the HTTP API",
        cause="auth-rejected",
        parameters=(
            choice(
                "when", "before: HTTP status on the upgrade; after: accepted, then a close frame", "before", "after"
            ),
            choice("status", "the HTTP status", "403", "401"),
            close_code("code of the close frame", 4001),
            reason(),
        ),
    ),
    FaultKind(
        id="token-expired",
        summary="access tokens live shortly; the connection ends when its token expires",
        cause="token-expired",
        parameters=(
            seconds("after", "lifetime of every access token issued from now on"),
            choice("how", "a close frame, or rst or fin without one", "close", "rst", "fin"),
            close_code("code of the close frame", 4001),
            reason(),
        ),
    ),
    FaultKind(
        id="no-established-message",
        summary="the upgrade works, connection_established never comes",
        cause="no-established-message",
    ),
    FaultKind(
        id="slow-reply",
        summary="every reply takes longer by a fixed time",
        cause="slow-reply",
        parameters=(seconds("delay", "time added before the bot begins"),),
    ),
    FaultKind(
        id="duplicate-delivery",
        summary="every chat_response is sent twice on the socket",
        cause="duplicate-delivery",
    ),
    FaultKind(
        id="stuck-typing",
        summary="is_typing true is never followed by false",
        cause="stuck-typing",
    ),
    FaultKind(
        id="lost-reply",
        summary="HTTP answers with the reply, chat_response never comes",
        cause="lost-reply",
        parameters=(share("share of the replies that are lost"),),
    ),
    FaultKind(
        id="invalid-json",
        summary="the server sends one text frame that is not JSON",
        cause="wrong-contract",
        parameters=(seconds("after", "time from the opening to that frame", 1.0),),
    ),
    FaultKind(
        id="big-frame",
        summary="the server sends one very large message",
        cause="client-message-limit",
        parameters=(
            Parameter(
                name="size",
                type="int",
                default=16_777_216,
                unit="bytes",
                minimum=64,
                maximum=268_435_456,
                doc="size of its text",
            ),
            seconds("after", "time from the opening to that message", 1.0),
        ),
    ),
    FaultKind(
        id="health-down",
        summary="GET /health answers 503 while everything else works",
        cause="health-lies",
    ),
    FaultKind(
        id="server-error",
        summary="the handler fails on the first message of one type",
        cause="server-error",
        parameters=(
            Parameter(name="on", type="text", default="typing", doc="the message type that it cannot handle"),
            choice("how", "a close frame, or rst or fin without one", "close", "rst", "fin"),
            close_code("code of the close frame"),
            reason(),
        ),
    ),
    FaultKind(
        id="no-pong",
        summary="application pings are not answered; with kind=both RFC 6455 pings neither",
        cause="keepalive-timeout",
        parameters=(choice("kind", "which pings are ignored", "app", "both"),),
    ),
    FaultKind(
        id="chunk-gap",
        summary="streaming leaves out one sequence number",
        cause="out-of-order",
        parameters=(
            Parameter(name="seq", type="int", default=2, maximum=1e6, doc="the sequence number that is never sent"),
        ),
    ),
    FaultKind(
        id="black-hole",
        summary="the path of a connection is dead: nothing arrives, nothing is acknowledged, nothing is refused",
        cause="nat-timeout",
        parameters=(
            seconds("after", "time from the opening to the hole"),
            seconds("duration", "time until the path is whole again, 0 for never", 0.0),
        ),
    ),
    FaultKind(
        id="stall",
        summary="the whole server stands still: sockets, API and health are mute together",
        cause="server-blocked-loop",
        parameters=(
            seconds("after", "time from the start of the server to the stall"),
            seconds("duration", "time that it stands still"),
            seconds("period", "time from one stall to the next, 0 for one only", 0.0),
        ),
    ),
    FaultKind(
        id="accept-then-close",
        summary="the upgrade works, connection_established comes, then the server closes at once",
        cause="server-error",
        parameters=(close_code("code of the close frame"), share("share of the connections that are closed"), reason()),
    ),
    FaultKind(
        id="error-on-text",
        summary="the handler fails on every chat message that holds a word: HTTP 500, or a close on the socket",
        cause="server-error",
        parameters=(
            Parameter(name="text", type="text", doc="the word"),
            close_code("code of the close frame where messages come over the socket"),
            reason(),
        ),
    ),
    FaultKind(
        id="overload",
        summary="the upgrade is refused by an HTTP status with Retry-After",
        cause="rate-limited",
        parameters=(
            choice("status", "the status", "503", "429"),
            Parameter(
                name="retry_after",
                type="float",
                default=5.0,
                unit="s",
                maximum=1e12,
                doc="what Retry-After says; the fault itself does not end with it",
            ),
            share("share of the upgrades that are refused"),
        ),
    ),
)

CATALOGUE: Mapping[str, FaultKind] = MappingProxyType(
    {kind.id: kind for kind in (*_ENTRIES, *door_kinds.ENTRIES, *life_kinds.ENTRIES, *path_kinds.ENTRIES)}
)
"""All faults by id, in the order of the documentation."""
