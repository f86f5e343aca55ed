"""From a trace to a verdict: every cause has a story that it explains, and no trace is too odd for the rules."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatkit.diagnosis import diagnose
from chatkit.diagnosis.endings import cases
from chatkit.diagnosis.engine import ENOUGH, MOST_SURE, _merged, rank
from chatkit.diagnosis.facts import Facts
from chatkit.diagnosis.result import Fix, RankedCause
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN, causes
from chatkit.events import KINDS, Event
from chatkit.trace import Header, Origin, Trace, Vantage
from chatkit.visibility import NOT_VISIBLE
from tests.builders import EPOCH
from tests.diagnosis.labelled import first
from tests.diagnosis.stories import NO_FAULT, OPEN, Story, stories
from tests.diagnosis.stories.telling import CAPTURE, HAR, Tale

BY_LABEL = {label: list(group) for label, group in itertools.groupby(stories(), key=lambda one: one.label)}


def told(name: str) -> Story:
    """The story of that name."""
    return next(one for one in stories() if one.name == name)


@pytest.mark.parametrize("story", stories(), ids=lambda story: f"{story.label}: {story.name}")
def test_a_story_is_understood(story) -> None:
    """Its cause comes first, with evidence that names events of the trace, connections, and a cure."""
    trace = story.trace()
    diagnosis = diagnose(trace, health_method=story.health_method)
    assert first(diagnosis) == story.label
    assert {*story.also} <= {cause.id for cause in diagnosis.causes}
    ids, names = {event.id for event in trace}, {connection.id for connection in trace.connections}
    for cause in diagnosis.causes:
        assert ENOUGH <= cause.confidence <= MOST_SURE
        assert {id for one in cause.evidence for id in one.events} <= ids
        assert any(one.supports and one.events for one in cause.evidence)
        assert set(cause.connections) <= names
        assert "{" not in cause.summary


def test_every_cause_has_a_story() -> None:
    """At least one in which it comes first."""
    assert {story.label for story in stories()} == {*causes(), NO_FAULT, OPEN}


@pytest.mark.parametrize("id", causes())
def test_a_lookalike_is_told_apart(id) -> None:
    """In the stories of its look-alikes, or of the next cause, it does not come first."""
    others = causes()[id].lookalikes or [other for other in causes() if other != id][:3]
    for story in stories():
        if story.label in others:
            assert first(diagnose(story.trace(), health_method=story.health_method)) != id


# Rules of thumb of the taxonomy


def test_rule_1_who_acted_first() -> None:
    """The path was dead before we closed: our own close frame is a consequence."""
    assert first(diagnose(told("our pings vanish after a quiet time").trace())) == "nat-timeout"
    assert diagnose(told("the tab is gone").trace()).causes[0].who == "client"


def test_rule_1_later_attempts_are_consequences() -> None:
    """Attempts that fail while the server is away are no cause of their own."""
    diagnosis = diagnose(told("everything is gone at once").trace())
    assert [cause.id for cause in diagnosis.causes] == ["server-crash"]


def test_rule_2_idle_or_age_is_not_told_by_silence() -> None:
    """Without traffic a timer is idle or age: the words say so, both are weighed."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 100.0 * n, str(n))
        tale.ends(45.5 + 100.0 * n, str(n), "fin")
    diagnosis = diagnose(tale.trace(CAPTURE))
    assert any("idle or age" in words for words in diagnosis.unknown) or diagnosis.verdict == "inconclusive"
    shown = {cause.id for cause in diagnosis.causes} | {id for cause in diagnosis.causes for id, _ in cause.lookalikes}
    assert {"idle-timeout", "max-lifetime"} <= shown or diagnosis.verdict == "inconclusive"


def test_rule_3_simultaneous_endings_are_one_event() -> None:
    """One cause for all that ended within half a second."""
    diagnosis = diagnose(told("the proxy reloads").trace())
    assert [cause.id for cause in diagnosis.causes] == ["server-restart"]
    assert set(diagnosis.causes[0].connections) == {"0", "1", "2", "3"}


