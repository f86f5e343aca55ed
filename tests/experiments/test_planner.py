"""Which arms are worth running: those that part what is still possible, within what is left and permitted."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatkit.diagnosis.engine import Standing, stand
from chatkit.diagnosis.taxonomy import NONE
from chatkit.experiments.planner import (
    FINE,
    WORTH,
    Belief,
    Proposal,
    believe,
    candidates,
    entropy,
    measured_well,
    open_question,
    outcomes,
    propose,
    settled,
    spare,
)
from chatkit.experiments.treatments import SILENT, Treatment, every, fed, first_ping, plain
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, Rule, course, played
from tests.diagnosis.stories.telling import Tale

PINGS = ("app-ping", "protocol-ping")
FEW = (SILENT, every(1.0, "app-ping"))
FED = (SILENT, fed(2.0))
"""Chat arms have a round of their own: what the bot answers feeds all."""
SHORTLY = (first_ping(0.5), first_ping(0.5, "protocol-ping"))


@cache
def after(name: str) -> Standing:
    """How an investigation stands after some arms."""
    rule, arms, watched, *then = {
        "two silent deaths": (rounds.idle(8.0), (SILENT,), 10.0),
        "quiet": (rounds.idle(6.0), FEW, 20.0),
        "quiet, two rounds": (rounds.idle(7.0), (*ROUND, *SHORTLY), 20.0, FED),
        "age": (rounds.age(8.0), ROUND, 12.0),
        "early pings": (rounds.early(3.0, PINGS), ROUND, 12.0),
        "at random": (rounds.chance(8.0, seed=1), ROUND, 20.0),
        "nothing": (rounds.never, ROUND, 12.0),
        "one silent": (rounds.never, (SILENT,), 4.0),
    }[name]  # fmt: skip
    return stand(played(rule, arms, watched=watched, then=then[0] if then else ()))


def proposed(name: str, *, left: float = 40.0, room: int = 6, chat: bool = True) -> list[Proposal]:
    """With no arm running."""
    return propose(after(name), (), left=left, room=room, chat=chat)


def ids(found: list[Proposal]) -> list[str]:
    return [one.treatment.id for one in found]


# Entropy and outcomes


@pytest.mark.parametrize(
    ("classes", "weights", "bits"),
    [
        ([1, 2, 3, 4], [0.25] * 4, 2.0),
        ([1, 1, 2, 2], [0.25] * 4, 1.0),
        ([7, 7, 7, 7], [0.25] * 4, 0.0),
        ([1, 2], [1.0, 0.0], 0.0),
        ([-10_000, 5], [0.9, 0.1], -0.9 * math.log2(0.9) - 0.1 * math.log2(0.1)),
    ],
)
def test_entropy_in_bits(classes, weights, bits) -> None:
    """Of the outcome's classes, weighed by the belief."""
    assert entropy(np.array(classes), np.array(weights)) == pytest.approx(bits)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.01, 1.0)), min_size=1, max_size=30))
def test_entropy_is_no_more_than_the_classes_carry(rows) -> None:
    """And knows no names: the classes may be called anything."""
    classes, weights = np.array([one for one, _ in rows]), np.array([weight for _, weight in rows])
    weights = weights / weights.sum()
    bits = entropy(classes, weights)
    assert -1e-9 <= bits <= math.log2(len(set(classes.tolist()))) + 1e-9
    assert entropy(100 - 7 * classes, weights) == pytest.approx(bits)


def belief(*ages: float | None) -> Belief:
    """That all ends at one of these ages, or that nothing does."""
    from chatkit.diagnosis.mechanisms import times

    places = [0 if age is None else int(np.argmin(np.abs(times() - age))) for age in ages]
    return Belief(
        causes=tuple("none" if age is None else "max-lifetime" for age in ages),
        mechanisms=tuple("none" if age is None else "age" for age in ages),
        places=tuple(places),
        weights=np.full(len(ages), 1 / len(ages)),
    )


