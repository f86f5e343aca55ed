"""Our own files: lossless, honest about their end, unforgiving about damage."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.errors import ImportFailed
from chatkit.events import Noted, RecordingEnded
from chatkit.formats import jsonl
from chatkit.profile import Types
from chatkit.trace import Header, Origin, Trace
from stories import ALL, events, header

ENDED = [*ALL, RecordingEnded(id="99", at=9.0)]
NO_END = "the recording has no end: it is still running or was cut short"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file with one event of every kind."""
    path = tmp_path / "recording.jsonl"
    jsonl.dump(Trace.of(ENDED, header()), path)
    return path


def test_round_trip(recording: Path) -> None:
    """Every kind, every column, the header; nothing to warn of."""
    trace, loaded = Trace.of(ENDED, header()), jsonl.load(recording)
    assert list(loaded) == ENDED
    assert loaded.header == trace.header
    assert loaded.rows == trace.rows
    for column in ("at", "kind", "connection_code", "size"):
        assert getattr(loaded, column).tolist() == getattr(trace, column).tolist()
    assert (loaded.names, loaded.warnings) == (trace.names, ())


def test_loading_and_dumping_gives_the_same_bytes(recording: Path, tmp_path: Path) -> None:
    """Also as text: one JSON object per line."""
    again = tmp_path / "again.jsonl"
    jsonl.dump(jsonl.load(recording), again)
    assert again.read_bytes() == recording.read_bytes()
    lines = [json.loads(line) for line in recording.read_text().splitlines()]
    assert lines[0]["schema"] == "chatkit.trace/1"
    assert [line["type"] for line in lines[1:]] == [type(event).__name__ for event in ENDED]


def test_a_header_with_everything(tmp_path: Path) -> None:
    """Origin, what is not visible, names of message types."""
    rich = Header(
        origin=Origin(kind="file", format="har", file="a.har", target="ws://h/p"),
        epoch=1.5,
        clock="wall",
        not_visible=("ping frames", "close codes"),
        types=Types(reply="answer", others=()),
        tool="other",
    )
    jsonl.dump(Trace.of([], rich), tmp_path / "x.jsonl")
    loaded = jsonl.load(tmp_path / "x.jsonl")
    assert loaded.header == rich
    assert loaded.warnings == ()  # a HAR has no end that could be missing


def test_a_dump_is_private_and_replaces_as_a_whole(recording: Path) -> None:
    """Nobody but the owner reads a chat; no half-written file is left."""
    jsonl.dump(Trace.of(events((0, Noted, {"text": "new"})), header()), recording)
    assert stat.S_IMODE(os.stat(recording).st_mode) == 0o600
    assert [event.text for event in jsonl.load(recording)] == ["new"]
    assert os.listdir(recording.parent) == [recording.name]


@pytest.mark.parametrize("last", [ENDED[5], ENDED[9], ENDED[-1]], ids=lambda event: type(event).__name__)
def test_a_last_line_cut_at_every_byte(tmp_path: Path, last: object) -> None:
    """The whole events are there, the cut is reported; only a missing newline loses nothing."""
    path = tmp_path / "cut.jsonl"
    jsonl.dump(Trace.of([ENDED[0], ENDED[1], last], header()), path)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for size in range(start, len(whole)):
        path.write_bytes(whole[:size])
        loaded = jsonl.load(path)
        if size == len(whole) - 1:
            assert list(loaded) == [ENDED[0], ENDED[1], last]
            assert loaded.warnings == (() if isinstance(last, RecordingEnded) else (NO_END,))
            continue
        assert list(loaded) == [ENDED[0], ENDED[1]]
        cut = () if size == start else ("line 4 is cut off and was left out: the recording process was killed",)
        assert loaded.warnings == (*cut, NO_END)


