"""Times in which a whole server was mute."""

from __future__ import annotations

import pytest

from chatkit.diagnosis.facts import Facts
from chatkit.diagnosis.mute import mutes
from chatkit.events import ArmStarted, AttemptFailed, AttemptStarted, TcpInfoSampled, UpgradeAnswered
from tests.diagnosis.stories.telling import URL, Tale


def found(tale: Tale) -> tuple[tuple[str, ...], ...]:
    """Which signs each time shows."""
    return tuple(one.signs for one in mutes(Facts(tale.trace())))


def waiting(health: float = 12.0, status: int | None = 200) -> Tale:
    """Health takes long from 40 s on, a ping of 42 s waits."""
    tale = Tale()
    tale.opens(1, "1")
    tale.sent(42, "1", "ping")
    tale.health(40 + health, status, took=health)
    return tale


def test_health_and_sockets_wait_together() -> None:
    """Two signs are enough."""
    assert found(waiting()) == (("health", "sockets"),)


def test_one_sign_is_not_enough() -> None:
    """A slow health check alone, a slow answer alone."""
    tale = Tale()
    tale.opens(1, "1")
    tale.health(52, took=12)
    assert found(tale) == ()
    tale = Tale()
    tale.opens(1, "1")
    tale.api(40, purpose="chat", took=12)
    assert found(tale) == ()


@pytest.mark.parametrize(("arms", "signs"), [(True, (("API", "health"),)), (False, ())])
def test_two_answers_that_waited_together_for_less_than_three_seconds(arms, signs) -> None:
    """In an investigation that is enough: both were asked within the stall, and nothing else was."""
    tale = Tale()
    if arms:
        tale.put(1, ArmStarted, "1", arm="alone", role="arm", what="is alone")
    tale.opens(1, "1")
    tale.health(43, took=2.4)
    tale.api(40.3, purpose="chat", took=2.7)
    assert found(tale) == signs


@pytest.mark.parametrize(("spoke", "seconds"), [(False, 6.0), (True, 4.0)])
def test_since_when(spoke, seconds) -> None:
    """Since what was asked first; of a bot that is slow by itself, since the next, for pongs came meanwhile."""
    tale = Tale()
    tale.put(1, ArmStarted, "1", arm="alone", role="arm", what="is alone")
    tale.opens(1, "1")
    tale.api(40, purpose="chat", took=6.1)
    if spoke:
        tale.notified(41, "1")
    tale.health(46, took=4)
    (one,) = mutes(Facts(tale.trace()))
    assert round(one.seconds, 1) == seconds


def test_an_upgrade_that_is_refused_late_waited_as_well() -> None:
    """A variant whose refusal came when the server was back."""
    tale = Tale()
    tale.put(1, ArmStarted, "1", arm="alone", role="arm", what="is alone")
    tale.opens(1, "1")
    tale.put(40, ArmStarted, "2", arm="token-none", role="probe", what="without a token", alters="token")
    tale.put(40, AttemptStarted, "2", url=URL)
    tale.put(42.9, UpgradeAnswered, "2", status=403, reason="", headers=[], seconds=2.9)
    tale.put(42.9, AttemptFailed, "2", stage="upgrade", error="HTTP 403", status=403)
    tale.health(43, took=2.4)
    assert found(tale) == (("health", "upgrades"),)


def test_anything_that_came_meanwhile_speaks_against_it() -> None:
    """A message, a pong, a quick answer."""
    for speak in (
        lambda tale: tale.notified(46, "1"),
        lambda tale: tale.protocol_ping(45, "1"),
        lambda tale: tale.api(45),
    ):
        tale = waiting()
        speak(tale)
        assert found(tale) == ()


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_moment_is_no_mute_time(seconds) -> None:
    """From three seconds on."""
    assert found(waiting(seconds)) == ()


def test_a_server_that_did_not_come_back() -> None:
    """Where no answer came in the end it may be gone, or the path."""
    assert found(waiting(status=None)) == ()


def test_a_request_that_gave_up_is_a_sign_too() -> None:
    """If another answer came at last."""
    tale = Tale()
    tale.opens(1, "1")
    tale.api_fails(41, took=5)
    tale.health(52, took=12)
    assert found(tale) == (("API", "health"),)


def test_how_long_and_which_events() -> None:
    """The part that all signs share."""
    (one,) = mutes(Facts(waiting().trace()))
    assert one.seconds == pytest.approx(12.0)
    assert len(one.events) == 2
    assert one.covers(39, 41)
    assert not one.covers(53, 60)


def beside(seconds: float, **tcp: float) -> Tale:
    """An investigation in which health took that long from 40 s on, and what the kernel said meanwhile."""
    tale = Tale()
    tale.put(0.5, ArmStarted, "1", arm="pings", role="arm", what="pings", alters="", settings={})
    tale.opens(1, "1")
    quiet = {"rtt": 0.01, "rtt_variance": 0.0, "retransmits": 0, "unacked": 0, "last_data_received": 1.0}
    tale.put(39, TcpInfoSampled, "1", **quiet | {"last_ack_received": 0.2})
    tale.sent(40.2, "1", "ping")
    tale.put(40 + 0.9 * seconds, TcpInfoSampled, "1", **quiet | {"last_ack_received": 0.2} | tcp)
    tale.health(40 + seconds, took=seconds)
    return tale


@pytest.mark.parametrize(("seconds", "count"), [(1.2, 0), (2.0, 1), (3.0, 1)])
def test_an_investigation_sees_shorter_ones(seconds, count) -> None:
    """It asks every second, so that two seconds stand out."""
    assert len(found(beside(seconds))) == count


@pytest.mark.parametrize(
    ("tcp", "path"),
    [
        ({}, "clean"),
        ({"unacked": 1, "retransmits": 3, "last_ack_received": 2.5}, "unacknowledged"),
        ({"unacked": 1, "retransmits": 1, "last_ack_received": 2.5}, "clean"),
    ],
)
def test_a_dead_path_is_no_mute_server(tcp, path) -> None:
    """Its kernel would have acknowledged; one segment sent again is no sign."""
    (one,) = mutes(Facts(beside(4.0, **tcp).trace()))
    assert one.path == path
    assert one.samples


def test_no_look_at_the_kernel() -> None:
    """Then nothing is said of the path."""
    (one,) = mutes(Facts(waiting().trace()))
    assert (one.path, one.samples) == (None, ())
