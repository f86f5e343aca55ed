"""A trace of any size, made in seconds: chats that stream replies, reconnect, and lose their connections in several ways."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from chatkit.events import (
    KIND_CODE,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    Established,
    Event,
    FrameReceived,
    FrameSent,
    Opened,
    PingSent,
    PongReceived,
    RetryScheduled,
    TransportEnded,
)
from chatkit.trace import Header, Origin, Trace, TraceBuilder

EPOCH = 1_795_449_725.0
CHATS = 6
LIVES = 4
URL = "ws://127.0.0.1:8000/api/ws/chat/storyteller"
Step = tuple[type[Event], str, Any]
_TURN = [("chat_message", FrameSent), *[("chat_response_chunk", FrameReceived)] * 198, ("chat_response", FrameReceived)]
_ENDINGS: list[list[tuple[type[Event], dict[str, Any]]]] = [
    [(CloseSent, {"code": 1000, "reason": ""}), (CloseReceived, {"code": 1000, "reason": ""})],
    [(TransportEnded, {"how": "rst", "by": "server"})],
    [(CloseReceived, {"code": 1011, "reason": "keepalive ping timeout"})],
    [(TransportEnded, {"how": "fin", "by": "server"})],
]


def crowd(count: int, *, rate: float = 1_000.0) -> Trace:
    """Exactly ``count`` events, nearly all of them frames; :data:`CHATS` at a time, each over :data:`LIVES` connections.

    Args:
        count: of events.
        rate: events a second, on average; it swells and ebbs.
    """
    builder = TraceBuilder(Header(origin=Origin(kind="live", target=URL), epoch=EPOCH))
    chats = [_chat(n, count // CHATS // LIVES) for n in range(CHATS)]
    at = 0.0
    for i in range(count):
        kind, name, what = next(chats[i % CHATS])
        at += (1 + 0.8 * math.sin(9 * math.tau * i / count)) / rate
        if kind in (FrameSent, FrameReceived):
            type_, message = what
            text = f'{{\\"type\\": \\"{type_}\\", \\"data\\": {{\\"message_id\\": \\"{message}\\"}}}}'
            size = len(text) - text.count("\\")
            row = f'{{"type":"{kind.__name__}","id":"{i}","at":{at:.6f},"connection":"{name}","size":{size},"text":"{text}"}}'
            builder.append_row(row.encode(), at, KIND_CODE[kind], name, size)
        else:
            builder.append(kind(id=str(i), at=round(at, 6), connection=name, **what))
    return builder.build()


def _chat(n: int, each: int) -> Iterator[Step]:
    life = 0
    while True:
        yield from _life(f"{n + 1}.{life + 1}", each, _ENDINGS[(n + life) % len(_ENDINGS)])
        life += 1


def _life(name: str, each: int, end: list[tuple[type[Event], dict[str, Any]]]) -> Iterator[Step]:
    yield AttemptStarted, name, {"url": URL}
    yield Opened, name, {}
    yield Established, name, {"seconds": 0.02}
    for place in range(3, each - len(end) - 1):
        if place % 5_000 == 2_500:
            yield PingSent, name, {"payload": ""}
        elif place % 5_000 == 2_504:
            yield PongReceived, name, {"payload": "", "rtt": 0.024}
        else:
            type_, kind = _TURN[place % len(_TURN)]
            yield kind, name, (type_, f"{name}-{place // len(_TURN)}")
    for kind, fields in end:
        yield kind, name, fields
    yield RetryScheduled, name, {"attempt": 1, "delay": 1.0, "because": "abnormal"}
