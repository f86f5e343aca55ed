"""The recorder: order, ids, no secrets, crash-safe files; the watched loop is asked for nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

import chatkit
from chatkit.clock import ManualClock
from chatkit.errors import InvalidInput
from chatkit.events import (
    FrameReceived,
    Noted,
    Opened,
    RecordingEnded,
    TransportEnded,
    UpgradeAnswered,
    UpgradeRequested,
)
from chatkit.formats.jsonl import load
from chatkit.merging.continuing import continued
from chatkit.recorder import Recorder
from chatkit.trace import Header, Origin, Trace
from conftest import TICK, until_sync
from stories import make_jwt

REQUEST = b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
JWT = make_jwt(exp=1_764_000_000)


def frame(text: str) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def note(recorder: Recorder, text: str) -> None:
    recorder.record(Noted, text=text)


def test_order_and_times() -> None:
    """Bytes and facts in the order in which they were handed over; ids are dense, times are the clock's."""
    clock = ManualClock(monotonic=50.0, wall=1_000.0)
    with Recorder(clock=clock) as recorder:
        clock.advance(1)
        tap = recorder.wire()
        tap.sent(REQUEST)
        clock.advance(0.5)
        tap.received(ANSWER + frame("hello"))
        note(recorder, "beside")
        tap.record(Noted, text="on it")
        clock.advance(0.25)
        tap.ended("fin", "server")
        trace = recorder.snapshot()
    assert [(event.id, event.at, type(event), event.connection) for event in trace] == [
        ("0", 1.0, UpgradeRequested, "1"),
        ("1", 1.5, UpgradeAnswered, "1"),
        ("2", 1.5, Opened, "1"),
        ("3", 1.5, FrameReceived, "1"),
        ("4", 1.5, Noted, None),
        ("5", 1.5, Noted, "1"),
        ("6", 1.75, TransportEnded, "1"),
    ]
    assert trace.epoch == 1_000.0
    assert trace[1].seconds == 0.5


def test_connections_have_numbers() -> None:
    """From 1, in the order in which they were asked for."""
    with Recorder() as recorder:
        assert [recorder.wire().id for _ in range(3)] == ["1", "2", "3"]


def test_a_snapshot_never_changes() -> None:
    """What comes later is in a later one; a start gives what is new."""
    with Recorder() as recorder:
        note(recorder, "a")
        early = recorder.snapshot()
        note(recorder, "b")
        assert [event.text for event in early] == ["a"]
        assert [event.text for event in recorder.snapshot()] == ["a", "b"]
        assert [event.text for event in recorder.snapshot(1)] == ["b"]
        assert len(recorder.snapshot(2)) == 0
        assert len(recorder) == 2


def test_many_threads_lose_nothing() -> None:
    """Every fact once, each thread's in its order, ids dense; snapshots meanwhile do no harm."""
    with Recorder() as recorder:

        def work(number: int) -> None:
            for n in range(300):
                note(recorder, f"{number}:{n}")
                if n % 50 == 0:
                    recorder.snapshot()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trace = recorder.snapshot()
    assert [int(event.id) for event in trace] == list(range(1200))
    for number in range(4):
        mine = [event.text for event in trace if event.text.startswith(f"{number}:")]
        assert mine == [f"{number}:{n}" for n in range(300)]


def test_without_a_file_there_is_no_thread() -> None:
    """Nothing runs that nobody asked for."""
    with Recorder() as recorder:
        note(recorder, "x")
        assert not [t for t in threading.enumerate() if t.name == "chatkit recorder"]


def test_a_file_is_the_trace(tmp_path: Path) -> None:
    """Loaded it is the snapshot, with its end; only its owner may read it."""
    path = tmp_path / "r.jsonl"
    with Recorder(path, target="http://h") as recorder:
        tap = recorder.wire()
        tap.sent(REQUEST)
        tap.received(ANSWER + frame("hé 🤖"))
    loaded = chatkit.load(path)
    assert loaded.rows == recorder.snapshot().rows
    assert loaded.header == recorder.snapshot().header
    assert type(loaded[-1]) is RecordingEnded
    assert (loaded.warnings, loaded.origin.target) == ((), "http://h")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_what_happens_is_soon_in_the_file(tmp_path: Path) -> None:
    """Without closing; a running recording says that it has no end."""
    path = tmp_path / "r.jsonl"
    with Recorder(path) as recorder:
        assert chatkit.load(path).origin.kind == "live"
        note(recorder, "soon")
        until_sync(lambda: len(chatkit.load(path)) == 1)
        assert "no end" in chatkit.load(path).warnings[0]


