"""The bundle: what is in it says the same, and the notebook checks it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import chatkit
from chatkit.formats import jsonl, load
from chatkit.views.bundle import bundle, notebook
from tests.builders import incident_trace
from tests.views.verdicts import HEALTHY, HOSTILE, THIN, Diagnosis, early_ping

TRACE = incident_trace()


def test_the_files_of_a_bundle() -> None:
    """Recording, Perfetto, page, ticket, notebook; a HAR where its writer is there."""
    files = bundle(TRACE, early_ping(TRACE))
    assert {"trace.jsonl", "trace.perfetto.json", "report.html", "verdict.md", "verdict.ipynb"} <= set(files)
    assert json.loads(files["trace.perfetto.json"])["traceEvents"]
    assert files["verdict.md"].startswith(b"# The server aborts")
    assert bundle(TRACE, THIN, page=b"made")["report.html"] == b"made"


def test_the_recording_is_the_trace(tmp_path: Path) -> None:
    """Byte by byte, as its own writer writes it."""
    jsonl.dump(TRACE, tmp_path / "x.jsonl")
    assert bundle(TRACE, THIN)["trace.jsonl"] == (tmp_path / "x.jsonl").read_bytes()


@pytest.mark.parametrize("diagnosis", [HEALTHY, THIN, HOSTILE, early_ping(TRACE)])
def test_the_notebook_is_valid(diagnosis: Diagnosis) -> None:
    """By nbformat's own schema; prose before every code cell; what is stored reads alone."""
    made = notebook(TRACE, diagnosis)
    nbformat.validate(made)
    kinds = [cell["cell_type"] for cell in made["cells"]]
    assert kinds == ["markdown", "markdown", "code", "markdown", "code", "markdown", "code", "markdown"]
    assert "".join(made["cells"][2]["outputs"][0]["text"]) == "148 events, 4 connections\n"
    assert "<script" not in "".join(made["cells"][4]["outputs"][0]["data"]["text/html"])


def run_notebook(folder: Path, monkeypatch: pytest.MonkeyPatch, found: Diagnosis, capsys) -> list[str]:
    """Runs the code cells as a kernel would; what each printed."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(chatkit, "diagnose", lambda trace, **more: found, raising=False)
    names: dict[str, object] = {}
    printed = []
    for cell in json.loads((folder / "verdict.ipynb").read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
            printed.append((cell, capsys.readouterr().out))
    for cell, out in printed:
        if cell["outputs"][0]["output_type"] == "stream":
            assert out == "".join(cell["outputs"][0]["text"])
    return [out for _, out in printed]


@pytest.mark.parametrize("baseline", [None, TRACE])
def test_the_notebook_derives_the_verdict_again(tmp_path: Path, monkeypatch, capsys, baseline) -> None:
    """It prints what is stored; another verdict fails."""
    for name, content in bundle(TRACE, early_ping(TRACE), baseline=baseline).items():
        (tmp_path / name).write_bytes(content)
    said = run_notebook(tmp_path, monkeypatch, early_ping(TRACE), capsys)
    assert said[-1] == "fault early-ping-abort\n"
    with pytest.raises(AssertionError):
        run_notebook(tmp_path, monkeypatch, HEALTHY, capsys)


@pytest.mark.slow
@pytest.mark.skipif("diagnose" not in chatkit.__all__, reason="the front door has no diagnose yet")
def test_the_notebook_runs_under_nbval(tmp_path: Path) -> None:
    """In a kernel of its own, with the real diagnosis."""
    diagnosis = chatkit.diagnose(TRACE)
    for name, content in bundle(TRACE, diagnosis).items():
        (tmp_path / name).write_bytes(content)
    assert len(load(tmp_path / "trace.jsonl")) == len(TRACE)
    arguments = ["-m", "pytest", "--nbval", "-p", "no:cacheprovider", "verdict.ipynb"]
    done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
