"""What a recorded client did becomes a treatment that does the same."""

from __future__ import annotations

import pytest

from chatkit.experiments.replay import MOST_BYTES, MOST_DOINGS, replay_of
from chatkit.experiments.treatments import Doing, Treatment
from chatkit.trace import Header
from tests.builders import HEADER, incident_trace
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, played, tried
from tests.diagnosis.stories.telling import ENCRYPTED, SERVER_LOG, Tale


def told(tale: Tale, header: Header = HEADER) -> Treatment:
    found = replay_of(tale.trace(header))
    assert found is not None
    return found


def test_kinds_sizes_and_times_are_kept() -> None:
    """Of everything that was sent, counted from the opening; not what it said."""
    tale = Tale()
    tale.opens(10.0, "1")
    tale.ping(10.05, "1")
    tale.protocol_ping(12.0, "1")
    tale.sent(13.0, "1", "typing", data={"is_typing": True})
    tale.says(14.5, "1", "the password is swordfish")
    tale.hears(15.0, "1")
    tale.ends(16.0, "1")
    found = told(tale)
    assert found.id == "their-client"
    assert [(one.what, one.at) for one in found.doings] == [
        ("app-ping", 0.05), ("protocol-ping", 2.0), ("typing", 3.0), ("replay", 4.5),
    ]  # fmt: skip
    ping, rfc, typing, says = found.doings
    assert (ping.size, rfc.size) == (None, None)
    assert (typing.size, says.size) == (47, 66)
    assert "swordfish" not in str(found.settings())


def test_big_messages_are_cut() -> None:
    """What was longer is repeated as long as politeness permits."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.says(2.0, "1", size=3_000_000)
    tale.says(3.0, "1", size=MOST_BYTES)
    tale.ends(3.1, "1")
    assert [one.size for one in told(tale).doings] == [MOST_BYTES, MOST_BYTES]
    assert told(tale).politeness == "read-only"


def test_the_beginning_of_a_long_life() -> None:
    """Tells what kind of client it is."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.pings(1.5, 500.0, 1.0, "1")
    tale.ends(501.0, "1")
    doings = told(tale).doings
    assert len(doings) == MOST_DOINGS
    assert doings[-1] == Doing(what="app-ping", at=299.5)


def test_a_life_that_ended_tells_more() -> None:
    """Than one that goes on, however busy; among those that ended, the one on which most was done."""
    tale = Tale()
    for name, start, pings in (("1", 1.0, 1), ("2", 2.0, 3), ("3", 3.0, 8)):
        tale.opens(start, name)
        tale.pings(start + 0.1, start + 0.1 + pings, 1.0, name)
    tale.ends(2.0, "1")
    tale.ends(6.0, "2")
    assert len(told(tale).doings) == 3


def test_one_that_goes_on_tells_too() -> None:
    """Where none has ended."""
    tale = Tale()
    tale.opens(1.0, "1")
    tale.ping(3.0, "1")
    assert told(tale).doings == (Doing(what="app-ping", at=2.0),)


@pytest.mark.parametrize("header", [ENCRYPTED, SERVER_LOG], ids=["encrypted capture", "server's log"])
def test_what_evidence_hides_is_not_made_up(header) -> None:
    """Nothing that was sent is visible; so there is nothing to repeat."""
    tale = Tale()
    tale.opens(1.0, "1", greets=False)
    tale.ends(7.0, "1")
    assert replay_of(tale.trace(header)) is None


def test_nothing_to_repeat() -> None:
    """No connection, none that opened, or a client that never said a word."""
    tale = Tale()
    assert replay_of(tale.trace()) is None
    tale.refused(1.0, "1", 403)
    assert replay_of(tale.trace()) is None
    tale.opens(3.0, "2")
    tale.ends(9.0, "2")
    assert replay_of(tale.trace()) is None


def test_the_incident_again() -> None:
    """Their client pings at once: an arm that does the same dies of the same."""
    found = replay_of(incident_trace())
    assert found is not None
    assert found.doings == (Doing(what="app-ping", at=0.054),)
    died = tried(played(rounds.early(5.0, ("app-ping",)), (*ROUND, found)))
    assert {one.arm: one.died for one in died.courses}["their-client"]