def test_rule_4_a_silent_twin_that_dies_too() -> None:
    """An abort after our ping is about the ping, until lives without one die in the same way."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + 10 * n, str(n))
        tale.ping(1.1 + 10 * n, str(n), answered=False)
        tale.ends(1.4 + 10 * n, str(n), "rst")
    assert first(diagnose(tale.trace())) == "early-ping-abort"
    for n in range(2, 6):
        tale.opens(1 + 10 * n, str(n))
        tale.ends(1.7 + 10 * n + 0.6 * n, str(n), "rst")
    assert first(diagnose(tale.trace())) != "early-ping-abort"


@pytest.mark.parametrize(
    "name",
    [
        "the token is refused",
        "the bot is not for this user",
        "a page from elsewhere",
    ],
)
def test_rule_5_one_status_several_causes(name) -> None:
    """403 is split by what else is known: the API's answer, the body."""
    story = told(name)
    trace = story.trace()
    assert trace.connections[0].status == 403
    assert first(diagnose(trace)) == story.label


def test_rule_5_a_bare_403_has_no_certain_cause() -> None:
    """Without arms and without the API it may be several things, and they are named."""
    tale = Tale()
    tale.refused(1, "1", 403)
    diagnosis = diagnose(tale.trace(HAR))
    if diagnosis.causes:
        assert diagnosis.causes[0].confidence < 0.9
        assert diagnosis.causes[0].lookalikes


def test_rule_6_a_browser_s_short_abort_carries_no_cause() -> None:
    """Inconclusive, with what would show it."""
    diagnosis = diagnose(told("a short abort in a browser").trace())
    assert diagnosis.verdict == "inconclusive"
    assert any("NetLog" in words for words in diagnosis.unknown)
    assert any("chatkit diagnose" in step for step in diagnosis.next_steps)


def test_rule_7_each_side_knows_its_own() -> None:
    """The server's log knows the traceback that a client cannot see."""
    diagnosis = diagnose(told("a traceback in the log").trace())
    assert first(diagnosis) == "server-error"
    assert any("KeyError" in one.finding for one in diagnosis.causes[0].evidence)


@pytest.mark.parametrize("story", BY_LABEL[NO_FAULT], ids=lambda story: story.name)
def test_rule_8_healthy_is_an_answer(story) -> None:
    """No fault and no cause: what is odd stands among the remarks."""
    diagnosis = diagnose(story.trace())
    assert (diagnosis.verdict, diagnosis.causes) == ("no-fault", ())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("head is refused once", "unless a monitor uses HEAD"),
        ("one packet was sent twice", "sent again"),
        ("a slow first answer", "the first answer took 8.0 s"),
        ("one page is left", "ended in order"),
    ],
)
def test_rule_8_odd_things_are_remarks(name, words) -> None:
    """HEAD 405, a retransmission, a slow start, a goodbye."""
    assert any(words in remark.finding for remark in diagnose(told(name).trace()).remarks)


def test_rule_9_behind_a_proxy_ends_change_their_meaning(monkeypatch) -> None:
    """1006 in front may be a close frame behind: the disagreement of two vantage points is evidence and remark."""

    class Disagreement(msgspec.Struct):
        what: str
        connection: str
        text: str
        events: tuple[str, ...]
        who: str = "proxy"

    said = Disagreement("close-not-delivered", "1", "the close frame 1012 never reached the client", ("a/1",))
    monkeypatch.setattr("chatkit.merging.disagreements", lambda trace: [said])
    tale = Tale()
    tale.opens(1, "1")
    tale.ends(40, "1", "rst")
    views = tuple(Vantage(name=name, origin=Origin(kind="file")) for name in ("a", "b"))
    header = msgspec.structs.replace(CAPTURE, vantages=views)
    events = [msgspec.structs.replace(event, id=f"a/{event.id}") for event in tale.trace().__iter__()]
    diagnosis = diagnose(Trace.of(events, header))
    assert said.text in [remark.finding for remark in diagnosis.remarks]
    assert "a capture on each side" in diagnosis.next_steps[0]


def test_rule_10_only_survival_counts() -> None:
    """A twin that lived as long as the dead ones proves nothing; one that lived several times as long does."""

    def twin(until: float) -> list[str]:
        tale = Tale()
        for n in range(2):
            tale.opens(1 + 10 * n, str(n))
            tale.ping(3 + 10 * n, str(n), answered=False)
            tale.ends(3.2 + 10 * n, str(n), "rst")
        tale.opens(30, "9")
        tale.notified(until, "9")
        found = next(case for case in cases(Facts(tale.trace())) if case.value("after") == "first-ping")
        return [one.value for one in found.observations if one.of == "repeat"]

    assert twin(32.5) == ["always"]
    assert twin(60) == ["twin-lived"]


