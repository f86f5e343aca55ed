"""``chatkit runbook``: options, exit codes, and a result without any token."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chatkit import cli
from chatkit.cli import runbook
from chatkit.errors import AuthError, InvalidInput
from chatkit.runbooks import find, names
from tests.cli.conftest import environment
from tests.conftest import until_sync

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "data" / "runbooks"
LONG = 90.0
COMMAND = [sys.executable, "-m", "chatkit"]
"""What papermill and nbclient warn of is no error of ours."""


def headless(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``chatkit runbook … --json`` to its end."""
    asked = [*COMMAND, "runbook", *arguments, "--json"]
    return subprocess.run(asked, env=environment(**variables), capture_output=True, text=True, timeout=LONG)


def parsed(*arguments: str) -> argparse.Namespace:
    """The options of the verb."""
    parser = argparse.ArgumentParser()
    runbook.add_arguments(parser)
    return parser.parse_args(arguments)


def parameters(name: str, *arguments: str) -> dict[str, object]:
    """What reaches the notebook."""
    return runbook.read_parameters(parsed(name, *arguments), find(name))


# Parameters


def test_a_backend_reaches_the_notebook(monkeypatch) -> None:
    """By the names of its own parameters; numbers and words as what the default is."""
    monkeypatch.setenv("MINE", "x.y.z")
    given = parameters(
        "dies_on_one_message",
        *("--url", "http://h:1", "--bot", "b", "--token-env", "MINE"),
        *("--set", "budget=120", "--set", "intrusive=true", "--set", "evidence=None"),
    )
    assert given == {
        "url": "http://h:1",
        "bot": "b",
        "token_env": "MINE",
        "budget": 120,
        "intrusive": True,
        "evidence": None,
    }


def test_a_file_is_given_with_its_whole_path(tmp_path, monkeypatch) -> None:
    """The kernel works elsewhere; files of the sample are left out beside it."""
    (tmp_path / "mine.pcap").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    path = str((tmp_path / "mine.pcap").resolve())
    assert parameters("what_the_wire_says", "--set", "incident=mine.pcap") == {
        "incident": path,
        "healthy": None,
        "encrypted": None,
        "keys": None,
    }
    assert parameters("dies_on_one_message", "--set", "evidence=mine.pcap") == {"evidence": path}
    with pytest.raises(InvalidInput, match="needs another file"):
        parameters("two_vantage_points", "--set", "client_side=mine.pcap")


@pytest.mark.parametrize(
    ("name", "pair", "words"),
    [
        ("dies_on_one_message", "budget=soon", "no number"),
        ("dies_on_one_message", "budget=nan", "no number"),
        ("dies_on_one_message", "nothing=1", "has no parameter 'nothing'"),
        ("dies_on_one_message", "budget", "this sets nothing"),
        ("investigate_a_live_backend", "verify=perhaps", "neither true nor false"),
        ("what_the_wire_says", "incident=none.pcap", "no such file"),
        ("dies_on_one_message", "token=abc", "a secret would stand in the result"),
        ("dies_on_one_message", "password=abc", "a secret would stand in the result"),
    ],
)
def test_what_cannot_be_set(name, pair, words) -> None:
    """Says what could."""
    with pytest.raises(InvalidInput, match=words):
        parameters(name, "--set", pair)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "evidence=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"],
        ["--token-env", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"],
        ["--url", "http://ada:opensesame@h"],
        ["--url", "http://h/?token=opensesame"],
    ],
)
def test_a_secret_is_refused_and_not_repeated(arguments) -> None:
    """Wherever it stands."""
    with pytest.raises(InvalidInput, match="a secret would stand in the result") as caught:
        parameters("dies_on_one_message", *arguments)
    assert "opensesame" not in str(caught.value)
    assert "eyJ" not in str(caught.value)


def test_an_empty_token_variable(monkeypatch) -> None:
    """Named and not set: not without a token, silently."""
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises((InvalidInput, AuthError), match="NOT_SET is not set"):
        parameters("dies_on_one_message", "--token-env", "NOT_SET")


