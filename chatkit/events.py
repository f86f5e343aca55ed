"""What can happen on and around a connection: frozen facts, one class each.

Every event says when (``at``, seconds since the trace's epoch by its monotonic clock), on which connection, and one
line of text for people (``str(event)``): the same line stands in a tooltip, a report and a test's diff. *Sent* is
client to server and *received* is server to client, whatever the vantage point: a capture taken at the server uses
the same words. Names follow RFC 6455; ids are dense integers per trace, written as strings.

The encoded form (one JSON object, ``type`` first) is both the row of a ``Trace`` in memory and the line of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

SCHEMA = "chatkit.trace/1"

Headers = list[tuple[str, str]]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """What all events share."""

    id: str
    """Dense integer per trace in the order of recording, as text; after a merge ``vantage/17``."""
    at: float
    """Seconds since the trace's epoch, monotonic."""
    connection: str | None = None
    """Id of the connection, ``None`` for facts beside any connection (health, HTTP, our own loop)."""

    def __str__(self) -> str:
        return type(self).__name__


class AttemptStarted(Event, frozen=True, kw_only=True, tag=True):
    """A client set out to open a connection."""

    url: str
    """The WebSocket URL, redacted."""
    attempt: int = 0
    """How many attempts went before this one since the last stable connection."""
    proxy: str | None = None
    """The forward proxy the connection goes through, redacted; a hidden hop where it came from the environment."""

    def __str__(self) -> str:
        again = f", retry {self.attempt}" if self.attempt else ""
        return f"attempt to {self.url}{again}" + (f" through proxy {self.proxy}" if self.proxy else "")


class NameResolved(Event, frozen=True, kw_only=True, tag=True):
    """The host name has addresses."""

    host: str
    addresses: list[str]
    seconds: float

    def __str__(self) -> str:
        return f"{self.host} is {', '.join(self.addresses)} (DNS, {_ms(self.seconds)})"


class TcpConnected(Event, frozen=True, kw_only=True, tag=True):
    """The TCP handshake is done."""

    local: str
    peer: str
    seconds: float

    def __str__(self) -> str:
        return f"TCP connected to {self.peer} in {_ms(self.seconds)}"


class TlsEstablished(Event, frozen=True, kw_only=True, tag=True):
    """The TLS handshake is done."""

    version: str
    cipher: str
    seconds: float
    subject: str | None = None
    issuer: str | None = None
    not_after: float | None = None
    """Unix time at which the server's certificate expires."""

    def __str__(self) -> str:
        return f"{self.version} ({self.cipher}) in {_ms(self.seconds)}"


class AttemptFailed(Event, frozen=True, kw_only=True, tag=True):
    """No connection came about."""

    stage: str
    """``dns``, ``tcp``, ``tls``, ``upgrade`` or ``established``: the first step that failed."""
    error: str
    status: int | None = None
    """HTTP status that refused the upgrade."""

    def __str__(self) -> str:
        return f"failed at {self.stage}: {_line(self.error)}"


class UpgradeRequested(Event, frozen=True, kw_only=True, tag=True):
    """The client sent the opening handshake (RFC 6455, section 4.1)."""

    target: str
    """The request target, redacted."""
    headers: Headers
    key: str | None = None
    """``Sec-WebSocket-Key``: a nonce, and what joins evidence of several vantage points."""

    def __str__(self) -> str:
        return f"upgrade requested: GET {self.target}"


class UpgradeAnswered(Event, frozen=True, kw_only=True, tag=True):
    """The server answered the opening handshake; 101 is yes."""

    status: int
    reason: str
    headers: Headers
    seconds: float | None = None
    """From request to answer."""
    body: str | None = None
    """Start of the body of a refusal."""

    def __str__(self) -> str:
        took = f" in {_ms(self.seconds)}" if self.seconds is not None else ""
        return f"upgrade answered {self.status} {_line(self.reason)}".rstrip() + took