# Several at once


def test_several_causes_of_one_recording_are_each_listed() -> None:
    """Connections that die of different causes: each cause names its own."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 10 * n, f"p{n}")
        tale.ping(1.1 + 10 * n, f"p{n}", answered=False)
        tale.ends(1.3 + 10 * n, f"p{n}", "rst")
    for n in range(2):
        at = 100 + 200.0 * n
        tale.opens(at, f"q{n}")
        tale.says(at + 10 + 30 * n, f"q{n}")
        tale.ends(at + 70 + 30 * n, f"q{n}", "fin")
    tale.opens(600, "z")
    tale.closed(640, "z", 4009, "replaced by a new session")
    found = {cause.id: set(cause.connections) for cause in diagnose(tale.trace()).causes}
    assert found["early-ping-abort"] == {"p0", "p1", "p2"}
    assert found["idle-timeout"] == {"q0", "q1"}
    assert found["replaced-by-new-session"] == {"z"}


def test_the_first_cause_explains_most() -> None:
    """Not the surest of one connection."""
    tale = Tale()
    for n in range(8):
        tale.opens(1 + 10 * n, f"p{n}")
        tale.ping(1.1 + 10 * n, f"p{n}", answered=False)
        tale.ends(1.3 + 10 * n, f"p{n}", "rst")
    tale.opens(200, "q")
    tale.closed(240, "q", 4009, "replaced by a new session")
    assert first(diagnose(tale.trace())) == "early-ping-abort"


def test_probabilities_add_up() -> None:
    """Over all hypotheses of a case."""
    found = rank(next(cases(Facts(told("one reset without anything else").trace()))))
    assert sum(one.probability for one in found) == pytest.approx(1.0)
    assert {NONE, UNKNOWN} <= {one.id for one in found}


def test_what_is_ruled_out_says_why() -> None:
    """Look-alikes with the observation against them."""
    found = {one.id: one.because for one in diagnose(told("closed when the token ran out").trace()).ruled_out}
    assert "max-lifetime" in found


# Totality

TEXTS = st.sampled_from(
    [
        *('{"type":"ping"}', '{"type":"pong"}', '{"type":"chat_response","data":{"content":"x","message_id":"m"}}'),
        *('{"type":"typing_indicator","data":{"is_typing":true}}', "", "null", "[1]", '{"type":3}', '{"type":"chat_'),
        '{"type":"chat_response_chunk","data":{"message_id":"m","seq":7}}',
        '{"type":"chat_response","data":null}',
    ]
)
WORDS = st.sampled_from(
    ["", "keepalive ping timeout", "token expired", "refused", "timed out", "\u2028", "[jwt exp=99]"]
)
NUMBERS = st.floats(0, 4000, allow_nan=False)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "how": st.sampled_from(["fin", "rst", "timeout", "local", "odd"]),
    "by": st.sampled_from(["client", "server", None]),
    "stage": st.sampled_from(["dns", "tcp", "tls", "upgrade", "established", "odd"]),
    "status": st.sampled_from([101, 200, 301, 400, 401, 403, 404, 405, 429, 502, 503, 999]),
    "code": st.sampled_from([None, 1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 4001, 4009, 4429]),
    "purpose": st.sampled_from(["chat", "bot", "session", "login", "other"]),
    "method": st.sampled_from(["GET", "HEAD", "POST"]),
    "what": st.sampled_from(["worker-timeout", "exception", "stop", "upstream-timeout", "oom", "odd"]),
    "extensions": st.sampled_from([None, "permessage-deflate", "permessage-deflate; server_max_window_bits=99", ";;"]),
    "headers": st.lists(
        st.tuples(
            st.sampled_from(["Server", "Date", "Retry-After", "Location", "Content-Type", "Via"]),
            st.sampled_from(["nginx", "Tue, 24 Nov 2026 08:00:00 GMT", "99999999999", "", "soon", "\x00"]),
        ),
        max_size=3,
    ),
    "url": st.sampled_from(["ws://h:1/x", "", "http://[", "ws://h:99999999/", "ws://h/?token=[jwt exp=1795449800]"]),
    "text": TEXTS,
    "via": st.sampled_from(["http", "websocket", None]),
    "state": st.sampled_from(["replied", "acked", "connected"]),
    "alters": st.sampled_from(["", "", "token", "origin"]),
    "settings": st.just({}),
}


@st.composite
def events(draw: st.DrawFn, prefix: str = "") -> list[Event]:
    """Anything on any connection, in the order of time."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=40))
    times = sorted(draw(st.lists(NUMBERS, min_size=len(kinds), max_size=len(kinds))))
    found = []
    for n, (kind, at) in enumerate(zip(kinds, times, strict=True)):
        name = draw(st.sampled_from(["1", "2", "3", None]))
        fields = {
            field.encode_name: _value(draw, field)
            for field in msgspec.structs.fields(kind)
            if field.name not in ("id", "at", "connection") and (field.required or draw(st.booleans()))
        }
        found.append(kind(id=f"{prefix}{n}", at=at, connection=name, **fields))
    return found


