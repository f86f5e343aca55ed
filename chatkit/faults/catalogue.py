"""The catalogue: every fault that can be had on demand, with its parameters and the cause it produces.

The ids and keys are the lab's own words; ``cause`` is an id of the taxonomy, or the closest one where the
fault is a symptom rather than a cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Value = float | int | str

_SENDABLE = ((1000, 1003), (1007, 1014), (3000, 4999))
"""RFC 6455, section 7.4, and the registry: 1005, 1006 and 1015 never stand in a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One key of a fault."""

    name: str
    """The word before ``=``."""
    type: Literal["float", "int", "text", "code"]
    """How the text after ``=`` is read; ``code`` is a whole number that a close frame may carry."""
    default: Value | None = None
    """The value when the key is absent; ``None`` means the key is required."""
    unit: str = ""
    """``s`` for seconds, ``bytes``, or empty."""
    allowed: tuple[str, ...] = ()
    """The only permitted words; empty means any word of letters, digits, ``_``, ``.`` and ``-``."""
    minimum: float = 0.0
    """Smallest permitted number, inclusive."""
    maximum: float = 1e9
    """Largest permitted number, inclusive."""
    doc: str
    """What it does, one line."""

    def expectation(self) -> str:
        """What a value must look like, for error messages and tables."""
        if self.allowed:
            return " or ".join(self.allowed)
        if self.type == "text":
            return "a word of letters, digits, '_', '.' and '-'"
        if self.type == "code":
            return "a close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999"
        noun = "a number" if self.type == "float" else "a whole number"
        unit = f" of {'seconds' if self.unit == 's' else self.unit}" if self.unit else ""
        return f"{noun}{unit} from {self.minimum:g} to {self.maximum:g}"

    def permits(self, number: float) -> bool:
        """Whether a number is one of those that :meth:`expectation` describes."""
        if self.type == "code":
            return any(first <= number <= last for first, last in _SENDABLE)
        return self.minimum <= number <= self.maximum


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One entry of the catalogue."""

    id: str
    """The word before ``:``."""
    summary: str
    """One line: what goes wrong."""
    cause: str
    """The cause id that a diagnosis should name."""
    parameters: tuple[Parameter, ...] = ()
    """Its keys, in the order in which they are documented."""

    def signature(self) -> str:
        """The fault as one would type it, optional keys in brackets."""
        required = [f"{p.name}={_placeholder(p)}" for p in self.parameters if p.default is None]
        optional = [f"{p.name}={_placeholder(p)}" for p in self.parameters if p.default is not None]
        if not self.parameters:
            return self.id
        if not required:
            return f"{self.id}[:{','.join(optional)}]"
        return f"{self.id}:{','.join(required)}" + (f"[,{','.join(optional)}]" if optional else "")

    def as_json(self) -> dict[str, Any]:
        """The entry for ``chatkit lab --list-faults --json``."""
        keys = ("name", "type", "default", "unit", "allowed", "doc")
        return {
            "id": self.id,
            "summary": self.summary,
            "cause": self.cause,
            "signature": self.signature(),
            "parameters": [
                {key: getattr(p, key) for key in keys} | {"required": p.default is None} for p in self.parameters
            ],
        }


def _placeholder(parameter: Parameter) -> str:
    if parameter.allowed:
        return "|".join(parameter.allowed)
    return {"s": "S", "bytes": "BYTES"}.get(parameter.unit, parameter.name.upper())


def _seconds(name: str, doc: str, default: float | None = None) -> Parameter:
    return Parameter(name=name, type="float", default=default, unit="s", doc=doc)


def _share(doc: str) -> Parameter:
    return Parameter(name="share", type="float", default=1.0, maximum=1.0, doc=f"{doc}, decided by the seed")


def _close_code(doc: str) -> Parameter:
    return Parameter(name="code", type="code", default=1011, doc=doc)


def _choice(name: str, doc: str, *allowed: str) -> Parameter:
    return Parameter(name=name, type="text", default=allowed[0], allowed=allowed, doc=doc)


COUNTS = ("any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping")
"""What may count as activity, seen from the client: ``inbound`` is what the server sends."""

_ENDS = ("fin", "rst", "close")