def test_hypotheses_predict_ages() -> None:
    """Each by its mechanism and its point; no fault ends nothing."""
    found = belief(8.0, 30.0, None).predict(course())
    assert found == pytest.approx([8.0, 30.0, math.inf], rel=0.006)


def test_an_outcome_is_an_age_or_a_life() -> None:
    """Ages that cannot be told apart are one outcome; what comes after the last look is none."""
    one, near, far, late, never = outcomes(belief(8.0, 8.0 * (1 + FINE / 10), 12.0, 50.0, None), course(until=20.0))
    assert one == near
    assert len({int(one), int(far), int(late)}) == 3
    assert late == never


def test_what_should_have_ended_before_is_a_life() -> None:
    """An arm of ten seconds tells nothing of an age of eight any more."""
    eight, twelve, never = outcomes(belief(8.0, 12.0, None), course(until=20.0), age=10.0)
    assert eight == never != twelve


# Belief


@pytest.mark.parametrize("name", ["two silent deaths", "quiet", "early pings", "at random", "nothing"])
def test_a_belief_spreads_the_hypotheses(name) -> None:
    """Each cause keeps its probability, over its mechanisms and their points."""
    standing = after(name)
    found = believe(standing)
    assert found.weights.sum() == pytest.approx(1.0)
    shares: dict[str, float] = {}
    for cause, weight in zip(found.causes, found.weights.tolist(), strict=True):
        shares[cause] = shares.get(cause, 0.0) + weight
    for one in standing.hypotheses[:3]:
        assert shares.get(one.id, 0.0) == pytest.approx(one.probability, abs=0.03)


def test_nothing_known_nothing_believed() -> None:
    """Before any arm has opened there is one hypothesis, which predicts no end."""
    found = believe(stand(Tale().trace()))
    assert found.causes == ("none",)
    assert found.predict(course()) == pytest.approx([math.inf])


# Proposals


def gain(standing: Standing, treatment: Treatment, first: str, second: str, left: float = 40.0) -> float:
    """Bits that an arm tells about which of two causes it is."""
    found = believe(standing)
    keep = np.array([one in (first, second) for one in found.causes])
    weights = found.weights[keep] / found.weights[keep].sum()
    classes, of = outcomes(found, treatment.course(left))[keep], np.array(found.causes)[keep]
    inside = 0.0
    for cause in (first, second):
        mine = of == cause
        share = float(weights[mine].sum())
        inside += share * entropy(classes[mine], weights[mine] / share)
    return entropy(classes, weights) - inside


def test_what_tells_quiet_from_age_after_two_silent_deaths() -> None:
    """The first proposal parts them; one more silent arm would not."""
    standing = after("two silent deaths")
    assert [one.id for one in standing.hypotheses[:2]] == ["idle-timeout", "max-lifetime"]
    best = proposed("two silent deaths")[0]
    assert gain(standing, best.treatment, "idle-timeout", "max-lifetime") > 0.4
    assert gain(standing, SILENT, "idle-timeout", "max-lifetime") < 0.1
    assert "silent" not in ids(proposed("two silent deaths"))
    assert best.bits > WORTH


@pytest.mark.parametrize(
    ("rule", "id"), [(rounds.idle(8.0), "idle-timeout"), (rounds.age(8.0), "max-lifetime")], ids=["quiet", "age"]
)
def test_the_proposed_arms_do_tell(rule: Rule, id: str) -> None:
    """Run against either backend they lead to its cause."""
    arms = tuple(one.treatment for one in proposed("two silent deaths", chat=False))
    standing = stand(played(rule, (SILENT, *arms), watched=20.0))
    assert standing.hypotheses[0].id == id
    assert standing.hypotheses[0].probability > 0.9


