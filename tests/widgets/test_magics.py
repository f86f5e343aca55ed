"""The magics in a real IPython shell, against a real lab."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from chatkit.client import BackgroundChat
from chatkit.experiments.result import Investigation
from chatkit.lab import LabServer, start_lab
from chatkit.trace import Trace
from chatkit.widgets import Console, magics
from chatkit.widgets.magics import chat_parser, completions, investigate_parser


@pytest.fixture
def shell(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell(config=config)
    made.run_line_magic("load_ext", "chatkit")
    yield made
    magic = made.magics_manager.registry["ChatkitMagics"]
    if magic._chat is not None:
        magic._chat.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[LabServer]:
    lab = start_lab()
    yield lab
    lab.close()


def said(shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str) -> str:
    """What a cell that fails shows."""
    capsys.readouterr()
    result = shell.run_cell(cell)
    assert result.error_in_exec is not None
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_a_conversation(shell: InteractiveShell, lab: LabServer) -> None:
    """Opened, spoken in, looked at, closed."""
    shell.user_ns["lab"] = lab
    shell.run_cell("opened = %chat lab").raise_error()
    assert isinstance(shell.user_ns["opened"], BackgroundChat)
    assert shell.run_line_magic("chat", "send good morning").text == "good morning"
    assert shell.run_cell_magic("chat", "", "two\nlines").text == "two\nlines"
    assert shell.run_line_magic("chat", "") is shell.user_ns["opened"]
    assert isinstance(shell.run_line_magic("chat", "trace"), Trace)
    console = shell.run_line_magic("chat", "console")
    assert isinstance(console, Console)
    assert console.chat is shell.user_ns["opened"]
    shell.run_line_magic("chat", "close")
    console.close()


def test_credentials_come_from_the_environment(
    shell: InteractiveShell, lab: LabServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal's options, and the text of the cell is the message."""
    monkeypatch.setenv("PASSWORD_OF_THE_TEST", lab.password)
    line = f"{lab.url} --bot {lab.bots[0].id} --user {lab.user} --password-env PASSWORD_OF_THE_TEST"
    assert shell.run_cell_magic("chat", line, "hello\n").text == "hello"


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("%chat http://127.0.0.1:9", "InvalidInput: %chat: the following arguments are required: --bot"),
        ("%chat http://127.0.0.1:9 --bot b --token eyJhbGciOi.secret", "a token in a cell stays in the notebook's file"),
        ("%chat http://127.0.0.1:9 --bot b --token-env NOT_SET_HERE", "NOT_SET_HERE is not set (--token-env"),
        ("%chat http://127.0.0.1:9 --bot b --json", "unrecognized arguments: --json"),
        ("%chat 'http://127.0.0.1:9", "%chat: No closing quotation"),
        ("%chat send hello", "no conversation is open"),
        ("%chat close now", "%chat close takes nothing more"),
        ("%investigate http://127.0.0.1:9 --bot b --budget -3", "that is no budget (--budget)"),
        ("%investigate http://127.0.0.1:9 --bot b --into 3x", "that is no name of a variable (--into)"),
        ("%investigate https://chat.example.com --bot b --intrusive", "payloads that grow may break a backend"),
        ("%%investigate http://127.0.0.1:9 --bot b\n--budget soon", "argument --budget: invalid float value: 'soon'"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str, sentence: str
) -> None:
    """No traceback, no token."""
    shown = said(shell, capsys, cell)
    assert sentence in shown
    assert "Traceback" not in shown
    assert "eyJ" not in shown


@pytest.mark.parametrize(("magic", "told"), [("chat", "--token-env"), ("investigate", "--budget")])
def test_help(shell: InteractiveShell, capsys: pytest.CaptureFixture[str], magic: str, told: str) -> None:
    """Prints the options, and runs nothing."""
    shell.run_cell(f"%{magic} --help").raise_error()
    assert told in capsys.readouterr().out


def test_an_investigation(shell: InteractiveShell, lab: LabServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Options in the cell, notes after a hash, the result in a variable; progress goes to the terminal here."""
    shell.user_ns["lab"] = lab
    shell.run_cell("%%investigate lab --into found\n--budget 5   # short\n# nobody complains here\n").raise_error()
    found = shell.user_ns["found"]
    assert isinstance(found, Investigation)
    assert found.diagnosis.verdict != "fault"
    assert found.arms
    assert "pass" in capsys.readouterr().err or found.probes


def test_an_interrupt_shows_what_is_known(
    shell: InteractiveShell, lab: LabServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The experiments end, and the cells after it do not run."""
    shell.user_ns["lab"] = lab
    began = threading.Event()
    waited = magics.wait

    def interrupted(work: Any, timeout: float) -> Any:
        if timeout == magics.SLICE and began.is_set():
            raise KeyboardInterrupt
        began.set()
        return waited(work, timeout)

    monkeypatch.setattr(magics, "wait", interrupted)
    shown = said(shell, capsys, "%investigate lab --budget 60")
    assert "the investigation was stopped; what was known by then stands above" in shown
    assert "Traceback" not in shown


def completed(shell: InteractiveShell, line: str) -> set[str]:
    """What the notebook offers at the end of a line."""
    with provisionalcompleter():
        return {one.text for one in shell.Completer.completions(line, len(line))}


def test_completion(shell: InteractiveShell, lab: LabServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders and labs first, then options, then what an option takes."""
    shell.user_ns["my_lab"] = lab
    assert {"send", "retry"} <= completed(shell, "%chat ")
    assert "my_lab" in completed(shell, "%chat my_")
    assert "--budget" in completed(shell, "%%investigate my_lab --bu")
    monkeypatch.setenv("A_TOKEN_OF_THE_TEST", "x")
    assert "A_TOKEN_OF_THE_TEST" in completions(chat_parser(), [], ["URL", "--token-env"])
    assert completions(investigate_parser(), [], ["URL", "--health-method"]) == ["GET", "HEAD"]
    assert "incident" in completions(chat_parser(), [], ["URL", "--policy"])
    assert completions(chat_parser(), [], ["URL", "--bot"]) == []


def test_the_options_are_the_command_lines(shell: InteractiveShell) -> None:
    """One grammar: what a magic takes, the verb of the terminal takes too, but for where the result goes."""
    import argparse

    from chatkit.cli import chat, diagnose

    for mine, verb, own in ((chat_parser(), chat, set()), (investigate_parser(), diagnose, {"--into"})):
        theirs = argparse.ArgumentParser()
        verb.add_arguments(theirs)
        assert set(mine._option_string_actions) - set(theirs._option_string_actions) == own
