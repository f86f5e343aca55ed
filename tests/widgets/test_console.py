"""The console without a browser: what it shows, what it does when the user presses something."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chatkit
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.lab import LabServer
from chatkit.widgets import Console

DEADLINE = 20.0
CAPTURE = Path(__file__).parents[1] / "data" / "runbooks" / "wire-incident.pcap"


@pytest.fixture(scope="module")
def house() -> Iterator[LabServer]:
    """A lab on a thread."""
    with LabServer() as lab:
        yield lab


@pytest.fixture
def console(house: LabServer) -> Iterator[Console]:
    """A console that is connected to the lab's echo."""
    window = Console(house, bot="echo")
    yield window
    window.close()


def press(console: Console, **content: Any) -> None:
    """What the browser sends when the user does something."""
    console._received(console.panel, content, [])


def eventually(what: Callable[[], object]) -> None:
    """Waits for something that another thread brings about."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def shown(console: Console) -> dict[str, Any]:
    """All that the browser was told."""
    return {name: getattr(console.panel, name) for name in ("form", "view", "checks", "problem")}


def test_console_on_a_lab_is_connected_and_offers_its_bots(console: Console, house: LabServer) -> None:
    """URL, bots and state are there at once; the timeline follows the recording."""
    assert console.panel.form["url"] == house.url
    assert [bot["id"] for bot in console.panel.form["bots"]] == ["echo", "storyteller", "slow"]
    assert console.panel.view["state"]["word"] == "Live"
    assert type(console.desk.children[-1]).__name__ == "TimelineExplorer"
    assert console._repr_mimebundle_()["text/plain"].startswith("chatkit console")


def test_send_shows_the_message_and_one_reply(console: Console) -> None:
    """By button; the reply is there once, although it came twice."""
    press(console, type="typing")
    press(console, type="send", text="hello")
    eventually(lambda: any("shown once" in m["meta"] for m in console.panel.view["messages"]))
    assert [m["text"] for m in console.panel.view["messages"]] == ["hello", "hello"]


def test_a_mistake_is_a_sentence_in_the_console(console: Console) -> None:
    """Too long a message, an empty one."""
    press(console, type="send", text="x" * 10_001)
    eventually(lambda: "too long" in console.panel.problem)
    press(console, type="send", text=" ")
    eventually(lambda: "empty" in console.panel.problem)


def test_disconnect_and_connect_again(console: Console) -> None:
    """The button does what it says, and the chat is another one then."""
    first = console.chat
    press(console, type="disconnect")
    eventually(lambda: console.panel.view["state"]["word"] == "Closed")
    press(console, type="connect", url=first.url, bot="storyteller")
    eventually(lambda: console.panel.view["state"]["word"] == "Live")
    eventually(lambda: console.chat is not first)
    assert console.chat.client.bot == "storyteller"
    # The new recording is read from its start: its loop lag is found although the old one was longer.
    assert console._lag is None
    eventually(lambda: console._latest_lag(console.chat) is not None)


def test_check_fills_in_line_by_line(console: Console, house: LabServer) -> None:
    """Lines appear while it runs; the text can be copied and holds no secret."""
    press(console, type="check", url=house.url, bot="echo")
    eventually(lambda: console.panel.checks.get("text"))
    statuses = {line["title"]: line["status"] for line in console.panel.checks["lines"]}
    assert statuses["Upgrade"] == "pass"
    assert "eyJ" not in json.dumps(console.panel.checks)


def test_no_secret_is_in_a_trait(console: Console, house: LabServer) -> None:
    """Neither token nor password is anywhere in what the browser gets."""
    text = json.dumps(shown(console))
    assert "eyJ" not in text
    assert house.password not in (console.panel.form["user"], *console.panel.form.values())


def test_retry_and_token_resume_a_client_that_needs_one(house: LabServer) -> None:
    """An expired token: the console says so; a new one typed into it connects."""
    window = Console(house, bot="echo")
    try:
        press(window, type="disconnect")
        eventually(lambda: window.panel.view["state"]["word"] == "Closed")
        press(window, type="connect", url=house.url, bot="echo", token=house.token_for("ada", ttl=-60))
        eventually(lambda: "token" in window.panel.problem)
        press(window, type="connect", url=house.url, bot="echo", token=house.token)
        eventually(lambda: window.panel.view["state"]["word"] == "Live")
    finally:
        window.close()


def test_unconnected_console_says_what_to_do(house: LabServer) -> None:
    """A form; its chat is not there; a refused connection is told in words."""
    window = Console()
    try:
        with pytest.raises(InvalidInput, match="not connected"):
            _ = window.chat
        press(window, type="connect", url="http://127.0.0.1:1", bot="echo", token="x.y.z")
        eventually(lambda: "refused" in window.panel.problem)
        press(window, type="connect", url=house.url, bot="")
        eventually(lambda: "no bot is named" in window.panel.problem)
        press(window, type="connect", url="gopher://x", bot="b", token="t")
        eventually(lambda: "no URL of a backend" in window.panel.problem)
    finally:
        window.close()


def test_console_over_a_chat_that_exists(house: LabServer) -> None:
    """It attaches; closing the window closes the chat."""
    chat = chatkit.connect(house.url, "echo", token=house.token)
    window = Console(chat)
    assert window.chat is chat
    assert window.panel.view["bot"] == "Echo"
    window.close()
    assert chat.status.word == "Closed"


def test_constructor_raises_what_cannot_work() -> None:
    """In a cell a sentence is better than an empty window."""
    with pytest.raises(ConnectFailed, match="refused"):
        Console("http://127.0.0.1:1", bot="echo", token="x.y.z")


def test_the_same_call_again_takes_over_the_conversation(house: LabServer) -> None:
    """One connection; the former window says where it went."""
    first = Console(house, bot="slow")
    chat = first.chat
    again = Console(house, bot="slow")
    try:
        assert again.chat is chat
        assert len(chat.trace.connections) == 1
        assert "made later" in first.panel.view["state"]["explain"]
        first.close()
        assert chat.status.live
    finally:
        again.close()


def test_dropped_evidence_is_read_and_taken_away(house: LabServer) -> None:
    """A bad file is a sentence; a capture becomes a verdict above the timeline, and ``evidence``."""
    window = Console()
    with pytest.raises(InvalidInput, match="no evidence"):
        _ = window.evidence
    for name, content in (("bad.har", b"nothing"), ("good.pcap", CAPTURE.read_bytes())):
        window._received(window.panel, {"type": "evidence", "names": [name], "size": len(content)}, [])
        window._received(window.panel, {"type": "evidence-piece", "file": 0}, [content])
        press(window, type="evidence-end")
        expected = "none" if name == "bad.har" else "shown"
        eventually(lambda expected=expected: window.panel.evidence["phase"] == expected)
        if expected == "none":
            eventually(lambda: "bad.har" in window.panel.problem)
    assert len(window.evidence.connections) > 1
    assert [type(one).__name__ for one in window.desk.children] == ["ConsolePanel", "Verdict"]
    press(window, type="evidence-close")
    eventually(lambda: window.panel.evidence["phase"] == "none")
    assert len(window.desk.children) == 1
    window.close()


def test_the_folder_keeps_queue_recording_and_exports(house: LabServer, tmp_path: Path) -> None:
    window = Console(house, bot="echo", folder=tmp_path / "incident")
    try:
        press(window, type="export", kind="jsonl")
        eventually(lambda: "incident" in window.panel.exported)
        names = {path.name for path in (tmp_path / "incident").iterdir()}
        assert {"outbox.db", "recording.jsonl"} <= names
        assert any(name.startswith("chatkit-jsonl-") for name in names)
    finally:
        window.close()
