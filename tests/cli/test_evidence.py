"""Files of evidence as the verbs take them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from chatkit.cli import evidence
from chatkit.cli.evidence import add_evidence, read
from chatkit.errors import InvalidInput
from chatkit.formats import jsonl
from tests.builders import incident_trace
from tests.stories import STORY_OF_A_PING


def parsed(*arguments: str) -> argparse.Namespace:
    """What a verb gets."""
    parser = argparse.ArgumentParser()
    add_evidence(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def incident(tmp_path) -> str:
    """A recording."""
    path = tmp_path / "incident.jsonl"
    jsonl.dump(incident_trace(), path)
    return str(path)


def test_at_least_one_file() -> None:
    """Else it is a mistake."""
    with pytest.raises(SystemExit):
        parsed()


def test_one_file(incident) -> None:
    """Its trace, and what is to be said of it."""
    args = parsed(incident)
    trace, inputs, failed = read(args, args.files)
    assert trace is not None
    assert len(trace) == len(incident_trace())
    assert [(one.file, one.format) for one in inputs] == [(incident, "chatkit")]
    assert not failed


def test_the_rest_is_read_where_one_cannot(incident, tmp_path, capsys) -> None:
    """The failure is told, without a token that stands in the name."""
    args = parsed(str(tmp_path / "token=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln"), incident)
    trace, inputs, failed = read(args, args.files)
    assert trace is not None
    assert (len(inputs), failed) == (1, True)
    told = capsys.readouterr().err
    assert told.startswith("chatkit: ")
    assert "c2ln" not in told


def test_nothing_can_be_read(tmp_path, capsys) -> None:
    """No trace."""
    args = parsed(str(tmp_path / "no"))
    assert read(args, args.files) == (None, [], True)
    assert capsys.readouterr().err


def test_several_files_become_one_trace(incident, monkeypatch) -> None:
    """Merged, in the order in which they were named."""
    merged = []

    def merge(*traces):
        merged.extend(traces)
        return traces[0]

    monkeypatch.setattr("chatkit.merging.merge", merge)
    args = parsed(incident, incident)
    _, inputs, failed = read(args, args.files)
    assert (len(merged), len(inputs), failed) == (2, 2, False)


def test_the_format_that_is_named_is_tried_alone(incident, capsys) -> None:
    """An unknown one is told."""
    args = parsed(incident, "--input-format", "nonsense")
    assert read(args, args.files)[2]
    assert "nonsense" in capsys.readouterr().err


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    evidence.add_evidence(parser)
    return parser.parse_args([*given])


def test_what_can_be_read_is_read(tmp_path: Path, capsys) -> None:
    """And why the rest cannot is said."""
    jsonl.dump(STORY_OF_A_PING, tmp_path / "good.jsonl")
    (tmp_path / "bad.jsonl").write_text("nothing of ours")
    files = [str(tmp_path / name) for name in ("bad.jsonl", "good.jsonl", "none")]
    trace, inputs, failed = evidence.read(arguments(*files), files)
    assert trace is not None
    assert (len(trace), [one.file for one in inputs], failed) == (len(STORY_OF_A_PING), [files[1]], True)
    told = capsys.readouterr().err
    assert told.count("chatkit: ") == 2
    assert evidence.read(arguments("x"), [files[2]])[0] is None


def test_the_options_reach_the_importer(tmp_path: Path, capsys) -> None:
    """A format that is named is the one; a key log that is not there is said."""
    jsonl.dump(STORY_OF_A_PING, tmp_path / "good.jsonl")
    file = str(tmp_path / "good.jsonl")
    assert evidence.read(arguments(file, "--input-format", "fax"), [file]) == (None, [], True)
    assert "no such format" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="cannot be read"):
        evidence.read(arguments(file, "--keylog", str(tmp_path / "none")), [file])