_ENTRIES = (
    FaultKind(
        id="early-ping-abort",
        summary="the server aborts the connection when any ping arrives too soon after the opening",
        cause="early-ping-abort",
        parameters=(
            _seconds("window", "a ping sooner than this after the opening is fatal", 3.0),
            _seconds("delay", "time between that ping and the abort", 0.2),
            _choice("how", "how the TCP connection ends", "rst", "fin"),
        ),
    ),
    FaultKind(
        id="idle-timeout",
        summary="the connection is ended after a time without activity",
        cause="idle-timeout",
        parameters=(
            _seconds("timeout", "longest permitted silence"),
            _choice("counts", "what counts as activity, seen from the client", *COUNTS),
            _choice("how", "fin or rst without a close frame, or a close frame 1001", *_ENDS),
        ),
    ),
    FaultKind(
        id="max-lifetime",
        summary="the connection is ended at a fixed age, whatever its traffic",
        cause="max-lifetime",
        parameters=(
            _seconds("age", "age at which it ends"),
            _choice("how", "fin or rst without a close frame, or a close frame 1001", *_ENDS),
        ),
    ),
    FaultKind(
        id="server-crash",
        summary="all sockets end without close frame, the port refuses for a while, then the server is back",
        cause="server-crash",
        parameters=(
            _seconds("after", "time from the start of the server to the crash"),
            _seconds("gap", "time during which the port refuses connections", 3.0),
        ),
    ),
    FaultKind(
        id="auth-rejected",
        summary="every token is refused, by the WebSocket and by the HTTP API",
        cause="auth-rejected",
        parameters=(
            _choice("when", "before: HTTP 403 on the upgrade; after: accepted, then close 4001", "before", "after"),
        ),
    ),
    FaultKind(
        id="token-expired",
        summary="access tokens live shortly; the connection ends with 4001 when its token expires",
        cause="token-expired",
        parameters=(_seconds("after", "lifetime of every access token issued from now on"),),
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
        parameters=(_seconds("delay", "time added before the bot begins"),),
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
        parameters=(_share("share of the replies that are lost"),),
    ),
    FaultKind(
        id="invalid-json",
        summary="the server sends one text frame that is not JSON",
        cause="wrong-contract",
        parameters=(_seconds("after", "time from the opening to that frame", 1.0),),
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
            _seconds("after", "time from the opening to that message", 1.0),
        ),
    ),
    FaultKind(
        id="health-down",
        summary="GET /health answers 503 while everything else works",
        cause="health-lies",
    ),
    FaultKind(
        id="server-error",
        summary="the handler fails on the first message of one type: close 1011",
        cause="server-error",
        parameters=(Parameter(name="on", type="text", default="typing", doc="the message type that it cannot handle"),),
    ),
    FaultKind(
        id="no-pong",
        summary="application pings are not answered; with kind=both RFC 6455 pings neither",
        cause="keepalive-timeout",
        parameters=(_choice("kind", "which pings are ignored", "app", "both"),),
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
            _seconds("after", "time from the opening to the hole"),
            _seconds("duration", "time until the path is whole again, 0 for never", 0.0),
        ),
    ),
    FaultKind(
        id="stall",
        summary="the whole server stands still once: sockets, API and health are mute together",
        cause="server-blocked-loop",
        parameters=(
            _seconds("after", "time from the start of the server to the stall"),
            _seconds("duration", "time that it stands still"),
        ),
    ),
    FaultKind(
        id="accept-then-close",
        summary="the upgrade works, connection_established comes, then the server closes at once",
        cause="server-error",
        parameters=(_close_code("code of the close frame"), _share("share of the connections that are closed")),
    ),
    FaultKind(
        id="error-on-text",
        summary="the handler fails on every chat message that holds a word: HTTP 500, or a close on the socket",
        cause="server-error",
        parameters=(
            Parameter(name="text", type="text", doc="the word"),
            _close_code("code of the close frame where messages come over the socket"),
        ),
    ),
    FaultKind(
        id="overload",
        summary="the upgrade is refused by an HTTP status with Retry-After",
        cause="rate-limited",
        parameters=(
            _choice("status", "the status", "503", "429"),
            Parameter(
                name="retry_after",
                type="float",
                default=5.0,
                unit="s",
                maximum=1e12,
                doc="what Retry-After says; the fault itself does not end with it",
            ),
            _share("share of the upgrades that are refused"),
        ),
    ),
)

CATALOGUE: Mapping[str, FaultKind] = MappingProxyType({kind.id: kind for kind in _ENTRIES})
"""All faults by id, in the order of the documentation."""
