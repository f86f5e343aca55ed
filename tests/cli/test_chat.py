"""``chatkit chat`` as a process."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from chatkit.cli.transcript import Transcript
from chatkit.formats import load
from chatkit.lab import Bot
from chatkit.lab.bots import Ask
from chatkit.policy.status import State, Status

from .conftest import PATIENCE, command, environment

EVIL = "one\x1b]0;title\x07\x1b[2J\x9b2J two\r\nthree \u202eabc"


class Evil(Bot):
    """Says what a terminal should not hear."""

    default_name = "Ev\x1b[31mil"

    async def reply(self, ask: Ask) -> str:
        return EVIL


class Pieces(Bot):
    """Streams."""

    default_name = "Pieces"

    async def reply(self, ask: Ask) -> AsyncIterator[str]:
        for n in range(5):
            yield f"{n} "


class Failing(Bot):
    """Fails."""

    default_name = "Failing"

    async def reply(self, ask: Ask) -> str:
        raise RuntimeError("boom\x1b[2J")


def test_once(chatkit, lab) -> None:
    """The reply and nothing else on stdout."""
    house = lab()
    done = chatkit("chat", house.url, "--bot", "echo", "--once", "grüß dich", "--token-env", "T", T=house.token)
    assert (done.returncode, done.stdout, done.stderr) == (0, "grüß dich\n", "")


def test_once_as_json(chatkit, lab, tmp_path) -> None:
    """One document; the recording is complete."""
    house, path = lab(), tmp_path / "f.jsonl"
    done = chatkit(
        "chat",
        house.url,
        "--bot",
        "echo",
        "--once",
        "hi",
        "--json",
        "--token-env",
        "T",
        "--out",
        str(path),
        T=house.token,
    )
    document = json.loads(done.stdout)
    assert {key: document[key] for key in ("schema", "text", "via")} == {
        "schema": "chatkit.reply/1",
        "text": "hi",
        "via": "websocket",
    }
    assert document["session"]
    trace = load(path)
    assert trace.warnings == ()
    assert str(trace.connections[0].ending).startswith("closed by us: 1000")
    assert b"eyJ" not in path.read_bytes()


def test_once_that_fails(chatkit, lab) -> None:
    """The reason on stderr, nothing on stdout, exit code 2."""
    house = lab(bots=[Failing()])
    done = chatkit("chat", house.url, "--bot", "failing", "--once", "x", "--json", "--token-env", "T", T=house.token)
    assert (done.returncode, done.stdout) == (2, "")
    assert "HTTP 500" in done.stderr
    done = chatkit("chat", house.url, "--bot", "failing", "--once", " ", "--token-env", "T", T=house.token)
    assert done.returncode == 2
    assert "the message is empty" in done.stderr


def test_hostile_replies(chatkit, lab) -> None:
    """No escape sequence passes, in text or in JSON."""
    house = lab(bots=[Evil(id="evil")])
    for arguments in (["--once", "x"], ["--once", "x", "--json"], []):
        done = chatkit("chat", house.url, "--bot", "evil", "--token-env", "T", *arguments, stdin="x\n", T=house.token)
        assert done.returncode == 0
        shown = done.stdout + done.stderr
        assert not set(shown) & set("\x1b\x07\x9b\u202e\r")
        assert "three" in shown
    assert "␛]0;title␇␛[2J" in done.stdout


def test_lines_of_a_pipe(chatkit, lab) -> None:
    """Each is sent; the end of the input waits for the replies; commands are no messages."""
    house = lab(bots=["echo", Pieces()])
    done = chatkit("chat", house.url, "--bot", "echo", "--token-env", "T", stdin="a\n\n/state\n/what\nb", T=house.token)
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["Echo: a", "Echo: b"]
    assert "Live: Echo" in done.stderr
    assert "Connection 1 is open" in done.stderr
    assert "/quit, /state and /retry" in done.stderr
    done = chatkit("chat", house.url, "--bot", "pieces", "--token-env", "T", stdin="go\n", T=house.token)
    assert done.stdout == "Pieces: 0 1 2 3 4 \n"


def test_quit(chatkit, lab) -> None:
    """Ends without waiting for anything, and what follows is not sent."""
    house = lab()
    done = chatkit("chat", house.url, "--bot", "slow", "--token-env", "T", stdin="a\n/quit\nb\n", T=house.token)
    assert (done.returncode, done.stdout) == (0, "")
    assert house.stats.chats <= 1


def test_a_message_that_is_refused(chatkit, lab) -> None:
    """Said on stderr; the conversation goes on."""
    house = lab(bots=[Failing()])
    done = chatkit("chat", house.url, "--bot", "failing", "--token-env", "T", stdin="x\n", T=house.token)
    assert (done.returncode, done.stdout) == (0, "")
    assert "not delivered" in done.stderr


def test_reconnecting_is_said(lab) -> None:
    """With the ending in words and the wait."""
    house = lab()
    with subprocess.Popen(
        command("chat", house.url, "--bot", "echo", "--token-env", "T"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(T=house.token),
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "Live: Echo\n"
        house.cut("rst")
        line = process.stderr.readline()
        process.communicate("/retry\n/quit\n", timeout=PATIENCE)
    assert line.startswith("Reconnecting in ")
    assert "RST by server" in line
    assert process.returncode == 0


def test_ctrl_c(lab, tmp_path) -> None:
    """130, quietly, with stdin still open; the recording is complete."""
    house, path = lab(), tmp_path / "f.jsonl"
    with subprocess.Popen(
        command("chat", house.url, "--bot", "echo", "--token-env", "T", "--out", str(path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(T=house.token),
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "Live: Echo\n"
        process.send_signal(signal.SIGINT)
        # stdin stays open: the thread that reads it must not keep the process.
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == ""
    assert load(path).warnings == ()


def test_on_a_terminal(lab) -> None:
    """Colour for status lines, the help, and typing."""
    house = lab()
    outer, inner = pty.openpty()
    with subprocess.Popen(
        command("chat", house.url, "--bot", "echo", "--token-env", "T"),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=environment(T=house.token, TERM="xterm"),
    ) as process:
        os.close(inner)
        seen = b""
        os.write(outer, b"hello\n")
        while b"Echo: hello" not in seen:
            seen += os.read(outer, 65_536)
        os.write(outer, b"/quit\n")
        assert process.wait(PATIENCE) == 0
    os.close(outer)
    assert b"\x1b[2mLive: Echo\x1b[0m" in seen
    assert b"/quit ends" in seen
    assert b"is typing" in seen


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json"], "--json needs --once"),
        (["--once", "x", "--out", "/nowhere/f.jsonl"], "cannot be written: No such file"),
        (["--once", "x", "--out", "/etc/hostname"], "--overwrite"),
    ],
)
def test_what_cannot_work(chatkit, arguments, words) -> None:
    """Exit code 2 and its own message."""
    done = chatkit("chat", "http://127.0.0.1:1", "--bot", "b", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


# The transcript alone


class Pretence:
    """What a transcript asks of a client."""

    def __init__(self) -> None:
        self.messages: list[SimpleNamespace] = []
        self.typing_users = ()
        self.ended = ()
        self.status = Status()


def message(key: str, text: str, state: str) -> SimpleNamespace:
    """A bot's message."""
    return SimpleNamespace(key=key, text=text, state=state, author="Bot", via="websocket")


