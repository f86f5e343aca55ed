"""Events are frozen facts: they encode to a row and back, and say themselves in one line."""

from __future__ import annotations

import inspect
import json

import msgspec
import pytest

from chatkit import events
from chatkit.events import (
    KIND_BY_NAME,
    KIND_CODE,
    KINDS,
    AttemptFailed,
    AttemptStarted,
    BadMessageReceived,
    CloseReceived,
    CloseSent,
    DeliveryChanged,
    DuplicateSuppressed,
    Established,
    Event,
    FrameReceived,
    FrameSent,
    GapDetected,
    HealthChecked,
    HttpAnswered,
    HttpFailed,
    HttpRequested,
    LoopLagged,
    NameResolved,
    Noted,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    RecordingEnded,
    RetryScheduled,
    StateChanged,
    TcpConnected,
    TcpInfoSampled,
    TlsEstablished,
    TokenChanged,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
    completes,
    message_type,
    message_types,
)
from chatkit.trace import EVENT_DECODER
from stories import ALL

encode = msgspec.json.Encoder().encode


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_every_kind_survives_its_row(event: Event) -> None:
    """Encoded and decoded it is itself; the row is one line with ``type`` and ``id`` first."""
    row = encode(event)
    assert EVENT_DECODER.decode(row) == event
    assert b"\n" not in row
    assert list(json.loads(row))[:2] == ["type", "id"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_with_defaults_left_out(kind: type[Event]) -> None:
    """A row names only what is not a default."""
    required = {name: getattr(e, name) for e in ALL if type(e) is kind for name in _required(kind)}
    event = kind(**required)
    row = encode(event)
    assert EVENT_DECODER.decode(row) == event
    assert set(json.loads(row)) == {"type", *required}


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_every_kind_says_itself_in_one_line(event: Event) -> None:
    """The same line stands in a tooltip, a report and a diff."""
    assert str(event).splitlines() == [str(event).strip()]


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_nobody_edits_the_past(event: Event) -> None:
    """Frozen."""
    with pytest.raises(AttributeError):
        event.at = 0.0


def test_the_list_of_kinds_is_complete() -> None:
    """Every public event class once, with a code of its own."""
    classes = {cls for _, cls in inspect.getmembers(events, inspect.isclass) if issubclass(cls, Event)}
    public = {cls for cls in classes if not cls.__name__.startswith("_")} - {Event}
    assert set(KINDS) == public
    assert len(KINDS) == len(public) == len(KIND_CODE) == len(KIND_BY_NAME)
    assert [KIND_CODE[kind] for kind in KINDS] == list(range(len(KINDS)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_its_own_is_explained_or_plain(kind: type[Event]) -> None:
    """Each kind has a docstring that ends with a full stop or a colon."""
    assert kind.__doc__
    assert kind.__doc__.strip()[-1] in ".:"


BASE = {"id": "1", "at": 0.0}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (AttemptStarted(**BASE, url="ws://h/p"), "attempt to ws://h/p"),
        (
            AttemptStarted(**BASE, url="ws://h/p", attempt=2, proxy="http://p:1"),
            "attempt to ws://h/p, retry 2 through proxy http://p:1",
        ),
        (NameResolved(**BASE, host="h", addresses=["1.2.3.4", "::1"], seconds=0.0034), "h is 1.2.3.4, ::1 (DNS, 3 ms)"),
        (TcpConnected(**BASE, local="a:1", peer="b:2", seconds=1.238), "TCP connected to b:2 in 1.24 s"),
        (TlsEstablished(**BASE, version="TLSv1.3", cipher="AES", seconds=0.01), "TLSv1.3 (AES) in 10 ms"),
        (AttemptFailed(**BASE, stage="dns", error="no such name"), "failed at dns: no such name"),
        (UpgradeRequested(**BASE, target="/p", headers=[]), "upgrade requested: GET /p"),
        (UpgradeAnswered(**BASE, status=403, reason="Forbidden", headers=[]), "upgrade answered 403 Forbidden"),
        (UpgradeAnswered(**BASE, status=101, reason="", headers=[], seconds=0.002), "upgrade answered 101 in 2 ms"),
        (Opened(**BASE), "open, no extension"),
        (Opened(**BASE, extensions="permessage-deflate"), "open with permessage-deflate"),
        (Established(**BASE, seconds=0.05), "established after 50 ms"),
        (FrameSent(**BASE, size=1234, text="a\n b"), "sent text 1,234 B: a b"),
        (FrameReceived(**BASE, size=5, opcode="binary", data="AA=="), "received binary 5 B"),
        (FrameReceived(**BASE, size=5, fin=False, compressed=True), "received text 5 B compressed, more to come"),
        (PingSent(**BASE), "sent ping (RFC 6455)"),
        (PingReceived(**BASE), "received ping (RFC 6455)"),
        (PongSent(**BASE), "sent pong"),
        (PongSent(**BASE, delay=0.001), "sent pong, 1 ms after the ping"),
        (PongReceived(**BASE), "received pong, unsolicited"),
        (PongReceived(**BASE, rtt=0.02), "received pong, RTT 20 ms"),
        (CloseSent(**BASE, code=1000), "sent close 1000"),
        (CloseReceived(**BASE, code=1011, reason="x"), "received close 1011 “x”"),
        (CloseReceived(**BASE), "received close without code"),
        (ProtocolFailed(**BASE, by="server", detail="bad"), "protocol broken by server: bad"),
        (TransportEnded(**BASE, how="rst", by="server"), "transport ended: RST by server"),
        (TransportEnded(**BASE, how="timeout"), "transport ended: TCP time-out"),
        (TransportEnded(**BASE, how="local", by="client"), "transport ended: closed by client"),
        (
            TcpInfoSampled(
                **BASE, rtt=0.001, rtt_variance=0, retransmits=2, unacked=1, last_data_received=0, last_ack_received=0
            ),
            "TCP: RTT 1 ms, 2 retransmitted, 1 unacknowledged",
        ),
        (LoopLagged(**BASE, lag=0.3), "own loop lag 300 ms"),
        (StateChanged(**BASE, state="backoff", because="lost"), "state backoff: lost"),
        (StateChanged(**BASE, state="stable"), "state stable"),
        (RetryScheduled(**BASE, attempt=1, delay=2.0), "retry 1 in 2.0 s"),
        (HttpRequested(**BASE, exchange="1", method="GET", url="u", purpose="bot"), "GET bot"),
        (
            HttpAnswered(**BASE, exchange="1", status=429, seconds=0.1, purpose="chat", method="POST"),
            "POST chat 429, 100 ms",
        ),
        (
            HttpFailed(**BASE, exchange="1", error="no", seconds=1, purpose="chat", method="POST"),
            "POST chat failed: no",
        ),
        (HealthChecked(**BASE, method="HEAD", healthy=False, seconds=0.1, status=405), "health: HEAD 405, 100 ms"),
        (HealthChecked(**BASE, method="GET", healthy=False, seconds=0.1, error="no"), "health: GET no, 100 ms"),
        (TokenChanged(**BASE, how="login"), "token: login"),
        (DeliveryChanged(**BASE, delivery="m1", state="replied", via="http"), "message m1 replied by http"),
        (DuplicateSuppressed(**BASE, key="message_id", via="http"), "duplicate by http not shown (same message_id)"),
        (GapDetected(**BASE, message_id="a", expected=1, got=3), "gap in the stream: expected chunk 1, got 3"),
        (BadMessageReceived(**BASE, detail="not JSON"), "unreadable message: not JSON"),
        (Noted(**BASE, text="hm"), "note: hm"),
        (RecordingEnded(**BASE), "recording ended"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_the_line(event: Event, line: str) -> None:
    """Word for word."""
    assert str(event) == line


def test_a_long_message_is_shortened_in_the_line() -> None:
    """A hundred characters tell enough."""
    assert len(str(FrameReceived(**BASE, size=9, text="x" * 10_000))) < 150


MESSAGES = [
    ('{"type": "ping"}', "ping"),
    ('{"type":"ping","timestamp":"t"}', "ping"),
    ('{"bot_id": "b", "type" : "chat_response"}', "chat_response"),
    ('{\n  "type": "ping"\n}', "ping"),
    (json.dumps({"type": "chat_response", "data": {"content": '{"type": "ping"}'}}), "chat_response"),
    (json.dumps({"data": {"content": '{"type": "ping"}'}}), None),
    ('{"kind": "ping"}', None),
    ('{"type": 3}', None),
    ("plain text", None),
    ("", None),
    ('{"type": "' + "x" * 64 + '"}', "x" * 64),
    ('{"type": "' + "x" * 65 + '"}', None),
    ('{"a": "' + "x" * 4_096 + '", "type": "ping"}', None),
]


@pytest.mark.parametrize(("body", "type_"), MESSAGES)
def test_message_type_without_parsing(body: str, type_: str | None) -> None:
    """Read from the row, also where a text quotes another message."""
    for kind in (FrameSent, FrameReceived):
        assert message_type(encode(kind(**BASE, connection="1", size=len(body), text=body))) == type_


def test_types_of_many_messages_are_those_of_each() -> None:
    """Also where the same head was seen before."""
    rows = [encode(FrameReceived(**BASE, size=1, text=body)) for body, _ in MESSAGES]
    assert message_types(rows * 2) == [message_type(row) for row in rows * 2]
    assert message_types(rows) == [type_ for _, type_ in MESSAGES]


def test_completes_reads_fin_from_the_row() -> None:
    """A text that quotes the key is no key."""
    assert completes(encode(FrameReceived(**BASE, size=1, text="x")))
    assert completes(encode(FrameReceived(**BASE, size=1, text=',"fin":false')))
    assert not completes(encode(FrameReceived(**BASE, size=1, fin=False)))


def _required(kind: type[Event]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind) if field.required]
