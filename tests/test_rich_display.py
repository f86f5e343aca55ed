"""Every public value as the bundle that a notebook shows: VS Code and Colab show the same static HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from msgspec.structs import replace

import chatkit
from chatkit.client.delivery import Reply
from chatkit.events import AttemptStarted
from chatkit.experiments.since import Changed, Since
from chatkit.policy.storm import simulate
from chatkit.preflight.report import Check, CheckReport
from chatkit.saving import saving
from chatkit.trace import Header, Origin, Trace
from tests.builders import event, incident_trace
from tests.views.test_investigation import FOUND
from tests.views.test_proof import HOLDS
from tests.views.verdicts import HEALTHY, HOSTILE, NASTY

TRACE = incident_trace()
EVIL = Trace.of(
    [event(AttemptStarted, url=NASTY, connection=NASTY)], Header(origin=Origin(kind="file", file=NASTY), epoch=0.0)
)
MOST = 60_000
"""Characters of one output."""


def changed(text: str) -> Since:
    return Since(
        former_verdict="fault",
        former_cause=text,
        now_verdict="no-fault",
        now_cause=None,
        changed=(Changed(id=text, former=text, now=text),) * 200,
        same=3,
        sentence=text,
    )


def report(text: str) -> CheckReport:
    line = Check(id="tcp", status="fail", title=text, summary=text, remedy=text)
    return CheckReport(target=text, elapsed_s=1.0, checks=(line,) * 200)


VALUES: dict[str, Any] = {
    "trace": TRACE,
    "connection": TRACE.connections[0],
    "ending": TRACE.connections[0].ending,
    "traffic": TRACE.traffic(),
    "saving": saving(TRACE.traffic(), TRACE.traffic()),
    "diagnosis": chatkit.diagnose(TRACE),
    "healthy": HEALTHY,
    "investigation": FOUND,
    "proof": HOLDS,
    "since": changed("the fault is gone"),
    "check": report("connected in 1 ms"),
    "reply": Reply(text="hello", via="websocket"),
    "storm": simulate(outage_s=10, clients=5),
    "hostile trace": EVIL,
    "hostile connection": EVIL.connections[0],
    "hostile traffic": EVIL.traffic(),
    "hostile diagnosis": HOSTILE,
    "hostile investigation": replace(FOUND, target=NASTY, diagnosis=HOSTILE),
    "hostile since": changed(NASTY),
    "hostile check": report(NASTY),
    "hostile reply": Reply(text=NASTY * 40, via="http"),
}


def bundle(value: Any) -> dict[str, Any]:
    data, _ = DisplayFormatter().format(value)
    if value.__class__.__module__.startswith("chatkit.widgets") and not data:
        data = value._repr_mimebundle_()
    return data


def held(shown: str) -> None:
    """No script, no address to load from, nothing that breaks out of its place."""
    assert "<script" not in shown.lower()
    assert not re.search(r"<(?:img|link|iframe|object|embed|base|form)\b", shown, re.IGNORECASE)
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["'(]?\s*(?:https?:)?//""", shown, re.IGNORECASE)
    assert not re.search(r"<[^>]*\son\w+\s*=", re.sub(r"""(["'])(?:(?!\1).)*\1""", "", shown))
    assert len(shown) <= MOST


@pytest.mark.parametrize("name", VALUES)
def test_a_value_shows_itself(name: str) -> None:
    """In text and in static HTML."""
    data = bundle(VALUES[name])
    assert {"text/plain", "text/html"} <= set(data)
    assert data["text/plain"]
    assert not re.match(r"[A-Z]\w+\(", data["text/plain"]), "the words, not the fields"
    held(data["text/html"])
    if name.startswith("hostile"):
        assert "\x1b" not in data["text/html"]
        assert "\u202e" not in data["text/html"]


@pytest.mark.parametrize("name", ["connection", "ending", "check", "since", "reply", "diagnosis", "investigation"])  # fmt: skip
def test_a_card_has_a_dark_face(name: str) -> None:
    """JupyterLab's variables where they are, the system's wish elsewhere."""
    shown = bundle(VALUES[name])["text/html"]
    assert "prefers-color-scheme: dark" in shown
    assert "var(--jp-" in shown


@pytest.fixture(scope="module")
def lab() -> Iterator[chatkit.LabServer]:
    lab = chatkit.start_lab()
    yield lab
    lab.close()


def test_live_objects_show_themselves_without_their_secrets(lab: chatkit.LabServer) -> None:
    """The lab, a conversation, its message."""
    chat = chatkit.connect(lab.url, lab.bots[0].id, user=lab.user, password=lab.password)
    try:
        delivery = chat.send("<b>hello</b>")
        reply = delivery.wait(20)
        for value in (lab, chat, delivery, reply):
            data = bundle(value)
            held(data["text/html"])
            shown = data["text/html"] + data["text/plain"]
            assert chat.token is not None
            assert chat.token not in shown
        assert "&lt;b&gt;hello&lt;/b&gt;" in bundle(delivery)["text/html"]
    finally:
        chat.close()


@pytest.mark.parametrize(
    "make",
    [
        chatkit.Console,
        chatkit.Investigate,
        lambda: chatkit.TimelineExplorer(TRACE),
        lambda: chatkit.Verdict(TRACE),
    ],
    ids=["console", "investigate", "explorer", "verdict"],
)
def test_a_window_has_words_for_where_no_widget_shows(make: Callable[[], Any]) -> None:
    """Stable text beside the widget's own type."""
    window = make()
    data = window._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"]
    assert "object at 0x" not in data["text/plain"]
    window.close()