def test_two_streams_do_not_mix(capsys) -> None:
    """The second waits until the first is whole; a whole that differs from its pieces is said again."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    client.messages = [message("r1", "a", "streaming"), message("r2", "x", "streaming")]
    transcript.see("message")
    client.messages = [message("r1", "a", "streaming"), message("r2", "xy", "complete")]
    transcript.see("message")
    client.messages[0] = message("r1", "abc", "complete")
    transcript.see("message")
    client.messages.append(message("r3", "12", "streaming"))
    transcript.see("message")
    client.messages[2] = message("r3", "1…2", "complete")
    transcript.see("message")
    client.messages.append(message("r4", "half", "streaming"))
    transcript.see("message")
    client.messages[3] = message("r4", "half", "interrupted")
    transcript.see("message")
    transcript.finish()
    assert capsys.readouterr().out.splitlines() == [
        "Bot: abc",
        "Bot: xy",
        "Bot: 12",
        "Bot (whole): 1…2",
        "Bot: half [interrupted]",
    ]


def test_states_in_words(capsys) -> None:
    """Each change once; stable is no news."""
    client = Pretence()
    transcript = Transcript(client)  # type: ignore[arg-type]
    for status in (
        Status(state=State.CONNECTING),
        Status(state=State.CONNECTED, bot="B\x1b"),
        Status(state=State.STABLE, bot="B\x1b"),
        Status(state=State.FAILED, because="gave up\nafter 5"),
        Status(state=State.CLOSED),
    ):
        client.status = status
        transcript.see("state")
        transcript.see("state")
    assert capsys.readouterr().err.splitlines() == ["Live: B␛", "Failed: gave up after 5"]
