"""The catalogue's faults of the path: what a proxy, a middlebox or the network does between client and server.

They are executed by a hop in front of the backend (``chatkit.tap``). Age and idle time count from the 101; HTTP
calls pass untouched unless the summary says otherwise.
"""

from __future__ import annotations

from chatkit.faults.kinds import FaultKind, Parameter, choice, close_code, seconds, share

_HOW = "fin or rst, on both sides, without a close frame"
_WAY = "seen from the client: outbound is what it sends"


def _size(name: str, doc: str) -> Parameter:
    return Parameter(name=name, type="int", unit="bytes", minimum=1, doc=doc)


def _path(id: str, summary: str, cause: str, *parameters: Parameter) -> FaultKind:
    return FaultKind(id=id, summary=summary, cause=cause, parameters=parameters, acts="path")


ENTRIES = (
    _path(
        "upgrade-stripped",
        "the proxy forwards the upgrade without the headers Upgrade and Connection",
        "upgrade-stripped",
    ),
    _path(
        "upstream-unavailable",
        "the proxy answers by itself that it cannot reach the server",
        "upstream-unavailable",
        choice("status", "the HTTP status", "502", "503", "504"),
        choice("what", "every request, health included, or upgrades only", "all", "upgrade"),
    ),
    _path(
        "proxy-connection-limit",
        "the proxy lets only so many WebSockets through at a time and answers the next one by itself",
        "connection-limit",
        Parameter(name="limit", type="int", maximum=1e6, doc="how many may be open at a time"),
        choice("status", "the HTTP status", "503", "429"),
    ),
    _path(
        "proxy-handshake-invalid",
        "the proxy spoils the 101",
        "handshake-invalid",
        choice("header", "a wrong Sec-WebSocket-Accept, or an extension that was not offered", "accept", "extension"),
    ),
    _path(
        "tls-failure",
        "the proxy speaks TLS with a certificate that must not be accepted",
        "tls-failure",
        choice("reason", "what is wrong with it", "expired", "wrong-name", "self-signed", "unknown-ca"),
    ),
    _path(
        "scheme-mismatch",
        "the URL that is given out has the wrong scheme",
        "scheme-mismatch",
        choice("expects", "what the proxy's port really speaks", "https", "http"),
    ),
    _path(
        "network-reset",
        "both sides get an RST at a time that follows nothing: a constant hazard",
        "network-reset",
        Parameter(name="hazard", type="float", minimum=1e-6, doc="expected resets per second of an open WebSocket"),
    ),
    _path(
        "proxy-max-lifetime",
        "the proxy ends every WebSocket at a fixed age",
        "max-lifetime",
        seconds("age", "age at which it ends"),
        choice("how", _HOW, "fin", "rst"),
    ),
    _path(
        "proxy-idle-timeout",
        "the proxy ends a WebSocket after a time without bytes",
        "idle-timeout",
        seconds("timeout", "longest permitted silence"),
        choice("counts", f"the direction whose bytes count, {_WAY}", "any", "inbound", "outbound"),
        choice("how", _HOW, "fin", "rst"),
    ),
    _path(
        "nat-timeout",
        "the path of a WebSocket dies in silence after a time without bytes: no FIN, no RST, no ACK",
        "nat-timeout",
        seconds("timeout", "how long the mapping lives without bytes in either direction"),
    ),
    _path(
        "peer-unreachable",
        "the path dies in silence: nothing arrives, nothing is acknowledged, nothing is refused",
        "peer-unreachable",
        seconds("after", "time from the start of the hop (all) or from the opening (one) to the death"),
        choice("scope", "all connections and every new one, or each WebSocket by itself", "all", "one"),
        seconds("duration", "time until the path is whole again, 0 for never", 0.0),
    ),
    _path(
        "pongs-muted",
        "RFC 6455 pongs or pings are swallowed",
        "keepalive-timeout",
        choice("kind", "what is swallowed", "pong", "ping", "both"),
        choice("direction", f"in which direction, {_WAY}", "outbound", "inbound", "both"),
    ),
    _path("app-pongs-muted", "the server's application pongs are swallowed", "keepalive-timeout"),
    _path(
        "compression-broken",
        "compression breaks on the path",
        "compression-broken",
        choice(
            "how",
            "data that cannot be inflated, the mark of compression cleared, or one side not told what was agreed",
            "corrupt",
            "rsv1",
            "header",
        ),
        choice("direction", f"whose compressed messages cannot be read, {_WAY}", "inbound", "outbound"),
    ),
    _path(
        "frame-drop",
        "messages are lost on an open WebSocket",
        "lost-reply",
        share("share of the messages that are lost"),
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "frame-delay",
        "messages are late, those behind them as well",
        "slow-reply",
        seconds("delay", "how late"),
        share("share of the messages that are late"),
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "frame-duplicate",
        "messages arrive twice",
        "duplicate-delivery",
        share("share of the messages that arrive twice"),
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "frame-reorder",
        "a message arrives after the one that was sent behind it",
        "out-of-order",
        share("share of the messages that wait for the next one"),
        seconds("wait", "how long it waits for the next one at most", 0.5),
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "frame-corrupt",
        "messages lose their last byte to one that UTF-8 does not know; compression is off",
        "invalid-utf8",
        share("share of the messages that are corrupted"),
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "frame-malformed",
        "messages arrive with a reserved bit set",
        "protocol-error",
        share("share of the messages that are broken"),
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "close-eaten",
        "a close frame is swallowed and both sides get a FIN instead",
        "network-reset",
        choice("direction", f"in which direction, {_WAY}", "inbound", "outbound", "both"),
    ),
    _path(
        "close-injected",
        "the proxy closes the WebSocket with a code of its own",
        "policy-violation",
        close_code("code of the close frame", 1008),
        Parameter(name="reason", type="text", default="closed-by-proxy", doc="reason of the close frame"),
        seconds("after", "age at which it happens", 1.0),
        Parameter(name="on", type="text", default="age", doc="or the type of the message, either way, behind which"),
    ),
    _path(
        "proxy-message-too-big",
        "the proxy ends a WebSocket at a message above a size",
        "message-too-big",
        _size("limit", "largest payload on the wire that passes"),
        choice("how", "how it ends: an RST on both sides, or a close frame 1009 to the client", "rst", "close"),
        choice("direction", f"in which direction, {_WAY}", "both", "outbound", "inbound"),
    ),
    _path(
        "packet-loss",
        "packets are lost and TCP has to send them again",
        "none",
        Parameter(name="share", type="float", default=0.01, maximum=1.0, doc="share of the packets, by the kernel"),
        choice("direction", f"in which direction, {_WAY}", "both", "outbound", "inbound"),
    ),
    _path(
        "throttle",
        "the path carries only so many bytes per second, HTTP included",
        "none",
        _size("rate", "bytes per second in each direction"),
    ),
    _path(
        "latency",
        "everything takes longer, HTTP included",
        "none",
        seconds("delay", "time added to each direction"),
        seconds("jitter", "most that is added on top, evenly and decided by the seed", 0.0),
    ),
)

READS_FRAMES = frozenset(
    {
        "pongs-muted",
        "app-pongs-muted",
        "compression-broken",
        "frame-drop",
        "frame-delay",
        "frame-duplicate",
        "frame-reorder",
        "frame-corrupt",
        "frame-malformed",
        "close-eaten",
        "close-injected",
        "proxy-message-too-big",
    }
)
"""Those that look at messages; without one of them the bytes behind a 101 are not read."""
NEEDS_FILTER = frozenset({"nat-timeout", "peer-unreachable", "packet-loss"})
"""Those for which the kernel has to drop packets."""
