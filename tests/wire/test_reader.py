"""Both directions of a connection as events; the bytes are those of websockets itself."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from chatkit.events import (
    CloseReceived,
    CloseSent,
    Event,
    FrameReceived,
    FrameSent,
    Opened,
    PingReceived,
    PingSent,
    PongReceived,
    PongSent,
    ProtocolFailed,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.redact import MARK, Redactor
from chatkit.trace import EVENT_DECODER
from chatkit.wire import WireReader
from chatkit.wire.reader import KEEP, KEEP_BODY, KEEP_PREFIX
from stories import make_jwt

JWT = make_jwt(exp=1_764_000_000)

Bytes = list[tuple[str, bytes]]
"""What went over the wire: ``>`` to the server, ``<`` to the client."""


class Talk:
    """A client and a server of websockets, without sockets; their bytes are kept in order."""

    def __init__(self, target: str = "/p", compression: dict[str, Any] | None = None) -> None:
        offers = [ClientPerMessageDeflateFactory(**compression)] if compression is not None else None
        accepts = [ServerPerMessageDeflateFactory()] if compression is not None else None
        self.client = ClientProtocol(parse_uri(f"ws://h{target}"), extensions=offers, max_size=None)
        self.server = ServerProtocol(extensions=accepts, max_size=None)
        self.wire: Bytes = []

    def open(self) -> Talk:
        self.client.send_request(self.client.connect())
        self.pump()
        (request,) = self.server.events_received()
        assert isinstance(request, Request)
        self.server.send_response(self.server.accept(request))
        return self.pump()

    def pump(self) -> Talk:
        """Carries bytes both ways until both are silent."""
        moved = True
        while moved:
            moved = self._carry(self.client, self.server, ">") | self._carry(self.server, self.client, "<")
        return self

    def _carry(self, one: Any, other: Any, arrow: str) -> bool:
        data = b"".join(one.data_to_send())
        if data:
            self.wire.append((arrow, data))
            other.receive_data(data)
        return bool(data)


def read(wire: Bytes, *secrets: str, at: float = 0.0, end: tuple[Any, ...] | None = None) -> list[Event]:
    """The events of these bytes, a second apart."""
    reader = WireReader("1", itertools.count(), Redactor(secrets))
    found: list[Event] = []
    for number, (arrow, data) in enumerate(wire):
        found += (reader.sent if arrow == ">" else reader.received)(at + number, data)
    return found + (reader.ended(at + len(wire), *end) if end else [])


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def timeless(events: list[Event]) -> list[Event]:
    """Without what depends on how the bytes were cut: times and what is computed from them."""
    gone: dict[str, Any] = {"at": 0.0}
    return [
        msgspec.structs.replace(
            event, **gone, **{name: None for name in ("seconds", "rtt", "delay") if hasattr(event, name)}
        )
        for event in events
    ]


def conversation(compression: dict[str, Any] | None = None) -> Bytes:
    """Everything a chat does, in order."""
    talk = Talk(compression=compression).open()
    for n in range(3):
        talk.server.send_text(json.dumps({"type": "chat_response", "data": {"content": f"hé {n} " * 20}}).encode())
        talk.client.send_text(b'{"type": "ping"}')
        talk.pump()
    talk.server.send_text("é".encode()[:1], fin=False)
    talk.server.send_ping(b"mid")
    talk.server.send_continuation("é".encode()[1:], fin=True)
    talk.client.send_binary(b"\x00\xff")
    talk.pump()
    talk.client.send_ping(b"ours")
    talk.pump()
    talk.client.send_close(1000, "bye")
    return talk.pump().wire


COMPRESSIONS = {
    "plain": None,
    "deflate": {},
    "client no takeover": {"client_no_context_takeover": True},
    "server no takeover": {"server_no_context_takeover": True},
    "neither": {"client_no_context_takeover": True, "server_no_context_takeover": True},
    "small windows": {"client_max_window_bits": 9, "server_max_window_bits": 9},
}


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_conversation(compression: dict[str, Any] | None) -> None:
    """Handshake, messages, fragments around a ping, round trips, both close frames."""
    found = read(conversation(compression), end=("fin", "server"))
    assert kinds(found) == [
        UpgradeRequested,
        UpgradeAnswered,
        Opened,
        *[FrameSent, FrameReceived] * 3,
        FrameSent,
        FrameReceived,
        PingReceived,
        FrameReceived,
        PongSent,
        PingSent,
        PongReceived,
        CloseSent,
        CloseReceived,
        TransportEnded,
    ]
    assert [event.id for event in found] == [str(n) for n in range(len(found))]
    assert (found[0].target, found[1].status, found[1].seconds) == ("/p", 101, 1.0)
    assert (found[2].extensions is None) == (compression is None)
    texts = [event.text for event in found if isinstance(event, FrameReceived)]
    assert [json.loads(text)["data"]["content"][:4] for text in texts[:3]] == ["hé 0", "hé 1", "hé 2"]
    assert texts[3:] == [None, "é"]
    assert found[9].data == "AP8="
    assert all(event.compressed == (compression is not None) for event in found if isinstance(event, FrameSent))
    ping, pong = found[11], found[13]
    assert (bytes.fromhex(ping.payload), pong.delay) == (b"mid", 1.0)
    assert found[15].rtt == 1.0
    assert (found[16].code, found[16].reason, found[17].code) == (1000, "bye", 1000)


@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "deflate"])
def test_cut_at_every_position(compression: dict[str, Any] | None) -> None:
    """Byte by byte, and in two at every place of both directions."""
    wire = conversation(compression)
    whole = timeless(read(wire))
    assert timeless(read([(arrow, data[i : i + 1]) for arrow, data in wire for i in range(len(data))])) == whole
    for place, (arrow, data) in enumerate(wire):
        for cut in range(1, len(data)):
            halves = [*wire[:place], (arrow, data[:cut]), (arrow, data[cut:]), *wire[place + 1 :]]
            assert timeless(read(halves)) == whole


_MESSAGES = st.lists(
    st.tuples(
        st.sampled_from("><"), st.text(max_size=80) | st.binary(max_size=80) | st.just("x" * 300), st.integers(1, 3)
    ),
    max_size=6,
)


@given(_MESSAGES, st.sampled_from(list(COMPRESSIONS.values())), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_any_messages_in_any_chunks(messages: list[Any], compression: dict[str, Any] | None, steps: list[int]) -> None:
    """The same events whatever the cuts, and every message whole."""
    talk = Talk(compression=compression).open()
    for arrow, message, parts in messages:
        side = talk.client if arrow == ">" else talk.server
        body = message.encode() if isinstance(message, str) else message
        step = max(1, -(-len(body) // parts))
        pieces = [body[i : i + step] for i in range(0, len(body), step)] or [b""]
        begin = side.send_text if isinstance(message, str) else side.send_binary
        begin(pieces[0], fin=len(pieces) == 1)
        for number, piece in enumerate(pieces[1:], 2):
            side.send_continuation(piece, fin=number == len(pieces))
        talk.pump()
    whole = read(talk.wire)
    sizes, chunks = itertools.cycle(steps), []
    for arrow, data in talk.wire:
        while data:
            size = next(sizes)
            chunks.append((arrow, data[:size]))
            data = data[size:]
    assert timeless(read(chunks)) == timeless(whole)
    complete = [event for event in whole if isinstance(event, FrameSent | FrameReceived) and event.fin]
    arrows = {FrameSent: ">", FrameReceived: "<"}
    told = [(arrows[type(e)], e.text if e.data is None else None, e.data) for e in complete]
    assert [(arrow, text) for arrow, text, data in told if data is None] == [
        (arrow, Redactor().text(message)) for arrow, message, _ in messages if isinstance(message, str)
    ]


def test_secrets_in_the_handshake_and_in_messages() -> None:
    """Target, headers, texts, close reasons, ping payloads: nowhere."""
    talk = Talk(f"/p?token={JWT}").open()
    talk.server.send_text(json.dumps({"type": "x", "data": {"access_token": JWT}}).encode())
    talk.client.send_text(json.dumps({"type": "x", "password": "hunter2-hunter2"}).encode())
    talk.server.send_text(b"say hunter2-hunter2")
    talk.server.send_binary(b"\xff hunter2-hunter2")
    talk.server.send_ping(b"hunter2-hunter2")
    talk.pump()
    talk.server.send_close(4001, "bad hunter2-hunter2")
    found = read(talk.pump().wire, "hunter2-hunter2", end=("rst", "server", f"token={JWT}"))
    rows = msgspec.json.encode(found)
    for secret in (JWT, JWT.split(".")[1], "hunter2", b"hunter2-hunter2".hex(), "aHVudGVyMi1odW50ZXIy"):
        assert secret.encode() not in rows
    assert found[0].target == "/p?token=[jwt exp=1764000000]"
    assert [event.text for event in found if isinstance(event, FrameReceived)][1] == f"say {MARK}"


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_secret_cut_between_two_chunks_of_one_frame(cut: int) -> None:
    """The message is looked at as a whole."""
    frame = Frame(Opcode.TEXT, b"my hunter2-hunter2 is secret").serialize(mask=False)
    wire = Talk().open().wire
    found = read([*wire, ("<", frame[:cut]), ("<", frame[cut:])], "hunter2-hunter2")
    assert found[-1].text == f"my {MARK} is secret"


def test_a_secret_in_fragments_of_a_message() -> None:
    """Likewise, also when the first fragment is empty."""
    talk = Talk().open()
    talk.server.send_text(b"", fin=False)
    talk.server.send_continuation(b"hunter2", fin=False)
    talk.server.send_continuation(b"-hunter2", fin=True)
    assert read(talk.pump().wire, "hunter2-hunter2")[-1].text == MARK


def test_a_masked_frame_of_the_server_hides_no_secret() -> None:
    """It breaks RFC 6455, section 5.1, and is not recorded at all."""
    frame = Frame(Opcode.TEXT, b"hunter2-hunter2").serialize(mask=True)
    found = read([*Talk().open().wire, ("<", frame)], "hunter2-hunter2")
    assert (kinds(found)[-1], found[-1].by) == (ProtocolFailed, "server")


@pytest.mark.parametrize("binary", [False, True])
def test_sixteen_mebibytes(binary: bool) -> None:
    """A beginning, a length, a digest; no character is cut in two."""
    import hashlib

    talk = Talk().open()
    body = "é🤖".encode() * (1 << 24 >> 2)
    (talk.server.send_binary if binary else talk.server.send_text)(body)
    found = read(talk.pump().wire)[-1]
    assert (found.size, found.digest) == (len(body), hashlib.sha256(body).hexdigest())
    kept = found.data if binary else found.text
    assert kept is not None
    assert len(kept.encode()) <= KEEP_PREFIX * 4 / 3 + 4
    assert binary or body.decode().startswith(kept)


@pytest.mark.parametrize(("size", "whole"), [(KEEP, True), (KEEP + 1, False)])
def test_messages_up_to_a_limit_are_kept_whole(size: int, whole: bool) -> None:
    """The border is exact."""
    talk = Talk().open()
    talk.server.send_text(b"x" * size)
    found = read(talk.pump().wire)[-1]
    assert (len(found.text), found.digest is None) == (size if whole else KEEP_PREFIX, whole)


def test_text_that_is_not_utf8_is_kept_as_bytes() -> None:
    """The frame stays a text frame."""
    frame = Frame(Opcode.TEXT, b"ab\xff").serialize(mask=False)
    found = read([*Talk().open().wire, ("<", frame)])[-1]
    assert (found.opcode, found.text, found.data) == ("text", None, "YWL/")


def test_close_without_code() -> None:
    """What libraries call 1005."""
    talk = Talk().open()
    talk.server.send_close()
    found = read(talk.pump().wire)
    assert [(type(e), e.code, e.reason) for e in found[-2:]] == [(CloseReceived, None, ""), (CloseSent, None, "")]


def test_pongs_that_answer_nothing() -> None:
    """Unsolicited ones have no round trip; a second answer neither."""
    talk = Talk().open()
    talk.server.send_pong(b"hello")
    talk.client.send_ping(b"a")
    talk.pump()
    talk.server.send_pong(b"a")
    found = [event.rtt for event in read(talk.pump().wire) if isinstance(event, PongReceived)]
    assert [rtt is None for rtt in found] == [True, False, True]


REFUSAL = b'HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\nSet-Cookie: a=b\r\n\r\n{"detail": "sorry!"}'


@pytest.mark.parametrize("cut", range(0, len(REFUSAL), 5))
def test_a_refused_upgrade_with_its_body(cut: int) -> None:
    """One answer, whatever the chunks; nothing opens."""
    request = Talk().open().wire[0]
    found = read([request, ("<", REFUSAL[:cut]), ("<", REFUSAL[cut:]), ("<", b"more")], end=("fin", "server"))
    assert kinds(found) == [UpgradeRequested, UpgradeAnswered, TransportEnded]
    answer = found[1]
    assert (answer.status, answer.reason, answer.body) == (403, "Forbidden", '{"detail": "sorry!"}')
    assert dict(answer.headers)["Set-Cookie"] == MARK


@pytest.mark.parametrize(
    "length", ["", "Content-Length: 999999999999999999999\r\n", "Content-Length: \xb2\r\n", "Content-Length: -1\r\n"]
)
def test_a_refusal_whose_end_is_the_end_of_the_connection(length: str) -> None:
    """The answer is told then, with the beginning of its body."""
    request = Talk().open().wire[0]
    body = b"<html>" + b"x" * 10_000
    answer = f"HTTP/1.1 502 Bad Gateway\r\n{length}\r\n".encode("latin-1") + body
    found = read([request, ("<", answer)], end=("fin", "server"))
    assert kinds(found) == [UpgradeRequested, UpgradeAnswered, TransportEnded]
    assert found[1].body == body[:KEEP_BODY].decode()


def test_a_secret_in_the_body_of_a_refusal() -> None:
    """Also where the kept beginning cuts it in two."""
    body = b"x" * (KEEP_BODY - 10) + b"hunter2-hunter2"
    answer = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    found = read([Talk().open().wire[0], ("<", answer)], "hunter2-hunter2")
    assert "hunter2" not in found[1].body


@pytest.mark.parametrize(
    ("arrow", "data", "by"),
    [
        ("<", b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", "server"),
        ("<", b"HTTP/1.1 abc Odd\r\n\r\n", "server"),
        ("<", b"x" * 70_000, "server"),
    ],
)
def test_an_answer_that_is_no_handshake(arrow: str, data: bytes, by: str) -> None:
    """One event says so; the rest is ignored."""
    found = read([Talk().open().wire[0], (arrow, data), (arrow, b"more")])
    assert kinds(found) == [UpgradeRequested, ProtocolFailed]
    assert found[1].by == by


def test_after_a_violation_the_other_direction_goes_on() -> None:
    """Only the broken one has no meaning any more."""
    talk = Talk().open()
    talk.client.send_text(b"still here")
    talk.pump()
    found = read([*talk.wire[:2], ("<", b"\xff\xff"), ("<", b"\x81\x01a"), talk.wire[2]])
    assert kinds(found)[3:] == [ProtocolFailed, FrameSent]


def test_a_message_that_never_ended() -> None:
    """The end of the transport says how much had come."""
    frame = Frame(Opcode.TEXT, b"x" * 100).serialize(mask=False)
    found = read([*Talk().open().wire, ("<", frame[:52])], end=("rst", "server", "reset"))
    assert (found[-1].how, found[-1].by, found[-1].error, found[-1].unfinished) == ("rst", "server", "reset", 52)


_CHUNKS = st.lists(st.tuples(st.sampled_from("><"), st.binary(max_size=60)), max_size=12)
_HEADS = st.sampled_from(
    [
        [],
        [(">", b"GET / HTTP/1.1\r\n\r\n")],
        [(">", b"GET / HTTP/1.1\r\n\r\n"), ("<", b"HTTP/1.1 101 x\r\n\r\n")],
        [("<", b"HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")],
        [("<", b"HTTP/1.1 500 x\r\nContent-Length: 7\r\n\r\n")],
    ]
)


@given(_HEADS, _CHUNKS, st.booleans())
def test_any_bytes_give_events(head: Bytes, chunks: Bytes, ended: bool) -> None:
    """Never an exception, and every event survives its row."""
    found = read([*head, *chunks], "secret", end=("fin", None, "x") if ended else None)
    for event in found:
        assert EVENT_DECODER.decode(msgspec.json.encode(event)) == event
    failed = [event.by for event in found if isinstance(event, ProtocolFailed)]
    assert len(failed) == len(set(failed))


def reader() -> WireReader:
    return WireReader("1", itertools.count(1), Redactor())


def test_a_client_that_does_not_wait_for_the_answer() -> None:
    """Bytes behind the request, in its own chunk or a later one, are read once the answer says how."""
    talk = Talk(compression={}).open()
    request, answer = (b"".join(data for way, data in talk.wire if way == side) for side in "><")
    talk.wire.clear()
    talk.client.send_text(b"early")
    talk.client.send_text(b"and more")
    early = b"".join(talk.client.data_to_send())
    for cut in range(len(early)):
        wire = reader()
        events = wire.sent(0.0, request + early[:cut]) + wire.sent(0.1, early[cut:]) + wire.received(0.2, answer)
        assert [event.text for event in events if isinstance(event, FrameSent)] == ["early", "and more"]
        assert [type(event) for event in events[:3]] == [UpgradeRequested, UpgradeAnswered, Opened]


def test_a_client_that_floods_before_the_answer() -> None:
    """Only so much waits."""
    wire = reader()
    wire.sent(0.0, b"GET / HTTP/1.1\r\n\r\n")
    events = [event for _ in range(100) for event in wire.sent(0.1, bytes(1000))]
    assert [type(event) for event in events] == [ProtocolFailed]


def test_bytes_that_are_missing() -> None:
    """Within a frame its size stays; across frames nothing is read until frames are recognised."""
    wire = reader()
    wire.join()
    long = b"\x81\x7e\x01\x00" + b"x" * 256
    assert wire.received(1.0, long[:100]) == []
    events = wire.missing(1, 1.1, 100) + wire.received(1.2, long[200:])
    assert [str(event) for event in events] == [
        "100 B of the server are missing in the evidence",
        "received text 256 B",
    ]
    events = wire.received(1.3, b"\x81\x05he") + wire.missing(1, 1.4, 50) + wire.received(1.5, b"\x07\x01\x02")
    assert [type(event).__name__ for event in events] == ["BytesMissing", "OpaqueReceived"]
    (found,) = wire.received(1.6, b"\x81\x05hello")
    assert isinstance(found, FrameReceived)
    assert found.text == "hello"


def test_a_hole_in_what_was_compressed() -> None:
    """Messages that look back into it have no text; those of the other direction keep theirs."""
    talk = Talk(compression={}).open()
    wire = reader()
    for way, data in talk.wire:
        wire.sent(0.0, data) if way == ">" else wire.received(0.0, data)
    chunks = []
    for text in (b"one lighthouse", b"two lighthouse", b"zzyzx"):
        talk.server.send_text(text)
        chunks.append(b"".join(talk.server.data_to_send()))
    events = wire.received(1.0, chunks[0][:6]) + wire.missing(1, 1.0, len(chunks[0]) - 6)
    events += wire.received(1.1, chunks[1]) + wire.received(1.2, chunks[2])
    assert [event.text for event in events if isinstance(event, FrameReceived)] == [None, None, "zzyzx"]
    talk.client.send_text(b"mine")
    (mine,) = wire.sent(2.0, b"".join(talk.client.data_to_send()))
    assert isinstance(mine, FrameSent)
    assert mine.text == "mine"
