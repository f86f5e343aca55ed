"""The Investigate panel without a browser: consent, progress, the end, and that nothing is lost or leaked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from chatkit.client.engine import engine
from chatkit.errors import ConnectFailed, InvalidInput
from chatkit.experiments.result import Investigation
from chatkit.lab import LabServer
from chatkit.widgets import Investigate
from chatkit.widgets import investigate as module
from tests.views.standings import RUNNING
from tests.views.test_investigation import FOUND
from tests.views.test_proof import HOLDS
from tests.views.verdicts import HEALTHY, HOSTILE, NASTY

DEADLINE = 20.0
SECRET = "a-token-that-nobody-may-see"
AWAY = "https://chat.example.com"


class Backend:
    """Investigations that a test leads: what they were asked for, and when they end."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.result: Investigation | Exception = FOUND
        self.go = asyncio.Event()
        self.deaf = False
        self.cut = False

    async def __call__(self, url: str, **options: Any) -> Investigation:
        self.asked.append({"url": url, **options})
        options["on_progress"](RUNNING)
        try:
            while not self.go.is_set() and (self.deaf or not options["stop"].is_set()):
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cut = True
            raise
        if isinstance(self.result, Exception):
            raise self.result
        return replace(self.result, why="interrupted") if options["stop"].is_set() else self.result

    def finish(self) -> None:
        engine().do(self.go.set)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """In the place of the real one."""
    fake = Backend()
    monkeypatch.setattr(module, "investigate", fake)
    yield fake
    engine().close()


def press(window: Investigate, what: str, **content: Any) -> None:
    """What the browser sends when the user does something."""
    window._received(window.panel, {"type": what, **content}, [])


def fill(window: Investigate, **values: Any) -> None:
    """The user changes fields."""
    for name, value in values.items():
        press(window, "form", name=name, value=value)
    eventually(lambda: all(window.panel.form[name] == value for name, value in values.items()))