class Opened(Event, frozen=True, kw_only=True, tag=True):
    """The WebSocket is open: frames may flow."""

    extensions: str | None = None
    """``Sec-WebSocket-Extensions`` as negotiated, for example permessage-deflate and its parameters (RFC 7692)."""
    subprotocol: str | None = None

    def __str__(self) -> str:
        return "open" + (f" with {self.extensions}" if self.extensions else ", no extension")


class Established(Event, frozen=True, kw_only=True, tag=True):
    """The backend's first message came: the application, not only the socket, is ready."""

    seconds: float
    """Since the attempt started."""

    def __str__(self) -> str:
        return f"established after {_ms(self.seconds)}"


class _DataFrame(Event, frozen=True, kw_only=True):
    opcode: str = "text"
    """``text``, ``binary`` or ``continuation`` (RFC 6455, section 5.2)."""
    size: int
    """Payload bytes on the wire, after compression."""
    fin: bool = True
    """Whether this frame completes its message. The text stands on the completing frame only."""
    compressed: bool = False
    length: int | None = None
    """Bytes of the whole message after decompression and reassembly, where that differs from ``size``."""
    text: str | None = None
    """The whole message, if it is text and short enough to keep; else its beginning."""
    data: str | None = None
    """The whole binary (or undecodable) message in base64, or its beginning."""
    digest: str | None = None
    """SHA-256 of the whole message when only its beginning is kept."""


class FrameSent(_DataFrame, frozen=True, kw_only=True, tag=True):
    """A data frame went from client to server."""

    def __str__(self) -> str:
        return f"sent {_describe_frame(self)}"


class FrameReceived(_DataFrame, frozen=True, kw_only=True, tag=True):
    """A data frame came from server to client."""

    def __str__(self) -> str:
        return f"received {_describe_frame(self)}"


class _Control(Event, frozen=True, kw_only=True):
    payload: str = ""
    """Application data of the control frame, hexadecimal."""


class PingSent(_Control, frozen=True, kw_only=True, tag=True):
    """An RFC 6455 ping went to the server."""

    def __str__(self) -> str:
        return "sent ping (RFC 6455)"


class PingReceived(_Control, frozen=True, kw_only=True, tag=True):
    """An RFC 6455 ping came from the server."""

    def __str__(self) -> str:
        return "received ping (RFC 6455)"


class PongSent(_Control, frozen=True, kw_only=True, tag=True):
    """An RFC 6455 pong went to the server."""

    delay: float | None = None
    """Seconds that the client took to answer the server's ping."""

    def __str__(self) -> str:
        return "sent pong" + (f", {_ms(self.delay)} after the ping" if self.delay is not None else "")


class PongReceived(_Control, frozen=True, kw_only=True, tag=True):
    """An RFC 6455 pong came from the server."""

    rtt: float | None = None
    """Round-trip time of the client's ping it answers, seconds."""

    def __str__(self) -> str:
        return "received pong" + (f", RTT {_ms(self.rtt)}" if self.rtt is not None else ", unsolicited")


class _Close(Event, frozen=True, kw_only=True):
    code: int | None = None
    """Status code; ``None`` when the frame carries none, which libraries report as 1005."""
    reason: str = ""


class CloseSent(_Close, frozen=True, kw_only=True, tag=True):
    """The client sent a close frame."""

    def __str__(self) -> str:
        return f"sent close {_describe_close(self.code, self.reason)}"


class CloseReceived(_Close, frozen=True, kw_only=True, tag=True):
    """The server sent a close frame."""

    def __str__(self) -> str:
        return f"received close {_describe_close(self.code, self.reason)}"


class ProtocolFailed(Event, frozen=True, kw_only=True, tag=True):
    """Bytes on the wire broke RFC 6455; frames of that direction cannot be read any further."""

    by: str
    """Whose bytes: ``client`` or ``server``."""
    detail: str

    def __str__(self) -> str:
        return f"protocol broken by {self.by}: {_line(self.detail)}"


