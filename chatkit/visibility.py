"""What a source may be unable to show. Absence of such a thing in its trace is "not visible here", never "did not
happen"."""

from __future__ import annotations

NOT_VISIBLE: dict[str, str] = {
    "timing": "when things happened",
    "handshake": "the opening handshake with its headers",
    "http-status": "the HTTP status that answered the upgrade",
    "frames": "the messages",
    "payloads": "what the messages say",
    "sizes": "how long the messages are",
    "sent": "what the client sent",
    "received": "what the server sent",
    "pings": "RFC 6455 pings and pongs",
    "close-code": "close frames and their codes",
    "closed-by": "who closed first",
    "transport-end": "how TCP ended: FIN, RST or not at all",
    "tcp": "retransmissions and acknowledgements",
    "compression": "which frames were compressed, and their size on the wire",
    "http": "HTTP requests beside the WebSocket",
    "client-side": "the client's own loop, timers and exceptions",
    "server-side": "what the server did and logged",
}
"""Every word that ``Trace.not_visible`` may hold, and what it means to a reader."""
