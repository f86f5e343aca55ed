"""Outcomes of arms in the words of the method, read from the recording."""

from __future__ import annotations

import pytest

from chatkit.events import AttemptFailed
from chatkit.experiments.judge import MUTE, arms
from chatkit.experiments.result import ArmResult
from chatkit.experiments.treatments import GARBAGE_TOKEN, SILENT, every
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, begin, closes, played
from tests.diagnosis.stories.telling import Tale

PINGED = every(2.0, "app-ping")


def judged(tale: Tale) -> ArmResult:
    """The one arm of a recording."""
    begin(tale, 0.9, "1", SILENT)
    (one,) = arms(tale.trace())
    return one


def opened() -> Tale:
    tale = Tale()
    tale.opens(1.0, "1")
    return tale


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_refused(status) -> None:
    """With the HTTP status; it has no life."""
    tale = Tale()
    tale.refused(1.0, "1", status)
    found = judged(tale)
    assert (found.outcome, found.lifetime_s) == (f"refused({status})", None)


@pytest.mark.parametrize("stage", ["dns", "tcp", "tls", "upgrade"])
def test_no_answer(stage) -> None:
    """With the stage that was reached."""
    tale = Tale()
    tale.failed(1.0, "1", stage, "timed out")
    found = judged(tale)
    assert (found.outcome, found.lifetime_s) == (f"no-answer({stage})", None)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (rounds.cut, "RST"),
        (closes(1001, "going away"), "1001"),
        (closes(1011), "1011"),
        (closes(1000), "1000"),  # a goodbye that is not ours is an end
    ],
)
def test_ended(end, words) -> None:
    """By the other side, and in its words."""
    tale = opened()
    end(tale, 7.25, "1")
    found = judged(tale)
    assert (found.outcome, found.lifetime_s) == ("ended", 6.25)
    assert found.ending is not None
    assert words in found.ending


def test_survived() -> None:
    """By our goodbye, or because nothing ended it."""
    for says_goodbye in (True, False):
        tale = opened()
        tale.ping(3.0, "1")
        tale.notified(9.0, "1")
        if says_goodbye:
            tale.closed(9.0, "1", 1000, by="client")
        found = judged(tale)
        assert (found.outcome, found.lifetime_s, found.ending) == ("survived", 8.0, None)


def test_we_gave_up() -> None:
    """A close frame of ours that is no goodbye is an end."""
    tale = opened()
    tale.ping(3.0, "1", answered=False)
    tale.closed(13.0, "1", 1011, "keepalive ping timeout", by="client", answered=False)
    assert judged(tale).outcome == "ended"


@pytest.mark.parametrize("says_goodbye", [True, False])
@pytest.mark.parametrize("rfc", [True, False])
def test_mute(rfc, says_goodbye) -> None:
    """Pings of either kind that nobody answered up to the end, for long enough."""

    def told(waited: float, *, answered: bool = False) -> str:
        tale = opened()
        ping = tale.protocol_ping if rfc else tale.ping
        ping(2.0, "1")
        ping(4.0, "1", answered=answered)
        if says_goodbye:
            tale.closed(4.0 + waited, "1", 1000, by="client")
        else:
            tale.sent(4.0 + waited, "1", "typing", data={"is_typing": True})
        return judged(tale).outcome

    assert told(MUTE + 0.1) == "mute"
    assert told(MUTE - 0.1) == "survived"
    assert told(MUTE + 9.0, answered=True) == "survived"


def test_a_late_answer_is_one() -> None:
    """It was slow, and not mute."""
    tale = opened()
    tale.ping(2.0, "1", answered=False)
    tale.received(11.0, "1", "pong")
    tale.closed(11.5, "1", 1000, by="client")
    assert judged(tale).outcome == "survived"


def test_every_arm_in_its_order() -> None:
    """Altered openings too; connections beside the investigation are none."""
    trace = played(
        lambda one: 0.02 if one.arm == "token-garbage" else rounds.idle(6.0)(one),
        (*ROUND, GARBAGE_TOKEN),
        watched=20.0,
        beside=lambda tale: tale.opens(5.0, "user"),
    )
    found = arms(trace)
    assert [one.id for one in found] == ["alone", *(one.id for one in ROUND), "token-garbage"]
    assert [one.connection for one in found] == [str(n + 1) for n in range(10)]
    assert {one.role for one in found} == {"arm"}
    outcomes = {one.id: one.outcome for one in found}
    assert outcomes["silent"] == outcomes["control"] == outcomes["token-garbage"] == "ended"
    assert outcomes["ping-every-1s"] == outcomes["typing-every-1s"] == "survived"
    by_id = {one.id: one for one in found}
    assert by_id["silent"].lifetime_s == 6.0
    assert by_id["silent"].treatment == SILENT.what


def test_what_failed_is_told_by_its_stage() -> None:
    """An attempt without a word about why had come as far as the upgrade."""
    tale = Tale()
    tale.attempt(1.0, "1")
    assert judged(tale).outcome == "no-answer(upgrade)"
    tale = Tale()
    tale.attempt(1.0, "1")
    tale.put(6.0, AttemptFailed, "1", stage="established", error="timed out")
    assert judged(tale).outcome == "no-answer(established)"


def test_no_arms_no_results() -> None:
    """Of any other recording."""
    assert arms(opened().trace()) == ()
    assert arms(Tale().trace()) == ()