def test_which_activity_counts() -> None:
    """Of an idle time-out that is certain: the arms whose kinds are still possible, and then one kind is left."""
    standing = after("quiet")
    assert standing.hypotheses[0].id == "idle-timeout"
    assert open_question(standing).startswith("which activity counts: any, inbound")
    found = proposed("quiet")
    whats = {doing.what for one in found for doing in one.treatment.doings}
    assert {"protocol-ping", "message"} <= whats
    assert "typing" in whats
    arms = [one.treatment for one in found if one.treatment.politeness == "read-only"]
    for counts in ("any", "inbound", "outbound", "data-frames", "app-ping"):
        told = stand(played(rounds.idle(6.0, counts), (*FEW, *arms), watched=20.0, then=FED))
        assert told.diagnosis.causes[0].parameters["counts"] == counts
        assert "counts_perhaps" not in told.diagnosis.causes[0].parameters


def test_first_pings_split_the_window() -> None:
    """Known is that 1 s is fatal and 5 s is not: the next ages lie between, and not all on one side."""
    window = after("early pings").diagnosis.causes[0].parameters
    low, high = window["window_min_s"], window["window_max_s"]
    assert (low, high) == (1.0, 5.0)
    found = proposed("early pings")
    ages = sorted({one.treatment.doings[0].at for one in found})
    assert len(ages) >= 4
    assert all(low < age < high for age in ages)
    between = np.diff([low, *ages, high])
    assert max(between) < 0.45 * (high - low)
    # Run beside the others they narrow it, wherever it is.
    for true in (1.2, 2.2, 3.3, 4.8):
        again = stand(played(rounds.early(true, PINGS), (*ROUND, *(one.treatment for one in found))))
        told = again.diagnosis.causes[0].parameters
        assert told["window_min_s"] <= true <= told["window_max_s"]
        assert told["window_max_s"] - told["window_min_s"] <= max(between) + 1e-6


def test_each_is_chosen_for_what_the_others_will_not_tell() -> None:
    """No arm twice; and what runs already is not started again."""
    found = proposed("quiet")
    assert len(set(ids(found))) == len(found)
    running = [(one.treatment, 0.0) for one in found]
    assert propose(after("quiet"), running, left=40.0, room=6, chat=True) == []
    first = propose(after("quiet"), running[:1], left=40.0, room=6, chat=True)
    assert found[0].treatment.id not in ids(first)
    assert first[0].bits <= found[0].bits


@pytest.mark.parametrize("room", [0, 1, 3])
def test_no_more_than_there_is_room_for(room) -> None:
    """The most telling ones first."""
    assert ids(proposed("early pings", room=room)) == ids(proposed("early pings"))[:room]


