"""What a fleet says of itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from chatkit.errors import InvalidInput
from chatkit.fleet import analyse_fleet, rows
from chatkit.fleet.comparing import Cohort, Ratio
from chatkit.fleet.peaks import Peak
from chatkit.fleet.result import Died, verb
from tests.fleet.crowd import crowd


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The crowd."""
    path = tmp_path_factory.mktemp("result") / "f.parquet"
    rows.write(crowd(2000), path)
    return analyse_fleet(path)


def test_what_stands_out_most_is_the_headline(fleet) -> None:
    """A cohort before a moment, a moment before a timer, a timer before a change."""
    assert fleet.headline.startswith("version ")
    alike = replace(fleet, cohorts=())
    assert "died together at 2026-09-21T13:00:00" in alike.headline
    timed = replace(alike, together=(), timers=(Peak("idle", 60.0, 59.0, 61.0, 300, 2.0),))
    assert timed.headline == f"300 of {fleet.deaths:,} deaths came after 60 s of quiet: a timer"
    changed = replace(timed, timers=())
    assert changed.headline.startswith("since 2026-09-21T1")
    assert replace(changed, changes=()).headline == "no cohort, no moment and no timer stands out"
    assert replace(changed, changes=(), deaths=0, refused=0).headline == f"none of {fleet.lives:,} connections died"


def test_the_diagnosis_names_what_can_be_mended(fleet) -> None:
    """With a timer's length where the cause has one; a rare cause is none of a fleet's."""
    died = (
        Died(id="idle-timeout", n=500, probability=0.8),
        Died(id="none", n=900, probability=0.9),
        Died(id="server-error", n=2, probability=0.9),
    )
    told = replace(fleet, causes=died, timers=(Peak("idle", 60.0, 59.0, 61.0, 300, 2.0),)).diagnosis
    assert [one.id for one in told.causes] == ["idle-timeout"]
    assert told.causes[0].parameters["timeout_s"] == 60.0
    assert replace(fleet, causes=(), deaths=0, refused=0).diagnosis.verdict == "no-fault"
    assert replace(fleet, causes=()).diagnosis.verdict == "inconclusive"


def test_words_for_a_cohort() -> None:
    """What it does, how much, how sure."""
    one = Cohort(
        by="proxy",
        value="edge",
        measure="refusals",
        ratio=Ratio(5.0, 3.1, 8.2, 1e-12),
        n=10,
        events=5,
        others=10,
        other_events=1,
        p=1e-11,
    )
    assert verb(one) == "is refused 5 × as often as the others (3.1–8.2, p < 1e-9)"


def test_no_such_axis(fleet) -> None:
    """Age or day."""
    with pytest.raises(InvalidInput, match="no such axis"):
        fleet.hazard("week")
