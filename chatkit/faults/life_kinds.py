"""The catalogue's faults of a life that began well: rules that end it, servers that go, replies that go astray."""

from __future__ import annotations

from chatkit.faults.kinds import FaultKind, Parameter, choice, close_code, reason, seconds

_ENDS = ("close", "rst", "fin")


def _number(name: str, doc: str, default: int | None = None, minimum: int = 1, unit: str = "") -> Parameter:
    return Parameter(name=name, type="int", default=default, unit=unit, minimum=minimum, maximum=1e9, doc=doc)


def _period(what: str) -> Parameter:
    return seconds("period", f"time from one {what} to the next, 0 for one only", 0.0)


ENTRIES = (
    FaultKind(
        id="message-rate",
        summary="a client that sends too many frames in a time is closed",
        cause="rate-limited",
        parameters=(
            _number("limit", "how many messages and pings pass in the window"),
            seconds("window", "length of the window, which slides", 1.0),
            close_code("code of the close frame", 1008),
            reason(),
        ),
    ),
    FaultKind(
        id="policy-violation",
        summary="the server closes with a code and a reason of its own",
        cause="policy-violation",
        parameters=(
            seconds("after", "time from the opening to the close, 0 for never", 1.0),
            Parameter(name="on", type="text", default="-", doc="the message type that ends it at once, - for none"),
            close_code("code of the close frame", 1008),
            Parameter(name="reason", type="text", default="content_policy", doc="its reason, _ for a blank"),
        ),
    ),
    FaultKind(
        id="protocol-error",
        summary="the server sends one malformed frame: the client has to close with 1002",
        cause="protocol-error",
        parameters=(
            choice("what", "a reserved opcode, a reserved bit, or a ping in fragments", "opcode", "rsv", "fragment"),
            seconds("after", "time from the opening to that frame", 1.0),
        ),
    ),
    FaultKind(
        id="invalid-utf8",
        summary="the server sends one text frame that is no UTF-8: the client has to close with 1007",
        cause="invalid-utf8",
        parameters=(seconds("after", "time from the opening to that frame", 1.0),),
    ),
    FaultKind(
        id="message-too-big",
        summary="the server ends the connection at a message above a size",
        cause="message-too-big",
        parameters=(
            _number("limit", "size of the largest message that passes", unit="bytes"),
            choice("how", "a close frame 1009, or rst or fin without one", *_ENDS),
            reason(),
        ),
    ),
    FaultKind(
        id="slow-consumer",
        summary="the server ends the connection when too much waits for a client that does not read",
        cause="slow-consumer",
        parameters=(
            _number("limit", "how much may wait in the server's send buffer", 262_144, unit="bytes"),
            choice("how", "a close frame behind what waits, or rst or fin without one", *_ENDS),
            close_code("code of the close frame", 1008),
            reason(),
        ),
    ),
    FaultKind(
        id="server-restart",
        summary="all sockets are closed in order, the port refuses for a while, then the server is back",
        cause="server-restart",
        parameters=(
            seconds("after", "time from the start of the server to the restart"),
            seconds("gap", "time during which the port refuses connections", 3.0),
            close_code("code of the close frames", 1012),
            _period("restart"),
        ),
    ),
    FaultKind(
        id="worker-timeout",
        summary="of several workers one is killed, then the next: its sockets end together without close frame",
        cause="worker-timeout",
        parameters=(
            seconds("after", "time from the start of the server to the kill"),
            _number("workers", "how many workers share the sockets, decided by the seed", 2),
            choice("how", "how the TCP connections end", "fin", "rst"),
            _period("kill"),
        ),
    ),
    FaultKind(
        id="crash-on-text",
        summary="the server crashes at every chat message that holds a word, and is back after a while",
        cause="server-crash",
        parameters=(
            Parameter(name="text", type="text", doc="the word"),
            seconds("gap", "time during which the port refuses connections", 3.0),
        ),
    ),
    FaultKind(
        id="multi-worker-split",
        summary="several workers that know nothing of each other: a reply reaches the sockets of one of them only",
        cause="multi-worker-split",
        parameters=(_number("workers", "how many share the TCP connections, decided by the seed", 2),),
    ),
    FaultKind(
        id="wrong-contract",
        summary="the server sends one message of another version of the contract",
        cause="wrong-contract",
        parameters=(
            choice("what", "a type that nobody knows, or a known one without its fields", "type", "field"),
            seconds("after", "time from the opening to that message", 1.0),
        ),
    ),
    FaultKind(
        id="out-of-order",
        summary="two chunks, or two replies, arrive the wrong way round",
        cause="out-of-order",
        parameters=(
            choice("what", "one chunk of every reply, or every second reply", "chunks", "replies"),
            _number("seq", "the chunk that changes places with the next one", 1, minimum=0),
            seconds("wait", "how long it waits for the next one at most", 5.0),
        ),
    ),
)
"""In the order of the documentation."""
