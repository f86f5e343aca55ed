"""Where results may go."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from chatkit.cli import writing
from chatkit.errors import InvalidInput


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    """Neither a result, nor ever the evidence, nor a folder; and no folder is made up."""
    there = tmp_path / "there"
    there.write_text("x")
    assert writing.free(str(tmp_path / "new"), "--out", overwrite=False) == tmp_path / "new"
    assert writing.free(str(there), "--out", overwrite=True) == there
    for path, overwrite, inputs in (
        (there, False, []),
        (there, True, [str(there)]),
        (tmp_path, True, []),
        (tmp_path / "no" / "x", True, []),
    ):
        with pytest.raises(InvalidInput):
            writing.free(str(path), "--out", overwrite=overwrite, inputs=inputs)


def test_results_are_for_their_owner(tmp_path: Path) -> None:
    """A chat is private; a place that cannot be written is an error with words."""
    writing.write(tmp_path / "x", b"content")
    assert (tmp_path / "x").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    with pytest.raises(InvalidInput, match="cannot be written"):
        writing.write(tmp_path / "no" / "x", b"")
