"""Treatments as data, and the courses that they are going to take."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from chatkit.diagnosis.courses import Act
from chatkit.diagnosis.facts import ACTIVITY
from chatkit.experiments.treatments import (
    BRIEF,
    GARBAGE_TOKEN,
    GROWING,
    NO_SUCH_PATH,
    NO_TOKEN,
    PING_BYTES,
    SILENT,
    SYNC_ONCE,
    TYPING_ONCE,
    Doing,
    Treatment,
    control,
    every,
    fed,
    first_ping,
    first_round,
    growing,
    plain,
    replayed,
    sized,
    variants,
)

LIBRARY = (
    *first_round(5.0, 30.0),
    *variants("http://127.0.0.1:8000"),
    first_ping(2.5, "protocol-ping"),
    every(2.0, "typing"),
    every(3.0, "message"),
    fed(2.0),
    growing(),
    sized(1024),
    TYPING_ONCE,
    replayed((Doing(what="app-ping", at=0.1), Doing(what="replay", at=1.0, size=200))),
)


@pytest.mark.parametrize(
    ("doing", "until", "ages"),
    [
        (Doing(what="app-ping", at=1.0), 5.0, [1.0]),
        (Doing(what="app-ping", at=6.0), 5.0, []),
        (Doing(what="app-ping", at=1.0, every=2.0), 5.0, [1.0, 3.0, 5.0]),
        (Doing(what="app-ping", at=1.0, every=2.0, times=2), 50.0, [1.0, 3.0]),
        (Doing(what="app-ping", at=0.0, every=2.0, times=0), 50.0, []),
    ],
)
def test_when_something_is_done(doing, until, ages) -> None:
    """Once, or again and again, up to an age."""
    assert doing.ages(until) == ages


@given(at=st.floats(0, 20), every=st.floats(0.1, 20), until=st.floats(0, 60), times=st.none() | st.integers(0, 9))
def test_a_steady_pace(at, every, until, times) -> None:
    """Never after the end, never more often than said, never faster."""
    ages = Doing(what="typing", at=at, every=every, times=times).ages(until)
    assert all(at <= age <= until for age in ages)
    assert times is None or len(ages) <= times
    assert all(abs(b - a - every) < 1e-9 for a, b in itertools.pairwise(ages))
    assert bool(ages) == (at <= until and times != 0)


FEEDS = {
    "app-ping": {"any", "inbound", "outbound", "data-frames", "app-ping"},
    "protocol-ping": {"any", "inbound", "outbound", "protocol-ping"},
    "typing": {"any", "outbound", "data-frames"},
    "message": {"any", "inbound", "data-frames"},
    "sync": {"any", "inbound", "outbound", "data-frames"},
    "replay": {"any", "outbound", "data-frames"},
}


@pytest.mark.parametrize("what", FEEDS)
def test_what_an_act_feeds(what) -> None:
    """Seen from the client, with the usual answer; the greeting is the first thing that comes in."""
    course = Treatment(id="x", what="x", doings=(Doing(what=what, at=2.0),)).course(9.0)
    assert {kind for kind, ages in course.activity.items() if 2.0 in ages} == FEEDS[what]
    assert {kind for kind, ages in course.activity.items() if 0.0 in ages} == {"any", "inbound", "data-frames"}
    assert set(course.activity) == set(ACTIVITY)


def test_a_planned_course() -> None:
    """A chat message goes out over HTTP; an RFC 6455 ping is no message."""
    doings = (Doing(what="message", at=3.0), Doing(what="protocol-ping", at=1.0), Doing(what="app-ping", at=2.0))
    course = Treatment(id="x", what="x", doings=doings).course(9.0, opened=4.0, beside=2)
    assert (course.arm, course.opened, course.until, course.died, course.beside) == ("x", 4.0, 9.0, False, 2)
    assert course.acts == (
        Act(age=1.0, what="protocol-ping"),
        Act(age=2.0, what="app-ping", size=PING_BYTES),
        Act(age=3.0, what="chat", size=40),
    )
    assert course.compressed == 2.0


def test_what_is_compressed() -> None:
    """The first message of ours; none without the extension, none of a silent arm."""
    assert TYPING_ONCE.course(9.0).compressed == 0.5
    assert plain().course(9.0).compressed is None
    assert SILENT.course(9.0).compressed is None
    assert fed(2.0).course(9.0).compressed is None


@pytest.mark.parametrize("treatment", [plain(), SYNC_ONCE], ids=lambda one: one.id)
def test_one_that_leaves_has_a_short_course(treatment) -> None:
    """A while after its one act; never longer than it is watched."""
    assert treatment.course(60.0).until == 0.5 + BRIEF
    assert treatment.course(2.0).until == 2.0
    assert len(treatment.course(60.0).acts) == 1


# The library


@pytest.mark.parametrize("treatment", LIBRARY, ids=lambda one: one.id)
def test_settings_are_data(treatment) -> None:
    """As JSON, and they tell the treatment again; its name and words stand beside them."""
    settings = json.loads(json.dumps(treatment.settings()))
    assert not {"id", "what", "asks"} & set(settings)
    whole = json.loads(json.dumps(to_builtins(treatment)))
    assert {key: whole[key] for key in settings} == settings
    assert all(not whole[key] for key in set(whole) - set(settings) - {"id", "what", "asks"})


def test_names_tell_treatments_apart() -> None:
    """Of those that are not the same; and each says in words what it does."""
    by_id: dict[str, Treatment] = {}
    for one in LIBRARY:
        assert by_id.setdefault(one.id, one) == one
        assert one.what
        assert not one.what.endswith(".")
    for what in ("app-ping", "protocol-ping", "typing", "message"):
        assert len({every(period, what).id for period in (0.5, 1.0, 2.0)}) == 3
    assert len({first_ping(at, what).id for at in (0.0, 0.25, 1.0) for what in ("app-ping", "protocol-ping")}) == 6


@pytest.mark.parametrize(
    ("treatment", "words"),
    [
        (first_ping(0.0), "one application ping right after opening, then silence"),
        (first_ping(2.5, "protocol-ping"), "one RFC 6455 ping 2.5 s after opening, then silence"),
        (first_ping(0.0, again=10.0), "one application ping right after opening, then one every 10 s"),
        (every(2.0, "message"), "a chat message every 2 s"),
        (control(5.0, 30.0), "as the profile says: first ping after 5 s, then every 30 s"),
        (fed(3.0), "a chat message over HTTP every 3 s"),
    ],
)
def test_what_it_does_in_words(treatment, words) -> None:
    """With times."""
    assert treatment.what == words


def test_politeness() -> None:
    """What speaks to a bot is chatty, what may harm is intrusive, the rest only reads."""
    for one in LIBRARY:
        talks = any(doing.what == "message" for doing in one.doings)
        big = max((doing.size or 0 for doing in one.doings), default=0) > 4096
        assert (one.politeness == "chatty") == talks
        assert one.politeness == "intrusive" or not big
    assert growing().politeness == sized(100_000).politeness == "intrusive"


def test_growing_sizes() -> None:
    """One after the other, each bigger than the last, on both sides of a mebibyte."""
    acts = growing().course(60.0).acts
    assert [act.size for act in acts] == list(GROWING) == sorted(GROWING)
    assert any(size < 2**20 for size in GROWING)
    assert any(size > 2**20 for size in GROWING)
    assert len({act.age for act in acts}) == len(acts)


def test_variants_say_what_they_alter() -> None:
    """And only openings unlike the client's do."""
    found = variants("http://127.0.0.1:8000")
    assert [(one.id, one.alters) for one in found] == [
        ("token-none", "token"),
        ("token-garbage", "token"),
        ("path-unknown", "path"),
        ("origin-own", "origin"),
        ("origin-foreign", "origin"),
    ]
    assert (NO_TOKEN.token, GARBAGE_TOKEN.token, NO_SUCH_PATH.token) == ("none", "garbage", "good")
    assert {one.alters for one in LIBRARY if one not in found} == {""}
    # Reserved by RFC 2606: nobody's page.
    assert found[-1].origin == "https://chatkit.invalid"


def test_the_first_round_waits_for_nobody() -> None:
    """Arms that talk, then the silent one; both kinds of ping at once and often; nothing that asks for permission."""
    found = first_round(stabilise=5.0, interval=30.0, period=0.5)
    assert [one.id for one in found].index(SILENT.id) == 3
    assert {one.politeness for one in found} == {"read-only"}
    for what in ("app-ping", "protocol-ping"):
        firsts = [one.doings[0] for one in found if one.doings and one.doings[0].what == what]
        assert any(doing.at == 0.0 for doing in firsts)
        assert any(doing.every == 0.5 for doing in firsts)
    assert control(5.0, 30.0) in found
    assert len(found) <= 10
