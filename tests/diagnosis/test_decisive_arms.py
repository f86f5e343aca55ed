"""From a recorded investigation to a verdict, and no verdict without the arms that prove it."""

from __future__ import annotations

import math

import pytest

from chatkit.diagnosis import diagnose
from chatkit.diagnosis.endings import cases
from chatkit.diagnosis.engine import PROVEN, stand
from chatkit.diagnosis.facts import Facts
from chatkit.events import ArmStarted
from chatkit.experiments.treatments import GARBAGE_TOKEN, NO_TOKEN, first_ping, variants
from chatkit.trace import Trace
from tests.builders import EPOCH
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, closes, cut, played
from tests.diagnosis.stories.telling import URL, Tale

PINGS = ("app-ping", "protocol-ping")
LATER = tuple(first_ping(at, what) for at in (2.0, 4.0) for what in PINGS)  # type: ignore[arg-type]


def away(tale: Tale) -> None:
    """The backend is gone for two seconds."""
    tale.health(9.3, None, error="connection refused")
    tale.health(11.4)


FAULTS: dict[str, tuple[str, Trace]] = {
    "both pings": ("early-ping-abort", played(rounds.early(3.0, PINGS))),
    "application pings": ("early-ping-abort", played(rounds.early(3.0, PINGS[:1]))),
    "RFC 6455 pings": ("early-ping-abort", played(rounds.early(3.0, PINGS[1:]), (*ROUND, *LATER))),
    "quiet": ("idle-timeout", played(rounds.idle(6.0), watched=20.0)),
    "quiet, close frame": ("idle-timeout", played(rounds.idle(6.0), watched=20.0, end=closes(1000, "idle"))),
    "age": ("max-lifetime", played(rounds.age(8.0))),
    "typing": ("server-error", played(rounds.trigger("typing"))),
    "typing, close frame": ("server-error", played(rounds.trigger("typing"), end=closes(1011, "internal error"))),
    "all at once, orderly": ("server-restart", played(rounds.moment(9.0), end=closes(1012), beside=away)),
    "all at once, cut": ("server-crash", played(rounds.moment(9.0), beside=away)),
    "some at once": ("worker-timeout", played(rounds.moment(9.0, spared=("2", "4", "6", "8")))),
    "the newest stays": ("replaced-by-new-session", played(rounds.rival, end=closes(4009, "replaced"))),
    "four stay": (
        "connection-limit",
        played(lambda one: 0.05 if one.beside >= 4 else math.inf, end=closes(1013, "too many connections")),
    ),
    "exp": (
        "token-expired",
        played(
            lambda one: 30.4 - one.opened,
            watched=40.0,
            end=closes(4001, "token expired"),
            url=URL.replace("***", f"[jwt exp={EPOCH + 30:.0f}]"),
        ),
    ),
    "at random": ("network-reset", played(rounds.chance(8.0, seed=1), watched=20.0)),
}


def without(trace: Trace, *arms: str) -> Trace:
    """The recording as if these arms had not been run."""
    gone = {one.connection for one in Facts(trace).events(ArmStarted) if one.arm in arms}
    assert gone, arms
    return trace.where([place for place in range(len(trace)) if trace[place].connection not in gone])


@pytest.mark.parametrize("name", FAULTS)
def test_a_round_of_arms_is_understood(name) -> None:
    """The cause by its id, with evidence in the events of the recording."""
    id, trace = FAULTS[name]
    found = diagnose(trace)
    assert (found.verdict, found.causes[0].id) == ("fault", id)
    cause = found.causes[0]
    assert cause.confidence >= PROVEN
    assert {event for one in cause.evidence for event in one.events} <= {event.id for event in trace}
    shown = [one.finding for one in cause.evidence if one.supports and one.events]
    # Of arms that end with one token the claim tells more than each of them.
    assert any(one.startswith("arm ") or "token expired" in one for one in shown)
    assert "{" not in cause.summary
    assert found == stand(trace).diagnosis


def test_look_alikes_are_ruled_out_by_an_arm() -> None:
    """The arm that speaks most against them."""
    by = {one.id: one.because for one in diagnose(FAULTS["quiet"][1]).ruled_out}
    assert by["max-lifetime"] == "arm control ended at an age of 11.0 s, 6.0 s after our ping"
    by = {one.id: one.because for one in diagnose(FAULTS["age"][1]).ruled_out}
    assert by["idle-timeout"].startswith("arm ping-")


# No verdict without evidence

QUIET_AFTER = ("silent", "alone", "ping-at-0s", "ping-rfc6455-at-0s", "control")
BUSY = ("ping-every-1s", "ping-rfc6455-every-1s", "typing-every-1s", "control")
PINGED = ("ping-at-0s", "ping-rfc6455-at-0s", "ping-every-1s", "ping-rfc6455-every-1s")


