"""Which change of the client is tried against a cause, beside which control."""

from __future__ import annotations

import math
from typing import Any

import pytest

from chatkit.diagnosis.result import Diagnosis, Fix, RankedCause
from chatkit.diagnosis.taxonomy import causes
from chatkit.experiments.cures import GIVES_UP, Trial, trial_of
from tests.diagnosis import rounds

CURABLE = {"early-ping-abort", "idle-timeout", "nat-timeout", "compression-broken"}
STABILISE = 5.0


def ranked(id: str, **parameters: Any) -> RankedCause:
    return RankedCause(
        id=id,
        title=id,
        confidence=0.97,
        who="server",
        connections=("1",),
        summary=id,
        parameters=parameters,
        fix=Fix(summary="…"),
    )


def trial(id: str, verdict: str = "fault", **parameters: Any) -> Trial | None:
    """Of a diagnosis with this cause."""
    found = (ranked(id, **parameters),)
    return trial_of(Diagnosis(verdict=verdict, causes=found if verdict == "fault" else ()), STABILISE)  # type: ignore[arg-type]


def of(id: str, **parameters: Any) -> Trial:
    found = trial(id, **parameters)
    assert found is not None
    return found


@pytest.mark.parametrize("id", causes())
def test_only_what_a_client_can_change_is_tried(id) -> None:
    """All else needs the server, and is described."""
    found = trial(id, timeout_s=6.0, window_s=3.0, window_min_s=1.0)
    assert (found is not None) == (id in CURABLE)
    if found is not None:
        assert (found.control.id, found.cured.id) == ("uncured", "cured")
        one, other = found.control, found.cured
        assert (one.doings, one.compression) != (other.doings, other.compression)
        # Whoever leaves early cannot outlive the other three times.
        assert (one.until, other.until) == (None, None)
        assert found.seconds >= 3 * found.control_s


@pytest.mark.parametrize("verdict", ["no-fault", "inconclusive"])
def test_no_fault_no_trial(verdict) -> None:
    """There is nothing to compare with."""
    assert trial("idle-timeout", verdict, timeout_s=6.0) is None


def lives(found: Trial, rule: rounds.Rule) -> tuple[float, float]:
    """Ages at which the backend would end the control and the cured arm."""
    return rule(found.control.course(200.0)), rule(found.cured.course(200.0))


@pytest.mark.parametrize(
    ("ping", "kinds"),
    [("application", ("app-ping",)), ("protocol", ("protocol-ping",)), ("both", ("app-ping", "protocol-ping"))],
)
@pytest.mark.parametrize("window", [0.5, 3.0, 12.0])
def test_a_later_ping(window, ping, kinds) -> None:
    """The control pings within the window, the cured arm after it and soon again."""
    found = of("early-ping-abort", window_s=window, window_min_s=0.9 * window, window_max_s=1.1 * window, ping=ping)
    control, cured = lives(found, rounds.early(window, kinds))
    assert control < window + 0.5
    assert cured == math.inf
    first, second = found.cured.course(200.0).acts[:2]
    assert first.age >= max(STABILISE, 1.1 * window)
    assert found.cure.exposed_to == "two pings"
    assert found.cure.exposure_s is not None
    assert found.cure.exposure_s > second.age
    assert found.cure.change == f"{first.age:g} s of quiet before the first ping"


@pytest.mark.parametrize("counts", ["any", "inbound", "outbound", "data-frames", "app-ping", "protocol-ping"])
@pytest.mark.parametrize("timeout", [2.0, 6.0, 55.0])
def test_a_heartbeat_of_the_kind_that_counts(timeout, counts) -> None:
    """Three beats in each time-out; one full time-out of quiet beyond the first has to be outlived."""
    found = of("idle-timeout", timeout_s=timeout, counts=counts)
    control, cured = lives(found, rounds.idle(timeout, counts))
    assert control == timeout == found.control_s
    assert cured > 190.0
    beat = found.cured.doings[0].every
    assert beat == pytest.approx(timeout / 3, abs=0.01)
    assert found.cure.exposure_s == pytest.approx(timeout + beat)


def test_a_heartbeat_through_a_nat() -> None:
    """The control writes after the path is dead, and finds out; it has to be given up."""
    found = of("nat-timeout", timeout_s=30.0)
    assert found.control.course(200.0).acts[0].age > 30.0
    assert found.control_s == pytest.approx(39.0 + GIVES_UP)
    assert lives(found, rounds.idle(30.0))[1] > 190.0


@pytest.mark.parametrize("id", ["idle-timeout", "nat-timeout"])
def test_a_time_out_that_was_not_measured_cannot_be_undercut(id) -> None:
    """Nothing is tried."""
    assert trial(id) is None
    assert trial(id, timeout_s=0.0) is None


def test_no_compression() -> None:
    """Both arms send the same message."""
    found = of("compression-broken")
    assert (found.control.compression, found.cured.compression) == ("deflate", None)
    assert [act.what for act in found.control.course(9.0).acts] == ["typing"]
    assert [act.what for act in found.cured.course(9.0).acts] == ["typing"]


def test_how_long_a_round_takes() -> None:
    """Three former lives, or what has to be outlived, and a little for opening and leaving."""
    found = of("idle-timeout", timeout_s=6.0)
    assert found.seconds == 26.0
    found = of("early-ping-abort", window_s=3.0, window_min_s=1.0, window_max_s=5.0, after_s=0.2)
    assert found.seconds == pytest.approx(7.5 + 3.0 + 0.2 + 0.8 + 8.0)
