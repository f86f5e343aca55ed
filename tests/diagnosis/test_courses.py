"""A recording as courses: ages of what was done and heard, and what else went on meanwhile."""

from __future__ import annotations

import pytest

from chatkit.diagnosis.courses import MANY_ACTS, Act, Course, courses
from chatkit.diagnosis.facts import ACTIVITY, Facts
from chatkit.events import FrameReceived, FrameSent, TokenChanged
from chatkit.experiments.treatments import NO_TOKEN, SILENT
from tests.builders import EPOCH
from tests.diagnosis.rounds import begin
from tests.diagnosis.stories.telling import URL, Tale


def of(tale: Tale, *dead: str) -> dict[str, Course]:
    """Courses by connection."""
    facts = Facts(tale.trace())
    return {one.id: one for one in courses(facts, [life for life in facts.lives if life.id in dead])}


def rounded(ages: tuple[float, ...]) -> list[float]:
    return [round(age, 3) for age in ages]


def test_ages_count_from_the_opening() -> None:
    """The connection opens 10 s after the recording began, and is cut 6 s later."""
    tale = Tale()
    begin(tale, 9.97, "1", SILENT)
    tale.opens(10.0, "1")
    tale.ping(11.0, "1")
    tale.protocol_ping(12.0, "1")
    tale.put(13.0, FrameSent, "1", size=50, text='{"type":"typing","data":{"is_typing":true}}')
    tale.says(14.0, "1")
    tale.hears(14.5, "1")
    tale.ends(16.0, "1")
    course = of(tale, "1")["1"]
    assert (course.arm, course.opened, round(course.until, 3), course.died) == ("silent", 10.0, 6.0, True)
    assert [(round(act.age, 3), act.what) for act in course.acts] == [
        (1.0, "app-ping"), (2.0, "protocol-ping"), (3.0, "typing"), (4.0, "message"),
    ]  # fmt: skip
    assert (course.acts[1].size, course.acts[2].size) == (0, 50)
    assert {kind: rounded(ages) for kind, ages in course.activity.items()} == {
        "any": [0.003, 1.0, 1.004, 2.0, 2.005, 3.0, 4.0, 4.5],
        "inbound": [0.003, 1.004, 2.005, 4.5],
        "outbound": [1.0, 2.0, 3.0, 4.0],
        "data-frames": [0.003, 1.0, 1.004, 3.0, 4.0, 4.5],
        "app-ping": [1.0],
        "protocol-ping": [2.0],
    }
    assert set(course.activity) == set(ACTIVITY)


def test_the_events_show_the_end() -> None:
    """Of a life that goes on, its last event."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.opens(1.5, "2")
    tale.ends(3.0, "1")
    tale.notified(8.0, "2")
    trace, found = tale.trace(), of(tale, "1")
    assert [str(trace[trace.index(id)]) for id in found["1"].events] == ["transport ended: RST by server"]
    assert (found["2"].died, round(found["2"].until, 3)) == (False, 6.5)
    assert trace[trace.index(found["2"].events[0])].at == 8.0


def test_only_the_given_lives_died() -> None:
    """An end that is not to be explained is one up to which a life was watched."""
    tale = Tale()
    for name, at in (("1", 1.0), ("2", 1.1)):
        tale.opens(at, name)
        tale.ends(5.0, name)
    assert {id: one.died for id, one in of(tale, "2").items()} == {"1": False, "2": True}


def test_what_never_opened_or_was_altered_is_no_course() -> None:
    """A refusal has no age; an upgrade without a token says nothing of the others."""
    tale = Tale()
    tale.refused(1.0, "1", 503)
    begin(tale, 1.9, "2", NO_TOKEN)
    tale.opens(2.0, "2")
    tale.ends(2.1, "2")
    tale.opens(3.0, "3")
    tale.ends(9.0, "3")
    assert list(of(tale, "3")) == ["3"]


def test_a_chat_message_over_http_is_an_act_of_every_open_connection() -> None:
    """Health checks and logins are none."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.opens(4.0, "2")
    tale.api(3.0, purpose="chat")
    tale.api(5.0, purpose="bot")
    tale.ends(6.0, "1")
    tale.ends(7.0, "2")
    found = of(tale, "1", "2")
    assert found["1"].acts == (Act(age=2.0, what="chat"),)
    assert found["2"].acts == ()


