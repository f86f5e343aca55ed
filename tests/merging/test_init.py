"""Several recordings as one trace: names, order, header; merging again; size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatkit.formats.collector
import chatkit.merging
from chatkit.errors import InvalidInput
from chatkit.events import FrameSent, HttpAnswered, HttpRequested, Logged, Opened
from chatkit.formats import jsonl
from chatkit.merging import disagreements, merge
from chatkit.profile import Types
from chatkit.trace import EVENT_DECODER, Header, Origin, Trace
from merging.scenes import EPOCH, Vantage, browser, capture, conversation, message
from stories import ALL, header, make_jwt

FACTS = conversation()


def live(**changes: Any) -> Vantage:
    return Vantage(origin=Origin(kind="live", target="ws://h/p"), **changes)


@pytest.mark.parametrize(
    ("origins", "given", "names"),
    [
        ([("file", "har", "a.har"), ("file", "pcap", "b.pcap")], None, ("har", "pcap")),
        ([("live", None, None), ("tap", None, None)], None, ("live", "tap")),
        ([("file", "pcap", "/x/laptop.pcap.gz"), ("file", "pcap", "/x/server.pcap")], None, ("pcap-laptop", "pcap-server")),
        ([("file", "pcap", "a.pcap"), ("file", "pcap", "a.pcap"), ("file", "pcap", None)], None, ("pcap-a", "pcap-a-2", "pcap")),
        ([("file", "har", None), ("file", "har", None)], None, ("har", "har-2")),
        ([("file", "har", "a.har"), ("file", "pcap", "b.pcap")], ("laptop", None), ("laptop", "pcap")),
        ([("file", "har", "a.har"), ("file", "pcap", "b.pcap")], ("pcap", None), ("pcap", "pcap-b")),
        ([("file", 'we"ird/\n', "a/b\\c d.har"), ("file", "pcap", None)], None, ("we-ird", "pcap")),
    ],
)  # fmt: skip
def test_names(origins: list[tuple[str, str | None, str | None]], given: Any, names: tuple[str, ...]) -> None:
    """From format or kind, with the file's stem where two share it; never with what an id cannot hold."""
    traces = [Vantage(origin=Origin(kind=k, format=f, file=p)).sees(FACTS) for k, f, p in origins]
    merged = merge(*traces, names=given)
    assert merged.vantage_names == names
    assert {event.id.rpartition("/")[0] for event in merged} == set(names)


@pytest.mark.parametrize(
    "names", [("a",), ("a", "a"), ("a/b", "c"), ("", "c"), ('"', "c"), ("merge", "c"), ("x" * 65, "c")]
)
def test_names_that_cannot_be(names: tuple[str, ...]) -> None:
    """One for each trace, different, plain."""
    with pytest.raises(InvalidInput, match="name"):
        merge(browser().sees(FACTS), capture().sees(FACTS), names=names)


def test_no_token_comes_in_with_a_file_name() -> None:
    """The stem is part of every id."""
    token = make_jwt(exp=1_795_453_325)
    traces = [Vantage(origin=Origin(kind="file", format="har", file=f"/t/{n}{token}")).sees(FACTS) for n in "ab"]
    assert "eyJ" not in str(merge(*traces).vantage_names)


def test_nothing_and_one() -> None:
    """Nothing cannot be merged; one stays what it is, unless it is named."""
    with pytest.raises(InvalidInput, match="nothing to merge"):
        merge()
    one = browser().sees(FACTS)
    assert merge(one) is one
    assert merge(one, names=["laptop"]).vantage_names == ("laptop",)


