"""Lives that ended, compared with each other: cases, crowds, twins, sequels, rivals, expiry."""

from __future__ import annotations

import pytest

from chatkit.events import ArmStarted, EndReported
from tests.builders import EPOCH
from tests.diagnosis.seen import death, deaths, of
from tests.diagnosis.stories.telling import CAPTURE, HAR, URL, Tale


def life(tale: Tale, at: float, name: str, age: float, how: str = "rst", **options: object) -> None:
    """Open for ``age`` seconds."""
    tale.opens(at, name, **options)  # type: ignore[arg-type]
    tale.ends(at + age, name, how)


def test_lives_of_one_ending_are_one_case() -> None:
    """Another ending, another actor, another last action make another case."""
    tale = Tale()
    for n, age in enumerate((11.3, 47.9, 88.0)):
        life(tale, 1 + 100 * n, f"r{n}", age)
    life(tale, 400, "f", 44.0, "fin")
    tale.opens(500, "t")
    tale.sent(530.5, "t", "typing")
    tale.ends(531, "t", "fin")
    assert sorted(sorted(case.connections) for case in deaths(tale)) == [["f"], ["r0", "r1", "r2"], ["t"]]


def test_lives_of_one_age_are_one_case_whatever_they_did_last() -> None:
    """A timer does not ask what was said."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 100 * n, str(n))
        if n:
            tale.says(1 + 100 * n + 29.5, str(n))
        tale.ends(31 + 100 * n, str(n), "fin")
    assert len(deaths(tale)) == 1


@pytest.mark.parametrize(("others", "value"), [("none", "single"), ("live", "alone"), ("die", "all"), ("some", "some")])
def test_who_else_ended_then(others, value) -> None:
    """Nobody else was there, others lived on, all ended, some did."""
    tale = Tale()
    names = {"none": [], "live": ["2", "3"], "die": ["2", "3"], "some": ["2", "3", "4"]}[others]
    life(tale, 1, "1", 99.0)
    for n, name in enumerate(names):
        tale.opens(10 + 7 * n, name)
        if others == "die" or (others == "some" and name != "4"):
            tale.ends(100.1, name)
        else:
            tale.notified(150, name)
    (case,) = deaths(tale)
    assert of(case)["together"] == value


def test_two_that_began_and_ended_together_are_no_crowd() -> None:
    """They are of one age."""
    tale = Tale()
    for name in ("1", "2"):
        life(tale, 1, name, 60.0, "fin")
    assert of(death(tale))["together"] == "single"


def ping_deaths(count: int = 2) -> Tale:
    """Lives that end after an early ping."""
    tale = Tale()
    for n in range(count):
        tale.opens(1 + 10 * n, str(n))
        tale.ping(1.3 + 10 * n, str(n), answered=False)
        tale.ends(1.5 + 10 * n, str(n))
    return tale


def repeat(tale: Tale) -> str:
    """Of the case of the pings."""
    return next(of(case)["repeat"] for case in deaths(tale) if case.value("after") == "first-ping")


def test_twins_of_those_that_died_after_an_action() -> None:
    """Seen once, always, with a silent twin that lived, with one that died too, with one that survived the action."""
    assert repeat(ping_deaths(1)) == "once"
    tale = ping_deaths()
    assert repeat(tale) == "always"
    tale.opens(50, "s")
    tale.notified(90, "s")
    assert repeat(tale) == "twin-lived"
    life(tale, 100, "d", 0.8)
    assert repeat(tale) == "twin-died"
    tale = ping_deaths()
    tale.opens(50, "m")
    tale.ping(50.2, "m")
    tale.notified(90, "m")
    assert repeat(tale) == "mixed"


def test_the_window_is_bracketed() -> None:
    """Between the latest fatal ping and the earliest that was survived."""
    tale = ping_deaths()
    tale.opens(50, "m")
    tale.ping(54, "m")
    tale.notified(90, "m")
    case = next(case for case in deaths(tale) if case.value("after") == "first-ping")
    assert (case.facts["window_min_s"], case.facts["window_max_s"]) == (0.3, 4.0)
    assert case.facts["window_s"] == 2.15
    assert case.facts["ping"] == "application"


@pytest.mark.parametrize(("offset", "value"), [(0.2, "at-once"), (2.0, "soon"), (6.0, "late")])
def test_how_soon_the_ping_came(offset, value) -> None:
    """After the opening."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ping(1 + offset, "1", answered=False)
    tale.ends(1.2 + offset, "1")
    assert of(death(tale))["pinged"] == value


