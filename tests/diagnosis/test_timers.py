"""Timers: constant age, constant quiet, both, neither; one life tells a timer by a known limit only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.diagnosis import diagnose
from chatkit.diagnosis.timers import SHARE, SPREAD, steady
from chatkit.events import TcpConnected
from tests.diagnosis.seen import death, of
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, SERVER_LOG, Tale


def lives(*spoken_and_quiet: tuple[float, float], how: str = "fin") -> Tale:
    """One life for each: seconds until the last word, and the quiet that ended it."""
    tale = Tale()
    for n, (spoken, quiet) in enumerate(spoken_and_quiet):
        at = 1 + 1000.0 * n
        tale.opens(at, str(n))
        for k in range(int(spoken), 0, -6):
            tale.notified(at + k, str(n))
        tale.ends(at + int(spoken) + quiet, str(n), how)
    return tale


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (((5, 45), (30, 45), (70, 45)), "idle"),
        (((5, 43), (20, 28), (40, 8)), "age"),
        (((0, 47.3), (0, 47.3), (0, 47.3)), "either"),
        (((3, 7), (20, 41), (60, 18)), "irregular"),
        (((0, 60.0),), "known-idle"),
        (((0, 43.7),), "single"),
    ],
)
def test_what_agrees(made, value) -> None:
    """Ages, quiet times, both or none."""
    assert of(death(lives(*made), CAPTURE))["timer"].replace("known-either", "known-idle") == value


def test_the_measured_time() -> None:
    """The quiet one of an idle time-out, the age of a lifetime."""
    case = death(lives((5, 45), (30, 45.1), (70, 44.9)), CAPTURE)
    assert (case.facts["timeout_s"], case.facts["counts"]) == (45.0, "any")
    assert death(lives((5, 43), (20, 28), (40, 8)), CAPTURE).facts["age_s"] == 48.0


def test_only_our_words_count() -> None:
    """The kind of activity after which all were quiet for the same time."""
    tale = Tale()
    for n, spoken in enumerate((5.0, 12.0, 25.0)):
        at = 1 + 100.0 * n
        tale.opens(at, str(n))
        tale.says(at + spoken, str(n))
        for k in range(int(spoken) + 28 - n * 5):
            tale.notified(at + k, str(n))
        tale.ends(at + spoken + 30, str(n), "fin")
    case = death(tale, CAPTURE)
    assert of(case)["timer"] == "idle"
    assert (case.facts["counts"], case.facts["timeout_s"]) == ("outbound", 30.0)


def test_a_quiet_that_was_outlived_before_is_no_timer() -> None:
    """Nobody who waits for 10 s of quiet lets 25 s pass."""
    tale = Tale()
    for n in range(3):
        at = 1 + 1000.0 * n
        tale.opens(at, str(n))
        for moment in (25.0, 50.0):
            tale.notified(at + moment, str(n))
        tale.ends(at + 60.0, str(n), "fin")
    assert of(death(tale, CAPTURE))["timer"] == "age"


def test_a_lone_silent_fin_after_a_minute() -> None:
    """The idle time-out comes first, nginx among the likely ones, idle and age are not told apart."""
    for headers in ([], [("Server", "nginx")]):
        tale = Tale()
        tale.opens(1, "1", headers=headers)
        tale.ends(61.0, "1", "fin")
        cause = diagnose(tale.trace(CAPTURE)).causes[0]
        assert cause.id == "idle-timeout"
        assert "nginx proxy_read_timeout (default)" in cause.likely
        assert cause.parameters["timeout_s"] == pytest.approx(60.0, abs=0.01)


def test_five_minutes() -> None:
    """One FIN after 300 s of quiet in the midst of an older life is somebody's idle time-out."""
    tale = lives((77.0, 300.0))
    diagnosis = diagnose(tale.trace(CAPTURE))
    assert diagnosis.causes[0].id == "idle-timeout"
    assert diagnosis.causes[0].likely


def test_an_end_by_the_clock() -> None:
    """Ends every ten minutes, whatever the age."""
    tale = Tale()
    for n, age in enumerate((50.0, 333.0, 120.0, 401.0)):
        end = 600.0 * (n + 1)
        tale.opens(end - age, str(n))
        for k in range(1, int(age) - 3, 7 + n):
            tale.notified(end - age + k, str(n))
        tale.ends(end, str(n), "fin")
    case = death(tale, CAPTURE)
    assert of(case)["timer"] == "clock"
    assert case.facts["period_s"] == 600.0


def test_inside_tls_bytes_are_activity() -> None:
    """What cannot be read still came."""
    from chatkit.events import OpaqueReceived

    tale = Tale()
    for n, last in enumerate((2.0, 31.0, 55.0)):
        at = 1 + 400.0 * n
        tale.put(at, TcpConnected, str(n), local="127.0.0.1:1", peer="127.0.0.1:443", seconds=0.001)
        tale.put(at + last, OpaqueReceived, str(n), size=300)
        tale.ends(at + last + 100.0, str(n), "fin")
    assert of(death(tale, ENCRYPTED))["timer"] == "idle"


def test_where_messages_are_not_visible_a_constant_age_is_either() -> None:
    """A server's log shows no quiet."""
    assert of(death(lives((0, 47.3), (0, 47.3)), SERVER_LOG))["timer"] == "either"


def test_consequences_are_no_timers() -> None:
    """An age of half a second is no timer; nor is anything where times are not visible."""
    assert "timer" not in of(death(lives((0, 0.5), (0, 0.5)), CAPTURE))


@given(st.floats(2, 1e5), st.lists(st.floats(-0.499, 0.499), min_size=2, max_size=20))
def test_what_varies_little_is_steady(seconds, noise) -> None:
    """Within 0.3 s, or 3 % of it."""
    room = max(SPREAD, SHARE * seconds * 0.97)
    assert steady([seconds + part * room for part in noise])
    assert not steady([seconds, seconds, seconds + 2 * max(SPREAD, SHARE * seconds)])
