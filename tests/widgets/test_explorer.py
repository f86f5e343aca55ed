"""The explorer's kernel side: messages fed by hand, no browser; flow control by a clock of its own."""

from __future__ import annotations

import time

import pytest

from builders import HEADER, event, incident_trace, trace
from chatkit.clock import ManualClock
from chatkit.errors import InvalidInput
from chatkit.events import HealthChecked, Noted, StateChanged
from chatkit.recorder import Recorder
from chatkit.views import packet
from chatkit.views.sheet import Cursor
from chatkit.widgets import TimelineExplorer
from chatkit.widgets.feed import EVERYBODY, Feed
from chatkit.widgets.flow import MOST_SENDS, PATIENCE, Flow


class Browser:
    """Receives blocks as the page does and keeps count of what it holds."""

    def __init__(self) -> None:
        self.blocks: list[tuple[str, dict]] = []
        self.held = Cursor()

    def send(self, to: str, block: bytes) -> bool:
        header, _ = packet.decode(block)
        self.blocks.append((to, header))
        self.held = Cursor(**header["until"])
        return True


def until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


A, B, C = Cursor(1, 1, 1, 0), Cursor(2, 1, 2, 0), Cursor(3, 1, 2, 1)


def test_the_next_delta_waits_for_the_paint():
    flow = Flow(Cursor())
    assert flow.wait(0.0, Cursor()) is None, "nothing to send"
    assert flow.wait(0.0, A) == 0.0
    flow.sent(0.0, A, 100)
    assert flow.wait(0.1, A) is None
    assert flow.wait(0.1, B) == pytest.approx(0.9), "something new waits for the word about what was sent"
    assert flow.painted(A)
    assert flow.wait(0.1, B) == 0.0
    assert flow.held == A


def test_without_any_word_it_goes_on_once_a_second_from_what_is_known_to_be_there():
    flow = Flow(A)
    flow.sent(0.0, B, 100)
    assert flow.wait(PATIENCE, C) == 0.0
    assert flow.held == A, "the next delta contains the one that may be lost"
    flow.sent(1.0, C, 100)
    assert flow.wait(1.5, Cursor(9, 1, 2, 1)) == pytest.approx(0.5)
    assert flow.painted(B), "a late word"
    assert flow.held == B


def test_big_unacknowledged_deltas_are_paced_and_somebody_silent_is_gone():
    flow = Flow(Cursor())
    flow.sent(0.0, A, 40_000_000)
    assert flow.wait(1.0, B) == pytest.approx(9.0)
    flow.sent(10.0, B, 40_000_000)
    assert flow.gone
    assert flow.wait(1000.0, C) is None
    many = Flow(Cursor())
    for n in range(MOST_SENDS):
        many.sent(float(n), Cursor(ticks=n + 1), 10)
    assert many.gone


def test_a_wrong_count_brings_everything_again():
    flow = Flow(A)
    flow.sent(0.0, C, 10)
    assert not flow.painted(Cursor(7, 7, 7, 7))
    assert flow.held == Cursor()
    assert flow.wait(0.1, C) == 0.0


def test_a_paint_of_what_went_to_everybody_is_no_mismatch():
    flow = Flow(A)
    assert flow.painted(B)
    assert flow.held == B
    assert not flow.painted(A), "less than it held"
    assert flow.held == Cursor()


def test_a_trace_is_complete_in_the_first_block():
    browser = Browser()
    feed = Feed(incident_trace(), browser.send)
    header, _ = packet.decode(feed.first_block())
    assert header["events"] == 148
    feed.hello("a", Cursor(**header["until"]))
    assert browser.blocks == []
    feed.hello("b", Cursor())
    assert [to for to, _ in browser.blocks] == ["b"]
    feed.painted("b", browser.held)
    assert len(browser.blocks) == 1
    feed.hello("c", Cursor(10**6, 0, 0, 0))
    assert browser.blocks[-1][1]["since"]["ticks"] == 0, "who claims the impossible gets everything"


def test_a_recorder_is_followed_step_by_step():
    clock, browser = ManualClock(), Browser()
    recorder = Recorder(clock=clock)
    feed = Feed(recorder, browser.send)
    feed.first_block()
    recorder.record(Noted, text="one")
    feed.step(0.0)
    assert [to for to, _ in browser.blocks] == [EVERYBODY], "the first paint waits for nobody"
    recorder.record(Noted, text="two")
    assert feed.step(0.5) == pytest.approx(0.5)
    feed.step(1.0)
    assert browser.blocks[-1][1]["since"]["marks"] == 0, "from what is known to be there"
    feed.hello("a", browser.held)
    recorder.record(Noted, text="three")
    feed.step(1.1)
    recorder.record(Noted, text="four")
    recorder.record(Noted, text="five")
    assert feed.step(1.2) is not None
    feed.painted("a", browser.held)
    to, last = browser.blocks[-1]
    assert (to, last["since"]["marks"], last["until"]["marks"]) == ("a", 3, 5), "coalesced"
    trace, place = feed.find(4)
    assert str(trace[place]) == "note: five"
    recorder.close()


def test_live_deltas_come_from_a_thread_and_end_with_the_recording():
    browser = Browser()
    recorder = Recorder()
    feed = Feed(recorder, browser.send)
    feed.first_block()
    feed.start()
    recorder.record(StateChanged, state="connecting")
    until(lambda: browser.held.marks == 1)
    assert browser.blocks[0][1]["live"] is True
    feed.hello("a", browser.held)
    recorder.close()
    until(lambda: browser.held.marks == 2)
    assert browser.blocks[-1][1]["live"] is False
    feed.painted("a", browser.held)
    until(lambda: not feed._running)
    assert not recorder._subscribers


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
