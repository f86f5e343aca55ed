"""Files as arguments: what is read, and why the rest is not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from chatkit.cli import evidence
from chatkit.errors import InvalidInput
from chatkit.formats import jsonl
from tests.stories import STORY_OF_A_PING


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
