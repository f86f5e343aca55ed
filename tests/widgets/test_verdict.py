"""The verdict's window: a click on a claim selects its events; no browser."""

from __future__ import annotations

import pytest

import chatkit
from builders import incident_trace
from chatkit.diagnosis.result import MIME
from chatkit.errors import InvalidInput
from chatkit.trace import Trace
from chatkit.widgets.verdict import MOST_CLAIMS, Verdict
from tests.views.verdicts import HEALTHY, NASTY, ranked


def test_a_click_on_a_claim_selects_its_events() -> None:
    """And the selection comes back as a trace."""
    trace = incident_trace()
    verdict = Verdict(trace)
    evidence = [one for one in verdict.diagnosis.causes[0].evidence if one.events]
    assert [button.description for button in verdict.claims][:1] == [evidence[0].finding]
    verdict.claims[0].click()
    assert verdict.explorer.selected == list(evidence[0].events)
    assert [event.id for event in verdict.explorer.selection] == sorted(evidence[0].events, key=int)
    verdict.close()


def test_without_a_cause_there_is_nothing_to_click() -> None:
    """The card and the timeline are there."""
    verdict = Verdict(incident_trace(), HEALTHY)
    assert (verdict.claims, len(verdict.children)) == ((), 2)
    assert verdict.children[-1] is verdict.explorer
    assert "no fault" in repr(verdict).lower()


def test_many_claims_and_hostile_ones() -> None:
    """Bounded, on one line."""
    from chatkit.diagnosis.result import Diagnosis, Evidence

    evidence = tuple(Evidence(finding=NASTY * 40, events=("0",)) for _ in range(50))
    cause = ranked(id="server-error", confidence=0.9, who="server", evidence=evidence)
    verdict = Verdict(incident_trace(), Diagnosis(verdict="fault", causes=(cause,), headline="x"))
    assert len(verdict.claims) == MOST_CLAIMS
    assert all(len(button.description) <= 80 and "\n" not in button.description for button in verdict.claims)


def test_something_else_than_a_trace() -> None:
    """A sentence, no traceback."""
    with pytest.raises(InvalidInput, match="nothing to show a verdict of"):
        Verdict("incident.har")  # type: ignore[arg-type]
    assert chatkit.Verdict is Verdict
    assert issubclass(chatkit.Trace, Trace)


def test_the_verdict_travels_as_data() -> None:
    """Beside the view: whoever runs the notebook without a front end reads it."""
    verdict = Verdict(incident_trace(), HEALTHY)
    bundle = verdict._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data[MIME]["verdict"] == "no-fault"
    assert {"text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
    verdict.close()
