"""permessage-deflate (RFC 7692) as it stands in ``Sec-WebSocket-Extensions``: what was offered, what was agreed."""

from __future__ import annotations

import re

from msgspec import Struct


class Compression(Struct, frozen=True, kw_only=True):
    """What a connection negotiated of permessage-deflate (RFC 7692)."""

    negotiated: bool | None
    """``None`` where the negotiation is not visible."""
    offered: bool | None = None
    """Whether the client offered it; ``None`` where its request is not visible."""
    client_no_context_takeover: bool = False
    """Whether the client starts each message with an empty window: it forgets what it said before."""
    server_no_context_takeover: bool = False
    client_max_window_bits: int | None = None
    """8 to 15; ``None`` where nothing was agreed, which means 15."""
    server_max_window_bits: int | None = None

    @classmethod
    def parse(cls, extensions: str | None, offer: str | None = None) -> Compression:
        """Reads ``Sec-WebSocket-Extensions`` of the answer, and of the request if that is known."""
        agreed = deflate_parameters(extensions)
        offered = None if offer is None else deflate_parameters(offer) is not None
        if agreed is None:
            return cls(negotiated=False, offered=offered)
        return cls(
            negotiated=True,
            offered=offered,
            client_no_context_takeover="client_no_context_takeover" in agreed,
            server_no_context_takeover="server_no_context_takeover" in agreed,
            client_max_window_bits=_bits(agreed.get("client_max_window_bits")),
            server_max_window_bits=_bits(agreed.get("server_max_window_bits")),
        )

    def __str__(self) -> str:
        if self.negotiated is None:
            return "not visible here"
        if not self.negotiated:
            return {None: "none negotiated", False: "none offered", True: "offered, not negotiated"}[self.offered]
        return f"permessage-deflate {self._takeover()}{self._windows()}"

    def _takeover(self) -> str:
        if self.client_no_context_takeover == self.server_no_context_takeover:
            kept = not self.client_no_context_takeover
            return "with context takeover in both directions" if kept else "without context takeover"
        side = "received" if self.client_no_context_takeover else "sent"
        return f"with context takeover only in what is {side}"

    def _windows(self) -> str:
        sent, received = self.client_max_window_bits or 15, self.server_max_window_bits or 15
        if sent == received:
            return "" if sent == 15 else f", windows of {sent} bits"
        return f", windows of {sent} bits sent and {received} bits received"


def deflate_parameters(extensions: str | None) -> dict[str, str | None] | None:
    """Parameters of permessage-deflate in a ``Sec-WebSocket-Extensions`` value (RFC 7692), ``None`` if not there."""
    for offer in (extensions or "").split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        if name == "permessage-deflate":
            pairs = [parameter.partition("=") for parameter in parameters]
            return {key.strip(): value.strip().strip('"') if equals else None for key, equals, value in pairs}
    return None


def _bits(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch("[89]|1[0-5]", value) else None
