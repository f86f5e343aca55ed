"""Files as arguments: what is read, and where results may go."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

import pytest

from chatkit.cli import evidence
from chatkit.errors import ChatkitError, ImportFailed, InvalidInput
from chatkit.formats import jsonl
from tests.stories import STORY_OF_A_PING

ARGUMENTS = argparse.Namespace(input_format=None, profile=None, keylog=None, pattern=None)


def test_what_can_be_read_is_read(tmp_path: Path) -> None:
    """And why the rest cannot."""
    jsonl.dump(STORY_OF_A_PING, tmp_path / "good.jsonl")
    (tmp_path / "bad.jsonl").write_text("nothing of ours")
    traces, failures = evidence.read_all([str(tmp_path / n) for n in ("bad.jsonl", "good.jsonl", "none")], ARGUMENTS)
    assert [len(trace) for trace in traces] == [len(STORY_OF_A_PING)]
    assert len(failures) == 2
    assert all(isinstance(failure, ImportFailed) for failure in failures)


def test_the_options_reach_the_importer(tmp_path: Path) -> None:
    """A format that is named is the one."""
    parser = argparse.ArgumentParser()
    evidence.add_reading(parser)
    args = parser.parse_args(["--input-format", "fax"])
    with pytest.raises(ChatkitError, match="no such format"):
        evidence.read(str(tmp_path / "x"), args)


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    """Neither a result, nor ever the evidence, nor a folder; and no folder is made up."""
    there = tmp_path / "there"
    there.write_text("x")
    assert evidence.free(str(tmp_path / "new"), "--out", overwrite=False) == tmp_path / "new"
    assert evidence.free(str(there), "--out", overwrite=True) == there
    for path, overwrite, inputs in (
        (there, False, []),
        (there, True, [str(there)]),
        (tmp_path, True, []),
        (tmp_path / "no" / "x", True, []),
    ):
        with pytest.raises(InvalidInput):
            evidence.free(str(path), "--out", overwrite=overwrite, inputs=inputs)


def test_results_are_for_their_owner(tmp_path: Path) -> None:
    """A chat is private; a place that cannot be written is an error with words."""
    evidence.write(tmp_path / "x", b"content")
    assert (tmp_path / "x").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    with pytest.raises(InvalidInput, match="cannot be written"):
        evidence.write(tmp_path / "no" / "x", b"")
