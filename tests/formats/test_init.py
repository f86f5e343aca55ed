"""``chatkit.load`` tells by content what a file is, and refuses with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

import chatkit
from chatkit.errors import ImportFailed
from chatkit.formats import jsonl
from stories import STORY_OF_A_PING


def test_a_recording_whatever_its_name(tmp_path: Path) -> None:
    """The content counts; a path may be text."""
    path = tmp_path / "incident.txt"
    jsonl.dump(STORY_OF_A_PING, path)
    for name in (path, str(path)):
        assert chatkit.load(name).rows == STORY_OF_A_PING.rows


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"hello\n", "of no format that chatkit knows"),
        (b'{"log": {"version": "1.2"}}\n', "of no format that chatkit knows"),
        (b"\x89PNG\r\n\x1a\n", "of no format that chatkit knows"),
        (b"\xff" * 5000, "of no format that chatkit knows"),
    ],
)
def test_a_foreign_file(tmp_path: Path, content: bytes, words: str) -> None:
    """What was expected, and how to make one."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(ImportFailed, match=words) as refused:
        chatkit.load(path)
    assert refused.value.source == str(path)
    assert "Expected:" in str(refused.value)
    if content.strip():
        assert "--input-format" in str(refused.value)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """Absent, or a folder."""
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(ImportFailed, match="cannot be opened") as refused:
            chatkit.load(path)
        assert "check the path" in str(refused.value)


def test_a_newer_recording_is_recognised_and_refused(tmp_path: Path) -> None:
    """Not as a foreign file."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"schema": "chatkit.trace/99"}\n')
    with pytest.raises(ImportFailed, match="newer chatkit"):
        chatkit.load(path)
