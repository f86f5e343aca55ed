"""``chatkit convert`` as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatkit.cli.convert import WRITERS, writer
from chatkit.errors import InvalidInput
from chatkit.formats import jsonl, perfetto
from tests.builders import incident_trace

TRACE = incident_trace()


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    jsonl.dump(TRACE, path)
    return str(path)


@pytest.mark.parametrize("name", ["out.perfetto.json", "out.trace.json", "OUT.Perfetto.JSON"])
def test_to_perfetto(chatkit, recording, tmp_path, name) -> None:
    """What it cannot carry is said on stderr."""
    done = chatkit("convert", recording, str(tmp_path / name))
    assert done.returncode == 0
    assert json.loads((tmp_path / name).read_text("utf-8"))["traceEvents"]
    assert all(f"not carried: {words}" in done.stderr for words in perfetto.NOT_CARRIED)
    assert "148 events of 4 connections" in done.stdout


def test_to_our_own_format_nothing_is_lost(chatkit, recording, tmp_path) -> None:
    """Row by row; one JSON document tells."""
    done = chatkit("convert", recording, str(tmp_path / "out.jsonl"), "--json")
    document = json.loads(done.stdout)
    assert (document["schema"], document["format"], document["events"]) == ("chatkit.conversion/1", None, 148)
    assert document["not_carried"] == []
    assert "not carried" not in done.stderr
    assert jsonl.load(tmp_path / "out.jsonl").rows == jsonl.load(recording).rows


def test_nothing_is_replaced_unasked(chatkit, recording, tmp_path) -> None:
    """Nor the input, whatever is asked."""
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    assert chatkit("convert", recording, str(out)).returncode == 2
    assert out.read_text() == "mine"
    assert chatkit("convert", recording, str(out), "--overwrite").returncode == 0
    refused = chatkit("convert", recording, recording, "--overwrite")
    assert (refused.returncode, "replace its own evidence" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "hint"), [("out.html", "chatkit report"), ("out.txt", ".perfetto.json"), ("out", ".jsonl")]
)
def test_other_names_get_a_hint(name, hint) -> None:
    """Before anything is read."""
    with pytest.raises(InvalidInput, match=hint):
        writer(name)


def test_unreadable_input(chatkit, tmp_path) -> None:
    """Exit code 2, with words, and no file."""
    done = chatkit("convert", str(tmp_path / "none"), str(tmp_path / "out.jsonl"))
    assert done.returncode == 2
    assert done.stderr.startswith("chatkit: ")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_ending_decides() -> None:
    """``.perfetto.json`` and no other JSON."""
    assert all(end.startswith(".") for end in WRITERS)
    with pytest.raises(InvalidInput):
        writer("out.json")
