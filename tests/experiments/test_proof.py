"""When a cure is proven, when it is not, and what an interrupted or unlucky trial says."""

from __future__ import annotations

import builtins
import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit import display
from chatkit.errors import InvalidInput
from chatkit.experiments.exact import compare
from chatkit.experiments.proof import (
    LIMIT,
    MOST_PAIRS,
    PAIRS,
    TIMES,
    TOGETHER,
    Cure,
    Lifetime,
    Proof,
    judge,
    more_needed,
    must_live,
    probability,
)

PINGS = Cure.of_pings("first ping at 30 s", first_s=30, every_s=30, window_s=5, settle_s=1)
PLAIN = Cure(change="compression off")
EARLY = (1.0, 1.01, 0.99, 1.02, 1.0)
"""Lives of arms that ping at once, seconds."""

Draw = Callable[[np.random.Generator], float]


def dead(*seconds: float, start: float = 0.0, apart: float = 3.0) -> list[Lifetime]:
    """Each opened ``apart`` after the one before."""
    return [Lifetime(seconds=s, died=True, at=start + n * apart + s) for n, s in enumerate(seconds)]


def alive(*seconds: float, chance: float | None = None) -> list[Lifetime]:
    return [Lifetime(seconds=s, died=False, at=s, chance=chance) for s in seconds]


def test_five_of_five_against_none_of_five() -> None:
    """1 deal of 252 and its mirror image; the sentence of the method."""
    proof = judge(dead(*EARLY), alive(*[62] * 5), PINGS)
    assert (proof.outcome, proof.outlived, proof.test, proof.needed) == ("holds", "5 of 5", "exact", "")
    assert proof.p == pytest.approx(2 / 252)
    assert str(proof) == "the cure holds: 5 of 5 outlived the former life 3 times and two pings, p = 0.008"
    assert (proof.control.median_s, proof.cured.median_s, proof.must_live_s) == (1.0, None, 61.0)
    assert more_needed(dead(*EARLY), alive(*[62] * 5), PINGS) == 0


def test_the_same_lives_are_no_cure() -> None:
    """All died as before."""
    proof = judge(dead(*EARLY), dead(*EARLY), PLAIN)
    assert (proof.outcome, proof.outlived, proof.needed) == ("fails", "0 of 5", "")
    assert str(proof) == (
        "the cure does not hold: 5 of 5 did not outlive the former life 3 times; "
        "median life 1 s with it, 1 s without, p = 1"
    )


def test_a_longer_life_is_no_cure() -> None:
    """Twice as long, beyond doubt; most are dead all the same."""
    cured = dead(2, 2.1, 2.2, 2, 2.1)
    for lives in (cured, cured[:3] + alive(9, 9)):
        proof = judge(dead(*EARLY), lives, PLAIN)
        assert proof.p < LIMIT
        assert proof.outcome == "fails"


def test_deaths_as_many_as_without_it_are_no_cure() -> None:
    """Some lived on, and so did some of the control; where the control died more, it stays open."""
    control = dead(1, 2, 1, 2) + alive(10, 10)
    cured = dead(2, 1, 2) + alive(10, 10, 10)
    assert judge(control, cured, PLAIN).outcome == "fails"
    assert judge(dead(*[1] * 6), cured, PLAIN).outcome == "undecided"
    # Two deaths are not enough to say so.
    assert judge(control, cured[1:], PLAIN).outcome == "undecided"


def test_a_cure_that_kills_where_nothing_died_is_none() -> None:
    """The former life is not known, and need not be."""
    proof = judge(alive(*[60] * 5), dead(*EARLY), PLAIN)
    assert proof.outcome == "fails"
    assert "median life 1 s with it, not reached without" in str(proof)
    assert "median life 86,400 s with it" in str(judge(alive(*[90_000] * 3), dead(*[86_400] * 3), PLAIN))


