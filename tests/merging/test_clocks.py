"""Clocks: the truth lies within what is said, from whichever side, and what is not known is not claimed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.events import FrameSent, Logged, Opened, UpgradeAnswered, UpgradeRequested
from chatkit.merging import merge
from chatkit.trace import Origin
from merging.scenes import browser, capture, conversation

LAG = st.floats(0, 0.3)
SKEW = st.floats(-4000, 4000)


@given(SKEW, LAG, LAG, LAG, LAG)
def test_the_truth_lies_within_the_error(skew: float, up: float, down: float, far_up: float, far_down: float) -> None:
    """Any skew, any transit to either vantage; the second stands nearer to the server."""
    facts = conversation(turns=4)
    near = browser(from_client=up / 10, from_server=down + far_down)
    far = capture(from_client=up / 10 + far_up, from_server=down, skew=skew)
    vantages = merge(near.sees(facts), far.sees(facts)).header.vantages
    assert vantages[1].offset_error is not None
    assert abs(vantages[1].offset - -skew) <= vantages[1].offset_error + 1e-5
    assert vantages[1].offset_error <= (far_up + far_down) / 2 + 0.003
    assert (vantages[0].offset, vantages[0].offset_error) == (0.0, 0.0)
    assert (vantages[0].place, vantages[1].place) == (0, 1)


@pytest.mark.parametrize("swap", [False, True])
def test_two_captures_find_out_who_is_nearer_to_the_server(swap: bool) -> None:
    """No format tells; the transit times do."""
    facts = conversation()
    near = capture("laptop.pcap", from_client=0.013, from_server=0.071).sees(facts)
    far = capture("server.pcap", from_client=0.053, from_server=0.011, skew=12.3456).sees(facts)
    merged = merge(*((far, near) if swap else (near, far)))
    places = {vantage.name: vantage.place for vantage in merged.header.vantages}
    assert places == {"pcap-laptop": 0, "pcap-server": 1}
    assert merged.header.vantages[1].offset == pytest.approx(12.3456 if swap else -12.3456, abs=0.05)


def test_seconds_of_a_log_widen_the_error() -> None:
    """A clock that reads whole seconds ties no better than to a second."""
    facts = [fact for fact in conversation() if fact[1] in (UpgradeRequested, UpgradeAnswered, Opened)]
    log = capture("access.log", from_client=0.0, from_server=0.0, origin=Origin(kind="file", format="nginx-access"))
    vantage = merge(browser().sees(conversation()), log.sees(facts)).header.vantages[1]
    assert vantage.offset_error is not None
    assert vantage.offset_error >= 1.0


def test_one_direction_alone_is_a_median_and_says_so() -> None:
    """Its error holds the transit that nothing measured."""
    facts = conversation()
    far = capture(skew=5.0, not_visible=("received", "handshake")).sees(facts, lambda fact: fact[1] is FrameSent)
    merged = merge(browser().sees(facts), far)
    assert merged.header.vantages[1].offset == pytest.approx(-5.04, abs=0.001)
    assert merged.header.vantages[1].offset_error >= 0.5
    assert any("by the median of what went one way only" in warning for warning in merged.warnings)


def test_a_clock_that_drifts_is_told() -> None:
    """What each way says contradicts itself: medians, with an error that spans the contradiction."""
    facts = conversation(turns=20)
    straight = capture().sees(facts)
    fast = [(at * 1.01, *rest) for at, *rest in facts]
    merged = merge(capture("a.pcap", from_client=0.001, from_server=0.001).sees(fast), straight)
    assert any("contradicts itself" in warning for warning in merged.warnings)
    assert merged.header.vantages[1].offset_error >= 0.05


def test_clocks_are_tied_over_a_third() -> None:
    """Errors add up."""
    first, second = conversation(connection="a"), conversation(30, connection="b")
    a = browser().sees(first)
    b = capture("both.pcap", skew=7.0).sees(first + second)
    c = capture("late.pcap", skew=-3.0, from_client=0.045, from_server=0.005).sees(second)
    vantages = merge(a, c, b).header.vantages
    assert vantages[1].offset == pytest.approx(3.0, abs=0.1)
    assert vantages[1].offset_error > vantages[2].offset_error > 0


def test_nothing_ties_the_clocks() -> None:
    """The offset is none, the error is unknown, and a warning says so."""
    other = capture().sees([(3.0, Logged, None, {"by": "server", "what": "start"})])
    merged = merge(browser().sees(conversation()), other)
    assert (merged.header.vantages[1].offset, merged.header.vantages[1].offset_error) == (0.0, None)
    assert "merge: nothing ties the clock of pcap to that of har: taken as equal" in merged.warnings
    assert "merge: pcap shares no connection with the others; it stands beside them" in merged.warnings


def test_a_log_without_times_begins_with_the_reference() -> None:
    """It is not put into 1970, whichever comes first."""
    facts = conversation()
    untimed = capture(
        origin=Origin(kind="file", format="console-log"), not_visible=("timing",), skew=-1_795_449_725.0
    ).sees([(0.0, Logged, None, {"by": "client", "what": "error"})])
    for order in ((browser().sees(facts), untimed), (untimed, browser().sees(facts))):
        merged = merge(*order)
        assert merged.duration < 60
        assert merged.epoch == pytest.approx(1_795_449_725.0, abs=1)
        assert any("tells no times" in warning for warning in merged.warnings)
