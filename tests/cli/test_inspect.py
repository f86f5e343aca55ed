"""``chatkit inspect`` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatkit.formats import jsonl
from tests.diagnosis.stories import stories

from .conftest import PATIENCE, command, environment


def written(folder: Path, name: str) -> str:
    """The story of that name as a file."""
    path = folder / f"{name.replace(' ', '-')}.jsonl"
    jsonl.dump(next(one for one in stories() if one.name == name).trace(), path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "code", "verdict"),
    [
        ("the incident", 1, "fault"),
        ("an hour of chat", 0, "no-fault"),
        ("one reset without anything else", 3, "inconclusive"),
    ],
)
def test_exit_codes_and_one_document(chatkit, tmp_path, name, code, verdict) -> None:
    """0 no fault, 1 a fault, 3 inconclusive; JSON and nothing else on stdout."""
    file = written(tmp_path, name)
    done = chatkit("inspect", file, "--json")
    assert (done.returncode, done.stderr) == (code, "")
    document = json.loads(done.stdout)
    assert document["schema"] == "chatkit.inspection/1"
    assert document["diagnosis"]["verdict"] == verdict
    assert document["inputs"][0]["file"] == file


def test_text_for_people(chatkit, tmp_path) -> None:
    """Connections, then the verdict."""
    done = chatkit("inspect", written(tmp_path, "the incident"))
    assert done.returncode == 1
    assert "connection 1: RST by server, 0.2 s after our ping" in done.stdout
    assert "early-ping-abort" in done.stdout


def test_a_ticket(chatkit, tmp_path) -> None:
    """Markdown to paste."""
    done = chatkit("inspect", written(tmp_path, "the incident"), "--format", "md")
    assert done.returncode == 1
    assert done.stdout.strip()


def test_what_cannot_be_read(chatkit, tmp_path) -> None:
    """Exit code 2, the file named on stderr; the others are told all the same."""
    missing = str(tmp_path / "missing.jsonl")
    done = chatkit("inspect", missing)
    assert (done.returncode, done.stdout) == (2, "")
    assert "missing.jsonl" in done.stderr
    done = chatkit("inspect", missing, written(tmp_path, "the incident"), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["diagnosis"]["verdict"] == "fault"


def test_a_file_of_no_known_format(chatkit, tmp_path) -> None:
    """Says what, where, and what would help."""
    path = tmp_path / "notes.txt"
    path.write_text("it dropped at noon\n")
    done = chatkit("inspect", str(path))
    assert done.returncode == 2
    assert "notes.txt" in done.stderr
    assert "--input-format" in done.stderr


def test_a_monitor_that_uses_head(chatkit, tmp_path) -> None:
    """Makes a remark a fault."""
    file = written(tmp_path, "the monitor is said to use head")
    assert chatkit("inspect", file).returncode == 0
    done = chatkit("inspect", file, "--health-method", "HEAD", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["diagnosis"]["causes"][0]["id"] == "health-method-mismatch"


def test_beside_a_baseline(chatkit, tmp_path) -> None:
    """What is unlike it stands among the remarks; a baseline that cannot be read is told."""
    file, good = written(tmp_path, "the incident"), written(tmp_path, "an hour of chat")
    document = json.loads(chatkit("inspect", file, "--baseline", good, "--json").stdout)
    assert any("unlike the baseline" in one["finding"] for one in document["diagnosis"]["remarks"])
    done = chatkit("inspect", file, "--baseline", str(tmp_path / "none.jsonl"), "--json")
    assert done.returncode == 2
    assert "none.jsonl" in done.stderr


def test_nothing_heavy_is_loaded(tmp_path) -> None:
    """From the file to the verdict without a loop, a browser's libraries or statistics."""
    heavy = ("asyncio", "websockets", "httpx", "scipy", "plotly", "pandas", "pyarrow", "ipywidgets")
    script = (
        "import sys\nfrom chatkit.cli import main\n"
        f"code = main(['inspect', {written(tmp_path, 'the incident')!r}])\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stderr.strip() == "[]", done.stderr
    assert command("inspect")
