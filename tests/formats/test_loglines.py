"""Lines of logs: dated, counted, refused as a whole; and every log under damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.formats import IMPORTERS, Options, importer, sniff
from chatkit.formats.collector import Collector
from chatkit.formats.loglines import LONGEST, Lines, record, shown
from chatkit.formats.source import Source
from tests.formats.golden import DATA, evidence

LOGS = ("websockets-log", "console-log", "uvicorn-log", "gunicorn-log", "nginx-error", "nginx-access", "cloudflare")
FILES = [path for path in evidence() if path.parent.name in LOGS]


def lines_of(data: bytes) -> tuple[Collector, Lines]:
    collector = Collector(Source.of(data), "uvicorn-log", ("handshake",), Options())
    return collector, Lines(collector, "lines of a test")


def test_lines_without_a_time_have_that_of_the_one_before() -> None:
    """Those before the first dated one have its time."""
    _, lines = lines_of(b"early\n2026-11-24 12:00:00 first\n  detail\n\n2026-11-24 12:00:01Z second\n")
    found = list(lines)
    assert [line.text for line in found] == ["early", "first", "  detail", "second"]
    assert [line.number for line in found] == [1, 2, 3, 5]
    assert [line.wall - found[0].wall for line in found] == [0, 0, 0, 1]
    assert [line.dated for line in found] == [False, True, False, True]


def test_a_log_without_times_says_so() -> None:
    """Timing is not visible."""
    collector, lines = lines_of(b"one\ntwo\n")
    assert {line.wall for line in lines} == {0.0}
    assert "timing" in collector.not_visible


def test_json_lines() -> None:
    """Message, time and traceback by their usual names."""
    fields = {"ts": 1795521600, "msg": "hello", "logger": "app", "exc_info": "KeyError: 'x'"}
    _, lines = lines_of(json.dumps(fields).encode())
    (line,) = lines
    assert (line.text, line.wall, line.front, line.more) == ("hello", 1795521600.0, "app ", "KeyError: 'x'")
    assert line.fields == fields


def test_what_is_skipped_is_counted_once() -> None:
    """With the first place; a line that is too long is one of them."""
    collector, lines = lines_of(b"x\n" + b"y" * (LONGEST + 1) + b"\nz\n")
    for line in lines:
        lines.used() if line.text == "x" else lines.skip()
    lines.finish()
    assert collector.build().warnings == ("2 lines were skipped, they are no part of this log (the first is line 2)",)


def test_a_file_without_a_line_of_use_is_refused() -> None:
    """It says what was expected and what to do."""
    _, lines = lines_of(b"x\ny\n")
    for _ in lines:
        lines.skip()
    with pytest.raises(ImportFailed, match="no line of the file") as refused:
        lines.finish()
    assert refused.value.entry == 1
    assert "Expected: lines of a test" in str(refused.value)
    assert "--input-format" in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{]", '{"a": NaN}', "[" * 1_000_000, '{"a":' * 1_000_000])
def test_what_is_no_record(text: str) -> None:
    """However deep."""
    assert record(text) is None


def test_a_line_is_quoted_bounded() -> None:
    """On one line."""
    assert shown("a\n b") == "a b"
    assert len(shown("x" * 10_000)) == 300


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DATA)))
def test_every_file_is_told_by_its_content(path: Path) -> None:
    """And only as what it is."""
    start = path.read_bytes()[: 1 << 16]
    assert sniff(start) == path.parent.name
    others = [name for name in LOGS if name != path.parent.name and importer(name).sniff(start)]
    # uvicorn's log at level debug is both; the library's lines say more.
    assert others == (["uvicorn-log"] if path.stem == "uvicorn_debug" else [])


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"hello\n",
        b"{}",
        b'{"log": {"version": "1.2"}}',
        b"\x00" * 4096,
        b"\xff" * 4096,
        b"\xd4\xc3\xb2\xa1" + b"\x00" * 20,
    ],
)
def test_nobody_takes_what_is_none_of_theirs(name: str, start: bytes) -> None:
    """Nor fails on it."""
    assert not importer(name).sniff(start)


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00" * 1000,
        b"\xff\xfe",
        b'{"a":' * 100_000,
        b"[" * 500_000,
        b" " * 500_000 + b"x",
        b"> " * 200_000,
        b'"WebSocket ' * 50_000,
        b"a:1 " * 100_000,
        b"[24/Nov/2026:08:02:54 +0000] " * 20_000,
        b'{"ConnectionCloseSource": 1e308, "EndTimestamp": 1e308, "StartTimestamp": -5, "Duration": 1e300}',
        b'{"time": 99999999999999999999999999, "method": "GET", "uri": "/", "status": 1e400, "request_time": "x"}',
        b'{"time": "2026-11-24T08:00:00Z", "method": "GET", "uri": "/ws/", "status": 101, "request_time": 1e308}',
        b"= connection is OPEN " + b"x" * 500_000,
        b"> CLOSE 99999 (x) y [" + b"9" * 12 + b" bytes]",
        b"client > Frame(fin=True, opcode=1, data=b'" + b"', rsv1=" * 100_000,
        b"> TEXT " * 140_000,
        b"client > Headers([('" + b"('a', " * 150_000,
        b'[1:1:0101/000000.1:INFO:CONSOLE:1] "' + b'", source: ' * 90_000,
        b"changes in " * 90_000,
        b"> TEXT '\\ud800\\U00110000\\x0' [3 bytes]",
    ],
)
def test_hostile_lines(name: str, line: bytes) -> None:
    """Alone and beside good ones: a trace or a refusal."""
    good = next(path for path in FILES if path.parent.name == name).read_bytes()
    for data in (line, line + b"\n" + good):
        outcome(name, data)


def outcome(name: str, data: bytes) -> None:
    """Reads it: a trace whose events can all be read, or a refusal that names the source."""
    try:
        trace = importer(name).read(Source.of(data), Options())
    except ImportFailed as error:
        assert error.source == "memory"
        return
    assert [str(event) for event in trace]
    assert len(trace.connections) >= 0
    assert b"eyJ" not in b"".join(trace.rows)
    assert "eyJ" not in "".join(trace.warnings)


@pytest.mark.parametrize("name", LOGS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_a_trace_or_an_import_error(name: str, data: st.DataObject) -> None:
    """Cut, flipped, spliced."""
    path = data.draw(st.sampled_from([path for path in FILES if path.parent.name == name]))
    raw = bytearray(path.read_bytes()[:20_000])
    a, b = sorted((data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, len(raw)))))
    raw[a : data.draw(st.integers(a, b))] = data.draw(st.binary(max_size=30))
    for _ in range(data.draw(st.integers(0, 5))):
        place = data.draw(st.integers(0, len(raw) - 1)) if raw else 0
        if raw:
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        trace = importer(name).read(Source.of(bytes(raw)), Options())
    except ImportFailed:
        return
    assert all(str(event) for event in trace)
    assert len(trace.connections) <= len(trace)


def test_the_order_in_which_files_are_tried() -> None:
    """The stricter look comes first."""
    names = [name for name in IMPORTERS if name in LOGS]
    assert names == [
        "cloudflare",
        "websockets-log",
        "console-log",
        "uvicorn-log",
        "gunicorn-log",
        "nginx-error",
        "nginx-access",
    ]