def test_the_header() -> None:
    """What no vantage shows, the profile's names, the target that one tells."""
    har = browser(not_visible=("pings", "close-code", "transport-end")).sees(FACTS)
    log = capture(not_visible=("transport-end", "pings", "frames")).sees(
        [(0.0, Logged, None, {"by": "server", "what": "start"})]
    )
    other = msgspec.structs.replace(live().sees(FACTS).header, types=Types(reply="answer"))
    third = Trace.of(live(not_visible=("transport-end",)).sees(FACTS), other)
    merged = merge(har, log, third)
    assert merged.not_visible == ()
    assert merge(har, log).not_visible == ("pings", "transport-end")
    assert merged.header.types.reply == "answer"
    assert merged.origin == Origin(kind="merged", target="ws://h/p")
    assert [vantage.not_visible for vantage in merged.header.vantages][:2] == [har.not_visible, log.not_visible]


def test_order_is_that_of_the_corrected_clock() -> None:
    """The same moment keeps the order of the traces; times count from the earliest event."""
    late = capture(skew=500, from_client=0.01).sees(conversation())
    early = browser().sees(conversation())
    merged = merge(late, early)
    assert (merged.at[1:] >= merged.at[:-1]).all()
    assert merged.at[0] == 0.0
    assert merged[0].id.startswith("har/")
    assert merged.epoch == pytest.approx(EPOCH + 500, abs=0.1)
    same = merge(early, early, names=["x", "y"])
    assert [event.id for event in same][:4] == ["x/0", "y/0", "x/1", "x/2"]


def test_every_kind_keeps_what_it_says() -> None:
    """Ids, times and connections change, nothing else."""
    merged = merge(Trace.of(ALL, header()), browser().sees(FACTS))
    told = {type(event): event for event in merged if event.id.startswith("live/")}
    for event in ALL:
        fields = {"id": told[type(event)].id, "at": told[type(event)].at, "connection": told[type(event)].connection}
        if isinstance(event, HttpRequested | HttpAnswered) or hasattr(event, "exchange"):
            assert told[type(event)].exchange == f"live/{event.exchange}"
            fields["exchange"] = told[type(event)].exchange
        assert told[type(event)] == msgspec.structs.replace(event, **fields)


def test_http_exchanges_of_two_vantages_stay_apart() -> None:
    """Both count theirs from one."""
    request = {"exchange": "1", "method": "GET", "url": "http://h/x", "purpose": "other"}
    merged = merge(*(v.sees([*FACTS, (2.0, HttpRequested, None, request)]) for v in (browser(), capture())))
    assert sorted(e.exchange for e in merged if isinstance(e, HttpRequested)) == ["har/1", "pcap/1"]
    again = merge(merged, live().sees(FACTS))
    assert sorted(e.exchange for e in again if isinstance(e, HttpRequested)) == ["har/1", "pcap/1"]


@given(st.permutations(range(3)), st.floats(-100, 100), st.floats(-100, 100))
def test_a_merged_trace_merges_again(order: list[int], one: float, two: float) -> None:
    """The result is that of merging all at once."""
    facts = [*FACTS, *conversation(20, connection="b")]
    traces = [browser().sees(facts), capture(skew=one).sees(facts[:15]), live(skew=two).sees(facts[4:])]
    a, b, c = (traces[n] for n in order)
    whole, steps = merge(a, b, c), merge(merge(a, b), c)
    assert steps.vantage_names == whole.vantage_names
    assert steps.names == whole.names
    for mine, theirs in zip(steps.header.vantages, whole.header.vantages, strict=True):
        assert mine.offset == pytest.approx(theirs.offset, abs=1e-5)
    assert steps.epoch == pytest.approx(whole.epoch, abs=1e-5)
    assert {event.id for event in steps} == {event.id for event in whole}
    assert sorted(map(str, steps)) == sorted(map(str, whole))


def test_warnings_say_whose_they_are() -> None:
    """And are not doubled by merging again; those of the merge are made anew."""
    one, two, three = browser().sees(FACTS), capture().sees(FACTS), live().sees(conversation(90, connection="z"))
    one.warnings = ("the file is cut",)
    merged = merge(merge(one, three), two)
    assert merged.warnings[0] == "har: the file is cut"
    assert len(merged.warnings) == len(set(merged.warnings)) == 3


