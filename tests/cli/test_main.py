"""The dispatch: light, and quiet when something is wrong."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

from chatkit import __version__, cli
from chatkit.errors import InvalidInput


def test_help_lists_every_verb(capsys) -> None:
    """And exits with 0."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(verb in shown and summary in shown for verb, summary in cli.VERBS.items())


def test_version(capsys) -> None:
    """One line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"chatkit {__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["labb"], ["--labb"], ["lab", "--no-such-option"]])
def test_usage_errors_exit_with_2(arguments, capsys) -> None:
    """As argparse does."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: chatkit" in capsys.readouterr().err


def test_a_chatkit_error_is_its_text(monkeypatch, capsys) -> None:
    """On stderr, without traceback, exit code 2."""

    def refuse(args) -> int:
        raise InvalidInput("that cannot work", remedy="something else")

    monkeypatch.setattr("chatkit.cli.lab.run", refuse)
    assert cli.main(["lab"]) == 2
    assert capsys.readouterr().err == "chatkit: that cannot work.\nTry: something else.\n"


def test_ctrl_c_is_130(monkeypatch) -> None:
    """Wherever it hits."""

    def interrupted(args) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("chatkit.cli.lab.run", interrupted)
    assert cli.main(["lab"]) == 130


def test_a_verb_without_module_says_so(monkeypatch, capsys) -> None:
    """Rather than an import error."""
    monkeypatch.setattr(cli, "VERBS", {"fly": "fly"})
    assert cli.main(["fly"]) == 2
    assert "no verb 'fly' yet" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [verb for verb in cli.VERBS if find_spec(f"chatkit.cli.{verb}")])
def test_the_table_repeats_the_summary(verb) -> None:
    """One text in two places, so that help needs no import."""
    assert importlib.import_module(f"chatkit.cli.{verb}").SUMMARY == cli.VERBS[verb]


@pytest.mark.parametrize(
    "arguments", ["--help", "lab --help", "lab --list-faults", "runbook --help", "runbook --list", "tap --help"]
)
def test_help_imports_nothing_heavy(arguments) -> None:
    """No asyncio server, no FastAPI: that is what keeps it under 0.3 s."""
    heavy = ["fastapi", "uvicorn", "pydantic", "jwt", "websockets", "numpy", "httpx", "shtab", "papermill"]
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr))\n"
        f"from chatkit.cli import main; sys.exit(main({arguments.split()!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize("arguments", ["lab --list-faults", "lab --list-faults --json", "--help", "lab --help"])
def test_a_reader_that_goes_away_is_no_error(arguments) -> None:
    """``chatkit … | head -1``: neither a traceback nor a complaint of Python's own at exit."""
    code = (
        "import os, sys; reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1)\n"
        f"from chatkit.cli import main; sys.exit(main({arguments.split()!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