def test_one_early_death_leaves_it_open() -> None:
    """Neither cured nor shown to be useless, and more arms cannot change that."""
    control, cured = dead(*EARLY), alive(*[62] * 4) + dead(20)
    proof = judge(control, cured, PINGS)
    assert (proof.outcome, proof.outlived) == ("undecided", "4 of 5")
    assert "two pings, but 1 died first, after 20 s, p = 0.008" in str(proof)
    assert "what ended the cured connections" in proof.needed
    assert more_needed(control, cured, PINGS) == 0


def test_a_death_of_old_age_is_a_proof_too() -> None:
    """Whoever outlived what had to be outlived may die of something else, and all at once."""
    cured = [Lifetime(seconds=62.0 + n, died=True, at=100.0) for n in range(5)]
    proof = judge(dead(*EARLY), cured, PINGS)
    assert (proof.outcome, proof.outlived) == ("holds", "5 of 5")
    assert (proof.cured.died, len(proof.cured.lives)) == (5, 5)


@pytest.mark.parametrize(
    ("cure", "seconds"),
    [
        (PINGS, 61.0),
        (Cure.of_pings("", first_s=1, every_s=2, window_s=10, settle_s=0.5), 10.5),
        (Cure.of_quiet("", heartbeat_s=20, timeout_s=60), 80.0),
        (PLAIN, 3.0),
        (Cure(change="", exposure_s=2.0), 3.0),
    ],
)
def test_what_a_cured_arm_must_live(cure: Cure, seconds: float) -> None:
    """Three former lives, and until what killed has had its chance."""
    control = dead(*[1.0] * 5)
    assert must_live(control, cure) == judge(control, [], cure).must_live_s == seconds
    assert judge(control, alive(*[seconds] * 5), cure).outcome == "holds"
    assert judge(control, alive(*[seconds - 0.01] * 5), cure).outcome == "undecided"
    assert must_live(alive(5), cure) is None


def test_an_arms_own_trace_tells_when_it_had_its_chance() -> None:
    """Later than planned, earlier, or never."""
    control = dead(*EARLY)
    assert judge(control, alive(*[62] * 5, chance=70), PINGS).outcome == "undecided"
    assert judge(control, alive(*[40] * 5, chance=35), PINGS).outcome == "holds"
    assert judge(control, alive(*[900] * 5, chance=math.inf), PINGS).outcome == "undecided"
    # The former lives must be outlived in any case.
    assert judge(control, alive(*[2.9] * 5, chance=0), PINGS).outcome == "undecided"


def test_who_was_not_watched_for_long_says_nothing() -> None:
    """Interrupted arms neither help nor harm, and it says what to do."""
    control = dead(*EARLY)
    none = judge(control, alive(*[30] * 5), PINGS)
    assert (none.outcome, none.outlived, none.p) == ("undecided", "0 of 0", 1.0)
    assert "no cured connection was watched until it outlived" in str(none)
    assert none.needed == "longer: every cured connection watched for 61 s; 4 more pairs"
    some = judge(control, alive(62, 62, 62, 30, 30), PINGS)
    assert (some.outlived, some.p) == ("3 of 3", pytest.approx(2 / math.comb(8, 3)))
    assert judge(control, alive(*[62] * 5, 30), PINGS).outcome == "holds"
    assert judge(control, alive(*[62] * 5, 30), PINGS).cured.arms == 6


def test_interrupted_arms_speak_for_the_cure_where_it_would_fail() -> None:
    """Three of three died, but four more were alive when they were last seen."""
    control, three = dead(5, 5.1, 5.2, 5.3, 5.4), dead(5, 5.1, 5.2)
    assert judge(control, three, PLAIN).outcome == "fails"
    assert judge(control, three + alive(*[14] * 4), PLAIN).outcome == "undecided"


def test_deaths_in_one_instant_are_one() -> None:
    """A restart: five arms that end together are one observation, however many they were."""
    together = [Lifetime(seconds=20.0 - n, died=True, at=20.0 + n / 9) for n in range(5)]
    proof = judge(together, alive(*[90] * 5), PLAIN)
    assert (proof.control.arms, proof.control.died, len(proof.control.lives)) == (5, 5, 1)
    assert proof.control.to_dict() == {"arms": 5, "died": 5, "counted": 1, "median_s": 20.0}
    assert (proof.outcome, proof.p) == ("undecided", pytest.approx(2 / 6))
    # Of cured arms the shortest life stands for them, and one event cannot refute a cure.
    refuted = judge(dead(*EARLY), together, PINGS)
    assert (refuted.outcome, [one.seconds for one in refuted.cured.lives]) == ("undecided", [16])