NAMES = ["two silent deaths", "quiet", "early pings", "age", "nothing", "one silent"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("left", [0.5, 7.0, 60.0])
def test_nothing_that_takes_longer_than_what_is_left(name, left) -> None:
    """Each is known in time, and tells something by then."""
    for one in proposed(name, left=left):
        assert 0 < one.seconds <= left
        assert one.bits >= WORTH
        classes = outcomes(believe(after(name)), one.treatment.course(left))
        assert len(np.unique(classes)) > 1


def test_what_does_not_fit_is_not_proposed() -> None:
    """An idle time-out of 6 s says nothing within 5."""
    assert proposed("quiet", left=5.0) == []
    assert proposed("quiet", left=20.0) != []


@pytest.mark.parametrize("name", NAMES)
def test_chat_only_where_it_is_permitted(name) -> None:
    """Nothing intrusive in any case."""
    for chat in (True, False):
        pool = candidates(after(name).trials, chat=chat)
        assert ("chatty" in {one.politeness for one in pool}) == chat
        assert all(one.politeness != "intrusive" and not one.alters for one in pool)
        assert len({one.id for one in pool}) == len(pool)
    assert all(one.treatment.politeness == "read-only" for one in proposed(name, chat=False))
    assert any(one.politeness == "chatty" for one in candidates(None, chat=True))


def test_a_chat_arm_feeds_faster_than_the_time_out() -> None:
    """And never more often than politeness permits."""
    for name, timeout in (("quiet", 6.0), ("quiet, two rounds", 7.0)):
        trials = after(name).trials
        (chatty,) = (one for one in candidates(trials, chat=True) if one.politeness == "chatty")
        assert chatty.doings[0].every == pytest.approx(timeout / 3, abs=0.1)
        assert chatty.doings[0].every >= 2.0


def test_big_messages_only_where_they_are_permitted() -> None:
    """With sizes on both sides of the limits that are still possible."""
    trials = after("quiet").trials
    polite, bold = (candidates(trials, chat=True, intrusive=yes) for yes in (False, True))
    assert {one.politeness for one in bold} - {one.politeness for one in polite} == {"intrusive"}
    assert set(polite) <= set(bold)


def test_an_arm_that_leaves_soon_does_not_tell_of_quiet() -> None:
    """The one without compression stays for three seconds after its message."""
    assert "no-compression" not in ids(proposed("quiet"))
    classes = outcomes(believe(after("quiet")), plain().course(40.0))
    assert len(np.unique(classes)) == 1


def test_arms_that_have_shown_what_they_could_make_room() -> None:
    """Those of which every hypothesis expects the same; the quiet one may still die."""
    standing = after("two silent deaths")
    old, new = [(SILENT, 20.0), (SILENT, 5.0)], [(SILENT, 0.5)]
    assert spare(standing, old, left=40.0) == [0]
    assert spare(standing, new, left=40.0) == []


# When to stop


@pytest.mark.parametrize(
    ("name", "expected"),
    [("quiet", True), ("early pings", True), ("two silent deaths", False), ("nothing", False), ("at random", False)],
)
def test_settled_is_one_cause_above_all(name, expected) -> None:
    """From 0.95 on."""
    assert settled(after(name)) is expected


def test_settled_needs_a_verdict() -> None:
    """A cause that is not surely enough named settles nothing."""
    standing = after("quiet")
    weaker = [replace(one, confidence=0.9) for one in standing.diagnosis.causes]
    assert not settled(replace(standing, diagnosis=replace(standing.diagnosis, causes=tuple(weaker))))


@pytest.mark.parametrize(
    ("name", "left", "expected"),
    [
        ("quiet", 40.0, False),  # which activity counts is open
        ("quiet", 5.0, True),  # and cannot be told in that time
        ("quiet, two rounds", 40.0, True),
        ("early pings", 40.0, False),  # the window is four seconds wide
        ("early pings", 0.5, True),
        ("age", 40.0, True),
    ],
)
def test_measured_well_is_what_no_arm_would_better(name, left, expected) -> None:
    """Of the parameters of the likeliest cause."""
    assert measured_well(after(name), (), left=left, chat=True) is expected


def test_measuring_ends_where_there_is_nothing_to_measure() -> None:
    """No arms, no parameters; no fault, and any end would still tell."""
    assert measured_well(stand(Tale().trace()), (), left=40.0, chat=True)
    assert after("nothing").hypotheses[0].id == NONE
    assert not measured_well(after("nothing"), (), left=40.0, chat=True)


def test_an_arm_that_runs_may_still_measure() -> None:
    """With no chat permitted and all else tried, it is the running one that is waited for."""
    standing = after("early pings")
    assert not measured_well(standing, [(first_ping(3.0), 1.0)], left=4.0, chat=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two silent deaths", "idle-timeout or max-lifetime"),
        ("early pings", "early-ping-abort"),
        ("nothing", "none or "),
    ],
)
def test_the_open_question_in_words(name, words) -> None:
    """What is being parted."""
    assert open_question(after(name)).startswith(words)


def test_the_open_question_before_anything_ended() -> None:
    """Nothing is known."""
    assert open_question(stand(Tale().trace())) == "whether anything ends a connection"