def test_files_for_a_backend_and_the_other_way_round() -> None:
    """A runbook that reads files has no URL."""
    with pytest.raises(InvalidInput, match="has no parameter 'url'"):
        parameters("what_the_wire_says", "--url", "http://h")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no runbook is named"),
        (["no_such"], "no such runbook"),
        (["health_says_down"], "nowhere to write"),
        (["health_says_down", "--out", "/no/such/folder/x.ipynb"], "no such folder"),
        (["health_says_down", "--out", "x.ipynb", "--timeout", "0"], "no time"),
        (["health_says_down", "--out", "x.ipynb", "--cell-timeout", "inf"], "no time"),
    ],
)
def test_usage_errors(arguments, words, capsys) -> None:
    """Exit code 2, before any kernel starts."""
    assert cli.main(["runbook", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_result_replaces_nothing(tmp_path, capsys) -> None:
    """Neither a file that is there, nor the evidence."""
    there = tmp_path / "there.pcap"
    there.write_bytes(b"x")
    assert cli.main(["runbook", "health_says_down", "--out", str(there)]) == 2
    asked = ["runbook", "what_the_wire_says", "--set", f"incident={there}", "--out", str(there), "--overwrite"]
    assert cli.main(asked) == 2
    assert "replace its own evidence" in capsys.readouterr().err
    assert there.read_bytes() == b"x"


# The list


def test_the_list(capsys) -> None:
    """Names, symptoms and questions, as the notebooks have them; one alone with its parameters."""
    assert cli.main(["runbook", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}\n    {find(name).title}\n" in shown for name in names())
    assert cli.main(["runbook", "drops_right_after_connect", "--list"]) == 0
    assert "hold = 8.0  seconds that the cured connection must live" in capsys.readouterr().out


def test_the_list_as_json(capsys) -> None:
    """One document."""
    assert cli.main(["runbook", "--list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "chatkit.runbooks/1"
    assert [one["name"] for one in told["runbooks"]] == names()


# Runs


@pytest.mark.slow
def test_files_as_a_pager_gives_them(tmp_path) -> None:
    """Exit code 1 for a fault, one document, the notebook readable by its owner only."""
    out = tmp_path / "result.ipynb"
    done = headless("what_the_wire_says", "--set", f"incident={SAMPLES / 'wire-incident.pcap'}", "--out", str(out))
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == "chatkit.runbook/1"
    assert (told["name"], told["target"], told["out"]) == ("what_the_wire_says", "files", str(out))
    assert (told["verdict"], told["failure"]) == ("fault", None)
    assert told["diagnosis"]["causes"][0]["id"] == "early-ping-abort"
    assert told["cells"]["run"] == told["cells"]["of"] > 5
    assert f"cell {told['cells']['of']} of {told['cells']['of']}: " in done.stderr
    assert out.stat().st_mode & 0o077 == 0
    assert "wire-healthy" not in out.read_text("utf-8").partition("Parameters")[2]


@pytest.mark.slow
def test_a_cell_that_fails(tmp_path) -> None:
    """Exit code 2, the cell is named, what was done is kept."""
    out, bad = tmp_path / "result.ipynb", tmp_path / "bad.pcap"
    bad.write_bytes(b"nothing that anybody knows")
    done = headless("what_the_wire_says", "--set", f"incident={bad}", "--out", str(out))
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert (told["verdict"], told["diagnosis"]) == (None, None)
    assert "code cell 3 of" in told["failure"]
    assert "ImportFailed" in told["failure"]
    assert "code cell 3 of" in done.stderr
    assert "ImportFailed" in out.read_text("utf-8")


@pytest.mark.slow
def test_ctrl_c(lab, tmp_path) -> None:
    """The kernel ends and with it every connection; the part that was run is there; 130."""
    house, out = lab(), tmp_path / "result.ipynb"
    asked = ["runbook", "drops_right_after_connect", "--url", house.url, "--bot", "echo", "--token-env", "T"]
    with subprocess.Popen(
        [*COMMAND, *asked, "--set", "patience=300", "--out", str(out), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(T=house.token),
    ) as process:
        until_sync(lambda: house.stats.peers or process.poll() is not None, LONG)
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=LONG)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    document = json.loads(told)
    assert (document["verdict"], document["failure"]) == (None, "interrupted")
    assert 0 < document["cells"]["run"] < document["cells"]["of"]
    until_sync(lambda: not house.stats.peers)
    ran = [cell for cell in json.loads(out.read_text("utf-8"))["cells"] if cell.get("execution_count")]
    assert len(ran) >= document["cells"]["run"]
    assert not [part for part in house.token.split(".")[1:] if part in out.read_text("utf-8") + told + said]


@pytest.mark.slow
def test_from_a_wheel(tmp_path) -> None:
    """Built, installed beside nothing of this checkout, run: the runbooks and their samples came along."""
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    python = sys.executable
    done = subprocess.run([python, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / done.stdout.split()[-1]
    inside = zipfile.ZipFile(wheel).namelist()
    assert {Path(one).stem for one in inside if one.endswith(".ipynb")} >= set(names())
    subprocess.run([python, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True, timeout=LONG)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # The dependencies of this environment, but not chatkit: the .pth file of an editable install is not followed.
    (packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]))
    kept = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    own = [str(tmp_path / "env" / "bin" / "python"), "-m", "chatkit"]
    told = subprocess.run(
        [*own, "runbook", "what_the_browser_saw", "--out", "result.ipynb", "--json"],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert told.returncode == 1, told.stderr
    document = json.loads(told.stdout)
    assert (document["target"], document["verdict"]) == ("sample", "fault")
    where = subprocess.run(
        [*own[:1], "-c", "from chatkit.runbooks import find; print(find('health_says_down').path)"],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert where.stdout.startswith(str(packages))
