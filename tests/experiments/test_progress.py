"""How an investigation stands, as values that a terminal and a widget can draw."""

from __future__ import annotations

import msgspec
import pytest

from chatkit.diagnosis.engine import stand
from chatkit.diagnosis.taxonomy import NONE, UNKNOWN, causes
from chatkit.experiments.progress import BARS, ArmLine, Bar, ProbeLine, Progress, bars
from tests.diagnosis import rounds
from tests.diagnosis.rounds import played
from tests.diagnosis.stories.telling import Tale


def test_bars_before_anything_is_known() -> None:
    """There are none."""
    assert bars(None) == ()
    assert bars(stand(Tale().trace())) == ()


@pytest.mark.parametrize(
    ("rule", "first"),
    [(rounds.age(8.0), "max-lifetime"), (rounds.early(3.0, ("app-ping", "protocol-ping")), "early-ping-abort"),
     (rounds.never, NONE)],
    ids=["age", "early pings", "healthy"],
)  # fmt: skip
def test_the_likeliest_hypotheses(rule, first) -> None:
    """Most probable first, few of them, with the titles of the taxonomy."""
    standing = stand(played(rule))
    found = bars(standing)
    assert found[0].id == first
    assert len(found) == BARS
    chances = [one.probability for one in found]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) <= 1.0 + 1e-3
    for bar, hypothesis in zip(found, standing.hypotheses, strict=False):
        assert bar.probability == pytest.approx(hypothesis.probability, abs=1e-4)
        if bar.id in causes():
            assert bar.title == causes()[bar.id].title


def test_hypotheses_that_are_no_causes_have_words() -> None:
    """No fault, and something that is not modelled."""
    standing = stand(played(rounds.never))
    special = tuple(one for one in standing.hypotheses if one.id in (NONE, UNKNOWN))
    found = bars(msgspec.structs.replace(standing, hypotheses=special))
    assert {one.id: one.title for one in found} == {
        NONE: "no fault so far",
        UNKNOWN: "something that is not modelled",
    }


def test_a_look_is_data() -> None:
    """Over a wire and back it is the same."""
    look = Progress(
        stage="arms",
        elapsed=12.5,
        budget=90.0,
        bars=(Bar(id="max-lifetime", title="…", probability=0.9),),
        probes=(ProbeLine(id="health", status="pass", summary="GET /health answers 200"),),
        arms=(ArmLine(id="silent", connection="3", what="says nothing", state="alive", opened=2.0, age=9.5, acts=(1.0,)),),
        notes=("the idle time-out is bracketed",),
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(look), type=Progress) == look
    assert not look.done
    # Nothing is known of an arm that waits for its turn.
    waiting = ArmLine(id="silent", connection=None, what="says nothing", state="waiting")
    assert (waiting.opened, waiting.age, waiting.acts, waiting.ending) == (None, 0.0, (), "")
