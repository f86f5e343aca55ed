"""What is found of earlier recordings: all of them, in order, whatever state a killed process left them in."""

from __future__ import annotations

from pathlib import Path

from chatkit.client.former import former, recordings
from chatkit.events import Noted
from chatkit.recorder import Recorder, being_written


def record(path: Path, *texts: str) -> None:
    with Recorder(path, before=former(path.with_name("recording.jsonl"))) as recorder:
        for text in texts:
            recorder.record(Noted, text=text)


def told(path: Path) -> list[str]:
    trace = former(path)
    assert trace is not None
    return [event.text for event in trace if isinstance(event, Noted)]


def test_nothing_was_recorded(tmp_path: Path) -> None:
    assert former(tmp_path / "recording.jsonl") is None
    assert former(tmp_path / "no such folder" / "recording.jsonl") is None


def test_all_recordings_are_one_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    first = tmp_path / "recording.jsonl"
    record(first, "one")
    for n in range(2, 12):
        record(tmp_path / f"recording-{n}.jsonl", str(n))
    assert [path.name for path in recordings(first)][-2:] == ["recording-10.jsonl", "recording-11.jsonl"]
    assert told(first) == ["one", *map(str, range(2, 12))]


def test_other_files_are_not_recordings(tmp_path: Path) -> None:
    first = tmp_path / "recording.jsonl"
    record(first, "one")
    (tmp_path / "recording-old.jsonl").write_text("mine")
    (tmp_path / "recording-2.jsonl").mkdir()
    assert recordings(first) == [first]


def test_a_cut_line_is_left_out(tmp_path: Path) -> None:
    first = tmp_path / "recording.jsonl"
    record(first, "one", "two")
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])
    trace = former(first)
    assert trace is not None
    assert told(first) == ["one"]
    assert any("cut off" in warning for warning in trace.warnings)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    first = tmp_path / "recording.jsonl"
    first.write_text("damaged\n")
    record(tmp_path / "recording-2.jsonl", "two")
    trace = former(first)
    assert trace is not None
    assert told(first) == ["two"]
    assert any(warning.startswith("recording.jsonl could not be read") for warning in trace.warnings)


def test_what_is_still_written_is_not_former(tmp_path: Path) -> None:
    first = tmp_path / "recording.jsonl"
    with Recorder(first):
        assert first in being_written()
        assert recordings(first) == []
    assert recordings(first) == [first]
    assert first not in being_written()
