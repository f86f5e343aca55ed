"""Messages leave a HAR block by block; damage costs the messages it stands in."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.formats import har_stream
from chatkit.formats.har_stream import Message, decode, decode_lines, split


def element(n: int, data: str | None = None) -> dict[str, Any]:
    return {"type": "send", "time": 1.5e9 + n, "opcode": 1, "data": f"message {n}" if data is None else data}


def document(*arrays: list[Any], indent: int | None = None) -> bytes:
    entries = [{"_webSocketMessages": array, "request": {"url": "ws://h/"}} for array in arrays]
    return json.dumps({"log": {"entries": entries}}, indent=indent).encode()


def taken(data: bytes) -> tuple[bytes, dict[int, list[str]], list[str]]:
    """The rest, the texts of each array, the warnings."""
    found: dict[int, list[str]] = {}
    warnings: list[str] = []

    def take(number: int, messages: list[Message]) -> None:
        found.setdefault(number, []).extend(message.data for message in messages)

    return split(io.BytesIO(data), take, warnings.append), found, warnings


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("block", [1, 200, 1000, 1 << 22])
def test_every_message_of_every_array(monkeypatch: pytest.MonkeyPatch, indent: int | None, block: int) -> None:
    """Whatever the size of a block, and with texts that look like the end of one."""
    monkeypatch.setattr(har_stream, "BLOCK", block)
    monkeypatch.setattr(har_stream, "_FIRST", min(block, 300))
    traps = ["}]}", '},{"type":', '}, {"type": 1}]', '"_webSocketMessages": [', "\\", '\\"', "é\u2028", ""]
    first = [element(n, traps[n % len(traps)] * (n % 5)) for n in range(100)]
    rest, found, warnings = taken(document(first, [], [element(7)], indent=indent))
    assert (found, warnings) == ({0: [one["data"] for one in first], 2: ["message 7"]}, [])
    assert [entry["_webSocketMessages"] for entry in json.loads(rest)["log"]["entries"]] == [[0], [1], [2]]


def test_a_file_without_messages_is_all_rest() -> None:
    """Not a byte is lost."""
    data = b'{"log": {"entries": []}}' + b" " * 500
    assert taken(data) == (data, {}, [])


@pytest.mark.parametrize("size", range(60, 400, 7))
def test_a_cut_file_keeps_what_is_whole(size: int) -> None:
    """And says where it is cut."""
    data = document([element(n) for n in range(9)])
    _, found, warnings = taken(data[:size])
    texts = found.get(0, [])
    assert texts == [f"message {n}" for n in range(len(texts))]
    assert len(texts) >= data[:size].count(b"}") - 1
    assert any("cut at byte" in warning for warning in warnings)


def test_a_damaged_message_costs_itself() -> None:
    """The others are there, also those of the next array."""
    data = document([element(n) for n in range(9)], [element(99)]).replace(
        b'"data": "message 4"', b'"data": <essage 4"'
    )
    _, found, warnings = taken(data)
    assert found == {0: [f"message {n}" for n in range(9) if n != 4], 1: ["message 99"]}
    assert warnings == [f"WebSocket messages are damaged at byte {data.index(b'<'):,}; at least one was left out"]


def test_wrong_types_and_foreign_elements() -> None:
    """What can be read as a message is one; the rest is counted."""
    array = [None, 1, "x", [], {}, {"type": "send", "time": "now", "opcode": None, "data": "a"}, {"type": 1, "data": 2}]
    block = json.dumps([*array, {"type": 5, "data": "b"}]).encode()
    messages, bad = decode(block)
    assert ([(m.type, m.data) for m in messages], bad) == ([("send", "a"), ("", "b")], 6)
    assert decode(b'[{"type": "send", "data": "\xff"}]')[0][0].data == "\ufffd"


def test_lines_of_an_attached_file() -> None:
    """One message each."""
    messages, bad = decode_lines(b'{"type": "send", "data": "a"}\n\nx\n{"type": "receive", "data": "b"}')
    assert ([m.data for m in messages], bad) == (["a", "b"], 1)


@pytest.mark.parametrize("nest", [b"[", b'{"a":'])
def test_endless_nesting_ends(nest: bytes) -> None:
    """A million levels are damage like any other."""
    data = b'{"log":{"entries":[{"_webSocketMessages":[' + nest * 1_000_000
    _, found, warnings = taken(data)
    assert found == {}
    assert warnings


@given(st.data())
def test_any_damage_is_survived(data: st.DataObject) -> None:
    """What was not touched before the damage is there."""
    whole = bytearray(document([element(n) for n in range(9)], [element(99)]))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    _, found, _ = taken(bytes(whole))
    whole_before = [f"message {n}" for n in range(9) if place > whole.find(b'"message %d"}' % n) + 13 > 13]
    if place > whole.index(b"[{", 20):
        assert found.get(0, [])[: len(whole_before)] == whole_before
