"""The examples in the docstrings of the front door run, on loopback, and print what they claim."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path

import pytest

import chatkit

DATA = Path(__file__).parent / "data"
FILES = {
    "fleet.parquet": "runbooks/fleet.parquet",
    "incident.har": "har/mitmproxy-early-ping-abort.har",
    "incident.pcap": "runbooks/wire-incident.pcap",
    "client.log": "runbooks/client-side.log",
    "server.pcap": "runbooks/server-side.pcap",
}
"""What the examples find in their folder."""
SHOWN_ELSEWHERE = {
    "BotPool": "several bots: the README and its own tests",
    "Console": "a window: notebooks/console.ipynb",
    "Investigate": "a window: notebooks/runbooks/investigate_a_live_backend.ipynb",
    "TimelineExplorer": "a window: the runbooks",
    "Verdict": "a window: notebooks/runbooks/what_the_wire_says.ipynb",
    "BackgroundChat": "made by connect, whose example shows it",
    "Endings": "a window: notebooks/01_how_a_websocket_dies.ipynb",
    "exercise": "a hidden fault to be found by hand: notebooks/01_how_a_websocket_dies.ipynb",
    "start_lab": "in the example of connect",
}
"""Names of the front door without an example of their own."""


def examples(name: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(inspect.getdoc(getattr(chatkit, name)) or "", name)


@pytest.mark.parametrize("name", [name for name in chatkit.__all__ if name not in SHOWN_ELSEWHERE])
def test_an_example_prints_what_it_claims(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own; the error of a wrong line is doctest's report."""
    for file, source in FILES.items():
        shutil.copy(DATA / source, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    shown = examples(name)
    assert shown, f"chatkit.{name} has no example: write one, or say in SHOWN_ELSEWHERE where it is shown"
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(doctest.DocTest(shown, {}, name, None, 0, None), out=told.append)
    assert "".join(told) == ""


def test_the_exceptions_are_needed() -> None:
    """Who has an example by now goes from the list."""
    assert [name for name in SHOWN_ELSEWHERE if name not in chatkit.__all__ or examples(name)] == []