def _value(draw: st.DrawFn, field: msgspec.structs.FieldInfo) -> Any:
    optional = type(None) in getattr(field.type, "__args__", ())
    if field.name in SPECIAL:
        return draw(SPECIAL[field.name].filter(lambda value: optional or value is not None))
    kinds = {str: WORDS, int: st.integers(0, 10**9), float: NUMBERS, bool: st.booleans()}
    for kind, strategy in kinds.items():
        if field.type is kind or (optional and kind in field.type.__args__):
            return draw(strategy)
    return draw(st.just([]))


HIDDEN = st.lists(st.sampled_from(sorted(NOT_VISIBLE)), unique=True, max_size=8).map(tuple)
SLOWLY = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


@SLOWLY
@given(events(), HIDDEN, st.sampled_from(["live", "file"]), st.sampled_from([None, "HEAD", "GET"]))
def test_no_trace_is_too_odd(found, hidden, kind, method) -> None:
    """Every rule has an answer for every trace, the JSON and the words too."""
    header = Header(origin=Origin(kind=kind, format="pcap"), epoch=EPOCH, not_visible=hidden)
    trace = Trace.of(found, header)
    diagnosis = diagnose(trace, health_method=method, baseline=trace)
    assert diagnosis.headline
    msgspec.json.encode(diagnosis.to_dict())
    assert (diagnosis.verdict == "fault") == bool(diagnosis.causes)


@SLOWLY
@given(events("a/"), events("b/"), HIDDEN)
def test_no_merged_trace_is_too_odd(ours, theirs, hidden) -> None:
    """Two vantage points with whatever they saw."""
    views = tuple(
        Vantage(name=name, origin=Origin(kind="file", format="pcap"), not_visible=hidden) for name in ("a", "b")
    )
    header = Header(origin=Origin(kind="file"), epoch=EPOCH, not_visible=hidden, vantages=views)
    trace = Trace.of(sorted([*ours, *theirs], key=lambda event: event.at), header)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatkit.merging.disagreements", lambda trace: [])
        msgspec.json.encode(diagnose(trace).to_dict())


@pytest.mark.parametrize(
    ("at", "named"), [(50.0, ["server-blocked-loop"]), (100.0, ["server-blocked-loop", "handshake-timeout"])]
)
def test_an_upgrade_that_waited_for_a_mute_server_is_a_consequence(at, named) -> None:
    """Nothing of the server answered meanwhile; one that waits at another time is a cause of its own."""
    tale = Tale()
    tale.opens(1, "1")
    tale.api(41, purpose="bot", took=18)
    tale.health(60, took=20)
    tale.failed(at, "2", "upgrade", "no answer within 3 s")
    tale.notified(120, "1")
    assert [cause.id for cause in diagnose(tale.trace()).causes] == named


@pytest.mark.parametrize(("by_number", "wanted"), [(False, "worker-timeout"), (True, "multi-worker-split")])
def test_of_an_investigation_what_ends_connections_comes_first(by_number, wanted) -> None:
    """Of a recording, what explains most: lost replies on many connections can matter more than one end."""
    found = [
        RankedCause(id=id, title=id, confidence=sure, who="server", connections=("1",), summary="", fix=Fix(summary="", where=""))
        for id, sure in (("multi-worker-split", 0.98), ("worker-timeout", 0.9))
    ]  # fmt: skip
    assert _merged(found, by_number)[0].id == wanted
