"""The explorer's kernel side: messages fed by hand, no browser."""

from __future__ import annotations

import time

import numpy as np
import pytest

from builders import HEADER, event, incident_trace, trace
from chatkit.errors import InvalidInput
from chatkit.events import HealthChecked, Noted
from chatkit.formats import jsonl
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


def asked(explorer: TimelineExplorer, monkeypatch: pytest.MonkeyPatch, **message) -> tuple[dict, list[bytes]]:
    sent: list[tuple[dict, list[bytes]]] = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append((content, buffers)))
    explorer._receive(explorer, {"client": "a"} | message, [])
    explorer._searches.wait(10)
    return sent[-1]


def test_a_search_is_answered_by_a_bit_for_each_event(monkeypatch):
    explorer = TimelineExplorer(incident_trace())
    told, (bits,) = asked(explorer, monkeypatch, kind="search", text="sent type:ping", since=0)
    fits = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[: told["length"]]
    explorer.query = "sent type:ping"
    assert (told["count"], told["length"]) == (len(explorer.matching), 148)
    assert fits.nonzero()[0].tolist() == [int(event.id) for event in explorer.matching]
    later, _ = asked(explorer, monkeypatch, kind="search", text="", since=141)
    assert (later["since"], later["length"]) == (136, 12), "it begins with a whole byte"
    refused, _ = asked(explorer, monkeypatch, kind="search", text="/(/", since=0)
    assert (refused["kind"], refused["asked"]) == ("refused", "search")
    assert "character 1 of the query" in refused["because"]
    explorer.query = "("
    with pytest.raises(InvalidInput):
        _ = explorer.matching


def test_an_area_is_a_selection_and_a_table(monkeypatch):
    explorer = TimelineExplorer(incident_trace())
    layout = explorer._feed.layout()
    lanes = {lane.title: lane.code for lane in layout.lanes}
    explorer.area = {"since": 0.0, "until": 5.0, "lanes": [lanes["connection 1"], lanes["health"]], "aligned": False}
    chosen = explorer.selection
    assert {event.connection for event in chosen} == {"1", None}
    assert {type(event) for event in chosen if event.connection is None} == {HealthChecked}
    assert max(chosen.at) <= 5.0
    told, _ = asked(explorer, monkeypatch, kind="table", start=0)
    assert (told["count"], told["start"]) == (len(chosen), 0)
    assert [line[4] for line in told["lines"]] == [str(event) for event in chosen]
    rest, _ = asked(explorer, monkeypatch, kind="table", start=2)
    assert [line[:3] for line in rest["lines"]] == [line[:3] for line in told["lines"]][2:]
    explorer.query = "type:HealthChecked"
    assert {type(event) for event in explorer.selection} == {HealthChecked}
    explorer.query = ""
    explorer.area = {"since": -0.1, "until": 0.1, "lanes": list(lanes.values()), "aligned": True}
    assert {event.connection for event in explorer.selection if event.connection} == {"1", "2", "3", "4"}


def test_an_area_is_selected_from_python_as_with_the_mouse():
    explorer = TimelineExplorer(incident_trace())
    chosen = explorer.select_area(0, 5, ["1"])
    assert [event.id for event in chosen] == [event.id for event in explorer.selection]
    assert {event.connection for event in chosen} == {"1"}
    area = explorer.selected_area
    assert (area.since, area.until, area.connections, area.aligned) == (0.0, 5.0, ("1",), False)
    assert None in {event.connection for event in explorer.select_area(0, 50)}, "every lane"
    explorer.query = "type:Opened"
    assert len(explorer.select_area(0, 50)) == 4
    explorer.align = "open"
    assert {event.connection for event in explorer.select_area(-0.1, 0.1)} == {"1", "2", "3", "4"}
    assert explorer.selected_area.aligned
    explorer.query = ""
    assert None not in {event.connection for event in explorer.select_area(0, 50)}, "as in the aligned view"
    explorer.clear_selection()
    assert explorer.selected_area is None
    assert len(explorer.selection) == 0
    with pytest.raises(InvalidInput, match="since <= until"):
        explorer.select_area(2, 1)
    with pytest.raises(InvalidInput, match="one of 1, 2, 3, 4"):
        explorer.select_area(0, 1, ["9"])


def test_an_event_is_measured_from_the_reference(monkeypatch):
    trace = incident_trace()
    explorer = TimelineExplorer(trace)
    explorer.reference = 3
    told, _ = asked(explorer, monkeypatch, kind="detail", row=9)
    fields = dict(told["fields"])
    assert {"since the event before", "since the one before on this connection", "since the reference"} <= set(fields)
    told, _ = asked(explorer, monkeypatch, kind="detail", row=3)
    assert "since the reference" not in dict(told["fields"])


def test_notes_of_a_trace_are_in_its_trace(monkeypatch):
    explorer = TimelineExplorer(incident_trace())
    explorer.author = "ada"
    lane = next(lane.code for lane in explorer._feed.layout().lanes if lane.title == "connection 2")
    told, _ = asked(explorer, monkeypatch, kind="note", text="look\nhere", at=4.5, lane=lane, row=20)
    assert told["kind"] == "note"
    explorer.annotate("about that event", about="9")
    notes = list(explorer.trace.select(kinds={"Noted"}))
    assert [(one.text, one.author, one.connection, one.about) for one in notes] == [
        ("about that event", "ada", incident_trace()[9].connection, "9"),
        ("look here", "ada", "2", "20"),
    ]
    assert len(explorer.trace) == 150
    assert explorer._feed.layout().words[-1] == "note by ada: about that event"
    explorer.rows = [148]
    assert [event.text for event in explorer.selection] == ["look here"]
    for wrong in ({"text": "", "at": 0}, {"text": "x", "at": "soon"}, {"text": "x"}):
        assert asked(explorer, monkeypatch, kind="note", **wrong)[0]["kind"] == "refused"
    with pytest.raises(InvalidInput):
        explorer.annotate("when?")


def test_notes_of_a_running_recording_are_recorded(tmp_path):
    with Recorder(tmp_path / "r.jsonl") as recorder:
        recorder.record(HealthChecked, method="GET", healthy=True, seconds=0.1)
        explorer = TimelineExplorer(recorder)
        explorer.annotate("deployed", at=-3.0)
    note = next(event for event in jsonl.load(tmp_path / "r.jsonl") if isinstance(event, Noted))
    assert (note.text, note.author, note.moment) == ("deployed", "reader", -3.0)
    assert note.at >= 0
    until(lambda: not explorer._feed.live)
    explorer.annotate("after the end", at=1.0)
    assert [event.text for event in explorer.trace.select(kinds={"Noted"})][-1] == "after the end"
    assert len(recorder.snapshot().select(kinds={"Noted"})) == 1
    explorer.close()


def test_how_long_they_live_and_a_picture(monkeypatch):
    explorer = TimelineExplorer(incident_trace(), align="open", zone="UTC")
    told, _ = asked(explorer, monkeypatch, kind="survival")
    (curve,) = told["curves"]
    assert (curve["n"], curve["events"], curve["time"][0], curve["survival"][0]) == (4, 3, 0.0, 1.0)
    told, _ = asked(explorer, monkeypatch, kind="svg", since=0.0, until=2.0)
    assert told["svg"].startswith("<svg ")
    assert "from its opening" in explorer.to_svg()
