"""A recording beside a healthy one: what differs is told, and weighs in the verdict."""

from __future__ import annotations

import pytest

from chatkit.diagnosis import diagnose
from chatkit.diagnosis.comparison import compare, differences
from chatkit.events import UpgradeAnswered
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, Tale


def healthy(**options: object) -> Tale:
    """Five minutes with a first ping after 5 s, messages of usual size."""
    tale = Tale()
    tale.opens(1, "1", **options)  # type: ignore[arg-type]
    tale.pings(6, 300, 20, "1")
    tale.says(20, "1", size=900)
    tale.comes(21, "1", 1200)
    tale.closed(301, "1", 1000, by="client")
    return tale


def broken(ping: float | None = 0.3, until: float = 0.5, **options: object) -> Tale:
    """A life that is reset, after a ping perhaps."""
    tale = Tale()
    tale.opens(1, "1", **options)  # type: ignore[arg-type]
    if ping is not None:
        tale.ping(1 + ping, "1", answered=False)
    tale.ends(1 + until, "1", "rst")
    return tale


def values(tale: Tale, good: Tale) -> list[str]:
    """What is observed of the difference."""
    return [one.value for one in differences(tale.trace(CAPTURE), good.trace(CAPTURE)).observations]


@pytest.mark.parametrize(
    ("tale", "good", "value"),
    [
        (broken(0.3), healthy(), "pings-earlier"),
        (broken(None, 70), healthy(), "pings-missing"),
        (broken(None, 3, extensions="permessage-deflate"), healthy(), "compression"),
        (broken(None, 3, headers=[("Server", "nginx")]), healthy(headers=[("Server", "uvicorn")]), "handshake"),
    ],
)
def test_a_difference_is_observed(tale, good, value) -> None:
    """Earlier or missing pings, compression, another handshake."""
    assert value in values(tale, good)


def test_a_bigger_message_is_observed() -> None:
    """Many times the size of any message that was well."""
    tale = broken(None, 20)
    tale.says(20.7, "1", size=400_000)
    assert "bigger-message" in values(tale, healthy())


def test_a_slow_upgrade_is_observed() -> None:
    """Many times the usual time."""
    tale, good = Tale(), Tale()
    for one, took in ((tale, 4.0), (good, 0.05)):
        one.attempt(1, "1")
        one.put(1 + took, UpgradeAnswered, "1", status=101, reason="", headers=[], seconds=took)
    assert "upgrade-slower" in values(tale, good)


def test_nothing_differs_from_itself() -> None:
    """No observation, and no remark but none."""
    found = differences(healthy().trace(CAPTURE), healthy().trace(CAPTURE))
    assert (found.observations, found.remarks) == ((), ())


def test_what_is_not_visible_is_not_compared() -> None:
    """TLS without keys shows no pings: their absence is no difference."""
    found = differences(broken(None, 70).trace(ENCRYPTED), healthy().trace(CAPTURE))
    assert "pings-missing" not in [one.value for one in found.observations]


def test_without_a_connection_nothing_is_compared() -> None:
    """It is said which of the two has none."""
    (remark,) = compare(Tale().trace(CAPTURE), healthy().trace(CAPTURE))
    assert "this recording has no connection" in remark.finding
    (remark,) = compare(healthy().trace(CAPTURE), Tale().trace(CAPTURE))
    assert "the baseline has no connection" in remark.finding


def test_remarks_name_what_is_unlike() -> None:
    """Each begins so, and names events of the recording in question."""
    trace = broken(0.3).trace(CAPTURE)
    found = compare(trace, healthy().trace(CAPTURE))
    assert found
    assert all(remark.finding.startswith("unlike the baseline, ") for remark in found)
    ids = {event.id for event in trace}
    assert {id for remark in found for id in remark.events} <= ids


def test_the_difference_weighs_in_the_verdict() -> None:
    """With a baseline that pings later, one early death is surer than without."""
    trace = broken(0.3).trace(CAPTURE)
    alone, beside = diagnose(trace), diagnose(trace, baseline=healthy().trace(CAPTURE))
    assert beside.causes[0].id == "early-ping-abort"
    before = alone.causes[0].confidence if alone.causes else 0.5
    assert beside.causes[0].confidence > before
    assert any("unlike the baseline" in one.finding for one in beside.causes[0].evidence)


def test_only_the_compared_connection_s_case_gets_it() -> None:
    """Another case of the same recording is not weighed by it."""
    tale = broken(0.3)
    tale.opens(100, "2")
    tale.closed(130, "2", 4009, "replaced by a new session")
    found = {cause.id: cause for cause in diagnose(tale.trace(CAPTURE), baseline=healthy().trace(CAPTURE)).causes}
    words = [one.finding for one in found["replaced-by-new-session"].evidence]
    assert not any("unlike the baseline" in one for one in words)


def test_a_healthy_recording_stays_healthy_beside_a_baseline() -> None:
    """What differs is a remark, no fault."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ping(1.5, "1")
    tale.closed(30, "1", 1000, by="client")
    diagnosis = diagnose(tale.trace(CAPTURE), baseline=healthy().trace(CAPTURE))
    assert diagnosis.verdict == "no-fault"
    assert any("first after" in remark.finding for remark in diagnosis.remarks)