def test_closing_twice_and_recording_after_the_end(tmp_path: Path) -> None:
    """The file is closed in order; what comes later stays in memory."""
    path = tmp_path / "r.jsonl"
    recorder = Recorder(path)
    note(recorder, "in")
    recorder.close()
    recorder.close()
    note(recorder, "after")
    assert [type(event) for event in chatkit.load(path)] == [Noted, RecordingEnded]
    assert [type(event) for event in recorder.snapshot()] == [Noted, RecordingEnded, Noted]


def test_an_existing_file_may_be_evidence(tmp_path: Path) -> None:
    """Refused, unless somebody says so."""
    path = tmp_path / "r.jsonl"
    path.write_text("evidence")
    with pytest.raises(InvalidInput, match="exists already") as refused:
        Recorder(path)
    assert "overwrite=True" in str(refused.value)
    assert path.read_text() == "evidence"
    Recorder(path, overwrite=True).close()
    assert type(chatkit.load(path)[0]) is RecordingEnded


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Says why and where."""
    with pytest.raises(InvalidInput, match="cannot be written: No such file or directory"):
        Recorder(tmp_path / "absent" / "r.jsonl")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_the_file_and_not_the_recording() -> None:
    """``failure`` says so; the trace in memory goes on."""
    with Recorder("/dev/full", overwrite=True) as recorder:
        note(recorder, "x")
        assert recorder.failure == "/dev/full: No space left on device"
        note(recorder, "y")
        assert [event.text for event in recorder.snapshot()] == ["x", "y"]
    assert type(recorder.snapshot()[-1]) is RecordingEnded


# Bounded


def test_a_bounded_recording_stays_small_and_its_file_whole(tmp_path: Path) -> None:
    """In memory the newest; ids and totals go on; the file has everything."""
    path = tmp_path / "r.jsonl"
    heard: list[int] = []
    with Recorder(path, keep=1000) as recorder:
        recorder.subscribe(heard.append)
        tap = recorder.wire()
        tap.sent(REQUEST)
        tap.received(ANSWER)
        for n in range(6000):
            tap.received(frame(str(n)))
            if n % 500 == 0:
                assert len(recorder.snapshot()) < 1300
        trace = recorder.snapshot()
        assert len(recorder) == 6003
        assert [event.text for event in recorder.snapshot(6001)] == ["5998", "5999"]
    assert [type(event) for event in trace][:3] == [UpgradeRequested, UpgradeAnswered, Opened]
    assert [int(event.id) for event in trace][3:] == list(range(6003 - len(trace) + 3, 6003))
    assert trace.warnings == (f"older events dropped from memory: {6003 - len(trace):,}",)
    assert heard[-1] == 6004
    assert [int(event.id) for event in chatkit.load(path)] == list(range(6004))


def test_a_bounded_recording_without_a_file_empties_its_log() -> None:
    """Its thread does, nobody needs to ask: memory is flat however much comes."""
    data = frame("x" * 500) * 50
    with Recorder(keep=1000) as recorder:
        tap = recorder.wire()
        tap.sent(REQUEST)
        tap.received(ANSWER)

        def pass_by(frames: int) -> None:
            before = len(recorder)
            for n in range(frames // 50):
                tap.received(data)
                if n % 50 == 0:
                    until_sync(lambda: not recorder._log)
            until_sync(lambda: len(recorder) >= before + frames)

        pass_by(5_000)
        tracemalloc.start()
        pass_by(5_000)
        early, _ = tracemalloc.get_traced_memory()
        pass_by(20_000)
        late, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(recorder._builder.held.rows) < 1300
    # Unbounded, 20,000 rows of 600 bytes would be 12 MB.
    assert late - early < 1_000_000


@pytest.mark.parametrize("keep", [0, -1, 999])
def test_a_bound_has_a_least(keep: int) -> None:
    """A connection's end must still be there when its client looks at it."""
    with pytest.raises(InvalidInput, match="1,000 or more"):
        Recorder(keep=keep)


