"""The Perfetto export: valid, balanced, sorted, and without a word that was not in the trace."""

from __future__ import annotations

import json
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chatkit.events import FrameSent, HttpRequested, LoopLagged, Opened, PingSent, TransportEnded
from chatkit.formats import perfetto
from chatkit.trace import Header, Origin, Trace, Vantage
from tests.builders import incident_trace
from tests.stories import ALL, STORY_OF_A_PING, story, text


def written(trace: Trace, folder: Path) -> list[dict[str, Any]]:
    """The events of the file, which is JSON as a whole."""
    path = folder / "x.perfetto.json"
    perfetto.dump(trace, path)
    return json.loads(path.read_text("utf-8"))["traceEvents"]


def check(events: list[dict[str, Any]]) -> None:
    """Names first; sorted; every begin has its one end, later or at once, with the same name and place."""
    timed = [event for event in events if event["ph"] != "M"]
    assert events[: len(events) - len(timed)] == [event for event in events if event["ph"] == "M"]
    assert [event["ts"] for event in timed] == sorted(event["ts"] for event in timed)
    assert all(isinstance(event["ts"], int) and event["ts"] >= 0 for event in timed)
    assert {event["ph"] for event in timed} <= {"b", "e", "i"}
    open_: dict[tuple[str, str], dict[str, Any]] = {}
    for event in timed:
        if event["ph"] == "b":
            assert (event["cat"], event["id"]) not in open_
            open_[event["cat"], event["id"]] = event
        elif event["ph"] == "e":
            begin = open_.pop((event["cat"], event["id"]))
            assert all(begin[key] == event[key] for key in ("name", "pid", "tid"))
    assert open_ == {}
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in timed} <= named


def test_the_incident(tmp_path: Path) -> None:
    """Connections, pings, HTTP, typing, streams and lag are spans; frames and ends are instants."""
    events = written(incident_trace(), tmp_path)
    check(events)
    spans = Counter(event["cat"] for event in events if event["ph"] == "b")
    assert spans == {"connection": 4, "ping": 5, "HTTP": 2, "typing": 3, "streaming": 3, "loop lag": 43}
    endings = [event["args"]["ending"] for event in events if event["ph"] == "e" and event["cat"] == "connection"]
    assert endings == ["RST by server, 0.2 s after our ping, age 0.3 s"] * 3 + ["still open"]
    ping = [event for event in events if event["name"] == "application ping" and event["pid"] == 1]
    assert [event["ts"] for event in ping][-2:] == [25_304_000, 25_308_000]


def test_every_kind_of_event(tmp_path: Path) -> None:
    """Each is an instant or a span; nothing breaks on odd texts."""
    check(written(Trace.of(ALL, Header(origin=Origin(kind="live"), epoch=0.0)), tmp_path))


def test_an_empty_trace_is_a_valid_file(tmp_path: Path) -> None:
    """No event, no span."""
    assert written(Trace.of([]), tmp_path) == []


def test_what_has_no_end_gets_one_that_says_so(tmp_path: Path) -> None:
    """A ping without pong ends with its connection; a request without answer ends with the trace."""
    trace = story(
        (0.0, Opened),
        (0.1, PingSent, {"payload": "01"}),
        (0.2, HttpRequested, {"exchange": "x", "method": "POST", "url": "/", "purpose": "chat", "connection": None}),
        (0.4, TransportEnded, {"how": "rst", "by": "server"}),
        (0.5, Opened, {"connection": "2"}),
    )
    events = written(trace, tmp_path)
    check(events)
    ends = {event["cat"]: event for event in events if event["ph"] == "e"}
    assert (ends["ping"]["ts"], ends["ping"]["args"]) == (400_000, {"because": "the connection ended"})
    assert ends["HTTP"]["args"] == {"because": "no end seen"}


def test_events_out_of_order_are_sorted(tmp_path: Path) -> None:
    """Also before zero: times count from the first."""
    trace = story((0.5, Opened), (-0.2, FrameSent, text("ping")), (0.3, LoopLagged, {"lag": 9.0, "connection": None}))
    check(written(trace, tmp_path))


def test_each_vantage_point_is_a_process(tmp_path: Path) -> None:
    """One connection seen from two places is two lives side by side."""
    origin = Origin(kind="file")
    header = Header(
        origin=origin, epoch=0.0, vantages=(Vantage(name="a", origin=origin), Vantage(name="b", origin=origin))
    )
    trace = Trace.of([Opened(id=f"{name}/0", at=0.1, connection="1") for name in "ab"], header)
    events = written(trace, tmp_path)
    check(events)
    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == ["seen by a", "seen by b"]
    assert sum(event["ph"] == "b" for event in events) == 2


@pytest.mark.parametrize("body", ["[" * 5000, '{"type":"pong","timestamp":1e999}', '{"type":"ping","data":[]}', "\x00"])
def test_hostile_messages_are_frames_like_others(body: str, tmp_path: Path) -> None:
    """What cannot be read is an instant all the same."""
    check(written(story((0.0, FrameSent, {"size": len(body), "text": body})), tmp_path))


def test_the_file_is_for_its_owner(tmp_path: Path) -> None:
    """A chat is private."""
    path = tmp_path / "x.json"
    perfetto.dump(STORY_OF_A_PING, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
