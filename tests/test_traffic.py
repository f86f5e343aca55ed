"""Bytes on the wire, by connection, direction and message type."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from builders import event, trace
from chatkit.client import open_connection
from chatkit.client.http import HttpApi
from chatkit.events import (
    CloseReceived,
    CloseSent,
    FrameReceived,
    FrameSent,
    HttpAnswered,
    Noted,
    Opened,
    PingSent,
    PongReceived,
    UpgradeRequested,
)
from chatkit.lab import Bot
from chatkit.recorder import Recorder
from chatkit.redact import Redactor
from chatkit.trace import Trace
from chatkit.traffic import BINARY, CUT, EXTENSIONS, MOST, SIZES, UNTYPED, Total, head_bytes
from chatkit.wire import WireReader
from conftest import until
from stories import events, header, story

PING = {"size": 16, "text": '{"type": "ping"}'}


def table(made: Trace) -> list[tuple[Any, ...]]:
    """The rows as tuples."""
    return [(r.connection, r.direction, r.type, r.messages, r.payload, r.wire) for r in made.traffic().rows]


@pytest.mark.parametrize(("size", "unmasked"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 40, 10)])
def test_heads(size: int, unmasked: int) -> None:
    """RFC 6455, section 5.2: two lengths more, and four bytes of mask from the client."""
    sizes, masked = np.array([size, size]), np.array([False, True])
    assert head_bytes(sizes, masked).tolist() == [unmasked, unmasked + 4]


def test_rows() -> None:
    """By connection, direction and type, the heaviest type first; control frames are types of their own."""
    made = story(
        (0.0, Opened, {"extensions": "permessage-deflate"}),
        (0.1, FrameSent, {"size": 10, "compressed": True, "length": 40, "text": '{"type": "ping"}'}),
        (0.2, FrameSent, {"size": 4, "compressed": True, "length": 40, "text": '{"type": "ping"}'}),
        (0.3, FrameSent, {"size": 90, "length": 300, "text": '{"type": "typing"}'}),
        (0.4, FrameReceived, {"size": 200, "text": '{"type": "chat_response"}'}),
        (0.5, PingSent, {"payload": "00ff"}),
        (0.6, PongReceived, {"payload": "00ff"}),
        (0.7, CloseSent, {"code": 1000, "reason": "bÿe"}),
        (0.8, CloseReceived, {"code": None}),
        (0.9, FrameReceived, {"connection": "2", "opcode": "binary", "size": 3, "data": "AAAA"}),
        (1.0, FrameReceived, {"connection": None, "size": 2, "text": "{}"}),
        (1.1, Noted, {"text": "beside"}),
    )
    assert table(made) == [
        (None, "received", UNTYPED, 1, 2, 4),
        ("1", "sent", "typing", 1, 300, 96),
        ("1", "sent", "ping", 2, 80, 14 + 2 * 6),
        ("1", "sent", "close (RFC 6455)", 1, 6, 12),
        ("1", "sent", "ping (RFC 6455)", 1, 2, 8),
        ("1", "received", "chat_response", 1, 200, 204),
        ("1", "received", "pong (RFC 6455)", 1, 2, 4),
        ("1", "received", "close (RFC 6455)", 1, 0, 2),
        ("2", "received", BINARY, 1, 3, 5),
    ]
    assert [row.ratio for row in made.traffic().rows][1] == 96 / 300
    assert made.traffic().rows[7].ratio is None


def test_an_empty_compressed_message_has_no_payload() -> None:
    """Its length is 0 and not unknown."""
    assert table(story((0.1, FrameSent, {"size": 1, "length": 0, "text": ""}))) == [("1", "sent", UNTYPED, 1, 0, 7)]


def test_fragments_count_to_their_message() -> None:
    """Its type stands on the last frame; those of the other direction, or another connection, do not mix in."""
    made = story(
        (0.1, FrameReceived, {"size": 10, "fin": False}),
        (0.2, FrameSent, PING),
        (0.3, FrameReceived, {"connection": "2", "size": 5, "fin": False}),
        (0.4, FrameReceived, {"opcode": "continuation", "size": 20, "fin": False}),
        (0.5, FrameReceived, {"opcode": "continuation", "size": 6, "length": 36, "text": '{"type": "chat"}'}),
        (0.6, FrameReceived, {"size": 16, "text": '{"type": "pong"}'}),
        (0.7, FrameReceived, {"size": 7, "fin": False}),
    )
    assert table(made) == [
        ("1", "sent", "ping", 1, 16, 22),
        ("1", "received", "chat", 1, 36, 36 + 3 * 2),
        ("1", "received", "pong", 1, 16, 18),
        ("1", "received", CUT, 0, 7, 9),
        ("2", "received", CUT, 0, 5, 7),
    ]
    assert made.traffic().total(type="chat") == Total(messages=1, frames=3, payload=36, wire=42)


def test_a_text_that_quotes_a_row_misleads_nobody() -> None:
    """Keys are read where they stand, not where somebody wrote them."""
    body = json.dumps({"type": "chat", "content": ',"length":7,"fin":false,"opcode":"binary"'})
    made = story((0.1, FrameReceived, {"size": len(body), "text": body}))
    assert table(made) == [("1", "received", "chat", 1, len(body), len(body) + 2)]


@pytest.mark.parametrize("length", [10**15, 10**30])
def test_an_impossible_length_is_no_length(length: int) -> None:
    """A file may say anything."""
    row = b'{"type":"FrameSent","id":"0","at":0.0,"connection":"1","size":5,"length":%d,"text":"x"}' % length
    made = story((0.0, FrameSent, {"size": 5, "text": "x"}))
    assert table(Trace(made.header, [row], made.at, made.kind, made.connection_code, made.size, made.names)) == [
        ("1", "sent", UNTYPED, 1, 5, 11)
    ]


def test_totals() -> None:
    """Of what fits all criteria; HTTP is not in it."""
    made = story((0.1, FrameSent, PING), (0.2, FrameReceived, PING), (0.3, FrameSent, {"connection": "2"} | PING))
    traffic = made.traffic()
    assert traffic.total() == Total(messages=3, frames=3, payload=48, wire=48 + 6 + 2 + 6)
    assert traffic.total(direction="sent").messages == 2
    assert traffic.total(connection="1", direction="sent").wire == 22
    assert traffic.total(type="pong") == Total()
    assert [(c.id, c.sent.messages, c.received.messages) for c in traffic.connections] == [("1", 1, 1), ("2", 1, 0)]


def test_compression_by_connection() -> None:
    """As offered and agreed; what did not open, or was not seen to, is not denied."""
    offer = [("Host", "h"), ("sec-websocket-extensions", "permessage-deflate")]
    made = story(
        (0.0, UpgradeRequested, {"target": "/", "headers": offer}),
        (0.1, Opened, {"extensions": "permessage-deflate; server_no_context_takeover"}),
        (0.2, UpgradeRequested, {"connection": "2", "target": "/", "headers": offer}),
        (0.3, Opened, {"connection": "2"}),
        (0.4, FrameSent, {"connection": "3"} | PING),
    )
    assert [(c.id, str(c.compression)) for c in made.traffic().connections] == [
        ("1", "permessage-deflate with context takeover only in what is sent"),
        ("2", "offered, not negotiated"),
        ("3", "not visible here"),
    ]


def test_what_the_origin_cannot_show() -> None:
    """No size on the wire, no ratio, no denial of a compression."""
    facts = events((0.0, Opened), (0.1, FrameSent, PING), (60.1, FrameReceived, PING))
    traffic = Trace.of(facts, header(not_visible=(SIZES, EXTENSIONS))).traffic()
    assert [(row.payload, row.wire, row.ratio) for row in traffic.rows] == [(16, None, None)] * 2
    assert traffic.total().wire is None
    assert str(traffic.connections[0].compression) == "not visible here"
    assert "32 bytes of payload, not visible on the wire" in str(traffic)


def test_http_by_purpose() -> None:
    """Sums of what was counted; what was not is counted as such."""
    common = {"status": 200, "seconds": 0.1, "method": "GET", "connection": None}
    made = story(
        (0.0, HttpAnswered, {"exchange": "1", "purpose": "history", "sent": 100, "received": 900} | common),
        (0.1, HttpAnswered, {"exchange": "2", "purpose": "history", "sent": 100, "received": 1100} | common),
        (0.2, HttpAnswered, {"exchange": "3", "purpose": "chat"} | common),
    )
    http = [(one.purpose, one.exchanges, one.sent, one.received, one.uncounted) for one in made.traffic().http]
    assert http == [("history", 2, 200, 2000, 0), ("chat", 1, 0, 0, 1)]


# As bytes


@st.composite
def conversations(draw: st.DrawFn) -> tuple[str | None, list[tuple[bool, Opcode, list[bytes]]]]:
    """What was negotiated, and messages: ours or theirs, opcode, fragments."""
    extensions = draw(st.sampled_from([None, "permessage-deflate", "permessage-deflate; client_no_context_takeover; server_no_context_takeover"]))  # fmt: skip
    piece = st.one_of(st.binary(max_size=200), st.sampled_from([b'{"type": "ping"}', b"x" * 126, b"word " * 15_000]))
    data = st.tuples(st.booleans(), st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.lists(piece, min_size=1, max_size=3))  # fmt: skip
    control = st.tuples(
        st.booleans(), st.sampled_from([Opcode.PING, Opcode.PONG]), st.lists(st.binary(max_size=125), min_size=1, max_size=1)
    )  # fmt: skip
    return extensions, draw(st.lists(data | control, max_size=8))


def spoken(extensions: str | None, messages: list[tuple[bool, Opcode, list[bytes]]]) -> tuple[Trace, int]:
    """The trace of such a conversation, and the bytes of its frames."""
    reader, by_itself = WireReader("1", itertools.count(), Redactor()), "takeover" in (extensions or "")
    sides = [[PerMessageDeflate(by_itself, by_itself, 15, 15)] if extensions else [] for _ in range(2)]
    made = reader.sent(0.0, b"GET / HTTP/1.1\r\n\r\n")
    field = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    made += reader.received(0.0, f"HTTP/1.1 101 x\r\n{field}\r\n".encode())
    total = 0
    for ours, opcode, pieces in messages:
        for n, piece in enumerate(pieces):
            frame = Frame(Opcode.CONT if n else opcode, piece, fin=n == len(pieces) - 1)
            data = frame.serialize(mask=ours, extensions=sides[ours])
            made += (reader.sent if ours else reader.received)(1.0, data)
            total += len(data)
    return Trace.of(made, header()), total


@given(conversations())
def test_the_rows_are_the_bytes(conversation: tuple[str | None, list[tuple[bool, Opcode, list[bytes]]]]) -> None:
    """Their sum is what went over the wire, and what was said; whatever was fragmented, compressed or masked."""
    made, total = spoken(*conversation)
    traffic = made.traffic()
    assert traffic.total().wire == total
    assert traffic.total().payload == sum(len(b"".join(pieces)) for _, _, pieces in conversation[1])
    assert traffic.total().messages == len(conversation[1])
    assert traffic.total().frames == sum(len(pieces) for _, _, pieces in conversation[1])
    assert sum(c.sent.payload for c in traffic.connections) == traffic.total(direction="sent").payload


@given(st.integers(0, 200_000), st.integers(1, 5))
def test_the_mask_costs_four_bytes_a_frame(size: int, count: int) -> None:
    """The same frames in both directions."""
    frames = [(0.1, kind, {"size": size, "text": "x"}) for kind in (FrameSent, FrameReceived) for _ in range(count)]
    traffic = story(*frames).traffic()
    sent, received = traffic.total(direction="sent"), traffic.total(direction="received")
    assert sent.wire == received.wire + 4 * count
    assert (sent.ratio or 0) >= (received.ratio or 0) >= (1 if size else 0)


# Handed over and shown


def test_tables() -> None:
    """pandas and Arrow hold the rows."""
    traffic = story((0.1, FrameSent, PING), (0.2, FrameReceived, {"size": 0, "text": ""})).traffic()
    frame, arrow = traffic.to_pandas(), traffic.to_arrow()
    names = ["connection", "direction", "type", "messages", "frames", "payload", "wire", "ratio"]
    assert list(frame.columns) == arrow.column_names == names
    assert frame.loc[0].tolist() == ["1", "sent", "ping", 1, 1, 16, 22, 22 / 16]
    assert arrow["ratio"].to_pylist() == [22 / 16, None]
    assert trace().traffic().to_arrow().num_rows == 0


def test_the_text() -> None:
    """Connections, rows, the sum, HTTP; numbers stand below each other."""
    made = story(
        (0.0, Opened, {"extensions": "permessage-deflate"}),
        (0.1, FrameSent, {"size": 1000, "length": 4000, "text": '{"type": "typing"}'}),
        (
            0.2,
            HttpAnswered,
            {"exchange": "1", "purpose": "history", "status": 200, "seconds": 0.1, "method": "GET", "sent": 100, "received": 9_000},
        ),
    )  # fmt: skip
    assert str(made.traffic()).splitlines() == [
        "connection 1: permessage-deflate with context takeover in both directions",
        "connection  direction  type    messages  payload (bytes)  wire (bytes)  wire ÷ payload",
        "1           sent       typing         1            4,000         1,008            0.25",
        "in frames: 4,000 bytes of payload as 1,008 bytes on the wire, wire ÷ payload 0.25",
        "HTTP     exchanges  sent (bytes)  received (bytes)",
        "history          1           100             9,000",
    ]
    assert str(trace().traffic()).endswith("in frames: 0 bytes of payload as 0 bytes on the wire")


def test_many_and_hostile_types_stay_a_page() -> None:
    """Each on one line, without control characters; beyond a page they are counted."""
    evil = [event(FrameReceived, 0.0, id=str(n), size=5, text=f'{{"type": "\u202e{n}"}}') for n in range(MOST + 7)]
    shown = str(trace(*evil).traffic())
    assert "\u202e" not in shown
    assert "and 7 more" in shown
    assert len(shown.splitlines()) < MOST + 10


# A real connection


class Chatty(Bot):
    """Streams the same words."""

    async def reply(self, ask: Any) -> Any:
        """Five chunks."""
        for _ in range(5):
            yield "and so the lamp stayed lit over the quiet water, "


@pytest.mark.parametrize(
    ("compression", "words"),
    [
        (None, "none offered"),
        ("deflate", "permessage-deflate with context takeover in both directions, windows of 12 bits"),
        ("deflate-no-context-takeover", "permessage-deflate without context takeover, windows of 12 bits"),
    ],
)
async def test_a_real_connection(lab: Any, compression: str | None, words: str) -> None:
    """The lab takes every offer; the sums are those of the library's own bytes, and HTTP stands beside them."""
    house = await lab(bots=[Chatty()])
    bot = house.bots[0].id
    with Recorder() as recorder:
        async with HttpApi(house.url, recorder=recorder, token=house.token) as api:
            connection = await open_connection(
                api.socket_url(bot), recorder, headers=api.socket_headers(), compression=compression
            )
            for _ in range(3):
                await connection.send('{"type": "ping", "timestamp": "2026-11-23T16:02:30Z"}')
            await api.chat(bot, "hello", None)
            await until(lambda: recorder.snapshot().traffic().total(type="chat_response").messages == 1)
            await until(lambda: recorder.snapshot().traffic().total(type="pong").messages == 3)
            await connection.close()
        traffic = recorder.snapshot().traffic()
    assert [str(c.compression) for c in traffic.connections] == [words]
    assert traffic.total(type="chat_response_chunk").messages == 5
    assert traffic.total(type="ping", direction="sent").payload == 3 * 53
    ratio = traffic.total(type="chat_response_chunk").ratio
    assert ratio > 1 if compression is None else ratio < 0.9
    (chat,) = traffic.http
    assert (chat.purpose, chat.exchanges, chat.uncounted) == ("chat", 1, 0)
    assert chat.sent > 200
    assert chat.received > 300