class TransportEnded(Event, frozen=True, kw_only=True, tag=True):
    """The TCP connection ended, as seen from the recording side."""

    how: str
    """``fin``, ``rst``, ``timeout`` or ``local`` (the recording side closed it itself)."""
    by: str | None = None
    """``client``, ``server`` or ``None`` when the kernel gave up without word of the peer."""
    error: str | None = None
    unfinished: int = 0
    """Bytes of a message that had begun and never completed."""

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        how = {"fin": "FIN", "rst": "RST", "timeout": "TCP time-out", "local": "closed"}.get(self.how, self.how)
        return f"transport ended: {how}{by}"


class TcpInfoSampled(Event, frozen=True, kw_only=True, tag=True):
    """A look at the kernel's view of the connection (Linux ``TCP_INFO``)."""

    rtt: float
    """Smoothed round-trip time, seconds."""
    rtt_variance: float
    retransmits: int
    """Segments sent again over the connection's life."""
    unacked: int
    """Segments sent and not acknowledged yet."""
    last_data_received: float
    """Seconds since data came."""
    last_ack_received: float
    """Seconds since anything was acknowledged."""

    def __str__(self) -> str:
        return f"TCP: RTT {_ms(self.rtt)}, {self.retransmits} retransmitted, {self.unacked} unacknowledged"


class LoopLagged(Event, frozen=True, kw_only=True, tag=True):
    """The recording process's own event loop: how late a timer fired. Our fault until shown otherwise."""

    lag: float
    """Worst lateness since the last such event, seconds."""

    def __str__(self) -> str:
        return f"own loop lag {_ms(self.lag)}"


class StateChanged(Event, frozen=True, kw_only=True, tag=True):
    """The client's state moved."""

    state: str
    because: str = ""
    """What led here, one sentence."""
    previous: str | None = None
    reason: str | None = None
    """Class of the failure that led here, as in the policy table: ``transient``, ``auth-expired`` …"""
    close_code: int | None = None
    """As an API reports it, 1005 and 1006 included, where a connection ended."""
    http_status: int | None = None
    """Of a refused upgrade."""
    attempt: int = 0
    """Retries since the last stable connection."""
    retry_in: float | None = None
    """Seconds until the next attempt or the next look at the backend's health."""
    hint: str = ""
    """What can be done about it."""
    bot: str | None = None
    """Id of the bot, where several clients write into one recording."""

    def __str__(self) -> str:
        return f"state {self.state}" + (f": {_line(self.because)}" if self.because else "")


class RetryScheduled(Event, frozen=True, kw_only=True, tag=True):
    """The client will try again."""

    attempt: int
    """The number of the retry to come, from 1."""
    delay: float
    """Seconds until then."""
    because: str = ""

    def __str__(self) -> str:
        return f"retry {self.attempt} in {self.delay:.1f} s" + (f": {_line(self.because)}" if self.because else "")


class HttpRequested(Event, frozen=True, kw_only=True, tag=True):
    """The client sent an HTTP request beside the WebSocket."""

    exchange: str
    """Joins the request to its answer."""
    method: str
    url: str
    purpose: str
    """``login``, ``refresh``, ``bot``, ``session``, ``chat``, ``history`` …"""

    def __str__(self) -> str:
        return f"{self.method} {self.purpose}"


class HttpAnswered(Event, frozen=True, kw_only=True, tag=True):
    """An HTTP request was answered."""

    exchange: str
    status: int
    seconds: float
    purpose: str
    method: str
    sent: int | None = None
    """Bytes of the request, its head and its body, as HTTP/1.1 writes them."""
    received: int | None = None
    """Bytes of the answer on the wire: its head, and its body before it was decompressed."""
    retry_after: float | None = None
    """Seconds, from ``Retry-After`` (RFC 9110, section 10.2.3)."""
    detail: str | None = None
    """Start of the body of an error."""

    def __str__(self) -> str:
        return f"{self.method} {self.purpose} {self.status}, {_ms(self.seconds)}"


class HttpFailed(Event, frozen=True, kw_only=True, tag=True):
    """An HTTP request got no answer."""

    exchange: str
    error: str
    seconds: float
    purpose: str
    method: str

    def __str__(self) -> str:
        return f"{self.method} {self.purpose} failed: {_line(self.error)}"