@pytest.mark.parametrize("keep", [None, 1000])
def test_one_connection(keep: int | None) -> None:
    """As a snapshot tells it, also when its beginning was dropped."""
    with Recorder(keep=keep) as recorder:
        taps = [recorder.wire() for _ in range(3)]
        for tap in taps:
            tap.sent(REQUEST)
            tap.received(ANSWER)
        for n in range(3000):
            taps[n % 3].received(frame("{}"))
        taps[0].ended("rst", "server")
        trace = recorder.snapshot()
        for tap in taps:
            assert recorder.connection(tap.id) == trace.connection(tap.id) == trace.connections[int(tap.id) - 1]
        assert recorder.connection("1").ending.words == "RST by server"
        assert recorder.connection("2").state == "open"
        with pytest.raises(InvalidInput, match="one of 1, 2, 3"):
            recorder.connection("4")


# Secrets


def test_no_secret_in_memory_or_file(tmp_path: Path) -> None:
    """Whatever carries it: target, URL, header, text, the fields of any fact."""
    path = tmp_path / "r.jsonl"
    with Recorder(path, target=f"http://h/?token={JWT}") as recorder:
        recorder.redactor.add("hunter2-hunter2")
        tap = recorder.wire()
        tap.sent(REQUEST.replace(b"/p", f"/p?token={JWT}".encode()))
        tap.received(ANSWER + frame(f'{{"access_token": "{JWT}", "text": "hunter2-hunter2"}}'))
        tap.record(Noted, text="say hunter2-hunter2")
        tap.ended("rst", "server", "hunter2-hunter2 failed")
    for rows in (path.read_bytes(), b"\n".join(recorder.snapshot().rows)):
        assert b"hunter2" not in rows
        assert JWT.split(".")[1].encode() not in rows
        assert b"[jwt exp=1764000000]" in rows


def test_a_secret_announced_after_the_fact() -> None:
    """It covers what was not turned into events yet; what is a row already stays as it was, bar what patterns see.

    That is why ``HttpApi`` announces a password before it is sent and a token before it is used.
    """
    with Recorder() as recorder:
        note(recorder, "first hunter2-hunter2")
        recorder.snapshot()
        note(recorder, f"second hunter2-hunter2 {JWT}")
        recorder.redactor.add("hunter2-hunter2")
        texts = [event.text for event in recorder.snapshot()]
    assert texts == ["first hunter2-hunter2", "second [redacted] [jwt exp=1764000000]"]


# Subscribers


def test_subscribers_hear_of_every_event() -> None:
    """On the writer thread, with the total; also of those that a snapshot turned into events first."""
    heard: list[int] = []
    with Recorder() as recorder:
        stop = recorder.subscribe(heard.append)
        note(recorder, "a")
        recorder.snapshot()
        until_sync(lambda: heard == [1])
        note(recorder, "b")
        note(recorder, "c")
        until_sync(lambda: heard and heard[-1] == 3)
        stop()
        stop()
        note(recorder, "d")
        recorder.snapshot()
    assert heard[-1] == 3


def test_subscribers_hear_of_the_end() -> None:
    """A view that grows with the recording shows its last event too."""
    heard: list[int] = []
    recorder = Recorder()
    recorder.subscribe(heard.append)
    note(recorder, "a")
    recorder.close()
    assert heard[-1] == 2


def test_a_subscriber_that_fails_does_not_stop_the_file(tmp_path: Path) -> None:
    """It is dropped and named; the others, and the file, go on."""
    heard: list[int] = []

    def broken(total: int) -> None:
        raise RuntimeError("a view broke")

    path = tmp_path / "r.jsonl"
    with Recorder(path) as recorder:
        recorder.subscribe(broken)
        recorder.subscribe(heard.append)
        note(recorder, "a")
        until_sync(lambda: heard and heard[-1] >= 1)
        note(recorder, "b")
        until_sync(lambda: len(chatkit.load(path)) >= 2)
    assert "a view broke" in " ".join(event.text for event in recorder.snapshot() if isinstance(event, Noted))


@pytest.mark.parametrize("fields", [{"colour": "red"}, {}, {"text": "\ud800"}, {"text": object()}], ids=["unknown", "missing", "surrogate", "type"])  # fmt: skip
def test_a_fact_that_cannot_be_recorded_does_not_stop_the_file(tmp_path: Path, fields: dict[str, Any]) -> None:
    """A defect of ours stands in the recording as a note; what comes after it is there."""
    path = tmp_path / "r.jsonl"
    with Recorder(path) as recorder:
        recorder.record(Noted, **fields)
        note(recorder, "after")
    texts = [event.text for event in chatkit.load(path) if isinstance(event, Noted)]
    assert texts[-1] == "after"
    assert "Noted could not be recorded" in texts[0]
    assert [int(event.id) for event in chatkit.load(path)] == [0, 1, 2]