def test_a_merged_trace_can_be_kept(tmp_path: Path) -> None:
    """Our own format holds all of it, and adds no doubt."""
    merged = merge(browser().sees(FACTS), capture(skew=3).sees(FACTS))
    jsonl.dump(merged, tmp_path / "m.jsonl")
    loaded = jsonl.load(tmp_path / "m.jsonl")
    assert loaded.header == merged.header
    assert list(loaded) == list(merged)
    assert loaded.warnings == ()
    assert disagreements(loaded) == disagreements(merged)
    assert str(merge(loaded, live().sees(FACTS))) == str(merge(merged, live().sees(FACTS)))


def test_empty_traces() -> None:
    """Nothing happens, also in time."""
    empty = Trace.of([], Header(origin=Origin(kind="file", format="pcap"), epoch=0.0))
    assert len(merge(empty, empty)) == 0
    merged = merge(empty, browser().sees(FACTS))
    assert len(merged) == len(FACTS)
    assert merge(browser().sees(FACTS), empty).duration < 10


def test_a_large_trace_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are made when asked for, and are the same."""
    traces = [browser().sees(FACTS), capture(skew=3).sees(FACTS)]
    small = merge(*traces)
    monkeypatch.setattr(chatkit.merging, "LARGE", 10)
    large = merge(*traces)
    assert not isinstance(large.rows, list)
    assert list(large.rows) == small.rows
    assert list(large) == list(small)
    assert [large.rows[i] for i in range(-len(large), 0)] == small.rows
    assert str(large.select(connection="1").where([0, 5])) == str(small.select(connection="1").where([0, 5]))
    assert large.connections == small.connections
    with pytest.raises(IndexError):
        large.rows[len(large)]


def test_rows_that_somebody_else_wrote(tmp_path: Path) -> None:
    """Other spaces, another order of keys, ids that are no numbers: they are read, not trusted."""
    path = tmp_path / "odd.jsonl"
    jsonl.dump(browser().sees(FACTS[:1]), path)
    lines = [
        '{"at": 1.5, "id": "har/\\"7", "type": "Opened", "connection": "a"}',
        '{"type":"FrameSent","id":"8","at":1.6,"size":3,"text":"a\\",\\"exchange\\":\\"1","connection":"a"}',
        '{"type":"Logged","id":"x/y/9","at":2.5,"by":"server","what":"stop"}',
    ]
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    merged = merge(jsonl.load(path), capture().sees(FACTS))
    mine = [event for event in merged if event.id.startswith("har/")]
    assert [type(event) for event in mine][1:] == [Opened, FrameSent, Logged]
    assert {event.connection for event in mine} == {"1", None}
    assert all(event.id.partition("/")[2].isdigit() for event in mine)
    assert all(EVENT_DECODER.decode(row) for row in merged.rows)
    assert mine[2].text == 'a","exchange":"1'


def test_message_types_and_sizes_stay() -> None:
    """Columns belong to their rows after sorting."""
    facts = [*FACTS, (3.3, FrameSent, "a", message(type="typing"))]
    merged = merge(browser().sees(facts), capture(skew=3).sees(facts))
    for place, event in enumerate(merged):
        assert merged.size[place] == getattr(event, "size", -1)
        assert merged.at[place] == event.at
    assert merged.message_types.count("typing") == 2


def test_all_evidence_there_is_merges() -> None:
    """Unlike things: nothing is lost, nothing breaks, and what does not belong together stands beside."""
    from tests.formats.golden import evidence, read

    traces = [read(path) for path in evidence()] or [browser().sees(FACTS), capture().sees(FACTS)]
    merged = merge(*traces)
    assert len(merged) == sum(map(len, traces))
    assert len({event.id for event in merged}) == len(merged)
    assert len(merged.header.vantages) == len(traces)
    assert len(merged.connections) <= sum(len(trace.connections) for trace in traces)
    disagreements(merged)
    assert merged.timeline() is not None
