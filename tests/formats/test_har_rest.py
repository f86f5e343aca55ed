"""Entries of a HAR, also of one that is cut or damaged."""

from __future__ import annotations

import json

import pytest

from chatkit.errors import ImportFailed
from chatkit.formats.har_rest import entries_of

ENTRIES = [{"time": n, "request": {"url": f"http://h/{n}"}, "response": {"status": 200}} for n in range(4)]
WHOLE = json.dumps({"log": {"creator": {"name": "x"}, "entries": ENTRIES}}).encode()


def read(data: bytes) -> tuple[list[int], list[str]]:
    warnings: list[str] = []
    log, found = entries_of(data, "x.har", warnings.append)
    assert log["creator"] == {"name": "x"}
    return [entry["time"] for entry in found], warnings


def test_a_sound_file() -> None:
    """All of it, nothing to warn of; a byte order mark does no harm."""
    assert read(WHOLE) == ([0, 1, 2, 3], [])
    assert read(b"\xef\xbb\xbf" + WHOLE) == ([0, 1, 2, 3], [])


def test_a_cut_file() -> None:
    """Whole entries, and of the last one what is whole."""
    found, warnings = read(WHOLE[:-20])
    assert found == [0, 1, 2, 3]
    assert "read in part" in warnings[1]
    assert read(WHOLE[: WHOLE.index(b'"time": 3') + 3])[0] == [0, 1, 2]


def test_a_damaged_entry() -> None:
    """The others."""
    found, warnings = read(WHOLE.replace(b'"time": 1', b'"time" 1'))
    assert found == [0, 2, 3]
    assert "left out" in warnings[1]


def test_an_entry_that_is_none() -> None:
    """Is counted."""
    found, warnings = read(WHOLE.replace(b"[{", b"[7, null, {", 1))
    assert found == [0, 1, 2, 3]
    assert warnings == ["2 entries are no objects, or damaged, and were left out"]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"log": 1}', b"\xff", b'{"log": {"entries": 5}}'])
def test_no_list_of_entries(data: bytes) -> None:
    """A refusal that says what was expected."""
    with pytest.raises(ImportFailed, match="no HAR") as refused:
        read(data)
    assert refused.value.source == "x.har"
