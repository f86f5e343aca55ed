"""``chatkit diagnose`` as a process; whole runs go beside each other, before the first test looks at them."""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from chatkit.cli import diagnose
from chatkit.formats import load
from chatkit.lab import LabServer
from chatkit.profile import DEFAULT
from conftest import until_sync

from .conftest import PATIENCE, command, environment

LONG = 60.0
"""Seconds after which a run with the budgets below hangs."""
RUNS: dict[str, tuple[list[str], list[str]]] = {
    # faults, options
    "healthy": ([], ["--budget", "20", "--no-chat", "--json"]),
    "short": ([], ["--budget", "5", "--no-chat"]),
    "idle": (["idle-timeout:timeout=2"], ["--budget", "18", "--no-chat", "--json", "--out", "OUT"]),
    "head": ([], ["--budget", "10", "--no-chat", "--health-method", "HEAD", "--format", "md"]),
    "rejected": (["auth-rejected"], ["--budget", "20"]),
}


class Done(NamedTuple):
    """What came of a run."""

    code: int
    out: str
    err: str
    token: str
    chats: int
    file: Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """By the name of the run."""
    folder, found = tmp_path_factory.mktemp("diagnose"), {}
    with ExitStack() as stack:
        running = {}
        for name, (faults, options) in RUNS.items():
            house, file = stack.enter_context(LabServer(faults=faults)), folder / f"{name}.jsonl"
            arguments = [str(file) if option == "OUT" else option for option in options]
            token = house.token
            process = subprocess.Popen(
                command("diagnose", house.url, "--bot", "echo", "--token-env", "T", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(T=token),
            )
            running[name] = (stack.enter_context(process), house, token, file)
        for name, (process, house, token, file) in running.items():
            try:
                out, err = process.communicate(timeout=LONG)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            found[name] = Done(process.returncode, out, err, token, house.stats.chats, file)
    return found


# Whole runs


def test_exit_codes(done) -> None:
    """0 no fault, 1 a fault, 3 inconclusive."""
    codes = {name: one.code for name, one in done.items()}
    assert codes == {"healthy": 0, "short": 3, "idle": 1, "head": 1, "rejected": 1}, done


@pytest.mark.parametrize("name", RUNS)
def test_no_secret_and_no_traceback(done, name) -> None:
    """Nowhere; and nothing that could do something to the terminal."""
    one = done[name]
    written = one.file.read_text("utf-8") if one.file.exists() else ""
    assert one.token not in one.out + one.err + written
    assert "Traceback" not in one.err
    assert "\x1b" not in one.out + one.err


@pytest.mark.parametrize(
    ("name", "verdict", "cause"), [("healthy", "no-fault", None), ("idle", "fault", "idle-timeout")]
)
def test_one_document(done, name, verdict, cause) -> None:
    """Exactly one, with the keys of the interface; progress goes to stderr."""
    one = done[name]
    document = json.loads(one.out)
    assert one.out.count("\n") == 1
    assert document["schema"] == "chatkit.investigation/1"
    assert {"target", "elapsed_s", "probes", "arms", "diagnosis", "verification"} <= set(document)
    assert {"verdict", "causes", "remarks", "ruled_out", "unknown"} <= set(document["diagnosis"])
    assert all({"id", "status", "summary"} <= set(probe) for probe in document["probes"])
    assert all({"id", "treatment", "outcome", "lifetime_s", "ending"} <= set(arm) for arm in document["arms"])
    assert document["verification"] is None
    diagnosis = document["diagnosis"]
    assert diagnosis["verdict"] == verdict
    assert [one["id"] for one in diagnosis["causes"][:1]] == ([cause] if cause else [])
    keys = {
        "id",
        "confidence",
        "who",
        "connections",
        "summary",
        "parameters",
        "likely",
        "lookalikes",
        "evidence",
        "fix",
    }
    assert all(keys <= set(cause) for cause in diagnosis["causes"])
    assert one.err.strip()


def test_without_chat(done) -> None:
    """``--no-chat`` sends none, and the document says what that leaves out."""
    assert {name: one.chats for name, one in done.items()} == dict.fromkeys(RUNS, 0)
    assert any("no chat message" in text for text in json.loads(done["healthy"].out)["untried"])


def test_out(done, chatkit) -> None:
    """The recording is private and complete; read again, it gives the same verdict, cause and exit code."""
    one = done["idle"]
    assert load(one.file).warnings == ()
    again = chatkit("inspect", str(one.file), "--json")
    assert again.returncode == one.code
    first, second = (json.loads(text)["diagnosis"] for text in (one.out, again.stdout))
    assert [(c["id"], c["parameters"]) for c in second["causes"]] == [
        (c["id"], c["parameters"]) for c in first["causes"]
    ]
    assert second["verdict"] == first["verdict"]


def test_text_for_people(done) -> None:
    """The cause by name, or that too little was tried; why it stopped."""
    assert "auth-rejected" in done["rejected"].out
    assert "Not enough was tried for a verdict" in done["short"].out
    assert "until the budget was used up" in done["short"].out


def test_a_monitor_that_asks_with_head(done) -> None:
    """Its ticket is Markdown."""
    assert "health-method-mismatch" in done["head"].out
    assert done["head"].out.startswith("#") or "\n#" in done["head"].out


# Ctrl-C


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c(lab, tmp_path, as_json) -> None:
    """What is known is printed, 130, every connection is closed, the file is complete."""
    house, file = lab(), tmp_path / "f.jsonl"
    with subprocess.Popen(
        command(
            *("diagnose", house.url, "--bot", "echo", "--token-env", "T", "--budget", "600", "--no-chat"),
            *("--out", str(file), *(["--json"] if as_json else [])),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(T=house.token),
    ) as process:
        until_sync(lambda: house.stats.opened or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    if as_json:
        document = json.loads(out)
        assert document["stopped"] == "interrupted"
        assert [arm["id"] for arm in document["arms"]] == ["alone"]
    else:
        assert out.strip()
    assert load(file).warnings == ()
    until_sync(lambda: not house.stats.peers)


# What cannot work


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "0"], "no budget"),
        (["--budget", "nan"], "no budget"),
        (["--budget", "inf"], "no budget"),
        (["--budget", "soon"], "invalid float"),
        (["--budget", "2"], "too short a budget"),
        (["--health-method", "POST"], "invalid choice"),
        (["--format", "html"], "invalid choice"),
        (["--out", "/nowhere/f.jsonl"], "cannot be written"),
        (["--out", "/etc"], "exists already"),
        (["--evidence", "/nowhere/f.jsonl"], "/nowhere/f.jsonl"),
        (["--token-env", "NOT_SET_ANYWHERE"], "is not set"),
        (["--user", "ada"], "both user and password"),
        (["--also", "nonsense"], "URL"),
        (["--policy", "no-such-policy"], "policy"),
    ],
)
def test_what_cannot_work(chatkit, arguments, words) -> None:
    """Exit code 2 and its own message; nothing on stdout."""
    done = chatkit("diagnose", "http://127.0.0.1:1", "--bot", "b", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_usage(chatkit) -> None:
    """A URL and a bot are needed."""
    for arguments in ((), ("http://127.0.0.1:1",)):
        assert chatkit("diagnose", *arguments).returncode == 2


def test_help(chatkit) -> None:
    """Every option is there."""
    done = chatkit("diagnose", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    named = "budget verify intrusive no-chat yes also evidence health-path health-method out overwrite format json"
    assert [option for option in named.split() if f"--{option}" not in done.stdout] == []


# Consent


class Terminal(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, text: str = "", tty: bool = True) -> None:
        super().__init__(text)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [("y\n", True), (" YES \n", True), ("\n", False), ("n\n", False), ("yesterday\n", False), ("", False)],
)
def test_somebody_is_asked(monkeypatch, answer, allowed) -> None:
    """On a terminal, on stderr; only a yes is one."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", screen)
    assert diagnose._ask(argparse.Namespace(json=False), "May chat messages be sent?") is allowed
    assert screen.getvalue() == "May chat messages be sent? [y/N] "


@pytest.mark.parametrize(
    ("as_json", "stdin", "stderr"), [(True, True, True), (False, False, True), (False, True, False)]
)
def test_nobody_is_asked_who_could_not_answer(monkeypatch, as_json, stdin, stderr) -> None:
    """Then the answer is no, whatever waits on stdin."""
    screen = Terminal(tty=stderr)
    monkeypatch.setattr(sys, "stdin", Terminal("y\n", tty=stdin))
    monkeypatch.setattr(sys, "stderr", screen)
    assert diagnose._ask(argparse.Namespace(json=as_json), "May chat messages be sent?") is False
    assert screen.getvalue() == ""


LOCAL, FOREIGN = "http://127.0.0.1:8000", "http://chat.example.org"


@pytest.mark.parametrize(
    ("url", "options", "answer", "chat", "intrusive", "asked"),
    [
        (LOCAL, [], False, True, False, 0),
        (LOCAL, ["--no-chat"], True, False, False, 0),
        (LOCAL, ["--intrusive"], False, True, True, 0),
        (FOREIGN, [], False, False, False, 1),
        (FOREIGN, [], True, True, False, 1),
        (FOREIGN, ["--no-chat"], True, False, False, 0),
        (FOREIGN, ["--yes"], False, True, False, 0),
        (FOREIGN, ["--yes", "--no-chat"], False, False, False, 0),
        (FOREIGN, ["--intrusive"], False, False, False, 2),
        (FOREIGN, ["--intrusive"], True, True, True, 2),
        (FOREIGN, ["--intrusive", "--yes"], False, True, True, 0),
    ],
)
def test_consent(monkeypatch, url, options, answer, chat, intrusive, asked) -> None:
    """On this machine everything that was said is permitted; elsewhere it is asked for, or said by ``--yes``."""
    questions: list[str] = []
    permitted: dict[str, Any] = {}

    def ask(args: argparse.Namespace, question: str) -> bool:
        questions.append(question)
        return answer

    async def investigate(*_: Any, **said: Any) -> Any:
        permitted.update(chat=said["chat"], intrusive=said["intrusive"])
        return SimpleNamespace(diagnosis=SimpleNamespace(verdict="no-fault"))

    monkeypatch.setattr(diagnose, "_ask", ask)
    monkeypatch.setattr(diagnose, "_investigate", investigate)
    parser = argparse.ArgumentParser()
    diagnose.add_arguments(parser)
    assert diagnose.run(parser.parse_args([url, "--bot", "b", *options])) == 0
    assert permitted == {"chat": chat, "intrusive": intrusive}
    assert len(questions) == asked
    assert all(url in question for question in questions)


def test_the_health_path(monkeypatch) -> None:
    """Takes the place of the profile's."""
    asked: list[str] = []

    async def investigate(target: Any, *_: Any, **__: Any) -> Any:
        asked.append(target.profile.paths.health)
        return SimpleNamespace(diagnosis=SimpleNamespace(verdict="fault"))

    monkeypatch.setattr(diagnose, "_investigate", investigate)
    parser = argparse.ArgumentParser()
    diagnose.add_arguments(parser)
    for options in ([], ["--health-path", "/alive"]):
        assert diagnose.run(parser.parse_args([LOCAL, "--bot", "b", *options])) == 1
    assert asked == [DEFAULT.paths.health, "/alive"]
