"""Connections, refusals and conversations in one line each."""

from __future__ import annotations

from typing import Any

from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    CloseReceived,
    CloseSent,
    Established,
    FrameReceived,
    FrameSent,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    LoopLagged,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.trace import Header, Origin
from tests.builders import EPOCH, Script

URL = "ws://127.0.0.1:8000/api/ws/chat/storyteller?token=***"


def evidence(format: str, *not_visible: str) -> Header:
    """The header of an imported file."""
    return Header(origin=Origin(kind="file", format=format), epoch=EPOCH, not_visible=not_visible)


CAPTURE = evidence("pcap", "client-side", "server-side")
ENCRYPTED = evidence(
    *("pcap", "handshake", "http-status", "frames", "payloads", "sizes", "pings", "close-code", "compression"),
    *("http", "client-side", "server-side"),
)
HAR = evidence(
    *("har", "pings", "close-code", "closed-by", "transport-end", "tcp", "compression", "client-side", "server-side")
)
SERVER_LOG = evidence(
    *("uvicorn-log", "frames", "payloads", "sizes", "sent", "received", "pings", "transport-end", "tcp"),
    *("compression", "client-side"),
)


class Tale(Script):
    """A script with whole connections as its words."""

    def __init__(self) -> None:
        super().__init__()
        self._exchanges = 0

    def attempt(self, at: float, name: str, url: str = URL, headers: list[tuple[str, str]] | None = None) -> None:
        """The client asks for an upgrade."""
        self.put(at, AttemptStarted, name, url=url)
        self.put(at + 0.005, UpgradeRequested, name, target=url.partition(":8000")[2] or "/", headers=headers or [])

    def failed(self, at: float, name: str, stage: str, error: str, *, after: float = 0.01, url: str = URL) -> None:
        """It fails before there is an HTTP answer."""
        self.put(at, AttemptStarted, name, url=url)
        self.put(at + after, AttemptFailed, name, stage=stage, error=error)

    def refused(
        self,
        at: float,
        name: str,
        status: int,
        *,
        body: str = "",
        url: str = URL,
        asked: list[tuple[str, str]] | None = None,
        **headers: str,
    ) -> None:
        """The upgrade is answered by something else than 101; names of headers with ``_`` for ``-``."""
        self.attempt(at, name, url, asked)
        fields = [(field.replace("_", "-"), value) for field, value in headers.items()]
        self.put(
            at + 0.02, UpgradeAnswered, name, status=status, reason="", headers=fields, seconds=0.015, body=body or None
        )
        self.put(at + 0.021, AttemptFailed, name, stage="upgrade", error=f"HTTP {status}", status=status)

    def opens(
        self,
        at: float,
        name: str,
        *,
        url: str = URL,
        greets: bool = True,
        headers: list[tuple[str, str]] | None = None,
        extensions: str | None = None,
    ) -> None:
        """A connection that is open at ``at``."""
        self.attempt(at - 0.02, name, url)
        self.put(
            at - 0.001,
            UpgradeAnswered,
            name,
            status=101,
            reason="Switching Protocols",
            headers=headers or [],
            seconds=0.014,
        )
        self.put(at, Opened, name, extensions=extensions)
        if greets:
            self.received(at + 0.003, name, "connection_established", data={"bot_id": "storyteller"})
            self.put(at + 0.004, Established, name, seconds=0.024)

    def ends(self, at: float, name: str, how: str = "rst", by: str | None = "server", **fields: Any) -> None:
        """Without a close frame."""
        self.put(at, TransportEnded, name, how=how, by=by, **fields)

    def closed(
        self, at: float, name: str, code: int | None, reason: str = "", *, by: str = "server", answered: bool = True
    ) -> None:
        """With a close frame, its echo and a FIN."""
        first, second = (CloseReceived, CloseSent) if by == "server" else (CloseSent, CloseReceived)
        self.put(at, first, name, code=code, reason=reason)
        if answered:
            self.put(at + 0.001, second, name, code=code)
        self.put(at + 0.003, TransportEnded, name, how="fin", by="server")

    def ping(self, at: float, name: str, *, answered: bool = True) -> None:
        """The application's ping, and its answer."""
        self.sent(at, name, "ping", timestamp="2026-11-23T16:02:30.304Z")
        if answered:
            self.received(at + 0.004, name, "pong", timestamp="2026-11-23T16:02:30.304Z")

    def protocol_ping(self, at: float, name: str, *, by: str = "client", answered: bool = True) -> None:
        """An RFC 6455 ping, and its pong."""
        asked, given = (PingSent, PongReceived) if by == "client" else (PingReceived, PongSent)
        self.put(at, asked, name, payload="01")
        if answered:
            self.put(at + 0.005, given, name, payload="01")

    def pings(self, since: float, until: float, every: float, name: str, *, answered: bool = True) -> None:
        """The application's pings at a steady pace."""
        at = since
        while at < until:
            self.ping(at, name, answered=answered)
            at += every

    def says(self, at: float, name: str, text: str = "hello", size: int | None = None) -> None:
        """Our message over the socket."""
        if size is None:
            self.sent(at, name, "chat", data={"content": text})
        else:
            self.put(at, FrameSent, name, size=size, text='{"type":"chat","data":{"content":"aaaa')

    def hears(self, at: float, name: str, id: str = "m1", content: str = "words") -> None:
        """An answer over the socket."""
        data = {"message_id": id, "session_id": "s", "content": content, "role": "assistant"}
        self.received(at, name, "chat_response", bot_id="storyteller", data=data)

    def notified(self, at: float, name: str) -> None:
        """Something that the server says by itself."""
        self.received(at, name, "notification", data={})

    def comes(self, at: float, name: str, size: int) -> None:
        """A message of that many bytes."""
        self.put(at, FrameReceived, name, size=size, text='{"type":"chat_response","data":{"content":"aaaa')

    def api(self, at: float, status: int = 200, *, purpose: str = "bot", took: float = 0.01) -> None:
        """An HTTP request beside the socket, and its answer."""
        self._exchanges += 1
        exchange, method = f"x{self._exchanges}", "POST" if purpose in ("chat", "login") else "GET"
        self.put(at, HttpRequested, exchange=exchange, method=method, url=f"/{purpose}", purpose=purpose)
        self.put(
            at + took, HttpAnswered, exchange=exchange, method=method, status=status, seconds=took, purpose=purpose
        )

    def api_fails(self, at: float, *, purpose: str = "chat", took: float = 5.0, error: str = "read timed out") -> None:
        """An HTTP request that nobody answers."""
        self._exchanges += 1
        exchange = f"x{self._exchanges}"
        self.put(at, HttpRequested, exchange=exchange, method="POST", url=f"/{purpose}", purpose=purpose)
        self.put(at + took, HttpFailed, exchange=exchange, method="POST", error=error, seconds=took, purpose=purpose)

    def health(
        self, at: float, status: int | None = 200, *, method: str = "GET", took: float = 0.003, error: str | None = None
    ) -> None:
        """A look at the health endpoint that ends at ``at``."""
        self.put(at, HealthChecked, method=method, healthy=status == 200, seconds=took, status=status, error=error)

    def healthy(self, until: float, every: float = 5.0) -> None:
        """Good health, looked at in a steady pace."""
        at = every
        while at < until:
            self.health(at)
            at += every

    def lag(self, at: float, seconds: float) -> None:
        """Our own loop was late."""
        self.put(at, LoopLagged, lag=seconds)
