"""Golden pairs: what is read in each file under ``tests/data`` stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.formats.golden import DATA, evidence, golden_of, read, transcript


@pytest.mark.parametrize("path", evidence(), ids=lambda path: str(path.relative_to(DATA)))
def test_what_is_read_is_what_stands_beside_it(path: Path) -> None:
    """Every event, every connection, in order."""
    trace = read(path)
    assert transcript(trace) == golden_of(path).read_text("utf-8")
    assert b"eyJ" not in b"".join(trace.rows)
