"""Which connections are one: by key, content, lengths, time; never two of one vantage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import EndReported, Event, FrameReceived, FrameSent, Opened, UpgradeRequested
from chatkit.merging import merge
from chatkit.trace import Origin, Trace
from merging.scenes import Fact, browser, capture, conversation, message


def seen_by(trace: Trace) -> list[tuple[str, ...]]:
    return [connection.vantages for connection in trace.connections]


def without_key(facts: list[Fact]) -> list[Fact]:
    return [(at, kind, c, {k: v for k, v in fields.items() if k != "key"}) for at, kind, c, fields in facts]


def renamed(facts: list[Fact], name: str) -> list[Fact]:
    return [(at, kind, name, fields) for at, kind, _, fields in facts]


def plain(facts: list[Fact]) -> list[Fact]:
    """Frames alone."""
    return [fact for fact in facts if fact[1] in (FrameSent, FrameReceived)]


def test_by_key() -> None:
    """Whatever the connections are called, and whatever clocks say."""
    facts = [*conversation(connection="1"), *conversation(20, connection="2")]
    other = [*renamed(conversation(20, connection="2"), "1"), *renamed(conversation(connection="1"), "x")]
    merged = merge(browser().sees(facts), capture(skew=9999.0).sees(other))
    assert seen_by(merged) == [("har", "pcap")] * 2
    assert merged.names == ("1", "2")
    assert [c.frames_out for c in merged.connections] == [5, 5]


def test_a_key_that_stands_twice_joins_nothing() -> None:
    """A nonce that is none."""
    twice = [*conversation(connection="1", key="k"), *conversation(20, connection="2", key="k", turns=3)]
    one = conversation(connection="1", key="k")
    assert seen_by(merge(browser().sees(one), capture(skew=999).sees(plain(twice) + twice[:1] + twice[19:20]))) != []


def test_by_content_through_a_proxy_that_makes_its_own_key() -> None:
    """Frames say which is which."""
    facts = [*conversation(connection="1"), *conversation(2.5, connection="2")]
    behind = [*conversation(connection="1", key="other1"), *conversation(2.5, connection="2", key="other2")]
    merged = merge(browser().sees(facts), capture(skew=-50).sees(behind))
    assert seen_by(merged) == [("har", "pcap")] * 2


@given(st.integers(0, 14), st.integers(0, 14))
def test_by_content_though_one_side_lacks_a_part(head: int, tail: int) -> None:
    """A capture that began late or ended early."""
    facts = without_key(conversation(turns=8))
    frames = plain(facts)
    part = frames[head : len(frames) - tail]
    merged = merge(browser().sees(facts), capture(skew=77).sees(part))
    if any("of" in fields["text"] and "pong" not in fields["text"] for *_, fields in part):
        assert seen_by(merged) == [("har", "pcap")]


def test_by_lengths_where_payloads_are_hidden() -> None:
    """A NetLog shows headers of frames only."""
    words = ["a", "some words", "quite a few words more", "ok", "what?", "a reply that is long", "no", "bye now"]
    facts: list[Fact] = []
    for name, mine in (("1", words), ("2", words[::-1])):
        facts.append((0.0, Opened, name, {}))
        for n, word in enumerate(mine):
            facts.append((1.0 + n, FrameSent, name, message(say=word)))
            facts.append((1.5 + n, FrameReceived, name, message(heard=word + word)))
    bare = [(at, kind, c, {k: v for k, v in f.items() if k != "text"}) for at, kind, c, f in facts]
    netlog = browser(
        origin=Origin(kind="file", format="netlog"), not_visible=("payloads", "close-code"), skew=3.0, from_server=0.05
    )
    merged = merge(netlog.sees(bare), capture().sees(facts))
    assert seen_by(merged) == [("netlog", "pcap")] * 2
    assert merged.header.vantages[1].offset == pytest.approx(3.0, abs=0.05)


def log_line(at: float, path: str = "/api/ws/chat/b") -> list[Fact]:
    """What an access log or a server's log tells of a connection."""
    return [
        (at, UpgradeRequested, f"log{at}", {"target": path, "headers": []}),
        (at + 0.1, Opened, f"log{at}", {}),
        (at + 7, EndReported, f"log{at}", {"source": "nginx"}),
    ]


ACCESS: dict[str, Any] = {"origin": Origin(kind="file", format="nginx-access"), "from_client": 0.01, "from_server": 0.0}


def test_by_time_and_path() -> None:
    """A log line without frames or key."""
    merged = merge(browser().sees(conversation()), capture(**ACCESS).sees(log_line(0.02)))
    assert seen_by(merged) == [("har", "nginx-access")]
    assert merged.header.vantages[1].offset_error is not None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (log_line(0.02, "/api/other"), "another path"),
        (log_line(30.0), "another time"),
        ([*log_line(0.02), *log_line(0.6)], "two that fit"),
    ],
)
def test_not_by_time(line: list[Fact], why: str) -> None:
    """Another path, another time, or more than one that fits."""
    merged = merge(browser().sees(conversation()), capture(**ACCESS).sees(line))
    assert all(len(vantages) == 1 for vantages in seen_by(merged)), why


def test_time_is_asked_after_the_clocks_are_set() -> None:
    """The log's clock is far off, and a connection with the same path is where it would be without that."""
    first, second = conversation(connection="1"), conversation(100.0, connection="2")
    both = [*first, *second]
    middle = capture("proxy.pcap", skew=100.0).sees(first)
    access = capture(**ACCESS, skew=0.0).sees(log_line(100.02))
    merged = merge(browser().sees(both), middle, access)
    assert seen_by(merged) == [("har", "pcap"), ("har", "nginx-access")]


def test_different_keys_are_not_joined_by_time() -> None:
    """Two clients that came at the same moment."""
    merged = merge(
        browser().sees(conversation(key="one", turns=0)), capture().sees(conversation(key="two", turns=0)[:3])
    )
    assert seen_by(merged) in ([("har",), ("pcap",)], [("pcap",), ("har",)])


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, max_size=6),
    st.lists(st.floats(0, 9), min_size=6, max_size=6),
    st.booleans(),
)
def test_never_two_of_one_vantage(keys: list[str], starts: list[float], keyed: bool) -> None:
    """However alike they are."""

    def facts(names: list[str]) -> list[Fact]:
        found = [
            fact
            for n, name in enumerate(names)
            for fact in renamed(conversation(starts[n], connection=name, key=name, turns=2), f"c{n}")
        ]
        return found if keyed else without_key(found)

    traces = [browser().sees(facts(keys)), capture().sees(facts(keys[::-1]))]
    merged = merge(*traces)
    for n, trace in enumerate(traces):
        codes = {
            (str(event.connection), merged.header.vantages[n].name)
            for event in merged
            if event.id.startswith(merged.header.vantages[n].name + "/") and event.connection
        }
        assert len(codes) == len(trace.connections)
    assert sum(len(one.vantages) for one in merged.connections) == 2 * len(keys)


def test_all_events_are_there_once() -> None:
    """And each says what it said."""
    facts = [*conversation(connection="1"), *conversation(20, connection="2")]
    parts = [browser().sees(facts), capture(skew=3).sees(facts)]
    merged = merge(*parts)

    def told(event: Event) -> tuple[str, str, str]:
        return (type(event).__name__, event.connection or "", str(event))

    assert sorted(map(told, merged)) == sorted(
        (name, {"1": "1", "2": "2"}[connection], words) for part in parts for name, connection, words in map(told, part)
    )