@pytest.mark.parametrize(
    ("name", "arms"),
    [
        ("both pings", PINGED),  # nobody pinged early
        ("both pings", ("control",)),  # nobody pinged late
        ("application pings", ("control",)),
        ("application pings", PINGED),
        ("application pings", ("ping-at-0s", "ping-every-1s")),  # nobody sent the ping that kills
        ("quiet", QUIET_AFTER),  # nobody was quiet
        ("quiet", BUSY),  # nobody was busy: it may be age
        ("age", BUSY),  # it may be quiet
        ("age", QUIET_AFTER),  # all were busy: what may come of silence is not known
        ("typing", ("typing-every-1s",)),
        ("typing, close frame", ("typing-every-1s",)),
    ],
)
def test_no_verdict_without_the_decisive_arms(name, arms) -> None:
    """And it is said what is missing."""
    _, trace = FAULTS[name]
    found = diagnose(without(trace, *arms))
    assert (found.verdict, found.causes) == ("inconclusive", ())
    assert found.unknown


@pytest.mark.parametrize("name", ["both pings", "quiet", "age", "typing"])
def test_arms_that_ask_something_else_are_not_missed(name) -> None:
    """One of two silent ones would have done."""
    id, trace = FAULTS[name]
    found = diagnose(without(trace, "alone"))
    assert (found.verdict, found.causes[0].id) == ("fault", id)


def test_a_healthy_backend_is_told_healthy() -> None:
    """After arms that could have shown the common causes; without the silent ones nobody knows."""
    trace = played(rounds.never)
    found = diagnose(trace)
    assert (found.verdict, found.causes) == ("no-fault", ())
    # That it cannot have seen what takes longer than a budget is no doubt about what it saw.
    assert [one for one in found.unknown if not one.startswith("what takes longer than 16 s")] == []
    found = diagnose(without(trace, "silent", "alone"))
    assert found.verdict == "inconclusive"
    assert "no silent connection was watched for as long as the others" in found.unknown


@pytest.mark.parametrize("arm", sorted({one.id for one in ROUND} - {"silent", "control"}))
def test_no_clean_bill_without_each_arm(arm) -> None:
    """What was not tried is named."""
    found = diagnose(without(played(rounds.never), arm))
    assert (found.verdict, found.causes) == ("inconclusive", ())
    assert any(one.startswith("no ") for one in found.unknown)


# Openings unlike the client's


def test_an_altered_opening_is_no_case() -> None:
    """A connection without a token that is let in and thrown out is what it should be."""
    arms = (*ROUND, *variants("http://127.0.0.1:8000"))

    def turned_away(one):
        return 0.02 if one.arm.startswith(("token", "path", "origin")) else math.inf

    for end in (cut, closes(4401, "no token"), closes(1008)):
        trace = played(turned_away, arms, end=end)
        assert len(Facts(trace).variants) == 5
        assert list(cases(Facts(trace))) == []
        assert diagnose(trace).verdict == "no-fault"


def test_a_refused_bad_token_is_no_case() -> None:
    """It never opened."""

    def refusals(marked: bool):
        def tell(tale: Tale) -> None:
            for name, arm in (("20", NO_TOKEN), ("21", GARBAGE_TOKEN)):
                if marked:
                    rounds.begin(tale, 30.0, name, arm)
                tale.refused(30.1, name, 401)

        return tell

    found = diagnose(played(rounds.never, beside=refusals(marked=True)))
    assert (found.verdict, found.causes) == ("no-fault", ())
    assert diagnose(played(rounds.never, beside=refusals(marked=False))).verdict != "no-fault"


def test_bad_tokens_do_not_count_as_silent_arms() -> None:
    """They say nothing, and live; that proves nothing of a good connection."""
    trace = without(played(rounds.never, (*ROUND, NO_TOKEN, GARBAGE_TOKEN)), "silent", "alone")
    assert diagnose(trace).verdict == "inconclusive"


def test_altered_openings_change_nothing_about_the_others() -> None:
    """The same cause, to the last digit, whatever became of them."""
    arms = (*ROUND, NO_TOKEN, GARBAGE_TOKEN)
    plain = played(rounds.age(8.0), alone=True)
    beside = played(lambda one: 0.02 if one.arm.startswith("token") else 8.0, arms)
    one, other = diagnose(plain).causes[0], diagnose(beside).causes[0]
    assert (one.id, one.parameters, one.confidence) == (other.id, other.parameters, other.confidence)
    assert set(other.connections) == set(one.connections)
