"""Who holds how much of a recording, and what each is sent: steps by hand, then a thread of its own."""

from __future__ import annotations

import time

import pytest

from builders import incident_trace, trace
from chatkit.clock import ManualClock
from chatkit.errors import InvalidInput
from chatkit.events import Noted, StateChanged
from chatkit.recorder import Recorder
from chatkit.views import packet
from chatkit.views.sheet import Cursor
from chatkit.widgets.feed import EVERYBODY, MOST_RECEIVERS, Feed


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


def test_an_event_is_found_in_the_stretch_that_holds_it() -> None:
    """Over all stretches that a recording came in; what is not there is an IndexError."""
    with Recorder(clock=ManualClock()) as recorder:
        feed = Feed(recorder, Browser().send)
        for n in range(4):
            recorder.record(Noted, text=f"note {n}")
            feed.step(float(n))
        assert [str(part[place]) for part, place in map(feed.find, range(4))] == [f"note: note {n}" for n in range(4)]
        assert feed.counts() == (0, 4)
        for row in (-1, 4):
            with pytest.raises(IndexError, match="there are 4"):
                feed.find(row)


def test_a_bounded_recording_is_followed_past_what_it_dropped() -> None:
    """Each event once, found by row and by id; what was dropped before it was seen is not in the layout."""
    with Recorder(clock=ManualClock(), keep=1000) as recorder:
        feed = Feed(recorder, Browser().send)
        for n in range(2600):
            recorder.record(Noted, text=f"note {n}")
            if n in (99, 2599):
                feed.step(float(n))
        held = len(recorder.snapshot())
        feed.step(3000.0)
        feed.step(3001.0)
        assert feed.counts() == (0, 100 + held)
        assert [event.id for event in feed.pick([99, 3, 100 + held - 1])] == ["3", "99", "2599"]
        assert (feed.row("99"), feed.row("2599")) == (99, 100 + held - 1)
        with pytest.raises(InvalidInput, match="no such event"):
            feed.row("200")


def test_a_browser_that_left_gets_nothing_more() -> None:
    """Nor does leaving twice hurt."""
    browser = Browser()
    with Recorder(clock=ManualClock()) as recorder:
        feed = Feed(recorder, browser.send)
        feed.hello("a", Cursor())
        feed.bye("a")
        feed.bye("a")
        recorder.record(Noted, text="one")
        assert feed.step(1.0) is None
        assert browser.blocks == []


def test_only_so_many_browsers_are_served() -> None:
    """The one that came first goes first; when it speaks again it is back."""
    browser = Browser()
    feed = Feed(incident_trace(), browser.send)
    for n in range(MOST_RECEIVERS + 1):
        feed.hello(str(n), Cursor())
    assert [to for to, _ in browser.blocks] == [str(n) for n in range(MOST_RECEIVERS + 1)]
    feed.painted("0", Cursor())
    assert browser.blocks[-1][0] == "0"


def test_a_widget_that_is_gone_ends_the_feed() -> None:
    """The send says so."""
    with Recorder(clock=ManualClock()) as recorder:
        feed = Feed(recorder, lambda to, block: False)
        feed.first_block()
        assert feed.live
        recorder.record(Noted, text="one")
        feed.step(0.0)
        assert not feed.live


def test_a_trace_is_not_followed() -> None:
    """There is nothing to start, and closing is fine."""
    feed = Feed(trace(), Browser().send)
    feed.start()
    assert not feed.live
    feed.close()
