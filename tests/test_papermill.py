"""The notebooks against a backend or files that parameters name: as an engineer or a pager runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import papermill
import pytest

from chatkit import cli
from chatkit.lab import LabServer
from chatkit.runbooks import names

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SAMPLES = ROOT / "tests" / "data" / "runbooks"

FAULT, NONE, OPEN = (1, "fault"), (0, "no-fault"), (3, "inconclusive")

BACKENDS = [
    ("drops_right_after_connect", "early-ping-abort:window=2", "lives=2 hold=2", FAULT, "early-ping-abort"),
    ("drops_right_after_connect", None, "lives=1 hold=1 patience=3", NONE, None),
    ("drops_after_a_quiet_minute", "idle-timeout:timeout=2", "budget=16 verify=false", FAULT, "idle-timeout"),
    ("investigate_a_live_backend", "early-ping-abort:window=3", "budget=20 verify=false", FAULT, "early-ping-abort"),
    ("investigate_a_live_backend", None, "budget=6", OPEN, None),
    ("rejected_at_the_door", "auth-rejected", "", FAULT, "auth-rejected"),
    ("every_reply_twice", "duplicate-delivery", "budget=8 pause=1", FAULT, "duplicate-delivery"),
    ("everyone_drops_at_once", "server-restart:after=9", "budget=16", FAULT, "server-restart"),
    ("drops_like_clockwork", "max-lifetime:age=4", "budget=14", FAULT, "max-lifetime"),
    ("connected_but_no_reply", "stuck-typing", "budget=12 pause=1", FAULT, "stuck-typing"),
    # The kernel takes some seconds to start: whichever of the freezes falls into the budget counts.
    ("freezes_and_recovers", "stall:after=8,duration=6,period=14", "budget=24 block=1", FAULT, "server-blocked-loop"),
    ("health_says_down", None, "budget=8", FAULT, "health-method-mismatch"),
    # Nothing grows on a backend that somebody named unless it is permitted: the limit stays unseen.
    ("dies_on_one_message", "message-too-big:limit=2000", "budget=9", OPEN, None),
]
"""Runbook, the backend's fault, what is set to keep it short, exit code and verdict, the first cause."""

FILES = [
    ("what_the_browser_saw", {"har": "browser-har.har"}, OPEN, None),
    ("what_the_browser_saw", {"har": "browser-netlog.json"}, FAULT, "early-ping-abort"),
    ("fleet_after_a_deploy", {"recordings": "fleet.parquet"}, FAULT, "network-reset"),
    ("what_the_wire_says", {"incident": "wire-healthy.pcap"}, NONE, None),
    ("what_the_wire_says", {"incident": "wire-tls.pcap", "keys": "wire-tls.keys"}, FAULT, "early-ping-abort"),
    (
        "two_vantage_points",
        {"client_side": "client-side.log", "server_side": "server-side.pcap"},
        FAULT,
        "server-error",
    ),
    ("two_vantage_points", {"client_side": "wire-healthy.pcap", "server_side": "wire-healthy.pcap"}, NONE, None),
]
"""Runbook, somebody's own files, exit code and verdict, the first cause."""


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[tuple[int, str], str | None]:
    """Exit code and verdict, and the first cause of it."""
    code = cli.main(["runbook", *arguments, "--json"])
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert told["failure"] is None, told["failure"]
    causes = told["diagnosis"]["causes"] if told["verdict"] == "fault" else []
    return (code, told["verdict"]), (causes[0]["id"] if causes else None)


def test_every_runbook_is_tried() -> None:
    """Against a named backend, or with somebody's own files."""
    assert {row[0] for row in (*BACKENDS, *FILES)} == set(names())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "fault", "settings", "expected", "cause"), BACKENDS)
def test_a_named_backend(
    name: str,
    fault: str | None,
    settings: str,
    expected: tuple[int, str],
    cause: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """URL, bot and the token's variable; the token is nowhere in the result."""
    out = tmp_path / "result.ipynb"
    given = [word for pair in settings.split() for word in ("--set", pair)]
    with LabServer(faults=[fault] if fault else []) as lab:
        token = lab.token
        monkeypatch.setenv("PAGER_TOKEN", token)
        where = ["--url", lab.url, "--bot", "echo", "--token-env", "PAGER_TOKEN"]
        assert ran(capsys, name, *where, *given, "--out", str(out)) == (expected, cause)
    written = out.read_text("utf-8")
    assert not [part for part in token.split(".")[1:] if part in written]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "files", "expected", "cause"), FILES)
def test_own_files(
    name: str,
    files: dict[str, str],
    expected: tuple[int, str],
    cause: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Named from where the command runs; what is not given is done without."""
    monkeypatch.chdir(tmp_path)
    given = []
    for key, file in files.items():
        shutil.copy(SAMPLES / file, tmp_path / f"{key}-{file}")
        given += ["--set", f"{key}={key}-{file}"]
    assert ran(capsys, name, *given, "--out", "result.ipynb") == (expected, cause)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_first_notebook_against_a_named_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no runbook and has no verdict: by papermill alone."""
    with LabServer() as lab:
        token = lab.token
        monkeypatch.setenv("CHATKIT_TOKEN", token)
        result = papermill.execute_notebook(
            NOTEBOOKS / "00_start_here.ipynb",
            tmp_path / "result.ipynb",
            parameters={"url": lab.url, "bot": "echo"},
            progress_bar=False,
            log_output=False,
        )
    texts = [output.get("text", "") for cell in result.cells for output in cell.get("outputs", [])]
    assert any("Connection 1 holds since " in text for text in texts)
    written = (tmp_path / "result.ipynb").read_text("utf-8")
    assert not [part for part in token.split(".")[1:] if part in written]
