"""Two investigations of one backend, before a change and after it."""

from __future__ import annotations

from chatkit.experiments.since import since
from tests.diagnosis import rounds
from tests.diagnosis.rounds import played

BEFORE = played(rounds.idle(6.0), watched=20.0)
AFTER = played(rounds.never, watched=20.0)
WORSE = played(rounds.age(8.0), watched=20.0)


def test_a_change_that_helped() -> None:
    """The fault is gone, and the arms that died live."""
    found = since(BEFORE, AFTER)
    assert found.sentence == "idle-timeout was found before; now no fault shows"
    assert (found.former_verdict, found.now_verdict, found.now_cause) == ("fault", "no-fault", None)
    silent = next(one for one in found.changed if one.id == "silent")
    assert silent.former.startswith("ended: ")
    assert silent.now.startswith("lived for ")
    assert found.same > 0
    assert "ping-every-1s" not in {one.id for one in found.changed}


def test_a_change_that_did_nothing() -> None:
    """The same cause is still there, and every arm fares as before."""
    found = since(BEFORE, BEFORE)
    assert found.sentence == "idle-timeout is still there"
    assert found.changed == ()


def test_a_change_that_made_another_fault() -> None:
    """One is gone, another came; or one came where nothing was."""
    assert since(BEFORE, WORSE).sentence == "idle-timeout was found before; now it is max-lifetime"
    assert since(AFTER, WORSE).sentence == "max-lifetime is new: the verdict before was no-fault"


def test_nothing_before_and_nothing_now() -> None:
    """Two healthy ones."""
    assert since(AFTER, AFTER).sentence == "the verdict was no-fault before and is no-fault now"


def test_as_data_and_as_text() -> None:
    """Both name what changed."""
    found = since(BEFORE, AFTER)
    told = found.to_dict()
    assert told["former"] == {"verdict": "fault", "cause": "idle-timeout"}
    assert {one["id"] for one in told["changed"]} == {one.id for one in found.changed}
    assert "silent: then ended" in str(found)
