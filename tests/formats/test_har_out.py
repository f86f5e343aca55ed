"""A trace written as HAR comes back as it was; other programs find what HAR can carry."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from chatkit.events import (
    KIND_CODE,
    CloseReceived,
    CloseSent,
    FrameReceived,
    HealthChecked,
    HttpAnswered,
    HttpRequested,
    Noted,
    Opened,
    TransportEnded,
)
from chatkit.formats import har_out, load
from chatkit.trace import Trace
from stories import ALL, STORY_OF_A_PING, events, header, make_jwt, story, text


def there_and_back(trace: Trace, folder: Path) -> Trace:
    path = folder / "x.har"
    har_out.dump(trace, path)
    return load(path)


def without_ids(trace: Trace) -> list[tuple[object, ...]]:
    return [(type(one), *(getattr(one, name) for name in one.__struct_fields__ if name != "id")) for one in trace]


def test_a_story_comes_back(tmp_path: Path) -> None:
    """Every event of one connection with its time, in order; endings and what is not visible."""
    loaded = there_and_back(STORY_OF_A_PING, tmp_path)
    assert without_ids(loaded) == without_ids(STORY_OF_A_PING)
    assert [str(one) for one in loaded.connections] == [str(one) for one in STORY_OF_A_PING.connections]
    assert (loaded.epoch, loaded.not_visible, loaded.warnings) == (STORY_OF_A_PING.epoch, (), ())


def test_events_of_one_moment_keep_their_order(tmp_path: Path) -> None:
    """Frames and other facts of one connection."""
    trace = story(
        (0.1, Opened), (0.1, FrameReceived, text("a")), (0.1, FrameReceived, text("b", more="é")),
        (0.1, CloseReceived, {"code": 1001}), (0.1, CloseSent, {"code": 1001}),
        (0.1, TransportEnded, {"how": "fin", "by": "server"}),
    )  # fmt: skip
    assert without_ids(there_and_back(trace, tmp_path)) == without_ids(trace)


def test_every_kind_comes_back(tmp_path: Path) -> None:
    """One of each, every field filled."""
    trace = Trace.of(ALL, header())
    loaded = there_and_back(trace, tmp_path)
    assert sorted(loaded.kind.tolist()) == sorted(trace.kind.tolist())
    assert len(loaded.kind) == len(set(KIND_CODE))


@pytest.mark.parametrize(
    "frame",
    [
        {"size": 3, "text": "abcdef", "compressed": True, "length": 6},
        {"size": 2, "text": "abcdef", "opcode": "continuation", "length": 6},
        {"size": 70_000, "text": "begin", "digest": "ab" * 32},
        {"size": 3, "opcode": "binary", "data": "AAEC"},
        {"size": 9, "text": "[redacted]"},
        {"size": 2, "text": "ab", "fin": False},
        {"size": 0, "text": ""},
    ],
)
def test_frames_that_are_more_than_a_text(tmp_path: Path, frame: dict[str, object]) -> None:
    """Size on the wire, compression, fragments, digests."""
    trace = story((0, Opened), (0.5, FrameReceived, frame))
    assert without_ids(there_and_back(trace, tmp_path)) == without_ids(trace)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ((CloseReceived, {"code": 1011, "reason": "x"}), {"code": 1011, "reason": "x", "timestamp": 1_700_000_001.0}),
        ((CloseSent, {}), {"code": 1005, "reason": "", "timestamp": 1_700_000_001.0}),
        ((TransportEnded, {"how": "rst", "by": "server"}), "aborted"),
    ],
)
def test_what_others_find(tmp_path: Path, end: tuple[type, dict[str, object]], told: object) -> None:
    """Messages in epoch seconds, the end as HTTP Toolkit writes it, HTTP as entries of their own."""
    facts = [
        *events((0, Opened, {"extensions": "permessage-deflate"}), (0.5, FrameReceived, text("a")), (1, *end)),
        *events(
            (0.2, HttpRequested, {"exchange": "e", "method": "POST", "url": "http://h/c", "purpose": "chat"}),
            (0.3, HttpAnswered, {"exchange": "e", "method": "POST", "purpose": "chat", "status": 503, "seconds": 0.1, "retry_after": 2.0}),
            (0.4, HealthChecked, {"method": "HEAD", "healthy": False, "seconds": 0.1, "status": 405}),
            connection=None,
        ),
    ]  # fmt: skip
    trace = Trace.of(sorted(facts, key=lambda event: event.at), header())
    words = har_out.dump(trace, tmp_path / "x.har")
    log = json.loads((tmp_path / "x.har").read_text())["log"]
    socket, exchange = log["entries"]
    assert socket["_webSocketMessages"][0]["time"] == 1_700_000_000.5
    assert (socket["_webSocketClose"], socket["response"]["status"]) == (told, 101)
    assert (socket["time"], socket["startedDateTime"]) == (1000.0, "2023-11-14T22:13:20.000Z")
    assert (exchange["response"]["status"], exchange["time"]) == (503, 100.0)
    assert exchange["response"]["headers"] == [{"name": "Retry-After", "value": "2"}]
    assert f"{end[0].__name__} (1)" in words[0]
    assert any("health" in word for word in words)
    for name in ("version", "creator", "entries"):
        assert name in log
    for one in log["entries"]:
        assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= set(one)


def test_a_file_is_private_and_holds_no_token(tmp_path: Path) -> None:
    """Whatever an event holds."""
    token = make_jwt(exp=1)
    path = tmp_path / "x.har"
    har_out.dump(story((0, Noted, {"text": token}), (1, FrameReceived, {"size": 1, "text": token})), path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["x.har"]
    assert b"eyJ" not in path.read_bytes()
