"""Completion, in a real bash."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from chatkit import cli
from chatkit.cli.completion import SHELLS, script
from chatkit.faults.catalogue import CATALOGUE
from chatkit.formats import IMPORTERS
from chatkit.runbooks import names

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="no bash on this machine")

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_chatkit
printf '%s\\n' "${COMPREPLY[@]}"
"""


@cache
def written(folder: Path) -> Path:
    """The script as a file."""
    path = folder / "chatkit.bash"
    path.write_text(script("bash"), "utf-8")
    return path


@pytest.fixture
def complete(tmp_path):
    """``complete("lab", "--fau")``: what bash offers for the last word."""

    def ask(*words: str) -> list[str]:
        call = [str(BASH), "--norc", "-c", ASK, "bash", str(written(tmp_path)), "chatkit", *words]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]

    return ask


@needs_bash
def test_verbs(complete) -> None:
    """All, and those that begin so."""
    assert set(complete("")) == set(cli.VERBS)
    assert complete("in") == ["inspect"]


@needs_bash
@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_its_options(complete, verb) -> None:
    """As its own help shows them."""
    assert "--help" in complete(verb, "-")


@needs_bash
def test_options_runbooks_faults_and_choices(complete) -> None:
    """Words of this version."""
    assert complete("diagnose", "--health-m") == ["--health-method"]
    assert complete("diagnose", "--health-method", "H") == ["HEAD"]
    assert complete("runbook", "drops_r") == ["drops_right_after_connect"]
    assert set(complete("runbook", "")) >= set(names())
    assert complete("lab", "--fault", "early") == ["early-ping-abort"]
    assert set(complete("lab", "--fault", "")) >= set(CATALOGUE)
    assert set(complete("inspect", "--input-format", "")) >= set(IMPORTERS)
    assert set(complete("completion", "")) >= set(SHELLS)


@needs_bash
def test_files(complete, tmp_path) -> None:
    """Where a file is wanted, and folders on the way to one."""
    (tmp_path / "incident.har").write_text("{}")
    (tmp_path / "folder").mkdir()
    assert complete("inspect", "inci") == ["incident.har"]
    assert complete("report", "--bundle", "fol") == ["folder"]
    assert complete("runbook", "health_says_down", "--out", "inci") == ["incident.har"]


@needs_bash
def test_the_shell_takes_it_as_it_is_printed() -> None:
    """``eval "$(chatkit completion bash)"`` binds it."""
    code = f'eval "$({cli_command()} completion bash)"; complete -p chatkit'
    done = subprocess.run([str(BASH), "--norc", "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "_shtab_chatkit" in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script(shell, capsys) -> None:
    """With the runbooks in it."""
    assert cli.main(["completion", shell]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names())


def test_another_shell(capsys) -> None:
    """Is a usage error."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", "cmd"])
    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err


def cli_command() -> str:
    """This checkout's command, for a shell."""
    from tests.cli.conftest import command

    return " ".join(f"'{word}'" for word in command() if word not in ("-W", "error"))