def test_how_the_next_attempt_went() -> None:
    """Let in, refused by status, by TCP, or none made."""
    for status, value, gap in ((None, "opens", "open"), (403, "auth", None), (502, "gateway", "gateway")):
        tale = Tale()
        life(tale, 1, "1", 40.0)
        if status is None:
            tale.opens(45, "2")
        else:
            tale.refused(45, "2", status)
        found = of(death(tale))
        assert (found["next"], found.get("gap")) == (value, gap)
    tale = Tale()
    life(tale, 1, "1", 40.0)
    tale.failed(45, "2", "tcp", "Connection refused")
    assert of(death(tale))["gap"] == "refused"
    tale = Tale()
    life(tale, 1, "1", 40.0)
    assert "next" not in of(death(tale))


@pytest.mark.parametrize(
    ("error", "gap"),
    [("timed out", "failing"), ("Connection refused", "refused"), ("All connection attempts failed", "refused")],
)
def test_health_that_fails_after_the_end(error, gap) -> None:
    """Where no attempt tells more: what opened only afterwards tells nothing of the absence."""
    tale = Tale()
    life(tale, 1, "1", 40.0)
    tale.health(43, None, error=error)
    assert of(death(tale))["gap"] == gap
    tale.opens(45, "2")
    found = of(death(tale))
    assert (found["gap"], found.get("next")) == (gap, None)


def test_a_look_at_health_that_goes_down_with_them() -> None:
    """It was under way when they ended: it says nothing of the time after."""
    tale = Tale()
    life(tale, 1, "1", 40.0)
    tale.health(41.1, None, error="ReadError", took=1.5)
    assert "gap" not in of(death(tale))


def test_nobody_listening_soon_after_any_of_them_tells_most() -> None:
    """Of arms: that the next attempt after the first end opened may be chance."""
    tale = Tale()
    for at, id, until in ((1, "1", 20.0), (2, "2", 40.0)):
        tale.put(at, ArmStarted, id, arm="silent", role="arm", what="says nothing")
        life(tale, at, id, until - at)
    tale.opens(21, "3")
    tale.failed(40.5, "4", "tcp", "Connection refused")
    assert of(death(tale))["next"] == "refused"


@pytest.mark.parametrize(("age", "value"), [(300.5, "at-exp"), (100, "before-exp"), (900, "after-exp")])
def test_the_end_and_the_token_s(age, value) -> None:
    """By exp; without a token nothing is said."""
    tale = Tale()
    life(tale, 1, "1", age, url=URL.replace("***", f"[jwt exp={int(EPOCH) + 301}]"))
    assert of(death(tale))["expiry"] == value
    tale = Tale()
    life(tale, 1, "1", age)
    assert "expiry" not in of(death(tale))


def test_a_rival() -> None:
    """A connection to the same place that had just opened; not one to another place, not before our own goodbye."""

    def found(url: str = URL, code: int | None = None) -> str | None:
        tale = Tale()
        tale.opens(1, "1")
        tale.opens(40, "2", url=url)
        if code is None:
            tale.ends(40.1, "1")
        else:
            tale.closed(40.1, "1", code, by="client")
        tale.notified(60, "2")
        return of(death(tale)).get("rival")

    assert found() == "yes"
    assert found(URL.replace("storyteller", "other")) is None
    assert found(code=1000) is None


def test_our_side_leaves_again_and_again() -> None:
    """Three times and soon; twice is no habit, an hour is not soon."""
    for count, age, value in ((3, 8.0, "again"), (2, 8.0, None), (3, 3600.0, None)):
        tale = Tale()
        for n in range(count):
            tale.opens(1 + 5000 * n, str(n))
            tale.closed(1 + 5000 * n + age + n, str(n), 1001, by="client")
        assert of(death(tale)).get("often") == value


def test_a_mute_server_around_the_end() -> None:
    """Health and our ping waited together; health that answers at once says no."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ping(41, "1", answered=False)
    tale.closed(55, "1", 1011, by="client")
    tale.health(60, took=20)
    assert of(death(tale))["mute"] == "yes"
    tale = Tale()
    tale.opens(1, "1")
    tale.ping(41, "1", answered=False)
    tale.closed(55, "1", 1011, by="client")
    tale.health(50)
    assert of(death(tale))["mute"] == "no"


def test_what_a_browser_can_carry() -> None:
    """A short abort carries nothing, a long life does."""
    for age, carries in ((2.0, False), (60.0, True)):
        tale = Tale()
        tale.opens(1, "1")
        tale.put(1 + age, EndReported, "1", code=1006, source="browser")
        case = death(tale, HAR)
        assert case.carries is carries
        assert bool(case.why_not) is not carries


def test_of_many_lives_what_most_show() -> None:
    """With the events of all of them."""
    tale = Tale()
    for n, age in enumerate((11.3, 47.9, 88.0)):
        life(tale, 1 + 100 * n, str(n), age)
    case = death(tale, CAPTURE)
    ending = next(one for one in case.observations if one.of == "ending")
    assert "(3 of 3 lives)" in ending.finding
    assert len(ending.events) == 3
