"""The folder: private, within its bound, the oldest first."""

from __future__ import annotations

import os
import stat

import pytest

from builders import incident_trace
from chatkit.canary.evidence import Folder, sized
from chatkit.errors import InvalidInput
from chatkit.formats import load

from .facts import row


def test_a_death(tmp_path) -> None:
    """A recording as any other, of the size that was foreseen."""
    folder, trace = Folder(tmp_path / "c", 1e6), incident_trace()
    name = folder.death_name(1_795_449_725.5, "eu/3-17")
    assert name == "deaths/20261123T160205.500Z-eu-3-17.jsonl"
    assert folder.write_death(name, trace, 0) == {}
    path = tmp_path / "c" / name
    assert path.stat().st_size == sized(trace)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(load(path)) == len(trace)


def test_the_oldest_go(tmp_path) -> None:
    """Before another one is written, so that the bound holds all the time; how many is told."""
    trace = incident_trace()
    folder = Folder(tmp_path, 3.5 * sized(trace))
    gone: dict[str, int] = {}
    for n in range(6):
        name = f"deaths/{n}.jsonl"
        told = folder.write_death(name, trace, 0)
        os.utime(tmp_path / name, (n, n))
        gone = {what: gone.get(what, 0) + count for what, count in told.items()} or gone
        assert folder.size() <= folder.limit
    assert sorted(path.name for path in (tmp_path / "deaths").iterdir()) == ["3.jsonl", "4.jsonl", "5.jsonl"]
    assert gone == {"deaths-deleted": 3}


def test_rows_count_too(tmp_path) -> None:
    """One bound for everything; what was just written stays."""
    folder = Folder(tmp_path, 1)
    first, _ = folder.write_rows(1, [row(1, 5.0, 6.0)], 0)
    os.utime(tmp_path / first, (1, 1))
    second, gone = folder.write_rows(2, [row(2, 5.0, 6.0)], 0)
    assert gone == {"rows-deleted": 1}
    assert (
        [path.name for path in (tmp_path / "rows").iterdir()] == ["rows-000002.parquet"] == [second.partition("/")[2]]
    )


def test_what_a_killed_process_left_half_written_goes(tmp_path) -> None:
    """It is nobody's evidence."""
    Folder(tmp_path, 1e6)
    (tmp_path / "deaths" / "x.jsonl.part").write_text("half")
    Folder(tmp_path, 1e6)
    assert list((tmp_path / "deaths").iterdir()) == []


def test_no_folder_can_be_made(tmp_path) -> None:
    """A file stands there."""
    (tmp_path / "c").write_text("")
    with pytest.raises(InvalidInput, match="cannot be made"):
        Folder(tmp_path / "c", 1e6)