# kill -9

_RECORD = """
import sys, time
from chatkit.events import Noted
from chatkit.recorder import Recorder
from websockets.frames import Frame, Opcode

recorder = Recorder(sys.argv[1])
tap = recorder.wire()
tap.sent(b"GET / HTTP/1.1\\r\\n\\r\\n")
tap.received(b"HTTP/1.1 101 x\\r\\n\\r\\n")
for number in range(1_000_000):
    if number % 2:
        recorder.record(Noted, text=str(number))
    else:
        tap.received(Frame(Opcode.TEXT, str(number).encode()).serialize(mask=False))
    print(number, recorder.now(), flush=True)
    time.sleep(0.001)
"""


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_the_file_loads(tmp_path: Path, seed: int, record_property: Any) -> None:
    """kill -9: what was recorded half a second before is there; the last moments may lack, nothing between does.

    Ages are read from the recorder's own clock, printed with each event, so a slow machine changes nothing.
    """
    path = tmp_path / "r.jsonl"
    process = subprocess.Popen([sys.executable, "-c", _RECORD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = [process.stdout.readline()]
    killer = threading.Timer(random.Random(seed).uniform(0.2, 0.9), os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    printed += process.stdout.readlines()
    process.wait()
    killer.join()
    process.stdout.close()
    told = [line.split() for line in printed if line.endswith("\n")]
    last = float(told[-1][1])
    trace = chatkit.load(path)
    there = [int(event.text) for event in trace if isinstance(event, Noted | FrameReceived)]
    assert there == list(range(len(there)))
    lost = [last - float(at) for number, at in told if int(number) >= len(there)]
    record_property("lost_seconds", max(lost, default=0.0))
    assert max(lost, default=0.0) < 0.5
    assert any("no end" in warning for warning in trace.warnings)
    assert json.loads(path.read_bytes().split(b"\n", 1)[0])["schema"] == "chatkit.trace/1"


def test_the_watched_thread_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a write hangs, recording goes on, and so do snapshots: a client takes one when a connection ends."""
    recorder = Recorder(tmp_path / "r.jsonl")
    hanging, go_on, real = threading.Event(), threading.Event(), os.write

    def slow(descriptor: int, data: bytes) -> int:
        hanging.set()
        go_on.wait(5)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    note(recorder, "a")
    assert hanging.wait(5)
    tap = recorder.wire()
    tap.sent(REQUEST)
    for _ in range(1000):
        note(recorder, "b")
    assert len(recorder.snapshot()) == 1002
    assert not go_on.is_set()
    time.sleep(TICK)
    go_on.set()
    recorder.close()
    assert len(chatkit.load(tmp_path / "r.jsonl")) == 1003


def test_a_recording_goes_on_from_an_earlier_one(tmp_path: Path) -> None:
    """Epoch, numbers and time continue; the new file holds only what is new and joins the old one without a change."""
    clock = ManualClock()
    with Recorder(tmp_path / "r.jsonl", clock=clock) as recorder:
        recorder.wire().record(Opened)
        recorder.record(Noted, text="one")
    earlier = continued([load(tmp_path / "r.jsonl")])
    clock.advance(60.0)
    with Recorder(tmp_path / "r-2.jsonl", clock=clock, before=earlier) as recorder:
        assert (recorder.epoch, recorder.former, recorder.began) == (earlier.epoch, 3, 60.0)
        tap = recorder.wire()
        tap.record(Opened)
        whole = recorder.snapshot()
    assert [(event.id, event.at, event.connection) for event in whole] == [
        ("0", 0.0, "1"),
        ("1", 0.0, None),
        ("2", 0.0, "1"),
        ("3", 60.0, "2"),
    ]
    new = load(tmp_path / "r-2.jsonl")
    assert [type(event) for event in new] == [Opened, RecordingEnded]
    assert list(continued([earlier, new]))[:4] == list(whole)


def test_a_clock_that_was_set_back_does_not_turn_time(tmp_path: Path) -> None:
    earlier = Trace.of([Noted(id="0", at=100.0, text="one")], Header(origin=Origin(kind="live"), epoch=time.time()))
    recorder = Recorder(before=earlier)
    recorder.record(Noted, text="two")
    assert recorder.snapshot().at[-1] >= 100.0
