"""Events and traces in one line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from chatkit.events import (
    AttemptStarted,
    Established,
    Event,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpRequested,
    LoopLagged,
    Opened,
    PingSent,
    PongReceived,
    RetryScheduled,
    StateChanged,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.trace import Header, Origin, Trace

EPOCH = 1_795_449_725.0  # 2026-11-23T16:02:05Z
HEADER = Header(origin=Origin(kind="live", target="ws://127.0.0.1:8000/api/ws/chat/storyteller"), epoch=EPOCH)


class Script:
    """Writes events down; numbers them when the trace is made, in the order of time."""

    def __init__(self) -> None:
        self._lines: list[tuple[float, type[Event], str | None, dict[str, Any]]] = []

    def put(self, at: float, kind: type[Event], connection: str | None = None, **fields: Any) -> None:
        self._lines.append((round(at, 6), kind, connection, fields))

    def sent(self, at: float, connection: str, type_: str, **rest: Any) -> None:
        self._frame(at, FrameSent, connection, {"type": type_} | rest)

    def received(self, at: float, connection: str, type_: str, **rest: Any) -> None:
        self._frame(at, FrameReceived, connection, {"type": type_} | rest)

    def _frame(self, at: float, kind: type[Event], connection: str, body: dict[str, Any]) -> None:
        text = json.dumps(body, ensure_ascii=False)
        self.put(at, kind, connection, size=len(text.encode()), text=text)

    def events(self) -> list[Event]:
        lines = sorted(self._lines, key=lambda line: line[0])
        return [
            kind(id=str(n), at=at, connection=connection, **fields)
            for n, (at, kind, connection, fields) in enumerate(lines)
        ]

    def trace(self, header: Header = HEADER) -> Trace:
        return Trace.of(self.events(), header)


def event(kind: type[Event], at: float = 0.0, connection: str | None = "1", id: str = "0", **fields: Any) -> Event:
    return kind(id=id, at=at, connection=connection, **fields)


def trace(*events: Event) -> Trace:
    return Trace.of(events, HEADER)


def split(trace: Trace, cuts: Iterable[int]) -> list[Trace]:
    """The trace in pieces, as a recorder would hand them out one after the other."""
    ends = [0, *sorted(min(cut, len(trace)) for cut in cuts), len(trace)]
    return [trace.where(range(a, b)) for a, b in itertools.pairwise(ends)]


def open_connection(script: Script, at: float, connection: str) -> float:
    """A connection opens; the moment it is established."""
    script.put(at - 0.02, AttemptStarted, connection, url="ws://127.0.0.1:8000/api/ws/chat/storyteller?token=***")
    script.put(at - 0.01, UpgradeRequested, connection, target="/api/ws/chat/storyteller?token=***", headers=[])
    script.put(
        at - 0.001,
        UpgradeAnswered,
        connection,
        status=101,
        reason="Switching Protocols",
        headers=[],
        seconds=0.009,
    )
    script.put(at, Opened, connection)
    script.received(at + 0.003, connection, "connection_established", data={"bot_id": "storyteller"})
    script.put(at + 0.004, Established, connection, seconds=0.024)
    return at + 0.004


def incident_trace() -> Trace:
    """The incident: three connections that ping at once and die of it, a fourth that waits 5 s and lives."""
    script = Script()
    for name, at, delay in (("1", 0.6, 2.3), ("2", 4.2, 4.6), ("3", 10.1, 8.9)):
        _one_that_dies(script, name, at, delay)
    _one_that_lives(script, "4", 20.3, 42.0)
    for at, method, status in ((2.0, "GET", 200), (8.1, "HEAD", 405), (32.0, "GET", 200)):
        script.put(at, HealthChecked, method=method, healthy=status == 200, seconds=0.003, status=status)
    for n, (begin, end) in enumerate(((6.2, 7.7), (34.8, 37.4))):
        script.put(begin, HttpRequested, exchange=f"x{n}", method="POST", url="/chat", purpose="chat")
        took = end - begin
        script.put(end, HttpAnswered, exchange=f"x{n}", method="POST", status=200, seconds=took, purpose="chat")
    for n in range(43):
        script.put(n + 0.01, LoopLagged, lag=0.214 if n == 30 else 0.001 + 0.002 * (n * 7 % 5))
    return script.trace()


def _one_that_dies(script: Script, name: str, at: float, delay: float) -> None:
    script.put(at - 0.02, StateChanged, state="connecting")
    ready = open_connection(script, at, name)
    script.put(ready, StateChanged, state="connected")
    script.sent(ready + 0.05, name, "ping", timestamp=f"2026-11-23T16:02:{5 + at:06.3f}Z")
    end = ready + 0.25
    script.put(end, TransportEnded, name, how="rst", by="server", error="connection reset by peer")
    script.put(end + 0.001, StateChanged, state="backoff", because="RST by server")
    script.put(end + 0.002, RetryScheduled, name, attempt=int(name), delay=delay, because="abnormal")


def _one_that_lives(script: Script, name: str, at: float, until: float) -> None:
    script.put(at - 0.02, StateChanged, state="connecting")
    ready = open_connection(script, at, name)
    script.put(ready, StateChanged, state="connected")
    for n in range(34):
        begin = at + 0.6 + n * 0.62
        data = {"message_id": f"m{n // 12}", "session_id": "s", "seq": n % 12, "delta": "word "}
        script.received(begin, name, "chat_response_chunk", bot_id="storyteller", data=data)
        if n % 12 == 11:
            data = {"message_id": f"m{n // 12}", "session_id": "s", "content": "words", "role": "assistant"}
            script.received(begin + 0.05, name, "chat_response", bot_id="storyteller", data=data)
    for n in range(7):
        script.sent(at + 1 + n * 2.9, name, "session_sync", data={"session_id": "s"})
    script.sent(ready + 5, name, "ping", timestamp="2026-11-23T16:02:30.304Z")
    script.received(ready + 5.004, name, "pong", timestamp="2026-11-23T16:02:30.304Z")
    script.put(ready + 12, PingSent, name, payload="01")
    script.put(ready + 12.006, PongReceived, name, payload="01", rtt=0.006)
    for begin, end in ((28.2, 29.4), (35.0, 37.2)):
        for moment, typing in ((begin, True), (end, False)):
            data = {"user_id": "u2", "username": "Mira", "is_typing": typing}
            script.received(moment, name, "typing_indicator", bot_id="storyteller", data=data)
    script.sent(33.6, name, "typing", data={"is_typing": True})
    script.sent(34.7, name, "typing", data={"is_typing": False})
    script.received(until, name, "notification", data={})
