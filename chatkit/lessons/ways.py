"""Ways in which a WebSocket ends, as the lesson lets the reader choose them; pure."""

from __future__ import annotations

from msgspec import Struct


class Way(Struct, frozen=True, kw_only=True):
    """One way to end a connection."""

    id: str
    label: str
    """On its button."""
    group: str
    point: str
    """What it teaches, a sentence or two."""
    fault: str | None = None
    """What the lab does by itself; ``None`` where somebody acts."""
    code: int | None = None
    reason: str = ""
    patience: float = 3.0
    """Seconds within which it is over."""


HANDSHAKE, ABORT, RULE = "With a close frame", "Without one: 1006", "By a rule, or by silence"

WAYS = (
    Way(id="we-1000", label="we close 1000", group=HANDSHAKE, code=1000, reason="done",
        point="A closing handshake: our frame goes first, the server answers it, then the server ends TCP."),
    Way(id="we-1001", label="we leave 1001", group=HANDSHAKE, code=1001, reason="page closed",
        point="What a browser sends when the page goes. The code says why we left; nobody else is at fault."),
    Way(id="we-no-code", label="we close without code", group=HANDSHAKE,
        point="1005 is never on the wire: it is how an API says that the close frame carried no code."),
    Way(id="server-1000", label="server closes 1000", group=HANDSHAKE, code=1000, reason="bye",
        point="The same code as ours above. Who was first stands in the order of the frames, not in the number."),
    Way(id="server-1001", label="server goes 1001", group=HANDSHAKE, code=1001, reason="shutting down",
        point="Going away: a restart or a deploy. The client should come back, with some jitter."),
    Way(id="server-1008", label="server refuses 1008", group=HANDSHAKE, code=1008, reason="policy",
        point="A policy was broken; which one stands in the reason, if anywhere. Coming back at once does not help."),
    Way(id="server-1009", label="too big for the server 1009", group=HANDSHAKE, fault="message-too-big:limit=400",
        point="The server read a message above its limit. Our last message before the end is the suspect."),
    Way(id="we-1009", label="too big for us 1009", group=HANDSHAKE, fault="big-frame:size=2000000,after=0.2",
        point="The same code, the other side: we refused a message above our own limit. Who sent the frame decides."),
    Way(id="server-1011", label="server fails 1011", group=HANDSHAKE, code=1011, reason="internal error",
        point="The server's handler failed. The cause stands in the server's log, at this moment."),
    Way(id="server-fin", label="server: FIN", group=ABORT,
        point="TCP ended in order, the WebSocket did not: a proxy whose time is up, or a process that exits."),
    Way(id="server-rst", label="server: RST", group=ABORT,
        point="Thrown away: a crash, an abort in the server's code, a middlebox. What was under way is lost."),
    Way(id="we-cut", label="we cut it", group=ABORT,
        point="Our own side went without a word. A browser shows 1006 here, too, and nobody else did anything."),
    Way(id="idle", label="idle time-out of 1 s", group=RULE, fault="idle-timeout:timeout=1",
        point="A FIN again, byte for byte as “server: FIN”. Only the clock since the last traffic tells them apart."),
    Way(id="dead-path", label="the path dies", group=RULE, fault="black-hole:after=0.2", patience=6,
        point="Nothing arrives, nothing is refused. Who sends runs into a time-out; the other side learns nothing."),
)  # fmt: skip
"""In the order in which they are offered."""
BY_ID = {way.id: way for way in WAYS}