def test_a_header_cut_at_every_byte_is_refused(recording: Path) -> None:
    """Without it nothing has a meaning."""
    whole = recording.read_bytes()
    for size in range(1, whole.index(b"\n")):
        recording.write_bytes(whole[:size])
        with pytest.raises(ImportFailed) as refused:
            jsonl.load(recording)
        assert refused.value.entry == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (b"", None),
        (b"garbage", "the line is no event"),
        (b'{"type":"Noted","id":"1","at":1', "the line is no event"),
        (b'{"type":"Noted","id":1,"at":1.0,"text":"x"}', "Expected `str`, got `int`"),
        (b'{"type":"Noted","at":1.0,"text":"x"}', "missing required field `id`"),
        (b'{"type":"Noted","id":"1","at":"now","text":"x"}', "Expected `float`"),
        (b'{"type":"Danced","id":"1","at":1.0}', "unknown event type 'Danced'"),
        (b'{"id":"1","at":1.0}', "missing required field `type`"),
        (b'["Noted"]', "Expected `object`"),
        (b"\xff\xfe", "the line is no event"),
        (b"\x00" * 40, "the line is no event"),
    ],
)
def test_damage_in_the_middle(recording: Path, damage: bytes, words: str | None) -> None:
    """Refused with its line number; an empty line is none."""
    lines = recording.read_bytes().split(b"\n")
    recording.write_bytes(b"\n".join([*lines[:3], damage, *lines[3:]]))
    if words is None:
        assert len(jsonl.load(recording)) == len(ENDED)
        return
    with pytest.raises(ImportFailed, match=words) as refused:
        jsonl.load(recording)
    assert (refused.value.entry, refused.value.source) == (4, str(recording))
    assert "use the original" in str(refused.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{}", "not a header"),
        (b'{"schema": 1}', "not a header"),
        (b'{"schema": "chatkit.trace/x"}', "not a header"),
        (b'{"schema": "chatkit.faults/1"}', "not a header"),
        (b"[]", "not JSON|does not fit"),
        (b'{"schema": "chatkit.trace/1"}', "missing required field `origin`"),
        (b'{"schema":"chatkit.trace/1","origin":{"kind":"live"},"epoch":"now"}', "Expected `float`"),
        (b'{"schema": "chatkit.trace/1", "x": "\xff"}', "the first line"),
        (b'{"schema": "chatkit.trace/2"}', "newer chatkit"),
        (b'{"schema": "chatkit.trace/10", "what": "ever"}', "newer chatkit"),
    ],
)
def test_a_wrong_header(tmp_path: Path, line: bytes, words: str) -> None:
    """Refused with what was expected."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(ImportFailed, match=words) as refused:
        jsonl.load(path)
    assert refused.value.entry == 1
    if "newer" in words:
        assert "Expected: chatkit.trace/1 or older" in str(refused.value)
        assert "Try: update chatkit" in str(refused.value)


def test_an_older_version_is_read(recording: Path) -> None:
    """What it has, with the defaults of today."""
    text = recording.read_text().replace("chatkit.trace/1", "chatkit.trace/0", 1)
    recording.write_text(text)
    assert list(jsonl.load(recording)) == ENDED


def test_a_later_minor_field_is_skipped(recording: Path) -> None:
    """A field that this reader does not know harms nothing."""
    recording.write_text(recording.read_text().replace('"at":', '"mood":"good","at":'))
    assert list(jsonl.load(recording)) == ENDED


@pytest.mark.parametrize("line", [b'{"schema":"chatkit.trace/1"', b' {"x":1, "schema": "chatkit.trace/9"}'])
def test_sniff_knows_its_own(line: bytes) -> None:
    """Whatever the version."""
    assert jsonl.sniff(line + b"\nmore")


@pytest.mark.parametrize("line", [b"", b"[]", b'{"log": {"version": "1.2"}}', b"schema chatkit.trace/1", b'{\n"schema": "chatkit.trace/1"'])  # fmt: skip
def test_sniff_knows_what_is_not_its_own(line: bytes) -> None:
    """By the first line only."""
    assert not jsonl.sniff(line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_a_trace_or_an_import_error(tmp_path: Path, data: st.DataObject) -> None:
    """Two outcomes for a file with something spliced into it."""
    path = tmp_path / "fuzz.jsonl"
    jsonl.dump(Trace.of(ENDED[:6], header()), path)
    whole = path.read_bytes()
    a, b = sorted((data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))))
    path.write_bytes(whole[:a] + data.draw(st.binary(max_size=20)) + whole[b:])
    try:
        loaded = jsonl.load(path)
    except ImportFailed as error:
        assert error.source == str(path)
    else:
        assert len(loaded.rows) == len(loaded.at)