class HealthChecked(Event, frozen=True, kw_only=True, tag=True):
    """One look at the health endpoint."""

    method: str
    healthy: bool
    seconds: float
    status: int | None = None
    error: str | None = None

    def __str__(self) -> str:
        answer = self.status if self.status is not None else _line(self.error or "")
        return f"health: {self.method} {answer}, {_ms(self.seconds)}"


class TokenChanged(Event, frozen=True, kw_only=True, tag=True):
    """The client got another access token; the token itself is nowhere."""

    how: str
    """``login``, ``refresh``, ``provider`` or ``set``."""
    expires: float | None = None
    """Unix time of ``exp``, if it says."""

    def __str__(self) -> str:
        return f"token: {self.how}"


class DeliveryChanged(Event, frozen=True, kw_only=True, tag=True):
    """A message of ours moved on."""

    delivery: str
    state: str
    via: str | None = None
    """``http`` or ``websocket``: the transport that carried the news."""
    because: str = ""
    text: str | None = None
    """What the message says, where it is told for the first time, or again by a process that found it in its queue."""
    bot: str | None = None
    """Whom it is for; told with the text."""
    client_id: str | None = None
    """Our id of it, which stays the same when the process is started again; told with the text."""
    reply: str | None = None
    """What the reply says, where no frame carried it."""

    def __str__(self) -> str:
        return f"message {self.delivery} {self.state}" + (f" by {self.via}" if self.via else "")


class DuplicateSuppressed(Event, frozen=True, kw_only=True, tag=True):
    """The same reply came again and was not shown again."""

    key: str
    """What told that they are the same: ``in_reply_to``, ``message_id``, ``timestamp`` or ``reply-of-request``."""
    via: str
    """The transport of the second copy: ``websocket``, ``http`` or ``history``."""
    message_id: str | None = None

    def __str__(self) -> str:
        return f"duplicate by {self.via} not shown (same {self.key})"


class GapDetected(Event, frozen=True, kw_only=True, tag=True):
    """A streamed reply lacks a chunk."""

    message_id: str
    expected: int
    got: int

    def __str__(self) -> str:
        return f"gap in the stream: expected chunk {self.expected}, got {self.got}"


class Resumed(Event, frozen=True, kw_only=True, tag=True):
    """After a reconnect the conversation was brought up to date, before live messages went on."""

    bot: str
    recovered: bool
    """Whether the backend was asked and answered."""
    replayed: int
    """Messages that were missing here and are shown now."""
    gap_possible: bool
    """Whether something may be missing all the same."""
    because: str = ""
    """Why a gap is possible."""

    def __str__(self) -> str:
        words = f"resumed: {self.replayed} missing message{'s' if self.replayed != 1 else ''} filled in"
        return words + (f", a gap is possible: {_line(self.because)}" if self.gap_possible else "")


class BadMessageReceived(Event, frozen=True, kw_only=True, tag=True):
    """The server sent something the profile does not know; the connection stays."""

    detail: str

    def __str__(self) -> str:
        return f"unreadable message: {_line(self.detail)}"


class Noted(Event, frozen=True, kw_only=True, tag=True):
    """A remark beside the evidence: ours, or one that a reader wrote (then it has an author)."""

    text: str
    author: str = ""
    """Who read the evidence and wrote this; empty for the tool's own remarks."""
    about: str | None = None
    """Id of the event it speaks of."""
    moment: float | None = None
    """When what it speaks of happened, seconds since the epoch; ``None`` where that is ``at``, when it was written."""

    def __str__(self) -> str:
        return f"note{f' by {_line(self.author)}' if self.author else ''}: {_line(self.text)}"


class RecordingEnded(Event, frozen=True, kw_only=True, tag=True):
    """The recording was closed in order; a file without it was cut short."""

    def __str__(self) -> str:
        return "recording ended"


class OpaqueSent(Event, frozen=True, kw_only=True, tag=True):
    """Bytes went to the server whose meaning is not visible: TLS without its keys, or frames after a hole."""

    size: int

    def __str__(self) -> str:
        return f"sent {self.size:,} B, not readable here"


class OpaqueReceived(Event, frozen=True, kw_only=True, tag=True):
    """Bytes came from the server whose meaning is not visible."""

    size: int

    def __str__(self) -> str:
        return f"received {self.size:,} B, not readable here"


