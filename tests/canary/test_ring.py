"""Rings: each connection keeps its own history, whatever the others say."""

from __future__ import annotations

import pytest

from builders import HEADER, event
from chatkit.canary import ring
from chatkit.canary.ring import ENDED_KEPT, Rings
from chatkit.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    HealthChecked,
    Noted,
    Opened,
    PingSent,
    RecordingEnded,
    TcpInfoSampled,
    TransportEnded,
)


@pytest.fixture
def rings() -> Rings:
    """Ten events each."""
    return Rings(HEADER, 10)


def open_(rings: Rings, id: str, at: float) -> None:
    rings.append(event(AttemptStarted, at, id, id=str(len(rings)), url="ws://h/ws", attempt=0))
    rings.append(event(Opened, at, id, id=str(len(rings))))


def say(rings: Rings, id: str | None, at: float, text: str = "x") -> None:
    rings.append(event(Noted, at, id, id=str(len(rings)), text=text))


def looked(at: float, id: str) -> Event:
    numbers = dict.fromkeys(("rtt", "rtt_variance", "last_data_received", "last_ack_received"), 0.01)
    return event(TcpInfoSampled, at, "1", id=id, retransmits=0, unacked=0, **numbers)


def end(rings: Rings, id: str, at: float) -> None:
    rings.append(event(TransportEnded, at, id, id=str(len(rings)), how="rst", by="server"))


def test_the_last_events_and_the_landmarks(rings) -> None:
    """How it began stays, however long it lives."""
    open_(rings, "1", 0.0)
    for n in range(50):
        say(rings, "1", n + 1.0, str(n))
    trace = rings.build_one("1")
    assert [type(one).__name__ for one in trace][:2] == ["AttemptStarted", "Opened"]
    assert [one.text for one in trace if isinstance(one, Noted)] == [str(n) for n in range(40, 50)]
    assert (trace.connection("1").state, trace.connection("1").opened_at) == ("open", 0.0)
    assert len(rings) == 52


def test_a_talker_takes_nothing_from_a_quiet_one(rings) -> None:
    """Unlike one bound for all."""
    open_(rings, "1", 0.0)
    say(rings, "1", 1.0, "the last word")
    open_(rings, "2", 2.0)
    for n in range(1000):
        say(rings, "2", 3.0 + n)
    assert [one.text for one in rings.build_one("1") if isinstance(one, Noted)] == ["the last word"]


def test_of_looks_at_tcp_in_a_row_the_last_one(rings) -> None:
    """They come every five seconds; what they came between stays."""
    for at in (1.0, 2.0):
        rings.append(event(PingSent, at, "1", id=str(len(rings)), payload=b""))
        for n in range(5):
            rings.append(looked(at + n / 10, str(len(rings))))
    kept = list(rings.build_one("1"))
    assert [type(one).__name__ for one in kept] == ["PingSent", "TcpInfoSampled"] * 2
    assert kept[1].at == 1.4


def test_news_are_told_once(rings) -> None:
    """What opened and the looks at health at once; an end when what follows at once has come."""
    open_(rings, "1", 1.0)
    rings.append(event(HealthChecked, 1.5, None, id=str(len(rings)), method="GET", healthy=True, seconds=0.01))
    end(rings, "1", 2.0)
    rings.append(event(AttemptFailed, 2.1, "2", id=str(len(rings)), stage="tcp", error="refused"))
    news = rings.news(1.9)
    assert (news.opened, news.ended, [one.seconds for one in news.health]) == ((("1", 1.0),), (), [0.01])
    assert rings.news(2.05).ended == ("1",)
    assert rings.news(9.0).ended == ("2",)
    assert rings.news(9.0) == ((), (), ())


def test_what_ended_long_ago_is_forgotten_once_it_was_told(rings) -> None:
    """An end that nobody took yet is kept."""
    for n in range(3 * ENDED_KEPT):
        open_(rings, str(n), n)
        end(rings, str(n), n + 0.5)
    assert len(rings.build().names) == 3 * ENDED_KEPT
    rings.news(1e9)
    open_(rings, "last", 100.0)
    end(rings, "last", 101.0)
    assert len(rings.build().names) == ENDED_KEPT + 1
    assert "0" not in rings.build().names


def test_a_frozen_recording(rings) -> None:
    """The dead in full, others in brief, what belongs to none, in order, with an end; ids stay."""
    open_(rings, "1", 0.0)
    open_(rings, "2", 0.5)
    for n in range(8):
        say(rings, "1", 1.0 + n, "dead")
        say(rings, "2", 1.1 + n, "other")
        say(rings, None, 1.2 + n, "host")
    end(rings, "1", 9.5)
    trace = rings.freeze({"1", "gone"}, 12.0)
    assert list(trace.at) == sorted(trace.at)
    assert isinstance(trace[-1], RecordingEnded)
    assert [one.text for one in trace if isinstance(one, Noted)].count("dead") == 8
    assert {one.connection for one in trace} == {"1", "2", None}
    assert trace.connection("1").state == "ended"
    assert trace.event("0").connection == "1"
    assert len({one.id for one in trace}) == len(trace)


def test_a_frozen_recording_is_bounded(rings, monkeypatch) -> None:
    """The oldest go; landmarks stay."""
    monkeypatch.setattr(ring, "MOST_FROZEN", 2000)
    open_(rings, "1", 0.0)
    for n in range(10):
        say(rings, "1", 1.0 + n, f"{n}" * 400)
    end(rings, "1", 20.0)
    trace = rings.freeze({"1"}, 21.0)
    assert sum(map(len, trace.rows)) < 2200
    assert trace.connection("1").state == "ended"
    assert [one.text[0] for one in trace if isinstance(one, Noted)][-1] == "9"
