"""Exercises: what is hidden, what an answer needs, and that nothing but the right one is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.diagnosis.courses import Act, Course
from chatkit.riddle import CAUSES, GRID, TOLERANCE, Marked, Seal, draw, mark, seal

SALT = b"sixteen bytes :)"


def life(
    id: str,
    until: float,
    *,
    died: bool = True,
    pings: tuple[float, ...] = (),
    acts: tuple[tuple[float, str], ...] = (),
) -> Course:
    """A life: pings are answered at once; every act is traffic."""
    done = sorted([*((at, "app-ping") for at in pings), *acts])
    return Course(
        id=id,
        opened=0.0,
        until=until,
        died=died,
        activity={"any": (0.0, *(at for at, _ in done))},
        acts=tuple(Act(age=at, what=what) for at, what in done),
        events=(f"e{id}",),
    )


IDLE = (life("1", 2.0), life("2", 4.0, died=False, pings=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)))
AGE = (life("1", 2.0), life("2", 2.0, pings=(0.5, 1.0, 1.5, 1.9)))
EARLY = (
    life("1", 4.0, died=False),
    life("2", 1.2, pings=(1.0,)),
    life("3", 4.0, died=False, pings=(1.6,)),
)
TYPING = (life("1", 0.6, acts=((0.5, "typing"),)), life("2", 4.0, died=False, pings=(0.5, 1.0)))
LIVES = {
    "idle-timeout": (IDLE, {"timeout_s": 2.0}),
    "max-lifetime": (AGE, {"age_s": 2.0}),
    "early-ping-abort": (EARLY, {"window_s": 1.3}),
    "server-error": (TYPING, {"trigger": "typing"}),
}
TRUTHS = {cause: next(iter(parameters.values())) for cause, (_, parameters) in LIVES.items()}


def tell(hidden: str, lives: tuple[Course, ...], answer: str, **parameters: object) -> Marked:
    return mark(seal(hidden, TRUTHS[hidden], SALT), lives, answer, parameters)


@pytest.mark.parametrize("cause", CAUSES)
def test_right_answer_that_the_recording_shows(cause: str) -> None:
    """Is right, and names the events that show it."""
    lives, parameters = LIVES[cause]
    marked = tell(cause, lives, cause, **parameters)
    assert marked.right
    assert marked.look
    assert str(marked).startswith(f"Right. {cause}")


@pytest.mark.parametrize("cause", CAUSES)
def test_right_answer_that_nothing_shows(cause: str) -> None:
    """A guess is not confirmed: no life at all, or only one that the next cause explains as well."""
    lives, parameters = LIVES[cause]
    for few in ((), lives[:1]):
        marked = tell(cause, few, cause, **parameters)
        assert not marked.right
        assert "Make" in marked.says or "make" in marked.says


@pytest.mark.parametrize(
    ("hidden", "answer", "parameters", "said"),
    [
        # near misses: the cause is right, the number is not
        ("idle-timeout", "idle-timeout", {"timeout_s": 1.5}, "but not with your number"),
        ("max-lifetime", "max-lifetime", {"age_s": 3.0}, "but not with your number"),
        ("early-ping-abort", "early-ping-abort", {"window_s": 0.5}, "Connection 2 contradicts"),
        ("early-ping-abort", "early-ping-abort", {"window_s": 2.5}, "Connection 3 contradicts"),
        ("server-error", "server-error", {"trigger": "session_sync"}, "no such message went before it"),
        # wrong causes: the recording contradicts them
        ("idle-timeout", "max-lifetime", {"age_s": 2.0}, "Connection 2 grew older than that"),
        ("max-lifetime", "idle-timeout", {"timeout_s": 2.0}, "quiet for that long"),
        ("idle-timeout", "early-ping-abort", {"window_s": 2.0}, "no ping went before it"),
        ("early-ping-abort", "max-lifetime", {"age_s": 1.2}, "Connection 1 grew older"),
        ("server-error", "idle-timeout", {"timeout_s": 0.1}, "outlived a longer silence"),
    ],
)
def test_wrong_answers(hidden: str, answer: str, parameters: dict[str, object], said: str) -> None:
    """Say what contradicts them and where to look, never what is right."""
    marked = tell(hidden, LIVES[hidden][0], answer, **parameters)
    assert not marked.right
    assert said in marked.says
    assert marked.look
    assert str(TRUTHS[hidden]) not in marked.says
    assert answer == hidden or hidden not in marked.says


@pytest.mark.parametrize("answer", ["1006", "1005", "abort", "FIN", "rst", "server", "Network", "timeout", "unknown"])
def test_lazy_answers(answer: str) -> None:
    """Are told why they are no cause, whatever is hidden."""
    marked = {str(tell(hidden, LIVES[hidden][0], answer)) for hidden in CAUSES}
    assert len(marked) == 1
    assert marked.pop().startswith("Not yet. ")


@pytest.mark.parametrize(
    ("answer", "parameters", "said"),
    [
        ("idle timeout", {}, "needs its parameter"),
        ("idle-timeout", {"age_s": 2.0}, "needs its parameter, and no other: timeout_s=seconds"),
        ("idle-timeout", {"timeout_s": 2.0, "age_s": 2.0}, "and no other"),
        ("idle-timeout", {"timeout_s": "2"}, "a number of seconds"),
        ("idle-timeout", {"timeout_s": True}, "a number of seconds"),
        ("idle-timeout", {"timeout_s": float("nan")}, "a number of seconds"),
        ("idle-timeout", {"timeout_s": 2000}, "not in milliseconds"),
        ("server-error", {"trigger": "hello"}, "is one of typing, session_sync"),
        ("idel-timeout", {"timeout_s": 2.0}, "did you mean idle-timeout?"),
        ("<b>gremlins</b>", {}, "There is no cause"),
    ],
)
def test_answers_that_are_none(answer: str, parameters: dict[str, object], said: str) -> None:
    """Are told what an answer looks like."""
    marked = tell("idle-timeout", IDLE, answer, **parameters)
    assert not marked.right
    assert said in marked.says


def test_what_fits_and_is_wrong() -> None:
    """Evidence that fits another cause as well is not taken for the answer."""
    marked = mark(seal("max-lifetime", 2.0, SALT), IDLE, "idle-timeout", {"timeout_s": 2.0})
    assert not marked.right
    assert "yet it is not the answer" in marked.says


def test_a_wide_bracket_is_not_enough() -> None:
    """A fatal ping and a harmless one far apart leave the window open."""
    lives = (life("1", 0.4, pings=(0.2,)), life("2", 6.0, died=False, pings=(4.0,)))
    assert "try one between them" in tell("early-ping-abort", lives, "early-ping-abort", window_s=1.3).says


def test_a_ping_that_always_kills_is_not_an_early_one() -> None:
    """Without a late ping nothing tells."""
    assert "first ping is late" in tell("early-ping-abort", EARLY[:2], "early-ping-abort", window_s=1.3).says


def test_a_busy_life_alone_shows_no_age() -> None:
    """Its ping may have been at fault."""
    assert "Make a life without one" in tell("max-lifetime", AGE[1:], "max-lifetime", age_s=2.0).says


def test_a_message_that_was_outlived() -> None:
    """Is not the trigger."""
    lives = (*TYPING, life("3", 4.0, died=False, acts=((0.5, "typing"), (1.0, "typing"))))
    assert "outlived such a message" in tell("server-error", lives, "server-error", trigger="typing").says


def test_an_idle_time_that_was_outlived() -> None:
    """Contradicts it."""
    lives = (*IDLE, life("3", 4.0, died=False))
    assert "outlived a longer silence" in tell("idle-timeout", lives, "idle-timeout", timeout_s=2.0).says


ANSWERS = st.one_of(
    st.tuples(st.sampled_from(sorted(CAUSES)), st.floats(0.01, 59.0)),
    st.tuples(st.just("server-error"), st.sampled_from(CAUSES["server-error"].words)),
    st.tuples(st.text(max_size=20), st.one_of(st.none(), st.floats(), st.text(max_size=10), st.integers())),
)
SOME_LIVES = st.lists(
    st.builds(
        life,
        st.integers(1, 9).map(str),
        st.floats(0.0, 20.0),
        died=st.booleans(),
        pings=st.lists(st.floats(0.0, 20.0), max_size=5).map(tuple),
        acts=st.lists(st.tuples(st.floats(0.0, 20.0), st.sampled_from(["typing", "sync"])), max_size=3).map(tuple),
    ),
    max_size=5,
).map(tuple)


@given(hidden=st.sampled_from(sorted(CAUSES)), answer=ANSWERS, shown=st.sampled_from(sorted(CAUSES)), lives=SOME_LIVES)
def test_nothing_but_the_right_answer_is_accepted(
    hidden: str, answer: tuple[str, object], shown: str, lives: tuple[Course, ...]
) -> None:
    """Over any recording, and over those that show a cause: right means this cause, its value within the tolerance."""
    name, value = answer
    key = CAUSES[name].key if name in CAUSES else "value"
    for recording in (lives, LIVES[shown][0]):
        marked = tell(hidden, recording, name, **{key: value})
        if marked.right:
            assert name == hidden
            truth = TRUTHS[hidden]
            assert value == truth if isinstance(truth, str) else abs(float(value) - truth) <= TOLERANCE + GRID / 2  # type: ignore[arg-type]


@given(truth=st.floats(0.5, 10.0), off=st.floats(-1.0, 1.0))
def test_a_seal_opens_within_the_tolerance(truth: float, off: float) -> None:
    """And nowhere else; half a step of the grid is left to rounding."""
    opened = seal("max-lifetime", truth, SALT).opens("max-lifetime", truth + off)
    if abs(off) <= TOLERANCE - GRID / 2:
        assert opened
    if abs(off) > TOLERANCE + GRID / 2:
        assert not opened


@given(seed=st.integers(), salt=st.binary(min_size=16, max_size=16))
def test_a_riddle_shows_nothing_by_itself(seed: int, salt: bytes) -> None:
    """Neither its text nor the seal's names the cause; the same seed draws the same fault, another salt another seal."""
    riddle = draw(seed, salt)
    assert draw(seed, salt) == riddle
    assert draw(seed, bytes(16)).fault == riddle.fault
    for shown in (repr(riddle), str(riddle), repr(riddle.seal)):
        assert not any(cause in shown for cause in CAUSES)
    assert isinstance(riddle.seal, Seal)


def test_seeds_draw_every_cause_and_both_ways_to_end() -> None:
    """A hundred of them do."""
    faults = [draw(seed, SALT).fault for seed in range(100)]
    assert {fault.partition(":")[0] for fault in faults} == set(CAUSES)
    assert all(any(fault.endswith(how) for fault in faults) for how in ("how=fin", "how=rst"))
