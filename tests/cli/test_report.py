"""``chatkit report``: files in, one page out; the diagnosis itself is another room's."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from chatkit import cli
from chatkit.formats import jsonl
from tests.builders import incident_trace
from tests.views.verdicts import early_ping

TRACE = incident_trace()


@pytest.fixture(autouse=True)
def compared(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stands for the diagnosis; baselines it was given."""
    baselines: list[object] = []

    def diagnose(trace, *, baseline=None, health_method=None):
        baselines.append(baseline)
        return early_ping(trace)

    monkeypatch.setattr("chatkit.diagnosis.diagnose", diagnose)
    return baselines


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    jsonl.dump(TRACE, path)
    return str(path)


def test_one_page(recording, tmp_path, capsys) -> None:
    """For its owner's eyes; the verdict is printed."""
    out = tmp_path / "report.html"
    assert cli.main(["report", recording, "--out", str(out)]) == 0
    assert "The server aborts" in capsys.readouterr().out
    assert "report made" in out.read_text("utf-8")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert cli.main(["report", recording, "--out", str(out)]) == 2
    assert cli.main(["report", recording, "--out", str(out), "--overwrite"]) == 0


def test_a_bundle_with_a_baseline(recording, tmp_path, capsys, compared) -> None:
    """All files in one folder; JSON names them."""
    arguments = ["report", recording, "--bundle", str(tmp_path / "b"), "--baseline", recording, "--json"]
    assert cli.main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "chatkit.report/1"
    assert document["diagnosis"]["verdict"] == "fault"
    names = {path.name for path in (tmp_path / "b").iterdir()}
    assert {Path(name).name for name in document["written"]} == names
    assert {"trace.jsonl", "baseline.jsonl", "report.html", "verdict.ipynb", "verdict.md"} <= names
    assert len(compared[0]) == len(TRACE)
    assert cli.main(arguments) == 2


def test_several_files_are_merged(recording, tmp_path, monkeypatch) -> None:
    """By the room that can."""
    given = []
    monkeypatch.setattr("chatkit.merging.merge", lambda *traces: given.extend(traces) or traces[0])
    assert cli.main(["report", recording, recording, "--out", str(tmp_path / "r.html")]) == 0
    assert len(given) == 2


def test_what_cannot_be_read_is_said(recording, tmp_path, capsys) -> None:
    """The rest is reported all the same; exit code 2."""
    out = tmp_path / "r.html"
    assert cli.main(["report", recording, str(tmp_path / "none"), "--out", str(out)]) == 2
    assert out.exists()
    assert "none" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path / "none"), "--out", str(tmp_path / "q.html")]) == 2
    assert not (tmp_path / "q.html").exists()


def test_somewhere_to_write_is_needed(recording, tmp_path, capsys) -> None:
    """One of the two."""
    assert cli.main(["report", recording]) == 2
    assert "--out report.html, or --bundle DIR" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert cli.main(["report", recording, "--bundle", str(tmp_path / "file")]) == 2
