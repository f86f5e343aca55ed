"""The explorer's kernel side: messages fed by hand, no browser."""

from __future__ import annotations

import time

import pytest

from builders import HEADER, event, incident_trace, trace
from chatkit.errors import InvalidInput
from chatkit.events import HealthChecked
from chatkit.recorder import Recorder
from chatkit.widgets import TimelineExplorer


def until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def test_closing_takes_the_subscription_away():
    recorder = Recorder()
    explorer = TimelineExplorer(recorder)
    until(lambda: recorder._subscribers)
    explorer.close()
    explorer.close()
    assert not recorder._subscribers
    until(lambda: not explorer._feed._running)
    recorder.close()


def sent_by(explorer: TimelineExplorer, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    sent: list[dict] = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append(content))
    return sent


def test_a_click_is_answered_by_the_event_in_full(monkeypatch):
    explorer = TimelineExplorer(incident_trace())
    sent = sent_by(explorer, monkeypatch)
    explorer._receive(explorer, {"kind": "detail", "client": "a", "row": 7}, [])
    (answer,) = sent
    assert (answer["kind"], answer["to"], answer["row"]) == ("detail", "a", 7)
    assert answer["line"] == str(incident_trace()[7])
    explorer._receive(explorer, {"kind": "hover", "client": "a", "row": 7}, [])
    assert sent[-1]["line"] == answer["line"]


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "detail", "row": 10_000},
        {"kind": "detail", "row": -1},
        {"kind": "hello"},
        {"kind": "painted", "held": {"ticks": "x"}},
        {"kind": "dance"},
        {},
    ],
)
def test_a_bad_message_is_refused_with_a_reason(monkeypatch, message):
    explorer = TimelineExplorer(incident_trace())
    sent = sent_by(explorer, monkeypatch)
    explorer._receive(explorer, message, [])
    assert sent[-1]["kind"] == "refused"
    assert sent[-1]["because"]


def test_what_is_selected_comes_back_as_a_trace():
    explorer = TimelineExplorer(incident_trace())
    explorer.rows = [3, 7]
    assert explorer.selected == ["3", "7"]
    assert [event.id for event in explorer.selection] == ["3", "7"]
    explorer.selected = ["12"]
    assert explorer.rows == [12]
    assert len(explorer.selection) == 1


def test_it_says_what_it_is_in_plain_text():
    explorer = TimelineExplorer(incident_trace())
    assert repr(explorer) == "Timeline of 4 connections, 148 events"
    bundle = explorer._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == repr(explorer)
    assert "application/vnd.jupyter.widget-view+json" in data


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="hieght"):
        TimelineExplorer(incident_trace(), hieght=3)
    with pytest.raises(InvalidInput, match="nothing to explore"):
        TimelineExplorer("incident.har")
    with pytest.raises(InvalidInput, match="alignment"):
        TimelineExplorer(incident_trace(), align="close")


def test_a_trace_without_connections_can_be_explored():
    checked = event(HealthChecked, 0.0, None, method="GET", healthy=True, seconds=0.003, status=200)
    assert repr(TimelineExplorer(trace(checked))) == "Timeline of 0 connections, 1 event"
    assert HEADER.epoch
