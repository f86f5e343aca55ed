"""Entries of a NetLog, whatever the layout and the damage, without holding the file in memory."""

from __future__ import annotations

import io
import json

import pytest

from chatkit.errors import ImportFailed
from chatkit.formats import netlog_stream
from chatkit.formats.netlog_stream import Entry, NetLogStream
from chatkit.redact import Redactor
from tests.formats.netlogs import CONSTANTS, NUMBERS, entry, lines

ONE = entry(7, "SOCKET_BYTES_RECEIVED", 3, byte_count=5)
TWO = entry(8, "CANCELLED", 4)


def opened(data: bytes) -> NetLogStream:
    return NetLogStream(io.BytesIO(data), "x.json", Redactor())


def entries(log: NetLogStream) -> list[Entry]:
    return list(log.entries(set(NUMBERS.values())))


def test_entries_and_the_end() -> None:
    """In order, counted; the end was seen."""
    log = opened(lines([ONE, TWO]))
    assert [(each.time, each.source.id) for each in entries(log)] == [("5007", 3), ("5008", 4)]
    assert (log.count, log.damage, log.cut, log.ended) == (2, 0, False, True)
    assert log.constants.netError["ERR_CONNECTION_RESET"] == -101


def test_only_what_is_asked_for() -> None:
    """Types, and of a type only entries with certain bytes."""
    log = opened(lines([ONE, TWO, entry(9, "SOCKET_BYTES_RECEIVED", 3, byte_count=0)]))
    number = NUMBERS["SOCKET_BYTES_RECEIVED"]
    found = list(log.entries({number}, {number: b'"byte_count":0'}))
    assert [each.params.byte_count for each in found if each.params] == [0]
    assert log.count == 3


def test_a_damaged_line_costs_itself() -> None:
    """The next ones are read; the first damaged ones are named."""
    log = opened(lines([ONE, TWO, ONE, TWO]).replace(b'"byte_count":5}', b'"byte_'))
    assert [each.source.id for each in entries(log)] == [4, 4]
    assert (log.damage, log.damaged, log.cut, log.ended) == (2, [1, 3], False, True)


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 0, 3])
def test_any_block_size(monkeypatch: pytest.MonkeyPatch, size: int, indent: int | None) -> None:
    """What one read gives makes no difference, in no layout."""
    monkeypatch.setattr(netlog_stream, "_BLOCK", size)
    odd = entry(9, "REQUEST_ALIVE", 5, 1, url='ws://h/"]}{[\\', method='\\"')
    whole = {"constants": CONSTANTS, "events": [ONE, odd, TWO], "polledData": [{"a": "]"}]}
    data = lines([ONE, odd, TWO]) if indent == 0 else json.dumps(whole, indent=indent).encode()
    log = opened(data)
    assert [each.source.id for each in entries(log)] == [3, 5, 4]
    assert (log.damage, log.cut, log.ended) == (0, False, True)


@pytest.mark.parametrize("by_line", [True, False])
def test_an_entry_without_end(monkeypatch: pytest.MonkeyPatch, by_line: bool) -> None:
    """It is not held: memory stays bounded."""
    monkeypatch.setattr(netlog_stream, "LONGEST_ENTRY", 10_000)
    monkeypatch.setattr(netlog_stream, "_BLOCK", 1000)
    head = lines([ONE])[: -len(b'],\n"polledData": [{}]\n}\n')] + b",\n"
    if not by_line:
        head = head.replace(b"\n", b"")
    log = opened(head + b'{"params":{"x":"' + b"a" * 100_000)
    assert [each.source.id for each in entries(log)] == [3]
    assert log.cut or log.damage


def test_depth_is_no_danger() -> None:
    """A million brackets are one damaged entry."""
    for opening in (b"[", b'{"a":'):
        data = lines([ONE, TWO]).replace(b'{"byte_count":5}', opening * 1_000_000, 1)
        log = opened(data)
        assert [each.source.id for each in entries(log)] in ([4], [])
        assert log.damage or log.cut


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has no entries"),
        (b'{"constants": {}', "has no entries"),
        (b'{"constants": {}, "events": [', "missing required field `logEventTypes`"),
        (b'{"events": [', "missing required field `constants`"),
        (b'{"constants": {"logEventTypes": {"A": "b"}, "timeTickOffset": 1}, "events": [', "Expected `int`"),
        (b'{"constants": {"logEventTypes": {"A": 1}, "timeTickOffset": [] }, "events": [', "timeTickOffset"),
        (b'{"constants": ' + b"[" * 100_000 + b', "events": [', "cannot be read"),
        (b'{"constants": {"logEventTypes": {"A": 1\xff}}, "events": [', "cannot be read"),
    ],
)
def test_a_head_that_means_nothing(data: bytes, words: str) -> None:
    """Refused with what was expected."""
    with pytest.raises(ImportFailed, match=words) as refused:
        opened(data)
    assert "Expected:" in str(refused.value)


def test_a_head_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held either."""
    monkeypatch.setattr(netlog_stream, "MOST_HEAD", 1000)
    monkeypatch.setattr(netlog_stream, "_BLOCK", 100)
    stream = io.BytesIO(b'{"constants": "' + b"a" * 100_000)
    with pytest.raises(ImportFailed, match="has no entries"):
        NetLogStream(stream, "x.json", Redactor())
    assert stream.tell() < 2000


def test_an_entry_with_an_odd_parameter_keeps_the_others() -> None:
    """What does not fit is left out."""
    log = opened(lines([{**ONE, "params": {"byte_count": 7, "url": {}, "source_dependency": 5, "new": 1}}]))
    (found,) = entries(log)
    assert found.params is not None
    assert (found.params.byte_count, found.params.url, found.params.source_dependency) == (7, "", None)
