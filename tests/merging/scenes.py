"""One conversation, as it really was, and as several vantage points on its way would have written it down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chatkit.events import (
    CloseReceived,
    CloseSent,
    Event,
    FrameReceived,
    FrameSent,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.trace import Header, Origin, Trace

EPOCH = 1_795_449_725.0
HEADERS = [("Host", "chat.example"), ("Sec-WebSocket-Extensions", "permessage-deflate")]
TO_SERVER = (UpgradeRequested, FrameSent, PingSent, PongSent, CloseSent)
TO_CLIENT = (UpgradeAnswered, Opened, FrameReceived, PingReceived, PongReceived, CloseReceived)

Fact = tuple[float, type[Event], str | None, dict[str, Any]]


def message(**data: Any) -> dict[str, Any]:
    body = json.dumps(data)
    return {"size": len(body), "text": body}


def conversation(start: float = 0.0, connection: str = "a", turns: int = 5, key: str | None = None) -> list[Fact]:
    """Facts with the time at which their sender sent them; the client is asked, pinged and answered."""
    key = key or f"key-{connection}"
    request = {"target": "/api/ws/chat/b?token=[redacted]", "headers": HEADERS, "key": key}
    facts: list[Fact] = [
        (start, UpgradeRequested, connection, request),
        (start + 0.1, UpgradeAnswered, connection, {"status": 101, "reason": "", "headers": HEADERS[1:]}),
        (start + 0.1, Opened, connection, {"extensions": "permessage-deflate"}),
        (start + 0.11, FrameReceived, connection, message(type="connection_established")),
    ]
    for n in range(turns):
        facts.append((start + 1 + n, FrameSent, connection, message(type="ping", n=n, of=connection)))
        facts.append((start + 1.2 + n, FrameReceived, connection, message(type="pong")))
        facts.append((start + 1.5 + n, FrameReceived, connection, message(type="chunk", n=n, of=connection)))
    return facts


@dataclass
class Vantage:
    """Where somebody stands: seconds from the client and from the server, and how wrong the clock is."""

    from_client: float = 0.0
    from_server: float = 0.05
    skew: float = 0.0
    origin: Origin = field(default_factory=lambda: Origin(kind="file", format="har"))
    not_visible: tuple[str, ...] = ()

    def sees(self, facts: Iterable[Fact], keep: Callable[[Fact], bool] = lambda fact: True) -> Trace:
        """The trace that it writes; other facts than what passes by are seen when they happen."""
        seen = []
        for at, kind, connection, fields in facts:
            if keep((at, kind, connection, fields)):
                late = self.from_client if kind in TO_SERVER else self.from_server if kind in TO_CLIENT else 0.0
                seen.append((round(at + late, 6), kind, connection, fields))
        seen.sort(key=lambda one: one[0])
        start = seen[0][0] if seen else 0.0
        events = [
            kind(id=str(n), at=round(at - start, 6), connection=connection, **fields)
            for n, (at, kind, connection, fields) in enumerate(seen)
        ]
        return Trace.of(
            events, Header(origin=self.origin, epoch=EPOCH + start + self.skew, not_visible=self.not_visible)
        )


def browser(**changes: Any) -> Vantage:
    return Vantage(**changes)


def capture(name: str = "server.pcap", **changes: Any) -> Vantage:
    """A capture near the server."""
    origin = Origin(kind="file", format="pcap", file=name)
    return Vantage(**({"from_client": 0.04, "from_server": 0.01, "origin": origin} | changes))