def test_one_event_lasts_half_a_second_from_its_first_death() -> None:
    """A row of deaths, each a little after the other, is a row."""
    lives = [Lifetime(seconds=5.0, died=True, at=n * 0.4) for n in range(6)]
    assert len(judge(lives, [], PLAIN).control.lives) == 3
    apart = [Lifetime(seconds=5.0, died=True, at=n * (TOGETHER + 0.01)) for n in range(6)]
    assert len(judge(apart, [], PLAIN).control.lives) == 6


@pytest.mark.parametrize(
    ("control", "cured", "pairs"),
    [
        ([], [], PAIRS),
        (dead(*[1] * 4), alive(*[9] * 4), 1),
        (dead(*[1] * 4) + alive(9), alive(*[9] * 5), 2),
        (dead(1), alive(9), 4),
        (dead(1, 1, 1) + alive(9, 9), alive(*[9] * 5), 3),
        # nothing to be cured of, or a cured arm that died
        (alive(*[9] * 5), alive(*[9] * 5), 0),
        (dead(*[1] * 4), alive(*[9] * 3) + dead(1), 0),
        # ten more pairs would not do
        (dead(1) + alive(*[9] * 15), alive(*[9] * 16), 0),
    ],
)
def test_how_many_pairs_could_settle_it(control: list[Lifetime], cured: list[Lifetime], pairs: int) -> None:
    """If all went well; with so many it does, with one less it does not."""
    assert more_needed(control, cured, PLAIN) == pairs <= MOST_PAIRS
    for more, outcome in ((pairs, "holds"), (pairs - 1, "undecided")):
        if more >= 0 and pairs:
            late = dead(*[1.0] * more, start=1000)
            assert judge(control + late, cured + alive(*[99] * more), PLAIN).outcome == outcome


@pytest.mark.parametrize(
    ("control", "cured", "doubt", "needed"),
    [
        ([], [], "no control connection was watched", "5 more pairs"),
        (dead(1), [], "no cured connection was watched", "5 more pairs"),
        (alive(9, 9), alive(9, 9), "none of 2 died without the cure", "the fault did not show"),
        (dead(1) + alive(9, 9), alive(9), "1 of 3 died without the cure", "6 more pairs"),
        (dead(*[1] * 4), alive(*[9] * 4), "4 of 4 outlived the former life 3 times, p = 0.03", "1 more pair"),
        (dead(1) + alive(*[9] * 15), alive(*[9] * 16), "1 of 16 died", "more than 10 further pairs"),
    ],
)
def test_what_it_says_while_it_is_open(control: list[Lifetime], cured: list[Lifetime], doubt: str, needed: str) -> None:
    """The doubt, and what would settle it."""
    proof = judge(control, cured, PLAIN)
    assert proof.outcome == "undecided"
    assert str(proof).startswith("undecided: ")
    assert doubt in str(proof)
    assert needed in proof.needed


