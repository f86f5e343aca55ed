"""Trouble within the first seconds: group 3 of the taxonomy."""

from __future__ import annotations

from chatkit.events import FrameReceived, ProtocolFailed
from tests.builders import Script, incident_trace
from tests.diagnosis.stories import story
from tests.diagnosis.stories.telling import CAPTURE, Tale


@story("early-ping-abort")
def the_incident() -> Tale:
    """Three connections that ping at once and die of it, a fourth that waits and lives."""
    tale = Tale()
    for event in incident_trace():
        fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("id", "at")}
        Script.put(tale, event.at, type(event), **fields)
    return tale


@story("early-ping-abort")
def a_ping_at_half_a_second_is_fatal() -> Tale:
    """FIN instead of RST, one life, and a silent twin that lives."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ping(1.5, "1", answered=False)
    tale.ends(1.7, "1", "fin")
    tale.opens(5, "2")
    tale.notified(40, "2")
    return tale


@story("early-ping-abort", CAPTURE)
def a_protocol_ping_is_fatal() -> Tale:
    """RFC 6455 pings too early, seen in a capture; the same ping after 5 s is answered."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 5 * n, str(n))
        tale.protocol_ping(1.1 + 5 * n, str(n), answered=False)
        tale.ends(1.3 + 5 * n, str(n), "rst")
    tale.opens(20, "9")
    tale.protocol_ping(25, "9")
    tale.notified(60, "9")
    return tale


@story("no-established-message")
def the_backend_never_greets() -> Tale:
    """101, ten seconds of nothing, then our client gives up."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + 15 * n, str(n), greets=False)
        tale.protocol_ping(5 + 15 * n, str(n))
        tale.closed(11 + 15 * n, str(n), 1000, by="client")
    return tale


@story("compression-broken", CAPTURE)
def the_first_compressed_message_kills() -> Tale:
    """1002 for reserved bits, at the first message that was compressed."""
    tale = Tale()
    for n in range(2):
        at = 1 + 10.0 * n
        tale.opens(at, str(n), extensions="permessage-deflate")
        tale.put(at + 2, FrameReceived, str(n), size=400, compressed=True, length=2000, text='{"type":"chat_response"')
        tale.closed(at + 2.01, str(n), 1002, "reserved bits must be 0", by="client")
    return tale


@story("compression-broken", CAPTURE)
def a_middlebox_damages_compressed_bytes() -> Tale:
    """What the client inflates is no deflate stream."""
    tale = Tale()
    tale.opens(1, "1", extensions="permessage-deflate")
    tale.put(3, ProtocolFailed, "1", by="server", detail="a compressed message that cannot be decompressed")
    tale.closed(3.01, "1", 1007, "invalid compressed data", by="client")
    return tale


@story("replaced-by-new-session")
def one_tab_ends_the_other() -> Tale:
    """Opening a second connection ends the first with 4009."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(7, 40, 20, "1")
    tale.opens(40, "2")
    tale.closed(40.05, "1", 4009, "replaced by a new session")
    tale.pings(46, 80, 20, "2")
    tale.notified(90, "2")
    return tale


@story("replaced-by-new-session")
def two_tabs_fight() -> Tale:
    """Each ends the other with 1008, in a loop."""
    tale = Tale()
    for n in range(6):
        tale.opens(1 + 4 * n, str(n))
        if n:
            tale.closed(1.1 + 4 * n, str(n - 1), 1008, "another connection of this user")
    tale.notified(40, "5")
    return tale