def eventually(what: Callable[[], object]) -> None:
    """Waits for something that another thread brings about."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def phase(window: Investigate) -> str:
    found: str = window.panel.state["phase"]
    return found


def traits(window: Investigate) -> str:
    """All that the browser is told, and that a notebook may store."""
    names = ("form", "state", "head", "bars", "arms", "probes", "notes", "found")
    return json.dumps({name: getattr(window.panel, name) for name in names})


def test_an_empty_form() -> None:
    """Nothing is permitted and nothing is asked for before somebody says where."""
    window = Investigate()
    form = window.panel.form
    assert (form["url"], form["bot"], form["budget"]) == ("", "", "90")
    assert (form["chat"], form["intrusive"], form["ready"]) == (False, False, False)
    assert phase(window) == "idle"
    assert window._repr_mimebundle_()["text/plain"].startswith("chatkit investigation")
    with pytest.raises(InvalidInput, match="there is no result yet"):
        window.investigation  # noqa: B018
    window.close()


def test_from_start_to_verdict(backend: Backend) -> None:
    """The panel moves, then the card takes its place; the value is there for the next cell."""
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET, budget=30)
    press(window, "start")
    eventually(lambda: "first round: 8 arms" in window.panel.head)
    assert phase(window) == "running"
    assert window.running
    assert "early-ping-abort" in window.panel.bars
    assert "RST by server" in window.panel.arms
    backend.finish()
    found = window.wait(DEADLINE)
    eventually(lambda: phase(window) == "idle")
    assert found is window.investigation is FOUND
    assert "The server aborts any connection" in window.panel.found
    assert window.panel.head == window.panel.arms == ""
    asked = backend.asked[0]
    assert (asked["url"], asked["bot"], asked["token"]) == ("http://127.0.0.1:8000", "echo", SECRET)
    assert (asked["budget"], asked["chat"], asked["intrusive"], asked["verify"]) == (30.0, True, False, False)
    assert SECRET not in traits(window)
    window.close()


@pytest.mark.parametrize(("answer", "sent"), [("yes", True), ("no", False)])
def test_chat_on_another_machine_is_asked_for(backend: Backend, answer: str, sent: bool) -> None:
    """A tick is not enough: what it means is said first."""
    window = Investigate(AWAY, "echo", SECRET)
    assert window.panel.form["chat"] is False
    fill(window, chat=True)
    press(window, "start")
    eventually(lambda: phase(window) == "asking")
    question = window.panel.state["question"]
    assert question["about"] == "chat"
    assert "chat.example.com is not this machine" in question["text"]
    assert "cost money" in question["text"]
    assert backend.asked == []
    press(window, "answer", about="chat", answer=answer)
    eventually(lambda: backend.asked)
    assert backend.asked[0]["chat"] is sent
    assert window.panel.state["question"] == {}
    window.close()


def test_without_a_tick_nothing_is_sent_and_nothing_asked(backend: Backend) -> None:
    """Away from this machine."""
    window = Investigate(AWAY, "echo", SECRET)
    press(window, "start")
    eventually(lambda: backend.asked)
    assert backend.asked[0]["chat"] is False
    window.close()


def test_intrusive_needs_a_second_yes_everywhere(backend: Backend) -> None:
    """On this machine, too; both questions come one after the other; Cancel begins nothing."""
    window = Investigate("http://localhost:8000", "echo", SECRET)
    fill(window, intrusive=True)
    press(window, "start")
    eventually(lambda: phase(window) == "asking")
    assert window.panel.state["question"]["about"] == "intrusive"
    press(window, "answer", about="intrusive", answer="cancel")
    eventually(lambda: phase(window) == "idle")
    assert backend.asked == []
    press(window, "start")
    eventually(lambda: phase(window) == "asking")
    press(window, "answer", about="chat", answer="yes")  # an answer to another question is none
    press(window, "answer", about="intrusive", answer="yes")
    eventually(lambda: backend.asked)
    assert backend.asked[0]["intrusive"] is True
    window.close()


def test_both_questions_away(backend: Backend) -> None:
    """Each is answered for itself."""
    window = Investigate(AWAY, "echo", SECRET)
    fill(window, chat=True, intrusive=True)
    press(window, "start")
    eventually(lambda: phase(window) == "asking")
    press(window, "answer", about="chat", answer="yes")
    eventually(lambda: window.panel.state["question"].get("about") == "intrusive")
    press(window, "answer", about="intrusive", answer="no")
    eventually(lambda: backend.asked)
    assert (backend.asked[0]["chat"], backend.asked[0]["intrusive"]) == (True, False)
    window.close()


def test_another_url_takes_back_what_was_ticked(backend: Backend) -> None:
    """A yes is for one host."""
    window = Investigate("http://127.0.0.1:1", "echo", SECRET, chat=True, intrusive=True)
    press(window, "form", name="url", value=AWAY)
    eventually(lambda: window.panel.form["url"] == AWAY)
    assert (window.panel.form["chat"], window.panel.form["intrusive"]) == (False, False)
    fill(window, url="ws://localhost:2")
    assert window.panel.form["chat"] is True
    fill(window, intrusive=True)
    press(window, "start")
    eventually(lambda: phase(window) == "asking")
    window.close()


def test_what_code_permits_is_not_asked_again(backend: Backend) -> None:
    """``start`` never asks; what was not permitted is left out."""
    window = Investigate(AWAY, "echo", SECRET, chat=True, intrusive=True)
    window.start()
    eventually(lambda: backend.asked)
    assert (backend.asked[0]["chat"], backend.asked[0]["intrusive"]) == (True, True)
    with pytest.raises(InvalidInput, match="under way"):
        window.start()
    window.close()
    other = Investigate(AWAY, "echo", SECRET)
    fill(other, chat=True, intrusive=True)
    other.start(verify=True)
    eventually(lambda: len(backend.asked) == 2)
    assert (backend.asked[1]["chat"], backend.asked[1]["intrusive"], backend.asked[1]["verify"]) == (False, False, True)
    other.close()


def test_a_typed_token_is_used_and_kept_out_of_sight(backend: Backend) -> None:
    """It comes once, and no trait ever holds it; it replaces a login."""
    window = Investigate("http://127.0.0.1:8000", "echo", user="me", password="pass-word")
    press(window, "start", token=f" {SECRET} ")
    eventually(lambda: backend.asked)
    assert (backend.asked[0]["token"], backend.asked[0]["user"], backend.asked[0]["password"]) == (SECRET, None, None)
    assert window.panel.form["ready"] is True
    backend.finish()
    window.wait(DEADLINE)
    eventually(lambda: phase(window) == "idle")
    press(window, "start", token="")
    eventually(lambda: len(backend.asked) == 2)
    assert backend.asked[1]["token"] == SECRET
    assert SECRET not in traits(window) + repr(window)
    assert "pass-word" not in traits(window)
    window.close()


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"url": ""}, "no backend is named"),
        ({"bot": ""}, "no bot is named"),
        ({"budget": "long"}, "that is no budget"),
        ({"budget": "nan"}, "that is no budget"),
        ({"url": "gopher://x"}, "this is no URL of a backend"),
    ],
)
def test_mistakes_are_sentences(backend: Backend, form: dict[str, str], sentence: str) -> None:
    """In the panel; and raised where code asked."""
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    fill(window, **form)
    press(window, "start")
    eventually(lambda: window.panel.state.get("problem"))
    assert window.panel.state["problem"].startswith(sentence)
    assert phase(window) == "idle"
    assert backend.asked == []
    with pytest.raises(InvalidInput, match=sentence):
        window.start()
    window.close()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConnectFailed("nobody listens", target="http://127.0.0.1:8000", stage="tcp"), "nobody listens"),
        (ValueError("odd"), "chatkit failed: ValueError: odd"),
        (ValueError("?token=abcdefgh"), "chatkit failed: ValueError: ?token=[redacted]"),
    ],
)
def test_a_failure_is_a_sentence(backend: Backend, error: Exception, sentence: str) -> None:
    """No traceback, no secret; the last look stays; it can be started again."""
    backend.result = error
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    press(window, "start")
    eventually(lambda: window.panel.arms)
    backend.finish()
    eventually(lambda: phase(window) == "idle")
    assert window.panel.state["problem"].startswith(sentence)
    assert "Traceback" not in traits(window)
    with pytest.raises(InvalidInput, match="there is no result"):
        window.wait(DEADLINE)
    backend.result = FOUND
    press(window, "start")
    eventually(lambda: window.panel.found)
    assert window.wait(DEADLINE) is FOUND
    assert window.panel.state["problem"] == ""
    window.close()


def test_stop_shows_what_is_known(backend: Backend) -> None:
    """The investigation hears it and concludes."""
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    press(window, "start")
    eventually(lambda: window.panel.arms)
    press(window, "stop")
    eventually(lambda: phase(window) == "idle")
    assert window.investigation.why == "interrupted"
    assert "it was stopped" in window.panel.found
    window.stop()
    window.close()


def test_stop_cuts_what_does_not_listen(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time; the last look stays, with what the recording says."""
    monkeypatch.setattr(module, "STOP_TIMEOUT", 0.05)
    backend.deaf = True
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    press(window, "start")
    eventually(lambda: window.panel.arms)
    press(window, "stop")
    eventually(lambda: phase(window) == "idle")
    assert backend.cut
    assert "stopped: what was known until then" in window.panel.head
    assert "Verdict" in window.panel.found
    assert window.panel.state["problem"] == ""
    window.close()