class Retransmitted(Event, frozen=True, kw_only=True, tag=True):
    """One stretch of bytes was sent over TCP again, until it was acknowledged or given up."""

    by: str
    """``client`` or ``server``: whose bytes."""
    times: int
    seconds: float
    """From the first sending to the last."""
    acknowledged: bool = False
    """Whether the peer acknowledged it in the end, as far as this vantage saw."""

    def __str__(self) -> str:
        end = "acknowledged in the end" if self.acknowledged else "never acknowledged"
        return f"{self.by}'s bytes sent again {self.times} × over {_ms(self.seconds)}, {end}"


class BytesMissing(Event, frozen=True, kw_only=True, tag=True):
    """The evidence lacks bytes of this connection: packets not captured, or cut by the snapshot length."""

    by: str
    """``client`` or ``server``: whose bytes."""
    size: int

    def __str__(self) -> str:
        return f"{self.size:,} B of the {self.by} are missing in the evidence"


class EndReported(Event, frozen=True, kw_only=True, tag=True):
    """The end of a connection as somebody tells it: an API, a log, a HAR. The frames themselves were not seen."""

    code: int | None = None
    """As an API reports it, 1005 and 1006 included; ``None`` where it is not told."""
    reason: str = ""
    by: str | None = None
    """``client`` or ``server`` where the report says who closed, or whose transport ended, first."""
    source: str = ""
    """Who tells it, in a word or two: ``browser``, ``mitmproxy``, ``uvicorn`` …"""
    timed: bool = True
    """Whether it tells when; otherwise the connection ended at some time from ``at`` on."""

    def __str__(self) -> str:
        told = f" (told by {self.source}{'' if self.timed else ', not when'})" if self.source else ""
        by = f" by {self.by}" if self.by else ""
        return f"ended{by}{'' if self.code is None else ' ' + _describe_close(self.code, self.reason)}{told}"


class Logged(Event, frozen=True, kw_only=True, tag=True):
    """A line of somebody's log that is a fact about the connection, the server or a proxy."""

    by: str
    """Who wrote it: ``client``, ``server`` or ``proxy``."""
    what: str
    """The fact in a word: ``worker-timeout``, ``worker-exit``, ``start``, ``stop``, ``exception``,
    ``upstream-timeout``, ``upstream-closed``, ``upstream-reset``, ``upstream-refused``, ``client-closed``,
    ``network-changed``, ``error`` …"""
    text: str = ""
    """The line, redacted and bounded."""

    def __str__(self) -> str:
        return f"{self.by} logged {self.what}" + (f": {_shorten(self.text)}" if self.text else "")


class ArmStarted(Event, frozen=True, kw_only=True, tag=True):
    """A connection, or an exchange beside any connection, begins as part of an investigation: what is done to it."""

    arm: str
    """Its name in the investigation: ``silent``, ``ping-every-2s``, ``token-garbage`` …"""
    role: str
    """``probe``, ``arm``, ``control`` or ``cured``."""
    what: str
    """The treatment in a few words."""
    alters: str = ""
    """What of the opening is unlike the client's: ``token``, ``origin``, ``bot``, ``path``, ``upgrade``; or empty.
    What becomes of such a connection says nothing about the others, only beside them."""
    settings: dict[str, Any] = {}
    """The treatment as data."""

    def __str__(self) -> str:
        return f"{self.role} {self.arm}: {_line(self.what)}"


class InvestigationEnded(Event, frozen=True, kw_only=True, tag=True):
    """An investigation stopped."""

    why: str
    """``settled``, ``budget``, ``unchangeable``, ``interrupted`` or ``blocked``."""
    budget: float
    """Seconds that were allowed."""
    seconds: float
    """That it took."""
    untried: list[str] = []
    """What was left out, each with the reason, as sentences."""
    health_method: str | None = None
    """What the monitor is known to ask with, where that was said."""

    def __str__(self) -> str:
        return f"investigation ended after {self.seconds:.1f} s: {self.why}"


