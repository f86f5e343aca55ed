"""What a folder tells, and what it shows."""

from __future__ import annotations

import pytest

from chatkit.canary.facts import Batch, RunBegan
from chatkit.canary.journal import NAME, Journal
from chatkit.canary.rows import write
from chatkit.canary.watched import watching
from chatkit.errors import InvalidInput

from .facts import died, opened, row


@pytest.fixture
def folder(tmp_path):
    """One life that goes on, one death without its recording, a row in a file, and a damaged file."""
    journal = Journal(tmp_path / NAME)
    journal.append(Batch(at=100.0, facts=[RunBegan(targets={"t": "http://h"})]))
    journal.append(Batch(at=101.0, facts=[opened(1, 100.0), opened(2, 100.5)]))
    journal.append(Batch(at=110.0, facts=[died(1, 100.0, 109.0)]))
    journal.close()
    (tmp_path / "rows").mkdir()
    write([row(9, 50.0, 60.0, state="ended", ended=True)], tmp_path / "rows" / "rows-000001.parquet")
    (tmp_path / "rows" / "rows-000002.parquet").write_bytes(b"PAR1")
    return tmp_path


def test_rows_of_files_and_of_the_journal(folder) -> None:
    """All connections once; of an open one the life so far; what is damaged is named."""
    seen = watching(folder)
    assert [(one.connection, one.lifetime_s) for one in seen.rows] == [("t/1-9", 10.0), ("t/1-1", 9.0), ("t/1-2", 9.5)]
    assert [problem.split()[0] for problem in seen.problems] == ["rows-000002.parquet"]
    assert seen.to_arrow().num_rows == 3
    assert seen.curves()["t"].events == 2


def test_faces(folder) -> None:
    """In words and as HTML; figures of both kinds."""
    seen = watching(folder)
    assert str(seen).splitlines()[1].split()[:5] == ["t", "1", "2", "0", "1"]
    assert "<table" in seen._repr_html_()
    assert seen.survival().data
    with pytest.raises(InvalidInput, match="nothing to draw"):
        seen.latency()
    with pytest.raises(InvalidInput, match="target or change"):
        seen.curves(by="moon")


def test_a_recording_that_is_gone(folder) -> None:
    """Says so."""
    (death,) = watching(folder).deaths
    assert "RST by server, age 9.0 s" in str(death)
    with pytest.raises(InvalidInput, match="no recording any more"):
        _ = death.diagnosis


def test_no_folder(tmp_path) -> None:
    """What was expected."""
    with pytest.raises(InvalidInput, match="nobody watched"):
        watching(tmp_path)