def test_without_scipy_a_plan_keeps_to_the_exact_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that follow the plan never end for want of it."""
    control, cured = dead(*[1] * 5) + alive(*[9] * 4), alive(*[9] * 9)
    assert more_needed(control, cured, PLAIN) == 2
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert more_needed(control, cured, PLAIN) == 0


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (1, "p = 1"),
        (0.0079, "p = 0.008"),
        (0.0096, "p = 0.0096"),
        (0.01, "p = 0.01"),
        (math.nextafter(0.01, 0), "p = 0.009999999999999998"),
        (1e-9, "p < 0.0001"),
    ],
)
def test_a_probability_in_words_lies_on_its_side(p: float, said: str) -> None:
    """0.0096 is not 0.01, which would not do."""
    assert probability(p) == said


def test_as_json() -> None:
    """What scripts rely on."""
    found = json.loads(json.dumps(judge(dead(*EARLY), alive(*[62] * 5), PINGS).to_dict()))
    assert found == {
        "holds": True,
        "p": 0.007937,
        "test": "exact",
        "control": {"arms": 5, "died": 5, "counted": 5, "median_s": 1.0},
        "cured": {"arms": 5, "died": 0, "counted": 5, "median_s": None},
        "must_live_s": 61.0,
        "change": "first ping at 30 s",
        "sentence": "the cure holds: 5 of 5 outlived the former life 3 times and two pings, p = 0.008",
        "needed": "",
    }
    assert judge(dead(*EARLY), dead(*EARLY), PLAIN).to_dict()["holds"] is False
    assert judge([], [], PLAIN).to_dict()["holds"] is None


def test_without_views_it_is_still_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No face, no figure."""
    proof = judge(dead(*EARLY), alive(*[62] * 5), PINGS)
    monkeypatch.setattr(display, "find", lambda kind, face: None)
    assert proof._repr_html_() is None
    assert str(proof) == proof.sentence
    with pytest.raises(InvalidInput, match="no view is loaded"):
        proof.plot()


def test_both_curves() -> None:
    """The one of the control falls to nothing, the other stays."""
    proof = judge(dead(*EARLY), alive(*[62] * 5), PINGS)
    assert (proof.control.curve.at(1.02), proof.cured.curve.at(62)) == (0, 1)
    assert proof.cured.curve.censored.tolist() == [62] * 5


@pytest.mark.parametrize(
    "call",
    [
        lambda: judge(dead(-1), [], PLAIN),
        lambda: judge([], dead(math.nan), PLAIN),
        lambda: judge([], [Lifetime(seconds=1, died=True, at=math.inf)], PLAIN),
        lambda: judge([], alive(1, chance=-1), PLAIN),
        lambda: judge([], [], Cure(change="", exposure_s=math.inf)),
        lambda: more_needed(dead(math.inf), [], PLAIN),
    ],
)
def test_what_is_no_time_is_refused(call: Callable[[], Any]) -> None:
    """Before anything is said."""
    with pytest.raises(InvalidInput, match="no such time"):
        call()


GROUPS = st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=6)


def arms(pairs: list[tuple[int, bool]], factor: float = 1.0) -> list[Lifetime]:
    """No two deaths coincide."""
    return [Lifetime(seconds=s * factor, died=d, at=100.0 * n) for n, (s, d) in enumerate(pairs)]


@given(GROUPS, GROUPS, st.sampled_from([0.01, 0.5, 40.0]))
def test_the_unit_of_time_does_not_matter(
    control: list[tuple[int, bool]], cured: list[tuple[int, bool]], factor: float
) -> None:
    """Nor does it for what is needed."""
    one, other = (judge(arms(control, by), arms(cured, by), PLAIN) for by in (1.0, factor))
    assert (one.outcome, one.outlived) == (other.outcome, other.outlived)
    assert one.p == pytest.approx(other.p)
    assert 0 < one.p <= 1


@given(GROUPS, GROUPS)
def test_what_is_said_can_be_looked_up(control: list[tuple[int, bool]], cured: list[tuple[int, bool]]) -> None:
    """A cure that holds meets every condition; one that fails has deaths; what is open says what it needs."""
    proof = judge(arms(control), arms(cured), PLAIN)
    former = proof.control.median_s
    if proof.outcome == "holds":
        assert proof.p < LIMIT
        assert former is not None
        lasted = [one for one in proof.cured.lives if one.seconds >= TIMES * former]
        assert proof.outlived == f"{len(lasted)} of {len(lasted)}"
        assert all(one in lasted for one in proof.cured.lives if one.died)
    elif proof.outcome == "fails":
        assert sum(one.died for one in proof.cured.lives) >= 3
    assert bool(proof.needed) == (proof.outcome == "undecided")
    assert (more_needed(arms(control), arms(cured), PLAIN) == 0) or proof.outcome == "undecided"