def test_closing_ends_what_runs(backend: Backend) -> None:
    """No task stays; twice is fine."""
    backend.deaf = True
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    press(window, "start")
    eventually(lambda: window.panel.arms)
    window.close()
    assert backend.cut
    assert not window.running
    window.close()


def test_a_cell_that_is_run_again_leaks_nothing(backend: Backend) -> None:
    """A second panel on the same bot takes the place of the first."""
    backend.deaf = True
    first, second = (Investigate("http://127.0.0.1:8000", "echo", SECRET) for _ in range(2))
    first.start()
    eventually(lambda: first.panel.arms)
    second.start()
    eventually(lambda: len(backend.asked) == 2)
    assert backend.cut
    assert not first.running
    assert second.running
    for window in (first, second):
        window.close()


@pytest.mark.parametrize(
    ("found", "offered"),
    [
        (FOUND, True),
        (replace(FOUND, verification=HOLDS), False),
        (replace(FOUND, diagnosis=HEALTHY), False),
        (replace(FOUND, diagnosis=HOSTILE), False),
    ],
)
def test_the_cure_can_be_tried_where_there_is_one(backend: Backend, found: Investigation, offered: bool) -> None:
    """The button does the whole again, with the trial at its end."""
    backend.result = found
    backend.go.set()
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    press(window, "start")
    eventually(lambda: window.panel.found and phase(window) == "idle")
    assert window.panel.state["verify"] is offered
    press(window, "verify")
    eventually(lambda: len(backend.asked) == 2)
    assert [asked["verify"] for asked in backend.asked] == [False, True]
    window.close()


def test_state_survives_another_display(backend: Backend) -> None:
    """All of it is in traits: a view that is made later is told the same."""
    backend.go.set()
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    fill(window, budget="45")
    press(window, "start")
    eventually(lambda: window.panel.found and phase(window) == "idle")
    state = window.panel.get_state()
    assert state["form"]["budget"] == "45"
    assert "The server aborts" in state["found"]
    assert state["state"]["phase"] == "idle"
    window.close()


def test_hostile_commands_and_texts(backend: Backend) -> None:
    """Nothing happens that no button does; what a backend says is shown as text."""
    backend.result = replace(FOUND, diagnosis=HOSTILE, target=NASTY)
    backend.go.set()
    window = Investigate("http://127.0.0.1:8000", "echo", SECRET)
    for content in ({}, {"type": "boom"}, {"type": "form", "name": "bots", "value": []}, {"type": "answer"}):
        window._received(window.panel, content, [])
    press(window, "stop")
    fill(window, bot=NASTY)
    press(window, "start")
    eventually(lambda: window.panel.found)
    assert window.panel.form["bots"] == []
    assert "<script" not in window.panel.found
    assert "<img" not in window.panel.found
    window.close()


def test_against_a_real_lab() -> None:
    """Bots and login are the lab's; probes and arms come by themselves; Stop concludes with what was seen."""
    with LabServer(faults=["early-ping-abort:window=3"]) as lab:
        window = Investigate(lab, budget=30)
        assert window.panel.form["bots"][0]["id"] == "echo" == window.panel.form["bot"]
        press(window, "start")
        eventually(lambda: "ping-at-0s" in window.panel.arms)
        assert "GET 200" in window.panel.probes
        window.stop()
        eventually(lambda: phase(window) == "idle")
        assert window.investigation.why == "interrupted"
        assert "Experiments" in window.panel.found
        assert "eyJ" not in traits(window)
        window.close()
