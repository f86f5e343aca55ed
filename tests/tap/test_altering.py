"""Heads, frames and answers as bytes."""

from __future__ import annotations

import msgspec
import pytest
from websockets.frames import Frame, Opcode

from chatkit.faults.path_moments import Rewrite
from chatkit.tap.altering import answer_head, close_frame, mangled, page, request_head
from chatkit.wire.cutting import Cutter
from chatkit.wire.handshake import Head, join_head, split_head

REQUEST = Head(
    ("GET", "/ws", "HTTP/1.1"),
    [
        ("Host", "x"),
        ("Upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-other"),
    ],
)
ANSWER = Head(
    ("HTTP/1.1", "101", "Switching Protocols"),
    [("Sec-WebSocket-Accept", "good"), ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")],
)


def field(head: Head, name: str) -> str | None:
    return head.get(f"Sec-WebSocket-{name}")


def test_a_request_without_its_upgrade() -> None:
    """Everything else is as it was."""
    altered = request_head(REQUEST, Rewrite(what="no-upgrade"))
    assert [name for name, _ in altered.headers] == ["Host", "Sec-WebSocket-Extensions"]
    assert altered.first == REQUEST.first


def test_what_is_said_of_compression() -> None:
    """In requests and answers."""
    assert field(request_head(REQUEST, Rewrite(what="uncompressed")), "Extensions") is None
    assert field(request_head(REQUEST, Rewrite(what="independent")), "Extensions") == (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; client_no_context_takeover, x-other"
    )
    told = answer_head(ANSWER, Rewrite(what="independent"), offered=True)
    assert field(told, "Extensions") == ("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    assert answer_head(told, Rewrite(what="independent"), offered=True) == told
    assert field(answer_head(ANSWER, Rewrite(what="lose-deflate"), offered=True), "Extensions") is None
    claimed = answer_head(ANSWER, Rewrite(what="claim-deflate"), offered=True)
    assert field(claimed, "Extensions") == "permessage-deflate"
    assert answer_head(ANSWER, Rewrite(what="claim-deflate"), offered=False) == ANSWER


def test_an_answer_that_no_client_takes() -> None:
    """One field is wrong, or one too many."""
    assert field(answer_head(ANSWER, Rewrite(what="accept"), offered=True), "Accept") not in (None, "good")
    assert "x-not-offered" in field(answer_head(ANSWER, Rewrite(what="extension"), offered=True), "Extensions")


def test_what_is_not_said_of_a_head_leaves_it() -> None:
    """A rewriting of the other direction."""
    assert request_head(REQUEST, Rewrite(what="accept")) is REQUEST
    assert answer_head(ANSWER, Rewrite(what="no-upgrade"), offered=True) is ANSWER


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("size", [1, 5, 126, 70_000])
@pytest.mark.parametrize("how", ["utf8", "reserved-bit", "deflate", "rsv1"])
def test_mangling_changes_one_byte(mask, size, how) -> None:
    """The right one, under a mask as well."""
    raw = Frame(Opcode.TEXT, b"x" * size).serialize(mask=mask)
    (cut,) = Cutter(65_536, deflate=False, takeover=True, masked=mask).feed(raw)
    cut = msgspec.structs.replace(cut, raw=bytes([raw[0] | 0x40]) + raw[1:])
    broken = mangled(cut, how)
    changed = [n for n, (a, b) in enumerate(zip(cut.raw, broken, strict=True)) if a != b]
    key = cut.raw[cut.head - 4 : cut.head] if mask else bytes(4)
    match how:
        case "utf8":
            assert changed == [len(raw) - 1]
            assert broken[-1] ^ key[(size - 1) % 4] == 0xFF
        case "deflate":
            assert changed == [cut.head]
            assert (broken[cut.head] ^ key[0]) & 0x06 == 0x06  # block type 3
        case "reserved-bit":
            assert changed == [0]
            assert broken[0] & 0x20
        case _:
            assert changed == [0]
            assert not broken[0] & 0x40


def test_an_empty_message_has_nothing_to_mangle() -> None:
    """But its head."""
    (cut,) = Cutter(100, deflate=False, takeover=True, masked=False).feed(b"\x81\x00")
    assert mangled(cut, "utf8") == mangled(cut, "deflate") == cut.raw
    assert mangled(cut, "reserved-bit") == b"\xa1\x00"


def test_a_page_is_one_whole_answer() -> None:
    """Its length is right, and it says that the connection ends."""
    head, body = split_head(page(503, 7.0))
    assert head.first == ("HTTP/1.1", "503", "Service Unavailable")
    assert (head.get("Server"), head.get("Connection"), head.get("Retry-After")) == ("nginx", "close", "7")
    assert int(head.get("Content-Length")) == len(body)
    assert b"503 Service Unavailable" in body
    assert b"Retry-After" not in page(502)


def test_a_head_survives_being_split_and_joined() -> None:
    """Also one without a reason."""
    for head in (REQUEST, ANSWER, Head(("HTTP/1.1", "204", ""), [])):
        assert split_head(join_head(head)) == (head, b"")


def test_a_close_frame() -> None:
    """Unmasked, as a server sends it."""
    assert close_frame(1008, "no") == b"\x88\x04\x03\xf0no"
