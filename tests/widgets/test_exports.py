"""What is on the screen as files: each kind reads back, no secret is in any, none is open to others."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

import chatkit
from chatkit.diagnosis import diagnose
from chatkit.errors import InvalidInput
from chatkit.lab import LabServer
from chatkit.trace import Trace
from chatkit.widgets.exports import KINDS, export

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def recorded() -> tuple[Trace, str]:
    """A short conversation, and the token that was used."""
    with LabServer() as lab:
        chat = chatkit.connect(lab.url, "echo", user=lab.user, password=lab.password)
        chat.send("hello").wait(10)
        token = chat.token
        chat.close()
    assert token is not None
    return chat.trace, token


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_written_and_holds_no_token(kind: str, recorded: tuple[Trace, str], tmp_path: Path) -> None:
    trace, token = recorded
    path, content = export(kind, trace, diagnose(trace), tmp_path / "work", NOW)
    assert path.read_bytes() == content
    assert path.suffix == f".{KINDS[kind]}"
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    pieces = [content]
    if kind == "bundle":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert {"report.html", "trace.jsonl", "verdict.md"} <= set(archive.namelist())
            pieces = [archive.read(name) for name in archive.namelist()]
    assert not any(token.encode() in piece for piece in pieces)


@pytest.mark.parametrize("kind", ["jsonl", "har"])
def test_what_is_data_reads_back(kind: str, recorded: tuple[Trace, str], tmp_path: Path) -> None:
    trace, _ = recorded
    path, _ = export(kind, trace, diagnose(trace), tmp_path, NOW)
    assert len(chatkit.load(path).connections) == len(trace.connections)


def test_what_cannot_be_is_said(recorded: tuple[Trace, str], tmp_path: Path) -> None:
    trace, _ = recorded
    with pytest.raises(InvalidInput, match="no such export"):
        export("exe", trace, diagnose(trace), tmp_path, NOW)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="folder cannot be made"):
        export("jsonl", trace, diagnose(trace), tmp_path / "file" / "below", NOW)
