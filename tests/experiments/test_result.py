"""The document of an investigation, and what it shows of itself."""

from __future__ import annotations

import json

import pytest

from chatkit import display
from chatkit.diagnosis import diagnose
from chatkit.experiments.judge import arms
from chatkit.experiments.proof import Cure, Lifetime, Proof, judge
from chatkit.experiments.result import SCHEMA, Investigation, Probe
from tests.diagnosis import rounds
from tests.diagnosis.rounds import played

PROMISED = ["schema", "target", "elapsed_s", "probes", "arms", "diagnosis", "verification"]
"""What ``interfaces.md`` promises of ``chatkit diagnose --json``; more may stand beside it."""
OF_ARMS = {"id", "treatment", "outcome", "lifetime_s", "ending"}
OF_DIAGNOSIS = {"verdict", "causes", "remarks", "ruled_out", "unknown"}
OF_CAUSES = {
    "id",
    "confidence",
    "who",
    "connections",
    "summary",
    "parameters",
    "likely",
    "lookalikes",
    "evidence",
    "fix",
}


AGE = rounds.age(8.0)


def investigation(rule: rounds.Rule = AGE, verification: Proof | None = None) -> Investigation:
    """Of a round of arms."""
    trace = played(rule)
    return Investigation(
        target="http://127.0.0.1:8000",
        elapsed_s=17.40049,
        diagnosis=diagnose(trace),
        probes=(
            Probe(id="health", status="pass", summary="GET /health answers 200"),
            Probe(id="head", status="warning", summary="HEAD /health answers 405", remedy="GET every 30 s"),
        ),
        arms=arms(trace),
        verification=verification,
        why="settled",
        untried=("no chat message was sent: --no-chat",),
        trace=trace,
    )


def proof() -> Proof:
    control = [Lifetime(seconds=8.0, died=True, at=8.0 + n) for n in range(5)]
    cured = [Lifetime(seconds=60.0, died=False, at=60.0) for _ in range(5)]
    return judge(control, cured, Cure(change="reconnect before 8 s"))


def test_the_document_has_what_is_promised() -> None:
    """By name, in that order, as JSON."""
    found = json.loads(json.dumps(investigation().to_dict()))
    assert [key for key in found if key in PROMISED] == PROMISED
    assert set(found) - set(PROMISED) == {"stopped", "untried"}
    assert (found["schema"], SCHEMA) == ("chatkit.investigation/1", "chatkit.investigation/1")
    assert (found["target"], found["elapsed_s"]) == ("http://127.0.0.1:8000", 17.4)
    assert (found["stopped"], found["untried"]) == ("settled", ["no chat message was sent: --no-chat"])
    assert all(OF_ARMS <= set(one) for one in found["arms"])
    assert OF_DIAGNOSIS <= set(found["diagnosis"])
    assert all(set(one) == OF_CAUSES for one in found["diagnosis"]["causes"])
    assert found["verification"] is None


def test_arms_and_probes_in_the_document() -> None:
    """One entry each, in the order in which they were run."""
    one = investigation()
    found = one.to_dict()
    assert found["probes"] == [
        {"id": "health", "status": "pass", "summary": "GET /health answers 200", "remedy": None},
        {"id": "head", "status": "warning", "summary": "HEAD /health answers 405", "remedy": "GET every 30 s"},
    ]
    assert [arm["id"] for arm in found["arms"]] == [arm.id for arm in one.arms]
    silent = next(arm for arm in found["arms"] if arm["id"] == "silent")
    assert {key: silent[key] for key in ("treatment", "outcome", "lifetime_s")} == {
        "treatment": "says nothing",
        "outcome": "ended",
        "lifetime_s": 8.0,
    }
    assert silent["connection"] in {connection.id for connection in one.trace.connections}


def test_connections_of_the_verdict_are_arms() -> None:
    """And its events are those of the recording, which says the same again."""
    one = investigation()
    (cause, *_) = one.to_dict()["diagnosis"]["causes"]
    assert cause["id"] == "max-lifetime"
    assert set(cause["connections"]) <= {arm.connection for arm in one.arms}
    assert {id for shown in cause["evidence"] for id in shown["events"]} <= {event.id for event in one.trace}
    assert diagnose(one.trace) == one.diagnosis


def test_no_fault_has_no_causes() -> None:
    """An empty list, and no key less."""
    found = investigation(rounds.never).to_dict()["diagnosis"]
    assert (found["verdict"], found["causes"]) == ("no-fault", [])
    assert set(found) >= OF_DIAGNOSIS


def test_the_verification_is_the_proof() -> None:
    """As it says itself."""
    found = investigation(verification=proof()).to_dict()["verification"]
    assert found == proof().to_dict()
    assert found["holds"] is True


@pytest.mark.parametrize("shown", [str, Investigation._repr_html_, Investigation.ticket])
def test_it_shows_the_diagnosis_where_no_view_is_loaded(monkeypatch, shown) -> None:
    """Data have no face of their own."""
    monkeypatch.setattr(display, "find", lambda kind, form: None)
    one = investigation()
    assert shown(one) == {str: str(one.diagnosis), Investigation.ticket: one.diagnosis.ticket()}.get(shown)


def test_it_shows_itself_through_a_view(monkeypatch) -> None:
    """Of each form."""
    monkeypatch.setattr(display, "find", lambda kind, form: lambda one: f"{kind} as {form}: {one.target}")
    one = investigation()
    assert str(one) == "investigation as text: http://127.0.0.1:8000"
    assert one._repr_html_() == "investigation as html: http://127.0.0.1:8000"
    assert one.ticket() == "investigation as ticket: http://127.0.0.1:8000"


def test_its_diagnosis_travels_as_data() -> None:
    """As that of a recording does."""
    one = investigation()
    assert one._repr_mimebundle_() == one.diagnosis._repr_mimebundle_() != {}