def test_rivals_open_later_at_the_same_place() -> None:
    """The token in the URL makes no other place; another bot does."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.opens(3.0, "2", url=URL.replace("***", "other"))
    tale.opens(4.0, "3", url=URL.replace("storyteller", "poet"))
    tale.opens(9.0, "4")
    for name, at in (("1", 6.0), ("2", 12.0), ("3", 12.0), ("4", 12.0)):
        tale.ends(at, name)
    found = of(tale, "1")
    assert {id: rounded(one.rivals) for id, one in found.items()} == {"1": [2.0], "2": [6.0], "3": [], "4": []}
    assert {id: one.beside for id, one in found.items()} == {"1": 0, "2": 1, "3": 0, "4": 1}


@pytest.mark.parametrize(
    ("opened", "ended", "moment"),
    [
        ((1.0, 3.0, 5.0), (9.0, 9.1, 9.3), 9.1),  # different ages, one moment
        ((1.0, 1.2, 1.4), (9.0, 9.2, 9.4), None),  # the same age as well: nothing follows
        ((1.0, 1.5), (9.0, 9.05), 9.025),  # half a second apart, ended at once
        ((1.0, 1.5), (9.0, 9.4), None),  # half a second apart, and so are the ends
        ((1.0, 3.0, 5.0), (9.0, 11.0, 13.0), None),  # the same age, at different moments
        ((1.0,), (9.0,), None),
    ],
)
def test_a_moment_is_several_ends_at_different_ages(opened, ended, moment) -> None:
    """Within half a second, of connections that opened further apart than they ended."""
    tale = Tale()
    names = [str(n + 1) for n in range(len(opened))]
    for name, begun, over in zip(names, opened, ended, strict=True):
        tale.opens(begun, name)
        tale.ends(over, name)
    tale.opens(6.0, "9")
    tale.notified(20.0, "9")
    tale.opens(14.0, "10")
    tale.notified(20.0, "10")
    found = of(tale, *names)
    assert {found[name].moment for name in names} == {moment}
    # It was open then, and lived; the other was not there yet.
    assert (found["9"].moment, found["10"].moment) == (moment, None)


def test_the_token_expires_at_an_age() -> None:
    """By the claim in the URL, or by the token that was set before."""
    tale = Tale()
    tale.opens(1.0, "1", url=URL.replace("***", f"[jwt exp={EPOCH + 31:.0f}]"))
    tale.put(2.0, TokenChanged, how="refresh", expires=EPOCH + 62.0)
    tale.opens(3.0, "2")
    tale.ends(9.0, "1")
    found = of(tale, "1")
    assert found["1"].expires == pytest.approx(30.0)
    assert found["2"].expires == pytest.approx(59.0)


def test_the_first_compressed_message() -> None:
    """Of either direction."""
    tale = Tale()
    tale.opens(1.0, "1", extensions="permessage-deflate")
    tale.ping(2.0, "1")
    tale.put(3.0, FrameReceived, "1", size=80, text='{"type":"notification"}', compressed=True)
    tale.put(4.0, FrameSent, "1", size=80, text='{"type":"typing"}', compressed=True)
    tale.ends(9.0, "1")
    assert of(tale, "1")["1"].compressed == pytest.approx(3.0)
    assert of(tale, "1")["1"].inflated == pytest.approx(2.0)
    assert of(Tale()) == {}


def test_a_busy_life_is_looked_at_in_part() -> None:
    """A flood of messages does not make it slow."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.pings(1.01, 61.0, 0.1, "1", answered=False)
    tale.ends(62.0, "1")
    course = of(tale, "1")["1"]
    assert len(course.acts) == MANY_ACTS
    assert len(course.activity["any"]) > MANY_ACTS