@settings(max_examples=40)
@given(GROUPS, GROUPS, st.integers(1, 99), st.integers(2, 8))
def test_an_event_counts_once_however_many_it_ends(
    control: list[tuple[int, bool]], cured: list[tuple[int, bool]], seconds: int, many: int
) -> None:
    """On either side, nothing that is concluded changes; cured arms had not yet lived as long as they must."""
    cure = Cure(change="", exposure_s=100.0)
    event = [Lifetime(seconds=float(seconds), died=True, at=-50.0)]
    for left, right in ((1, 0), (0, 1)):
        once = judge(arms(control) + event * left, arms(cured) + event * right, cure)
        often = judge(arms(control) + event * left * many, arms(cured) + event * right * many, cure)
        assert (once.outcome, once.p, once.must_live_s) == (often.outcome, often.p, often.must_live_s)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.lists(st.integers(30, 40), min_size=1, max_size=6))
def test_control_and_cure_may_change_places(short: list[int], long: list[int]) -> None:
    """The probability is that of the two groups; the conclusion is not."""
    control, cured = arms([(s, True) for s in short]), arms([(s, True) for s in long])
    here, there = judge(control, cured, PLAIN), judge(cured, control, PLAIN)
    assert here.p == pytest.approx(there.p)
    assert there.outcome != "holds"


def watched(seconds: float, end: float, start: float) -> Lifetime:
    lived = min(seconds, end)
    return Lifetime(seconds=lived, died=seconds <= end, at=start + lived)


def trial(control_life: Draw, cured_life: Draw, rng: np.random.Generator) -> Proof:
    """Rounds of pairs until it is settled, as a verification runs them: the control is watched for four lives."""
    control: list[Lifetime] = []
    cured: list[Lifetime] = []
    while pairs := more_needed(control, cured, PLAIN):
        starts = [1000.0 * len(control) + 3 * n for n in range(pairs)]
        control += [watched(control_life(rng), 4.0, start) for start in starts]
        end = must_live(control, PLAIN) or 4.0
        cured += [watched(cured_life(rng), end, start + 1.5) for start in starts]
    return judge(control, cured, PLAIN)


def timer(rng: np.random.Generator) -> float:
    """One second, to one per cent."""
    return float(1 + 0.01 * rng.standard_normal())


def chance(rng: np.random.Generator) -> float:
    """At any age alike; half are gone after one second."""
    return float(rng.exponential(1 / math.log(2)))


def sometimes(rng: np.random.Generator) -> float:
    """A fault that strikes every second connection."""
    return float(1 + 0.05 * rng.random() if rng.random() < 0.5 else 1e6)


def never(rng: np.random.Generator) -> float:
    """A real cure."""
    return 1e6


@pytest.mark.parametrize("life", [timer, chance, sometimes])
def test_a_change_that_does_nothing_practically_never_holds(life: Draw) -> None:
    """Of 300 trials, each with as many rounds as it asks for, one per cent at most."""
    rng = np.random.default_rng(20)
    found = Counter(trial(life, life, rng).outcome for _ in range(300))
    assert found["holds"] <= 3
    assert found["fails"] >= 100


@pytest.mark.parametrize(("life", "share"), [(timer, 1.0), (chance, 1.0), (sometimes, 0.8)])
def test_a_real_cure_is_recognised(life: Draw, share: float) -> None:
    """At once where the fault is sure, after some rounds where it strikes every second time; never refuted."""
    rng = np.random.default_rng(21)
    found = Counter(trial(life, never, rng).outcome for _ in range(100))
    assert found["holds"] >= 100 * share
    assert found["fails"] == 0


def test_it_is_the_comparison_of_the_lives_that_count() -> None:
    """No probability of its own."""
    control, cured = dead(1, 2, 3) + alive(12), alive(12, 13, 5)
    found = compare([(1, True), (2, True), (3, True), (12, False)], [(12, False), (13, False)])
    assert judge(control, cured, PLAIN).p == found.p
