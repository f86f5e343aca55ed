"""What the lab itself saw of a WebSocket, recorded as the client's side is: the same events, from the other end."""

from __future__ import annotations

import asyncio
from typing import Any

from chatkit.client.connection import how_ended
from chatkit.recorder import WireTap


class WitnessedTransport:
    """The transport as uvicorn sees it, with what is written recorded."""

    def __init__(self, transport: asyncio.Transport, tap: WireTap) -> None:
        self._transport, self._tap = transport, tap
        self.ended_by_us = False

    def write(self, data: bytes) -> None:
        self._tap.received(bytes(data))
        self._transport.write(data)

    def close(self) -> None:
        self.ended_by_us = True
        self._transport.close()

    def abort(self) -> None:
        self.ended_by_us = True
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Witness:
    """Records one connection from the server's end.

    Args:
        transport: the connection's.
        tap: where it is recorded.
    """

    def __init__(self, transport: asyncio.Transport, tap: WireTap) -> None:
        self.transport = WitnessedTransport(transport, tap)
        self._tap = tap
        self._peer_ended = False

    def heard(self, data: bytes) -> None:
        """Bytes came from the client."""
        self._tap.sent(data)

    def eof(self) -> None:
        """The client's FIN came; it counts when it was the first."""
        self._peer_ended = not self.transport.ended_by_us

    def lost(self, error: Exception | None, cut: str | None) -> None:
        """The connection is over; ``cut`` says how a fault ended it."""
        if cut is not None:
            return self._tap.ended(cut, "server")
        how, by = how_ended(error, self._peer_ended, self.transport.ended_by_us)
        # The client's words for the two sides, turned round: what came from the peer came from the client.
        turned = {"server": "client", "client": "server"}.get(by or "")
        self._tap.ended("fin" if how == "local" else how, turned, str(error) if error is not None else None)