KINDS: tuple[type[Event], ...] = (
    AttemptStarted,
    NameResolved,
    TcpConnected,
    TlsEstablished,
    AttemptFailed,
    UpgradeRequested,
    UpgradeAnswered,
    Opened,
    Established,
    FrameSent,
    FrameReceived,
    PingSent,
    PingReceived,
    PongSent,
    PongReceived,
    CloseSent,
    CloseReceived,
    ProtocolFailed,
    TransportEnded,
    TcpInfoSampled,
    LoopLagged,
    StateChanged,
    RetryScheduled,
    HttpRequested,
    HttpAnswered,
    HttpFailed,
    HealthChecked,
    TokenChanged,
    DeliveryChanged,
    DuplicateSuppressed,
    GapDetected,
    BadMessageReceived,
    Noted,
    RecordingEnded,
    Resumed,
    OpaqueSent,
    OpaqueReceived,
    Retransmitted,
    BytesMissing,
    EndReported,
    Logged,
    ArmStarted,
    InvestigationEnded,
)
"""All event types; a type's place here is its code in the ``kind`` column of a trace in memory, never in a file."""

KIND_CODE: dict[type[Any], int] = {kind: code for code, kind in enumerate(KINDS)}
KIND_BY_NAME: dict[str, int] = {kind.__name__: code for code, kind in enumerate(KINDS)}

# In a row the message's own JSON is escaped; a text that quotes such JSON is escaped once more. A pattern that begins
# with plain characters is found three times as fast as one that begins with "no backslash".
_ROW_TYPE = re.compile(rb'\\"type\\"\s*:\s*\\"([^"\\]{1,64})\\"')
_BACKSLASH = ord("\\")
_TYPE_KEY = b'\\"type\\"'
_HEAD = 40
"""Bytes from a message's type key on that tell its type in most rows."""
_HEAD_TYPE = re.compile(rb"[^\\]" + _ROW_TYPE.pattern)
_MOST_HEADS = 4_096


def message_type(row: bytes) -> str | None:
    """The ``type`` of the JSON message in an encoded data frame, without parsing it."""
    found = _raw_type(row)
    return None if found is None else found.decode("utf-8", "replace")


def message_types(rows: Iterable[bytes]) -> list[str | None]:
    """The same for many rows.

    Few heads of messages occur: what a head says is looked up, and only a new one is matched.
    """
    known: dict[bytes, str | None] = {}
    found: list[str | None] = []
    for row in rows:
        begin = row.find(_TYPE_KEY, 0, 4096 - _HEAD)
        head = row[begin - 1 : begin + _HEAD]  # with the character before, which may be a backslash
        type_ = known.get(head)
        if type_ is None:
            type_ = message_type(row)
            if _HEAD_TYPE.match(head) and len(known) < _MOST_HEADS:
                known[head] = type_
        found.append(type_)
    return found


def _raw_type(row: bytes) -> bytes | None:
    match = _ROW_TYPE.search(row, 0, 4096)
    while match and row[match.start() - 1] == _BACKSLASH:
        match = _ROW_TYPE.search(row, match.start() + 1, 4096)
    return match.group(1) if match else None


def completes(row: bytes) -> bool:
    """Whether an encoded data frame completes its message."""
    # A quotation mark inside a text is escaped, so this can only be the key itself.
    return b',"fin":false' not in row


def _ms(seconds: float) -> str:
    """A duration as people read it: ``3 ms``, ``1.24 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _describe_frame(frame: _DataFrame) -> str:
    size = f"{frame.size:,} B" + (" compressed" if frame.compressed else "")
    part = "" if frame.fin else ", more to come"
    text = f": {_shorten(frame.text)}" if frame.text else ""
    return f"{frame.opcode} {size}{part}{text}"


def _describe_close(code: int | None, reason: str) -> str:
    return ("without code" if code is None else str(code)) + (f" “{_shorten(reason)}”" if reason else "")


def _line(text: str) -> str:
    """What somebody else wrote, on one line."""
    return " ".join(text.split())


def _shorten(text: str, limit: int = 100) -> str:
    flat = _line(text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
